"""The GPU build, with small libraries of the same names, which need each other as the real ones do."""
import ctypes
import ctypes.util
import os
import shutil
import subprocess
import sys

import pytest

IMPORT = "from runtime import mx"
# What `readelf -d` names in libmxnet.so of mxnet-cu112 1.9.1, in its order, and where the wheels put it.
GPU_BUILD_LIBRARIES = (
    "cudnn/lib/libcudnn.so.8", "nccl/lib/libnccl.so.2", "cuda_runtime/lib/libcudart.so.11.0",
    "cufft/lib/libcufft.so.10", "cublas/lib/libcublas.so.11", "cusolver/lib/libcusolver.so.11",
    "curand/lib/libcurand.so.10", "cuda_nvrtc/lib/libnvrtc.so.11.2", "nvtx/lib/libnvToolsExt.so.1")


def library(path, needed=()):
    """Compile an empty library, named as its file, that needs others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-shared", "-o", path, f"-Wl,-soname,{path.name}", "-Wl,--no-as-needed",
                    "-Wl,--allow-shlib-undefined", *needed], check=True)
    return path


@pytest.fixture
def gpu_build(tmp_path):
    """A folder of packages with MXNet's GPU build and its wheels, and the folder of a driver."""
    if sys.platform != "linux" or not shutil.which("gcc"):
        pytest.skip("needs Linux and gcc")
    packages, driver = tmp_path / "packages", tmp_path / "driver"
    wheels = packages / "nvidia"
    lt = library(wheels / "cublas/lib/libcublasLt.so.11")
    blas = library(wheels / "cublas/lib/libcublas.so.11", [lt])
    sparse = library(wheels / "cusparse/lib/libcusparse.so.11")
    needs = {"libcublas.so.11": [lt], "libcusolver.so.11": [blas, lt, sparse]}
    needed = [library(wheels / name, needs.get(os.path.basename(name), ())) for name in GPU_BUILD_LIBRARIES]
    needed.append(library(driver / "libcuda.so.1"))
    library(packages / "mxnet" / "libmxnet.so", needed)
    (packages / "mxnet" / "__init__.py").write_text(
        "import ctypes, os\nctypes.CDLL(os.path.join(os.path.dirname(__file__), 'libmxnet.so'))\nprint('imported')\n")
    information = packages / "mxnet_cu112-1.9.1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: mxnet-cu112\nVersion: 1.9.1\n")
    return packages, driver


def no_driver():
    """Skip on a machine that has NVIDIA's driver."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return
    pytest.skip("this machine has NVIDIA's driver")


def test_the_wheels_are_loaded_for_the_gpu_build(python, gpu_build):
    packages, driver = gpu_build
    done = python(IMPORT, path=[packages], LD_LIBRARY_PATH=str(driver))
    assert (done.returncode, done.stdout) == (0, "imported\n"), done.stderr
    if not ctypes.util.find_library("cudnn"):  # else the system's loader may know all of them
        done = python("import mxnet", path=[packages], LD_LIBRARY_PATH=str(driver))
        assert done.returncode == 1 and "cannot open shared object file" in done.stderr


def test_the_gpu_build_without_a_driver_is_one_line(python, gpu_build):
    no_driver()
    done = python(IMPORT, path=[gpu_build[0]])
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "needs NVIDIA's driver" in done.stderr and "requirements.txt" in done.stderr


def test_a_wheel_that_was_cut_short_is_one_line(python, gpu_build):
    packages, driver = gpu_build
    (packages / "nvidia/cublas/lib/libcublas.so.11").write_bytes(b"\x7fELF")
    done = python(IMPORT, path=[packages], LD_LIBRARY_PATH=str(driver))
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "libcublas.so.11: file too short" in done.stderr and "requirements-cu112.txt" in done.stderr


def test_libraries_of_other_origin_do_as_well(python, gpu_build):
    """A wheel that is not there leaves its library to the system's loader."""
    packages, driver = gpu_build
    shutil.move(packages / "nvidia/nccl/lib/libnccl.so.2", driver / "libnccl.so.2")
    done = python(IMPORT, path=[packages], LD_LIBRARY_PATH=str(driver))
    assert (done.returncode, done.stdout) == (0, "imported\n"), done.stderr


def test_the_cpu_build_touches_no_wheel(python, tmp_path):
    """Wheels that came with something else are left alone, here ones that would not load."""
    for name in GPU_BUILD_LIBRARIES:
        (tmp_path / "nvidia" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "nvidia" / name).write_bytes(b"no library")
    (tmp_path / "mxnet").mkdir()
    (tmp_path / "mxnet" / "__init__.py").write_text("print('imported')\n")
    done = python(IMPORT, "-S", path=[tmp_path])  # where the tests run with the GPU build, it is in site-packages
    assert (done.returncode, done.stdout) == (0, "imported\n"), done.stderr
