"""The engine `openvino`: on CPUs, in float32."""
from collections import deque

import numpy as np

from eval.networks.engines.by_onnx import ByOnnx, module
from eval.networks.engines.engine import threads


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
