"""From images to embeddings: the one place where a trained network is used."""
from collections import deque

import numpy as np

from eval.measures.finite import check_finite


def _chunks(images, size, shape):
    """Cut a stream of batches again: arrays of `size` images of the given shape, and one smaller at the end."""
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
    """Turns images into embeddings by a network that is bound to a device.

    Parameters
    ----------
    engine : eval.networks.engines.engine.Engine

    Examples
    --------
    >>> embedder = Embedder(ByMXNet(*load("models/y1/model", 1)))
    >>> embedder(images).shape
    (12, 128)
    """

    def __init__(self, engine):
        self.engine = engine

    @property
    def image_shape(self):
        """(channels, height, width) of an image."""
        return self.engine.image_shape

    @property
    def dimension(self):
        """The length of an embedding."""
        return self.engine.dimension

    def _embed(self, images, flip):
        """Yield the network's output for each chunk of images, the flipped ones behind the others."""
        channels, height, width = self.image_shape
        rows, waiting = self.engine.rows, deque()
        for chunk in _chunks(images, max(rows // 2, 1) if flip else rows, (height, width, channels)):
            data = chunk.transpose(0, 3, 1, 2)
            if flip and rows == 1:  # a network that takes one image at a time
                yield np.concatenate([self.engine.start(np.ascontiguousarray(one, np.float32))()
                                      for one in (data, data[..., ::-1])])
                continue
            if flip:
                data = np.concatenate([data, data[..., ::-1]])
            if len(waiting) == self.engine.depth:  # the first ran while this chunk was read and decoded
                yield waiting.popleft()()
            waiting.append(self.engine.start(np.ascontiguousarray(data, np.float32)))
        while waiting:
            yield waiting.popleft()()

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
        outputs = list(outputs)
        return np.concatenate(outputs) if outputs else np.empty((0, self.dimension), np.float32)
