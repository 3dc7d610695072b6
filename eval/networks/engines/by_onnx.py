"""What the engines that run ONNX files share: the images as the file wants them, and batches of its size."""
import importlib
import os

import numpy as np

from eval.networks.engines.engine import Engine
from eval.networks.onnx_files import CENTRED
from runtime import Failure

INSTALL = "pip install -r requirements-engines.txt"


class ByOnnx(Engine):
    """An engine that runs an ONNX file. A batch of fewer images is filled up: engines prepare for one size.

    Parameters
    ----------
    file : eval.networks.onnx_files.OnnxFile
    batch_size : int
        How many images the network gets at a time; the file's own number wins.
    """

    def __init__(self, file, batch_size):
        self.file, self.image_shape = file, file.image_shape
        even = batch_size + batch_size % 2 if batch_size > 1 else 1  # flips come in pairs
        self.rows, self.fixed = file.batch or even, file.batch is not None

    def prepared(self, data):
        """Return images as the network wants them: scaled, in its layout, `rows` of them."""
        if self.file.scale == CENTRED:
            data = (data - np.float32(127.5)) / np.float32(127.5)
        if len(data) < self.rows:
            data = np.concatenate([data, np.zeros((self.rows - len(data), *data.shape[1:]), data.dtype)])
        return np.ascontiguousarray(data if self.file.planar else data.transpose(0, 2, 3, 1))

    def find_dimension(self):
        """Run the network once and set `dimension`. Raises Failure where its output is not (rows, D)."""
        try:
            output = self.start(np.zeros((self.rows, *self.image_shape), np.float32))()
        except Exception as error:  # the engines' exceptions have no base of their own
            raise self.refused(error) from error
        if output.ndim != 2 or len(output) != self.rows or output.shape[1] < 2:
            raise Failure(f"{self.file.path}: no face network: {self.rows} images give an output of the shape "
                          f"{output.shape}, and embeddings have ({self.rows}, D)")
        self.dimension = output.shape[1]

    def refused(self, error):
        """Return the Failure that says that the engine cannot run the file."""
        return Failure(f"{self.file.path}: {self.name} cannot run it ({' '.join(str(error).split())[:160]}); take "
                       "another --engine, or export it again")


def module(name):
    """Import the package of an engine; Failure with how to get it where it is missing."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else onnxruntime leaves files in the user's cache
    try:
        return importlib.import_module(name)
    except Exception as error:  # a broken installation raises whatever it likes
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            raise Failure(f"--engine {name}: the package {name} is not installed: {INSTALL}") from None
        reason = " ".join(str(error).split())[:120]
        raise Failure(f"--engine {name}: the package {name} does not import ({reason}): {INSTALL}") from error
