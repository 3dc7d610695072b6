"""Devices from the text of a flag."""
import argparse

import pytest

from eval import contexts
from runtime import Failure, mx


@pytest.mark.parametrize(("text", "wanted"), [
    ("cpu", [mx.cpu(0)]), ("cpu:0", [mx.cpu(0)]), ("cpu:0,cpu:1", [mx.cpu(0), mx.cpu(1)]), ("cpu:1, cpu:0",
                                                                                         [mx.cpu(1), mx.cpu(0)])])
def test_cpus(text, wanted):
    assert contexts.parse_context(text) == wanted


def test_the_default_is_what_is_visible(monkeypatch):
    for count, wanted in [(0, [mx.cpu()]), (2, [mx.gpu(0), mx.gpu(1)])]:
        monkeypatch.setattr(contexts, "count_gpus", lambda count=count: count)
        assert contexts.parse_context() == contexts.parse_context("") == wanted


def test_gpus(monkeypatch):
    monkeypatch.setattr(contexts, "count_gpus", lambda: 2)
    assert contexts.parse_context("gpu:1,gpu:0") == [mx.gpu(1), mx.gpu(0)]
    assert contexts.parse_context("gpu") == [mx.gpu(0)]
    with pytest.raises(Failure, match=r"gpu:2 was asked for, and there are 2 visible"):
        contexts.parse_context("gpu:0,gpu:2")


def test_no_gpu(monkeypatch):
    monkeypatch.setattr(contexts, "count_gpus", lambda: 0)
    with pytest.raises(Failure, match=r"gpu:0 was asked for, and there is no GPU"):
        contexts.parse_context("gpu:0")


def test_no_driver(monkeypatch):
    def fail():
        raise mx.base.MXNetError("CUDA: no driver")
    monkeypatch.setattr(mx.context, "num_gpus", fail)
    assert contexts.parse_context() == [mx.cpu()]


@pytest.mark.parametrize("text", ["tpu", "cpu:", "cpu:x", "cpu:-1", "cpu:0,cpu:0", "cpu,cpu:0", "cpu:0,", "gpu:99999",
                                  "cpu:0,gpu:0", "0", "cpu 0"])
def test_what_names_no_device(text):
    with pytest.raises(argparse.ArgumentTypeError, match="cpu:0,cpu:1"):
        contexts.parse_context(text)
