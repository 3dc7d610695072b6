"""Devices from the text of a flag."""
import argparse
import re

import pytest

from runtime import Failure, cards, devices, mx
from runtime.cards import Card

H100, A100, K80 = (Card("NVIDIA H100 PCIe", (9, 0)), Card("NVIDIA A100-SXM4-40GB", (8, 0)), Card("Tesla K80", (3, 7)))


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Put GPUs into the machine: machine(H100, A100), of which MXNet sees all; or machine(H100, sees=0)."""
    def make(*known, sees=None):
        monkeypatch.setattr(cards, "look", lambda: (known, None))
        monkeypatch.setattr(devices, "count_gpus", lambda: len(known) if sees is None else sees)
    monkeypatch.setattr(cards, "look", lambda: (None, None))  # the driver says nothing
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    devices._say_once.cache_clear()
    return make


@pytest.mark.parametrize(("text", "wanted"), [
    ("cpu", [mx.cpu(0)]), ("cpu:0", [mx.cpu(0)]), ("cpu:0,cpu:1", [mx.cpu(0), mx.cpu(1)]), ("cpu:1, cpu:0",
                                                                                         [mx.cpu(1), mx.cpu(0)])])
def test_cpus(text, wanted):
    assert devices.parse_context(text) == wanted


def test_the_default_is_what_is_visible(monkeypatch):
    for count, wanted in [(0, [mx.cpu()]), (2, [mx.gpu(0), mx.gpu(1)])]:
        monkeypatch.setattr(devices, "count_gpus", lambda count=count: count)
        assert devices.parse_context() == devices.parse_context("") == wanted


def test_gpus(monkeypatch):
    monkeypatch.setattr(devices, "count_gpus", lambda: 2)
    assert devices.parse_context("gpu:1,gpu:0") == [mx.gpu(1), mx.gpu(0)]
    assert devices.parse_context("gpu") == [mx.gpu(0)]
    with pytest.raises(Failure, match=r"gpu:2 was asked for, and there are 2 visible"):
        devices.parse_context("gpu:0,gpu:2")


def test_no_gpu(monkeypatch):
    monkeypatch.setattr(devices, "count_gpus", lambda: 0)
    with pytest.raises(Failure, match=r"gpu:0 was asked for, and there is no GPU"):
        devices.parse_context("gpu:0")


def test_no_driver(monkeypatch):
    def fail():
        raise mx.base.MXNetError("CUDA: no driver")
    monkeypatch.setattr(mx.context, "num_gpus", fail)
    assert devices.parse_context() == [mx.cpu()]


@pytest.mark.parametrize("text", ["tpu", "cpu:", "cpu:x", "cpu:-1", "cpu:0,cpu:0", "cpu,cpu:0", "cpu:0,", "gpu:99999",
                                  "cpu:0,gpu:0", "0", "cpu 0"])
def test_what_names_no_device(text):
    with pytest.raises(argparse.ArgumentTypeError, match="cpu:0,cpu:1"):
        devices.parse_context(text)


@pytest.mark.parametrize("text, visible, wanted", [
    ("0", 0, "is 0, and this MXNet sees no GPU"), ("0,1,2", 1, "is 0,1,2, and this MXNet sees one GPU"),
    (" 3 , 4,5", 2, "sees 2 GPUs"), ("GPU-8932f937-d72c", 0, "sees no GPU"), ("MIG-abc,MIG-def", 1, "sees one GPU"),
    ("0,1\x1b[2J", 0, r"is 0,1\\x1b\[2J, and"), ("0,1", 2, None), ("0", 2, None), ("", 0, None), ("-1", 0, None),
    ("0,-1,1", 1, None), ("NoDevFiles", 0, None), (None, 0, None)])
def test_gpus_that_are_listed_and_not_seen(monkeypatch, capsys, text, visible, wanted):
    """CUDA's list ends at its first entry that is no device, as -1; an empty list hides all GPUs on purpose."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if text is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", text)
    monkeypatch.setattr(devices, "count_gpus", lambda: visible)
    devices._say_once.cache_clear()
    for _ in range(2):
        devices.parse_context()
    devices.parse_context("cpu")
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == (wanted is not None)
    if wanted:
        assert re.search(rf"^note: CUDA_VISIBLE_DEVICES .*{wanted}", said.err)


@pytest.mark.parametrize("sees", [1, 0])
def test_a_gpu_that_mxnet_cannot_use(machine, sees):
    """Also with MXNet's CPU build, which sees no GPU: installing the GPU build would be in vain."""
    machine(H100, sees=sees)
    with pytest.raises(Failure) as failure:
        devices.parse_context("gpu:0")
    line = str(failure.value)
    assert line.startswith("gpu:0 is a GPU that MXNet cannot use (NVIDIA H100 PCIe, compute capability 9.0): ")
    for part in ("sm_50, sm_60, sm_70, sm_80, sm_86 and no PTX", "5.0 to 8.9", "use --ctx cpu", "onnxruntime-gpu",
                 "--engine onnxruntime"):
        assert part in line
    assert devices.parse_context("cpu") == [mx.cpu()]


def test_a_gpu_that_is_too_old_for_all(machine):
    machine(K80)
    with pytest.raises(Failure, match=r"gpu:0 .*Tesla K80, compute capability 3\.7.* use --ctx cpu$"):
        devices.parse_context("gpu")


def test_two_kinds_of_gpus(machine, capsys):
    machine(H100, A100, A100)
    assert devices.usable_gpus() == [1, 2]
    assert devices.parse_context("gpu:1,gpu:2") == [mx.gpu(1), mx.gpu(2)]
    with pytest.raises(Failure, match=r"gpu:0 is a GPU that MXNet cannot use .* use --ctx gpu:1; to embed"):
        devices.parse_context("gpu:1,gpu:0")
    with pytest.raises(Failure, match="gpu:3 was asked for, and there are 3 visible"):
        devices.parse_context("gpu:3")
    assert not capsys.readouterr().err
    for _ in range(2):
        assert devices.parse_context() == [mx.gpu(1), mx.gpu(2)]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "gpu:0 (NVIDIA H100 PCIe, compute capability 9.0), and the other GPUs are" in said


def test_only_gpus_that_mxnet_cannot_use(machine, capsys):
    machine(H100, K80)
    for _ in range(2):
        assert devices.parse_context() == [mx.cpu()]
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == 1
    assert said.err.startswith("note: MXNet cannot use gpu:0 (NVIDIA H100 PCIe, compute capability 9.0), gpu:1 (Tesla "
                               "K80, compute capability 3.7), and the CPU is used: ")
    assert "--engine onnxruntime" in said.err


def test_gpus_that_are_listed_and_that_mxnet_cannot_use(machine, capsys, monkeypatch):
    """The GPU build of MXNet, which the other note names, would not help on an H100; on an A100 it would."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    machine(H100, H100, sees=0)
    assert devices.parse_context() == [mx.cpu()]
    assert capsys.readouterr().err.startswith("note: MXNet cannot use gpu:0 ")
    machine(A100, H100, sees=0)
    assert devices.parse_context() == [mx.cpu()]
    assert capsys.readouterr().err.startswith("note: CUDA_VISIBLE_DEVICES is 0,1, and this MXNet sees no GPU")


def test_the_driver_is_not_asked_in_vain(machine, monkeypatch):
    def fail():
        raise AssertionError("the driver was asked")
    machine(sees=0)
    monkeypatch.setattr(cards, "look", fail)
    assert devices.parse_context() == devices.parse_context("cpu") == [mx.cpu()]


def test_a_driver_that_says_less_than_mxnet(machine):
    """What is not known is left to MXNet."""
    machine(A100, sees=2)
    assert devices.usable_gpus() == [0, 1]
    assert devices.parse_context() == devices.parse_context("gpu:0,gpu:1") == [mx.gpu(0), mx.gpu(1)]


def test_devices_in_words(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert devices.describe([mx.cpu(0), mx.cpu(1)]) == "cpu(0), cpu(1), 2 threads"
    assert devices.describe([mx.gpu(0), mx.gpu(1)]) == "gpu(0), gpu(1)"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert devices.describe([mx.cpu(0)]) == "cpu(0), 1 thread"
