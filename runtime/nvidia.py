"""NVIDIA's libraries for MXNet's GPU build, from the wheels that requirements-cu112.txt names.

The build finds its libraries where the system's loader looks, and the wheels put them into site-packages, where it
does not. But what a process has loaded already the loader takes by its name, wherever the file lies.
"""
import ctypes
import os
import sys

from runtime.environment import installed

GPU_BUILD = "mxnet-cu112"
DRIVER = "libcuda.so.1"  # comes with NVIDIA's driver, never as a wheel

# Each after those that it needs. cuDNN's parts are loaded here too: libcudnn itself opens them later by their names,
# and would find those of another cuDNN on LD_LIBRARY_PATH first.
LIBRARIES = (
    "cuda_runtime/lib/libcudart.so.11.0",
    "cuda_nvrtc/lib/libnvrtc.so.11.2",
    "cublas/lib/libcublasLt.so.11",
    "cublas/lib/libcublas.so.11",
    "cufft/lib/libcufft.so.10",
    "curand/lib/libcurand.so.10",
    "cusparse/lib/libcusparse.so.11",
    "cusolver/lib/libcusolver.so.11",
    "nccl/lib/libnccl.so.2",
    "nvtx/lib/libnvToolsExt.so.1",
    "cudnn/lib/libcudnn_ops_infer.so.8",
    "cudnn/lib/libcudnn_ops_train.so.8",
    "cudnn/lib/libcudnn_cnn_infer.so.8",
    "cudnn/lib/libcudnn_cnn_train.so.8",
    "cudnn/lib/libcudnn_adv_infer.so.8",
    "cudnn/lib/libcudnn_adv_train.so.8",
    "cudnn/lib/libcudnn.so.8",
)


def gpu_build():
    """Return whether MXNet's GPU build is what is installed."""
    return installed(GPU_BUILD) is not None


def load():
    """Load the wheels' libraries, in order, for MXNet's GPU build; do nothing for the CPU build.

    A library without a wheel is left to the system's loader, which may know one that was installed by other means.

    Raises
    ------
    OSError
        A library is there and does not load.
    """
    if not gpu_build():
        return
    for library in LIBRARIES:
        path = next(filter(os.path.isfile, (os.path.join(entry, "nvidia", library) for entry in sys.path)), None)
        if path:
            ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
