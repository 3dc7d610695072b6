"""What the probes answer where a thing is off."""
import os

import numpy as np
import pytest

from runtime import cards, mx
from runtime.cards import Card
from tools.environment import probes


def test_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    assert probes.threads()[0] == "ok"
    monkeypatch.setenv("OMP_NUM_THREADS", "999")
    state, found, fix = probes.threads()
    assert state == "note" and "999" in found and "unset OMP_NUM_THREADS" in fix


def test_mkldnn_switched_off(monkeypatch):
    monkeypatch.setenv("MXNET_MKLDNN_ENABLED", "0")
    assert probes.mkldnn()[::2] == ("note", "unset MXNET_MKLDNN_ENABLED")


def test_colours_that_are_swapped(monkeypatch):
    right = mx.image.imdecode
    assert probes.decoding()[0] == "ok"
    monkeypatch.setattr(mx.image, "imdecode", lambda jpeg: mx.nd.array(right(jpeg).asnumpy()[:, :, ::-1].copy()))
    assert probes.decoding()[0] == "fails"


def test_a_convolution_that_is_wrong(monkeypatch):
    right = mx.nd.Convolution
    monkeypatch.setattr(mx.nd, "Convolution", lambda *arguments, **settings: 1.1 * right(*arguments, **settings))
    with pytest.raises(AssertionError):
        probes.convolve(mx.cpu())


def test_the_picture_has_three_different_channels():
    image, jpeg = probes.picture()
    assert image.shape == (112, 112, 3) and jpeg[:2] == b"\xff\xd8"
    assert min(np.abs(image[:, :, a].astype(int) - image[:, :, b]).mean() for a, b in ((0, 1), (0, 2), (1, 2))) > 20


def test_a_build_without_features(monkeypatch):
    monkeypatch.setattr(probes, "enabled", lambda feature: False)
    assert probes.mkldnn()[0] == "note" and probes.decoding()[0] == "fails"
    assert probes.distributed()[0] == "absent" and probes.gpus()[0] == "absent"


@pytest.fixture
def machine(monkeypatch):
    """A machine with GPUs and MXNet's GPU build: machine(cards). It returns the list of devices that are tried."""
    class Driver:
        @staticmethod
        def cuDriverGetVersion(version):
            version._obj.value = 12040

    def make(*known):
        tried = []
        monkeypatch.setattr(probes, "enabled", lambda feature: True)
        monkeypatch.setattr(probes.ctypes, "CDLL", lambda name: Driver)
        monkeypatch.setattr(cards, "look", lambda: (known, None))
        monkeypatch.setattr(mx.context, "num_gpus", lambda: len(known))
        monkeypatch.setattr(mx.context, "gpu_memory_info", lambda index: (0, 40 * 2**30))
        monkeypatch.setattr(probes, "convolve", tried.append)
        return tried
    return make


def test_only_gpus_that_mxnet_can_use_are_tried(machine):
    tried = machine(Card("NVIDIA H100 PCIe", (9, 0)), Card("Tesla T4", (7, 5)))
    state, found, _ = probes.gpus()
    assert state == "ok" and tried == [mx.gpu(1)] and found.startswith("gpu:1 40 GiB; cuDNN; ")


def test_gpus_that_mxnet_cannot_use(machine):
    tried = machine(Card("NVIDIA H100 PCIe", (9, 0)))
    state, found, fix = probes.gpus()
    assert state == "note" and not tried and "the driver knows CUDA 12.4" in found and "GPUs below" in fix


def test_a_worker_that_gets_no_sum():
    state, found, _ = probes.distributed(worker="raise SystemExit('no route to the scheduler')")
    assert state == "note" and "no route to the scheduler" in found
