"""What `--model` names: a checkpoint or an ONNX file, ready to be run by an engine.

Both are a prefix and an epoch to everything else: the prefix of an ONNX file is its path, and its epoch is 0.
"""
import atexit
import functools
import os
import shutil
import sys
import tempfile

import numpy as np

from eval.networks import checkpoints, onnx_files, to_onnx
from runtime import Failure
from runtime.files import user_cache, whole_path

KEPT = 8  # exported files in the user's cache; r100 takes 260 MB
_EXPORT = f"{to_onnx.OPSET}-1"  # changed when the exporter writes another graph of the same network


class Checkpoint:
    """A checkpoint's network: its graph and parameters.

    Parameters
    ----------
    prefix : str
    epoch : int

    Attributes
    ----------
    fingerprint : str
    parts : tuple
        (symbol, arg_params, aux_params).
    image_shape : tuple
        (channels, height, width).
    facts : str
        What its speed depends on: the graph without the values of its parameters.

    Raises
    ------
    Failure
        As `eval.networks.checkpoints.load`.
    """

    image_shape = (3, onnx_files.SIZE, onnx_files.SIZE)

    def __init__(self, prefix, epoch):
        self.prefix, self.epoch = prefix, epoch
        self.parts = checkpoints.load(prefix, epoch)
        self.fingerprint = checkpoints.fingerprint(*self.parts[1:])
        self.facts = self.parts[0].tojson()

    @functools.cached_property
    def onnx(self):
        """The network as an ONNX file (`OnnxFile`), exported into the user's cache where it is not there yet.

        Raises Failure where the exporter's packages are missing or do not know the network. Where the cache cannot be
        written, the file is a temporary one.
        """
        path = user_cache("onnx", f"{self.fingerprint[:32]}-{_EXPORT}.onnx")
        if os.path.isfile(path):
            try:
                found = onnx_files.read(path, onnx_files.RAW)
                os.utime(path)  # the oldest ones go first
                return found
            except (Failure, OSError):
                pass  # it is written again
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with whole_path(path) as temporary:
                self._export(temporary)
        except OSError as error:
            print(f"note: the cache {os.path.dirname(path)} cannot be written ({error.strerror}): this network is "
                  "exported again each time", file=sys.stderr, flush=True)
            folder = tempfile.mkdtemp(prefix="face-records-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            path = os.path.join(folder, "network.onnx")
            self._export(path)
        _prune(os.path.dirname(path))
        return onnx_files.read(path, onnx_files.RAW)

    def _export(self, path):
        symbol, *params = self.parts
        to_onnx.export(symbol, *({name: value.astype(np.float32, copy=False) for name, value in table.items()}
                                 for table in params), path)


def _prune(folder):
    """Remove the exported files that were used longest ago."""
    files = sorted((os.path.getmtime(os.path.join(folder, name)), name) for name in os.listdir(folder)
                   if name.endswith(onnx_files.SUFFIX) and not name.startswith("."))
    for _, name in files[:-KEPT]:
        os.unlink(os.path.join(folder, name))


class Onnx:
    """An ONNX file's network. Attributes as of `Checkpoint`, without `parts`.

    Parameters
    ----------
    path : str
    input_scale : str, optional
        One of `eval.networks.onnx_files.SCALES`.

    Raises
    ------
    Failure
        As `eval.networks.onnx_files.read`.
    """

    epoch, parts = 0, None

    def __init__(self, path, input_scale=None):
        self.prefix, self.onnx = path, onnx_files.read(path, input_scale)
        self.image_shape, self.facts = self.onnx.image_shape, self.onnx.fingerprint
        # Another scale gives other embeddings.
        self.fingerprint = f"{self.onnx.fingerprint}:{input_scale}" if input_scale else self.onnx.fingerprint
        _say_once(self.onnx.describe())


@functools.cache
def _say_once(line):
    print(line, file=sys.stderr, flush=True)


def open_model(prefix, epoch, input_scale=None):
    """Return the `Checkpoint` or `Onnx` that a prefix and an epoch name.

    Raises
    ------
    Failure
        It cannot be read, or `input_scale` is given for a checkpoint, whose graph scales its input itself.
    """
    if checkpoints.is_onnx(prefix):
        return Onnx(prefix, input_scale)
    if input_scale:
        raise Failure(f"--input-scale is for ONNX files, and the graph of {checkpoints.symbol_path(prefix)} scales its "
                      "input itself: leave the flag out")
    return Checkpoint(prefix, epoch)
