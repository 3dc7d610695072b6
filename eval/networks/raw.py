"""A checkpoint whose embeddings are stored as they are: benchmarks that weigh images by their norms need these."""
from eval.networks.batch_size import best_batch_size
from eval.networks.checkpoints import fingerprint, load
from eval.networks.embedder import Embedder
from runtime.devices import parse_context


class RawNetwork:
    """A network as `eval.networks.store.write` takes one.

    Parameters
    ----------
    prefix : str
    epoch : int
    ctx : str or None
        A device, as `runtime.devices.parse_context` reads it.
    flip : bool
        Whether an embedding is the sum of the outputs for the image and its mirror image.
    batch_size : int, optional

    Attributes
    ----------
    embedder : Embedder
    fingerprint : str
    """

    def __init__(self, prefix, epoch, ctx=None, flip=False, batch_size=None):
        symbol, arg_params, aux_params = load(prefix, epoch)
        context = parse_context(ctx)[0]
        size = batch_size or best_batch_size(symbol, arg_params, aux_params, context)
        self.prefix, self.epoch, self.flip = prefix, epoch, flip
        self.fingerprint = fingerprint(arg_params, aux_params)
        self.embedder = Embedder(symbol, arg_params, aux_params, context, size)

    @property
    def checkpoint(self):
        """What results say of the network: `prefix`, `epoch`, `fingerprint`."""
        return {"prefix": self.prefix, "epoch": self.epoch, "fingerprint": self.fingerprint}

    def __call__(self, faces):
        """Embed faces: float32 array, shape (N, D), not normalised; raises Failure where that is not finite."""
        return self.embedder.embed(faces, self.flip, f"{self.prefix}, epoch {self.epoch}")
