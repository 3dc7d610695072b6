"""From photographs to embeddings with a checkpoint: what comparing, searching and embedding folders share."""
from sklearn.preprocessing import normalize

from datasets.faces.reader import Reader
from datasets.formats import images
from eval.networks.checkpoints import fingerprint, load
from eval.networks.embedder import Embedder
from eval.networks.flags import one_checkpoint
from runtime import Failure
from runtime.devices import parse_context


class Recogniser:
    """A checkpoint, with a detector for photographs that are not aligned yet.

    Parameters
    ----------
    prefix : str
    epoch : int
    ctx : str or None
        A device, as `runtime.devices.parse_context` reads it.
    flip : bool
        Whether an embedding is the sum of those of the image and its mirror image (the original), or that of the image
        alone (the paper).
    aligned : bool
        Whether pictures are faces of 112×112 already.

    Attributes
    ----------
    fingerprint : str
        Tells this network from others.
    """

    def __init__(self, prefix, epoch, ctx=None, flip=True, aligned=False, batch_size=None):
        symbol, arg_params, aux_params = load(prefix, epoch)
        self.prefix, self.epoch, self.flip, self.aligned = prefix, epoch, flip, aligned
        self.fingerprint = fingerprint(arg_params, aux_params)
        self.embedder = Embedder(symbol, arg_params, aux_params, parse_context(ctx)[0], batch_size)
        self._read = Reader(self.image_shape[1], aligned)

    @property
    def image_shape(self):
        """(channels, height, width) of a face."""
        return self.embedder.image_shape

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
        return normalize(self.embedder.embed(faces, self.flip, f"{self.prefix}, epoch {self.epoch}"))


def add_flags(parser, model_required=True):
    """Add the flags of a checkpoint and of how it is used to a command's parser."""
    parser.add_argument("--model", type=one_checkpoint, required=model_required, metavar="PREFIX,EPOCH",
                        help="the checkpoint")
    parser.add_argument("--ctx", help="cpu or gpu:N (default: the first visible GPU, else the CPU)")
    parser.add_argument("--aligned", action="store_true", help="the pictures are aligned faces of 112×112 already")
