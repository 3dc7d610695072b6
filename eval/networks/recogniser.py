"""From photographs to embeddings: what comparing, searching and embedding folders share."""
from sklearn.preprocessing import normalize

from datasets.faces.reader import Reader
from datasets.formats import images
from eval.networks.flags import add_network_flags
from runtime import Failure


class Recogniser:
    """A trained network, with a detector for photographs that are not aligned yet.

    Parameters
    ----------
    network : eval.networks.trained.Trained
    flip : bool
        Whether an embedding is the sum of those of the image and its mirror image (the original), or that of the image
        alone (the paper).
    aligned : bool
        Whether pictures are aligned faces already.

    Attributes
    ----------
    prefix, epoch, fingerprint, embedder, image_shape, engine
        Those of the network.
    """

    def __init__(self, network, flip=True, aligned=False):
        self.network, self.flip, self.aligned = network, flip, aligned
        self.prefix, self.epoch, self.fingerprint = network.prefix, network.epoch, network.fingerprint
        self.embedder, self.engine, self.image_shape = network.embedder, network.embedder.engine, network.image_shape
        self._read = Reader(self.image_shape[1], aligned)

    def face(self, path, root=None):
        """Return the aligned face of a picture: RGB uint8, shape (112, 112, 3).

        Raises
        ------
        Failure
            The file cannot be read, leads out of `root`, or shows no face.
        """
        try:
            return self._read(path, root)
        except images.Unusable as error:
            raise Failure(str(error)) from None

    def __call__(self, faces):
        """Embed faces.

        Parameters
        ----------
        faces : uint8 array, shape (N, 112, 112, 3), or an iterable of such batches

        Returns
        -------
        float32 array, shape (N, D)
            Unit vectors.

        Raises
        ------
        Failure
            The network gives values that are not finite.
        """
        return normalize(self.embedder.embed(faces, self.flip, self.network.name))


def add_flags(parser, model_required=True):
    """Add the flags of a network and of how it is used to a command's parser."""
    add_network_flags(parser, model_required)
    parser.add_argument("--aligned", action="store_true", help="the pictures are aligned faces of 112×112 already")
