"""What an engine is: a network that is ready to run on a device."""
import abc
import os

from runtime import cores


class Engine(abc.ABC):
    """A network bound to a device.

    Attributes
    ----------
    name : str
        `mxnet`, `onnxruntime` or `openvino`.
    rows : int
        How many images the network gets at a time.
    image_shape : tuple
        (channels, height, width).
    dimension : int
        The length of an embedding.
    fixed : bool
        Whether the network takes no other number of images than `rows`.
    depth : int
        How many batches may be started before the answer to the first is taken.
    """

    name, rows, image_shape, dimension, fixed, depth = "", 0, (), 0, False, 1

    @abc.abstractmethod
    def start(self, data):
        """Start the network on images.

        Parameters
        ----------
        data : float32 array, shape (n, channels, height, width)
            RGB in 0…255, n from 1 to `rows`. The array is not changed, and may be used until the answer is there.

        Returns
        -------
        callable
            Waits for the answer and returns it: float32, shape (n, D).
        """


def threads():
    """Return the number of processor threads an engine may use: OMP_NUM_THREADS, as MXNet takes it."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else cores()
