"""The engine `onnxruntime`: on CPUs, and on NVIDIA GPUs where the package `onnxruntime-gpu` is installed."""
from concurrent.futures import ThreadPoolExecutor

from eval.networks.engines.by_onnx import ByOnnx, module
from eval.networks.engines.engine import threads
from runtime import Failure

CPU = "CPUExecutionProvider"
GPU = ("TensorrtExecutionProvider", "CUDAExecutionProvider")
"""The providers for GPUs. The first one that loads is taken."""
NO_PROVIDER = ("this onnxruntime has no provider for GPUs: pip install onnxruntime-gpu in its place, or use --ctx cpu")


def gpu_providers():
    """Return the providers for GPUs that this onnxruntime was built with; none where it is not installed."""
    try:
        return [name for name in GPU if name in module("onnxruntime").get_available_providers()]
    except Failure:
        return []


class ByOnnxruntime(ByOnnx):
    """A network that onnxruntime runs.

    Parameters
    ----------
    file, batch_size
        As for `ByOnnx`.
    gpu : int, optional
        The number of a GPU; the CPU by default.

    Raises
    ------
    Failure
        The package is not installed, no provider for GPUs loads, or onnxruntime refuses the file.
    """

    name = "onnxruntime"

    def __init__(self, file, batch_size, gpu=None):
        super().__init__(file, batch_size)
        runtime = module("onnxruntime")
        runtime.set_default_logger_severity(4)  # what it warns of is said in a Failure where it matters
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads()
        # Threads that wait without sleeping take the processor from the decoding of the next images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = self._open(runtime, options, gpu)
        self._pool = ThreadPoolExecutor(1)  # the next images are decoded meanwhile
        self.find_dimension()

    def _open(self, runtime, options, gpu):
        if gpu is None:
            try:
                return runtime.InferenceSession(self.file.path, options, providers=[CPU])
            except Exception as error:  # its exceptions have no base of their own
                raise self.refused(error) from error
        wanted = gpu_providers()
        if not wanted:
            raise Failure(f"gpu:{gpu}: {NO_PROVIDER}")
        reasons = []
        for name in wanted:
            try:
                session = runtime.InferenceSession(self.file.path, options,
                                                   providers=[(name, {"device_id": gpu}), CPU])
            except Exception as error:
                reasons.append(f"{name}: {' '.join(str(error).split())[:100]}")
                continue
            if session.get_providers()[0] == name:  # it falls back without an exception
                return session
            reasons.append(f"{name} does not load")
        raise Failure(f"gpu:{gpu}: onnxruntime cannot use it ({'; '.join(reasons)}): install the CUDA and cuDNN that "
                      "this onnxruntime-gpu asks for, or use --ctx cpu")

    def start(self, data):
        count, inputs = len(data), {self.file.input: self.prepared(data)}
        running = self._pool.submit(self._session.run, None, inputs)
        return lambda: running.result()[0][:count]
