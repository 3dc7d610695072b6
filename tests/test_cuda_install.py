"""requirements-cu112.txt on a clean machine, with a library that answers "no device" in place of NVIDIA's driver."""
import ctypes
import os
import shutil
import subprocess
import sys
import venv

import cv2
import numpy as np
import pytest

from datasets.formats import records

pytestmark = [
    pytest.mark.network,
    pytest.mark.cuda_wheels,
    pytest.mark.skipif(os.environ.get("ARCFACE_TEST_CUDA_WHEELS") != "1",
                       reason="downloads two gigabytes; ARCFACE_TEST_CUDA_WHEELS=1 runs it"),
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which("gcc"), reason="needs Linux and gcc"),
]

# What libmxnet.so takes from the driver, and the two questions that the CUDA runtime asks it first.
DRIVER = "".join(f"int {name}(void) {{ return 100; }}  /* CUDA_ERROR_NO_DEVICE */\n" for name in (
    "cuInit cuDeviceGet cuDevicePrimaryCtxRetain cuGetErrorString cuGraphKernelNodeGetParams cuGraphNodeGetType "
    "cuLaunchKernel cuModuleGetFunction cuModuleLoadData cuModuleLoadDataEx cuModuleUnload").split())
DRIVER += "int cuDriverGetVersion(int *version) { *version = 11080; return 0; }\n"


@pytest.fixture(scope="module")
def environment(root, tmp_path_factory):
    """Python of a virtual environment with nothing but requirements-cu112.txt; removed afterwards, for it is large."""
    folder = tmp_path_factory.mktemp("cuda") / "environment"
    try:
        venv.create(folder, with_pip=True)
        python = folder / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", root / "requirements-cu112.txt"], check=True)
        subprocess.run([python, "-m", "pip", "check"], check=True)
        yield python
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """The folder of a libcuda.so.1 that finds no device."""
    folder = tmp_path_factory.mktemp("driver")
    (folder / "driver.c").write_text(DRIVER)
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", folder / "libcuda.so.1",
                    folder / "driver.c"], check=True)
    return folder


@pytest.fixture
def run(root, environment):
    """Run the environment's Python from the repository's root, with a folder of libraries."""
    def run(*arguments, libraries=None):
        clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
        if libraries:
            clean["LD_LIBRARY_PATH"] = str(libraries)
        return subprocess.run([environment, *map(str, arguments)], capture_output=True, text=True, cwd=root, env=clean,
                              timeout=600)
    return run


def test_without_a_driver_it_says_what_it_needs(run):
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        done = run("recognition/train.py", "--dataset", "orl")
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert "NVIDIA's driver" in done.stderr and "requirements.txt" in done.stderr
    else:
        pytest.skip("this machine has a driver")


def test_mxnet_imports_with_cuda_and_cudnn_and_finds_no_device(run, driver):
    done = run("-c", "from runtime import mx\nfeatures = mx.runtime.Features()\n"
                     "print(features.is_enabled('CUDA'), features.is_enabled('CUDNN'), mx.context.num_gpus())\n"
                     "print([line.split()[-1] for line in open('/proc/self/maps') if '/nvidia/' in line][0])",
               libraries=driver)
    assert done.returncode == 0, done.stderr
    facts, library = done.stdout.splitlines()
    assert facts == "True True 0" and "site-packages/nvidia" in library


def test_trains_two_steps_on_the_processor_and_refuses_a_gpu(run, driver, tmp_path):
    noise = np.random.RandomState(0).randint(0, 256, (8, 112, 112, 3), dtype=np.uint8)
    records.write(tmp_path / "data", [(number // 2, cv2.imencode(".jpg", image)[1].tobytes(), f"{number}.jpg")
                                      for number, image in enumerate(noise)])
    flags = ("recognition/train.py", "--network", "y1", "--loss", "arcface", "--dataset", "orl", "--dataset-path",
             tmp_path / "data", "--models-root", tmp_path, "--target=", "--per-batch-size", 4, "--max-steps", 2,
             "--frequent", 1)
    done = run(*flags, "--ctx", "cpu", libraries=driver)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "y1-arcface-orl").glob("model-*.params"))
    done = run(*flags, "--ctx", "gpu:0", libraries=driver)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "there is no GPU visible" in done.stderr


def test_doctor_finds_all_but_a_device(run, driver):
    done = run("tools/doctor.py", libraries=driver)
    assert done.returncode == 1, done.stderr
    assert done.stdout.endswith("Required and not right: CUDA devices.\n"), done.stdout
