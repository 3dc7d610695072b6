"""What happens before MXNet is imported, where it cannot be, and how a command ends."""
import ctypes
import ctypes.util
import os
import shutil
import subprocess
import sys

import pytest

# What `readelf -d` names in libmxnet.so of mxnet-cu112 1.9.1, in its order, and where the wheels put it.
GPU_BUILD_LIBRARIES = (
    "cudnn/lib/libcudnn.so.8", "nccl/lib/libnccl.so.2", "cuda_runtime/lib/libcudart.so.11.0",
    "cufft/lib/libcufft.so.10", "cublas/lib/libcublas.so.11", "cusolver/lib/libcusolver.so.11",
    "curand/lib/libcurand.so.10", "cuda_nvrtc/lib/libnvrtc.so.11.2", "nvtx/lib/libnvToolsExt.so.1")
IMPORT = "from runtime import mx"


@pytest.fixture
def python(root):
    """Run code in a process of its own: python(code, *python's flags, path=folders that come first, **environment)."""
    def run(code, *flags, path=(), **environment):
        clean = {name: value for name, value in os.environ.items()
                 if name not in ("OMP_NUM_THREADS", "MXNET_SUBGRAPH_VERBOSE", "LD_LIBRARY_PATH")}
        clean["PYTHONPATH"] = os.pathsep.join(map(str, (*path, root)))
        return subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, cwd=os.path.sep,
                              env={**clean, **environment}, timeout=120)
    return run


@pytest.fixture
def broken(tmp_path):
    """Make a package mxnet whose import runs a statement; return the folder that holds it."""
    def make(statement):
        (tmp_path / "mxnet").mkdir()
        (tmp_path / "mxnet" / "__init__.py").write_text(statement + "\n")
        return tmp_path
    return make


def test_a_thread_for_each_processor_unless_the_environment_says_otherwise(python):
    ask = "import os, runtime; print(os.environ['OMP_NUM_THREADS'], len(os.sched_getaffinity(0)))"
    threads, processors = python(ask).stdout.split()
    assert threads == processors
    assert python(ask, OMP_NUM_THREADS="3").stdout.split()[0] == "3"


def test_mxnet_is_imported_when_it_is_asked_for(python):
    done = python("import sys, runtime\nfrom runtime import Failure, run_command\nprint('mxnet' in sys.modules)\n"
                  "from runtime import mx\nprint(mx is sys.modules['mxnet'], runtime.mx is mx)\n"
                  "print(hasattr(runtime, 'xm'))")
    assert done.stdout.split() == ["False", "True", "True", "False"], done.stderr


@pytest.mark.parametrize("statement, reason", [
    ("raise AttributeError(\"module 'numpy' has no attribute 'bool'\")", "has no attribute 'bool'"),  # NumPy 1.24
    ("raise ImportError('libgomp.so.1: cannot open shared object file')", "libgomp.so.1: cannot open"),
    ("raise OSError('libopenblas.so.0: file too short')", "libopenblas.so.0: file too short"),
    ("raise RuntimeError('Cannot find the MXNet library.\\nCandidates:\\n/a\\n/b')", "library. Candidates: /a /b"),
    ("raise ValueError()", "ValueError"),
])
def test_a_broken_installation_is_one_line(command, broken, root, statement, reason):
    folder = broken(statement)
    done = command("recognition/train.py", "--dataset", "orl", env={**os.environ, "PYTHONPATH": str(folder)})
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert reason in done.stderr and "make setup" in done.stderr and "requirements.txt" in done.stderr


def test_a_missing_mxnet_is_one_line(python):
    done = python(IMPORT, "-S")  # without site-packages
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "No module named 'mxnet'" in done.stderr and "Python 3.8 to 3.11" in done.stderr


def test_a_python_that_is_too_new_is_named(python, broken):
    folder = broken("import imp_is_gone")
    done = python("import sys; sys.version_info = (3, 12, 1, 'final', 0)\n" + IMPORT, path=[folder])
    assert done.returncode == 1 and "this is Python 3.12" in done.stderr, done.stderr


def test_a_python_that_is_too_old_is_one_line(python):
    done = python("import sys; sys.version_info = (3, 7, 9, 'final', 0)\n" + IMPORT)
    assert done.returncode == 1 and done.stderr == "Python 3.7 is too old: install Python 3.8 to 3.11\n"


# How a command ends

@pytest.mark.parametrize("body, status, error", [
    ("return None", 0, ""),
    ("return 1", 1, ""),
    ("raise Failure('a.bin is empty:\\nget it again')", 1, "-c: a.bin is empty: get it again\n"),
    ("open('/no/such/file')", 1, "-c: /no/such/file: No such file or directory\n"),
    ("raise OSError(errno.ENOSPC, 'full', 'model.params')", 1,
     "-c: model.params: No space left on device; free some space and run it again\n"),
    ("raise KeyboardInterrupt", 1, "-c: interrupted; the last checkpoint that was saved is whole\n"),
    ("raise MemoryError", 1, "-c: out of memory; try a smaller batch\n"),
    ("argparse.ArgumentParser(prog='it').parse_args(['--what'])", 2,
     "usage: it [-h]\nit: error: unrecognized arguments: --what\n"),
])
def test_exit_status_and_line(python, body, status, error):
    done = python(f"import argparse, errno\nfrom runtime import Failure, run_command\ndef main():\n    {body}\n"
                  "run_command(main)")
    assert (done.returncode, done.stderr) == (status, error)


def test_an_error_of_mxnet_is_one_line(python):
    done = python(IMPORT + ", run_command\nones = mx.nd.ones((2, 3))\nrun_command(lambda: mx.nd.dot(ones, ones))")
    assert done.returncode == 1 and done.stderr.startswith("-c: MXNet: ") and done.stderr.count("\n") == 1, done.stderr


def test_a_bug_shows_as_one(python):
    done = python("from runtime import run_command\nrun_command(lambda: 1 / 0)")
    assert done.returncode == 1 and "Traceback" in done.stderr and "ZeroDivisionError" in done.stderr


def test_a_reader_that_goes_away_is_no_error(python):
    done = python("import os, sys\nfrom runtime import run_command\nr, w = os.pipe(); os.close(r); os.dup2(w, 1)\n"
                  "run_command(lambda: print('x' * 100000, flush=True))")
    assert (done.returncode, done.stderr) == (1, "")


# The GPU build, with small libraries of the same names, which need each other as the real ones do

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
