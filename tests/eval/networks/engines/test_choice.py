"""The engine and the batch size are measured once for a network and a machine, and remembered."""
import argparse
import json
from types import SimpleNamespace

import numpy as np
import pytest

from eval.networks.engines import choice
from eval.networks.engines.engine import Engine
from runtime import Failure
from runtime.cards import Card

SPEEDS = {("mxnet", 16): 10, ("onnxruntime", 16): 12, ("openvino", 16): 11, ("onnxruntime", 4): 13,
          ("onnxruntime", 32): 9}


class Built(Engine):
    image_shape, dimension = (3, 8, 8), 2

    def __init__(self, name, rows, fixed=False):
        self.name, self.rows, self.fixed = name, rows, fixed

    def start(self, data):
        return lambda: np.zeros((len(data), 2), np.float32)


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Put the cache into a folder of the test's own, with three engines of known speeds; return what was measured."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def measure(engines):
        calls.append([(engine.name, engine.rows) for engine in engines])
        return [SPEEDS[one] for one in calls[-1]]
    monkeypatch.setattr(choice, "measure", measure)
    monkeypatch.setattr(choice, "available", lambda model, gpu=None: list(choice.ENGINES))
    monkeypatch.setattr(choice, "build", lambda model, name, size, gpu=None: Built(name, size))
    return calls


def model(facts="graph"):
    return SimpleNamespace(prefix="m", facts=facts, image_shape=(3, 8, 8), parts=())


def test_the_fastest_engine_then_its_batch_size(measured):
    assert choice.choose(model()) == ("onnxruntime", 4)
    assert measured == [[(name, 16) for name in choice.ENGINES],
                        [("onnxruntime", 16), ("onnxruntime", 4), ("onnxruntime", 32)]]


def test_each_network_is_measured_once(measured):
    for facts in ("a", "a", "b", "a"):
        assert choice.choose(model(facts)) == ("onnxruntime", 4)
    assert len(measured) == 4 and choice.remembered(model("a")) == ("onnxruntime", 4)
    assert choice.remembered(model("c")) is None


def test_other_engines_are_another_question(measured):
    choice.choose(model())
    assert choice.choose(model(), names=["onnxruntime"]) == ("onnxruntime", 4) and len(measured) == 4


def test_a_network_of_one_batch_size(measured, monkeypatch):
    monkeypatch.setattr(choice, "build", lambda model, name, size, gpu=None: Built(name, size, fixed=True))
    assert choice.choose(model()) == ("onnxruntime", 16) and len(measured) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"engine": "openvino"}', '{"engine": "x", "batch_size": 4}',
                                     '{"engine": "mxnet", "batch_size": 1000000}', "\x00", "[" * 100_000])
def test_damaged_memory_is_measured_again(measured, tmp_path, content):
    choice.choose(model())
    path, = (tmp_path / "face-records" / "engines").iterdir()
    assert json.loads(path.read_text())["images a second"]["onnxruntime, 4"] == 13
    path.write_text(content)
    assert choice.choose(model()) == ("onnxruntime", 4) and len(measured) == 4
    assert choice.choose(model()) == ("onnxruntime", 4) and len(measured) == 4


def test_no_cache_to_write_to(measured, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert choice.choose(model()) == choice.choose(model()) == ("onnxruntime", 4) and len(measured) == 4


def test_an_engine_that_cannot_run_the_network_is_left_out(measured, monkeypatch):
    def build(model, name, size, gpu=None):
        if name != "openvino":
            raise Failure(f"m: {name} cannot run it")
        return Built(name, size, fixed=True)
    monkeypatch.setattr(choice, "build", build)
    monkeypatch.setitem(SPEEDS, ("openvino", 4), 1)
    assert choice.choose(model())[0] == "openvino"
    with pytest.raises(Failure, match="^m: mxnet cannot run it; m: onnxruntime cannot run it$"):
        choice.choose(model(), names=["mxnet", "onnxruntime"])


def test_no_engine(measured, monkeypatch):
    monkeypatch.setattr(choice, "available", lambda model, gpu=None: [])
    for ask in (choice.choose, choice.first_available):
        with pytest.raises(Failure, match="^m: no engine that runs it is installed: pip install -r req"):
            ask(model())


def test_the_only_engine_on_a_gpu_is_not_measured(measured):
    assert choice.choose(model(), 0, ["mxnet"]) == ("mxnet", choice.ON_GPUS) and not measured


def test_every_engine_is_timed():
    speeds = choice.measure([Built("mxnet", 4), Built("openvino", 2)])
    assert len(speeds) == 2 and all(speed > 0 for speed in speeds)


def test_devices(monkeypatch):
    assert choice.device_of("cpu") is None and choice.device_of("cpu", "openvino") is None
    assert choice.device_of(None, "openvino") is None and choice.device_of(None, "onnxruntime") is None
    with pytest.raises(Failure, match="^gpu:0: the engine openvino runs on CPUs: use --ctx cpu, or another --engine$"):
        choice.device_of("gpu:0", "openvino")
    monkeypatch.setattr(choice, "gpu_providers", list)
    with pytest.raises(Failure, match="^gpu: this onnxruntime has no provider for GPUs: pip install onnxruntime-gpu"):
        choice.device_of("gpu", "onnxruntime")
    with pytest.raises(argparse.ArgumentTypeError, match="^cpu:0,cpu:1: embedding runs on one device$"):
        choice.device_of("cpu:0,cpu:1")
    monkeypatch.setattr(choice, "gpu_providers", lambda: ["CUDAExecutionProvider"])
    for engine in ("auto", "onnxruntime"):
        assert choice.device_of("gpu:3", engine) == 3
        monkeypatch.setattr(choice.cards, "visible", list)
        assert choice.device_of(None, engine) is None
        monkeypatch.setattr(choice.cards, "visible", lambda: [Card("K80", (3, 7)), Card("H100", (9, 0))])
        assert choice.device_of(None, engine) == 1


def test_mxnet_does_not_run_onnx_files():
    with pytest.raises(Failure, match=r"^f\.onnx: MXNet does not run ONNX files: leave out --engine mxnet, or give "):
        choice.build(SimpleNamespace(prefix="f.onnx", parts=None), "mxnet", 4)
