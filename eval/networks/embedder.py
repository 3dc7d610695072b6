"""From images to embeddings: the one place where a trained network is run."""
import numpy as np

from eval.measures.finite import check_finite
from runtime import mx
from symbols.inference import for_inference


def _chunks(images, size, shape):
    """Cut a stream of batches anew: arrays of `size` images of the given shape, and one smaller at the end."""
    held, count = [], 0
    for batch in [images] if isinstance(images, np.ndarray) else images:
        if batch.dtype != np.uint8 or batch.shape[1:] != shape:
            raise ValueError(f"images of type {batch.dtype} and shape {batch.shape}; they should be uint8, (N, "
                             f"{', '.join(map(str, shape))})")
        while len(batch):
            held.append(batch[:size - count])
            count += len(held[-1])
            batch = batch[len(held[-1]):]
            if count == size:
                yield np.concatenate(held)
                held, count = [], 0
    if held:
        yield np.concatenate(held)


def summed(parts, name=""):
    """Return the sum of the outputs that make an embedding; raises Failure, as `Embedder.embed`."""
    embeddings = sum(parts)
    check_finite(embeddings, name)
    return embeddings


class Embedder:
    """A network bound to a device, that turns images into embeddings.

    On a CPU the graph is lowered for speed, and MXNet fuses convolutions with what follows them (folding batch
    normalisation beforehand gains nothing then); embeddings agree with the plain graph's to float32 accuracy.

    Parameters
    ----------
    symbol : mx.Symbol
        Image → embedding, with the input `data`, as `eval.networks.checkpoints.load` gives it.
    arg_params, aux_params : dict of str to mx.nd.NDArray
        May hold more than the symbol needs.
    ctx : mx.Context
        The CPU by default.
    batch_size : int, optional
        How many images the network gets at a time (one more where odd, so that flips come in pairs). 16 on CPUs, where
        more take more memory and no less time, and 64 on GPUs, unless given.
    image_shape : tuple
        (channels, height, width).

    Examples
    --------
    >>> embedder = Embedder(*load("models/y1/model", 1))
    >>> embedder(images).shape
    (12, 128)
    """

    def __init__(self, symbol, arg_params, aux_params, ctx=None, batch_size=None, image_shape=(3, 112, 112)):
        self.ctx = ctx or mx.cpu()
        if batch_size is None:
            batch_size = 16 if self.ctx.device_type == "cpu" else 64
        if batch_size < 1:
            raise ValueError(f"a batch of {batch_size} images")
        self.image_shape = tuple(image_shape)
        self._rows = batch_size + batch_size % 2
        self._symbol = symbol
        self._full = self._last = None  # executors: of full batches, and of the last, smaller one
        self.set_params(arg_params, aux_params)

    @property
    def dimension(self):
        """The length of an embedding."""
        return int(np.prod(self._full.outputs[0].shape[1:]))

    def set_params(self, arg_params, aux_params):
        """Give the network other parameters, for instance those that training has reached.

        Parameters
        ----------
        arg_params, aux_params : dict of str to mx.nd.NDArray

        Raises
        ------
        ValueError
            One that the network needs is missing.
        """
        symbol = self._symbol
        missing = [name for name in symbol.list_arguments() if name not in arg_params and name != "data"]
        missing += [name for name in symbol.list_auxiliary_states() if name not in aux_params]
        if missing:
            raise ValueError(f"parameters that the network needs are missing: {', '.join(missing)}")
        if self.ctx.device_type == "cpu":
            symbol, arg_params = for_inference(symbol, arg_params, {"data": (1, *self.image_shape)})
        # Bound anew, since on CPUs the operators that MXNet fuses keep weights of their first run.
        self._full = self._last = None
        self._full = symbol.simple_bind(self.ctx, grad_req="null", data=(self._rows, *self.image_shape))
        self._full.copy_params_from(arg_params, aux_params, allow_extra_params=True)

    def _forward(self, data):
        """Start the network on images (n, channels, height, width) and return its output, to be waited for."""
        if len(data) == self._rows:
            executor = self._full
        else:
            if self._last is None or len(self._last.arg_dict["data"]) != len(data):
                # It shares the memory of the full one; kept, for all sets of a run may end in such a batch.
                self._last = self._full.reshape(data=data.shape)
            executor = self._last
        executor.arg_dict["data"][:] = data
        return executor.forward(is_train=False)[0]

    def _embed(self, images, flip):
        """Yield the network's output for each chunk of images, the flipped ones behind the others."""
        _, height, width = self.image_shape
        waiting = None
        for chunk in _chunks(images, self._rows // 2 if flip else self._rows, (height, width, self.image_shape[0])):
            data = chunk.transpose(0, 3, 1, 2)
            if flip:
                data = np.concatenate([data, data[..., ::-1]])
            if waiting is not None:  # it ran while this chunk was read and decoded
                yield waiting.asnumpy()
            waiting = self._forward(np.ascontiguousarray(data, np.float32))
        if waiting is not None:
            yield waiting.asnumpy()

    def __call__(self, images):
        """Embed images.

        Parameters
        ----------
        images : array of uint8, shape (N, height, width, channels), or an iterable of such batches
            RGB. Of a stream, one batch at a time is in memory.

        Returns
        -------
        float32 array, shape (N, D)
            Not normalised.
        """
        return self._joined(self._embed(images, flip=False))

    def both_flips(self, images):
        """Embed images and their mirror images; both go through the network in one batch.

        Parameters
        ----------
        images
            As for a call.

        Returns
        -------
        plain, mirrored : float32 arrays, shape (N, D)
        """
        halves = [np.split(output, 2) for output in self._embed(images, flip=True)]
        return self._joined(plain for plain, _ in halves), self._joined(mirrored for _, mirrored in halves)

    def embed(self, images, flip, name=""):
        """Embed images as faces are compared: with their mirror images (the original), or alone (the paper).

        Parameters
        ----------
        images
            As for a call.
        flip : bool
            Whether an embedding is the sum of the outputs for the image and its mirror image.
        name : str
            What the message begins with.

        Returns
        -------
        float32 array, shape (N, D)
            Not normalised.

        Raises
        ------
        Failure
            The network gives values that are not finite.
        """
        return summed(self.both_flips(images) if flip else (self(images),), name)

    def _joined(self, outputs):
        """Return a stream of outputs as one float32 array."""
        outputs = [output.reshape(len(output), -1).astype(np.float32, copy=False) for output in outputs]
        return np.concatenate(outputs) if outputs else np.empty((0, self.dimension), np.float32)
