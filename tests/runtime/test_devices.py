"""Devices from the text of a flag."""
import argparse
import re

import pytest

from runtime import Failure, devices, mx


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


def test_devices_in_words(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert devices.describe([mx.cpu(0), mx.cpu(1)]) == "cpu(0), cpu(1), 2 threads"
    assert devices.describe([mx.gpu(0), mx.gpu(1)]) == "gpu(0), gpu(1)"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert devices.describe([mx.cpu(0)]) == "cpu(0), 1 thread"
