"""The engine `openvino`: on CPUs, in float32."""
import contextlib
import ctypes
import sys
from collections import deque

import numpy as np

from eval.networks.engines.by_onnx import ByOnnx, module
from eval.networks.engines.engine import threads


class _SignalStack(ctypes.Structure):
    """The C library's stack_t on Linux."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextlib.contextmanager
def _signal_stack_kept():
    """Give this thread its stack for signals back after the block.

    OpenVINO 2026.4 sets one of its own while it prepares a network, and frees its memory later. The next signal, such
    as Ctrl-C, would then end the process with a segmentation fault.
    """
    if sys.platform != "linux":
        yield
        return
    before, libc = _SignalStack(), ctypes.CDLL(None)
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)


class ByOpenvino(ByOnnx):
    """A network that OpenVINO runs.

    Parameters
    ----------
    file, batch_size
        As for `ByOnnx`.

    Raises
    ------
    Failure
        The package is not installed, or OpenVINO refuses the file.
    """

    name = "openvino"

    def __init__(self, file, batch_size):
        super().__init__(file, batch_size)
        openvino = module("openvino")
        with _signal_stack_kept():
            self._prepare(openvino, file)

    def _prepare(self, openvino, file):
        """Compile the network, and run it once."""
        try:
            core = openvino.Core()
            model = core.read_model(file.path)
            _, height, width = self.image_shape
            sides = (3, height, width) if file.planar else (height, width, 3)
            model.reshape({model.input(0): openvino.PartialShape([self.rows, *sides])})
            # Its default is bfloat16 where the processor has that: embeddings have to agree to 1e-4.
            compiled = core.compile_model(model, "CPU", {
                "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads()})
            self._requests = deque(compiled.create_infer_request() for _ in range(self.depth))
        except Exception as error:  # RuntimeError, mostly
            raise self.refused(error) from error
        self.find_dimension()

    def start(self, data):
        request, count = self._requests[0], len(data)
        self._requests.rotate(-1)
        request.start_async({0: self.prepared(data)}, share_inputs=False)

        def answer():
            request.wait()
            return np.array(request.get_output_tensor(0).data[:count], np.float32)
        return answer
