"""Embeddings of every engine against MXNet's plain graph, for every network of the table; other ONNX files."""
import functools
import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from eval.networks import checkpoints, onnx_files
from eval.networks.embedder import Embedder
from eval.networks.engines import choice
from eval.networks.models import open_model
from recognition.config.build import build
from recognition.config.networks import NETWORKS, network_settings
from runtime import Failure, mx
from symbols import get_symbol
from tests.eval.networks.test_onnx_files import helper, network
from tools.export import export

ENGINES = [name for name in choice.ENGINES if name != "mxnet"]


def faces(count):
    return np.random.RandomState(0).randint(0, 256, (count, 112, 112, 3)).astype(np.uint8)


def plain(symbol, args, auxs, images):
    """Return what the symbol as it is gives by MXNet's executor."""
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=(len(images), 3, 112, 112))
    executor.copy_params_from(args, auxs, allow_extra_params=True)
    found = executor.forward(is_train=False, data=images.transpose(0, 3, 1, 2).astype(np.float32))[0]
    return found.asnumpy().reshape(len(images), -1)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "face-records"


def needs(engine):
    if engine != "mxnet" and importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed: requirements-engines.txt has it")


@pytest.mark.slow
@pytest.mark.parametrize("engine", choice.ENGINES)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_on_every_engine(engine, name, fill, cache, tmp_path):
    needs(engine)
    symbol, args, auxs, wanted, mirrored = filled(name, fill)
    checkpoints.save(str(tmp_path / "model"), 0, symbol, args, auxs)
    images = faces(3)
    embedder = Embedder(choice.build(open_model(str(tmp_path / "model"), 0), engine, 2))
    found = embedder(images)  # two images and then one
    assert found.dtype == np.float32 and embedder.dimension == wanted.shape[1]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    np.testing.assert_allclose(embedder.both_flips(images)[1], mirrored, rtol=0, atol=1e-4 * np.abs(mirrored).max())


@functools.lru_cache(maxsize=1)  # the engines of one network come one after another
def filled(name, fill):
    """Return a network of the table with the reference's parameters, and its plain embeddings of faces and mirrors."""
    config = build(name, "arcface", "orl", {})
    symbol = get_symbol(config.net_name, **network_settings(config))
    shapes, _, states = symbol.infer_shape(data=(1, 3, 112, 112))
    args = {key: mx.nd.array(fill.parameter(key, shape)) for key, shape in zip(symbol.list_arguments(), shapes)
            if key != "data"}
    auxs = {key: mx.nd.array(fill.parameter(key, shape))
            for key, shape in zip(symbol.list_auxiliary_states(), states)}
    images = faces(3)
    both = plain(symbol, args, auxs, np.concatenate([images, images[:, :, ::-1]]))
    return symbol, args, auxs, both[:3], both[3:]


@pytest.mark.parametrize("engine", ENGINES)
def test_layouts_scales_and_fixed_batches(engine, cache, tmp_path):
    """Against the same graph by hand: a convolution of equal weights, and a dense layer of ones over its mean."""
    needs(engine)
    images = faces(5)
    for shape, nodes, pixels in (
            (("N", 3, 112, 112), [], (images - 127.5) / 127.5),
            ((3, 112, 112, 3), [helper.make_node("Transpose", ["data"], ["scaled"], perm=[0, 3, 1, 2])],
             (images - 127.5) / 127.5),
            ((1, 3, 112, 112), [], (images - 127.5) / 127.5)):
        path = network(tmp_path / "f.onnx", shape, nodes, pooled=True)
        padded = np.pad(pixels.astype(np.float64).sum(axis=3), ((0, 0), (1, 1), (1, 1)))
        maps = sum(padded[:, y:y + 112, x:x + 112] for y in range(3) for x in range(3)) * 0.01
        wanted = np.repeat(2 * maps.mean(axis=(1, 2))[:, None], 4, axis=1)
        embedder = Embedder(choice.build(open_model(path, 0), engine, 4))
        assert embedder.engine.rows == (4 if shape[0] == "N" else shape[0])
        np.testing.assert_allclose(embedder(images), wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(embedder.both_flips(images)[0], wanted, rtol=1e-4, atol=1e-5)
    raw = Embedder(choice.build(open_model(path, 0, onnx_files.RAW), engine, 4))(images)
    assert np.abs(raw).max() > 50 * np.abs(wanted).max()


@pytest.mark.parametrize("engine", ENGINES)
def test_signals_arrive_beside_an_engine(engine, cache, tmp_path, root):
    """In a process of its own: a stack for signals that OpenVINO had freed made the next signal end the process."""
    needs(engine)
    path = network(tmp_path / "f.onnx", pooled=True)
    script = ("import os, signal, sys\n"
              "from eval.networks.engines import choice\n"
              "from eval.networks.models import open_model\n"
              "for _ in range(3):\n"
              "    built = choice.build(open_model(sys.argv[1], 0), sys.argv[2], 4)\n"
              "seen = []\n"
              "signal.signal(signal.SIGINT, lambda *_: seen.append(1))\n"
              "os.kill(os.getpid(), signal.SIGINT)\n"
              "del built\n"
              "os.kill(os.getpid(), signal.SIGINT)\n"
              "print(len(seen))\n")
    done = subprocess.run([sys.executable, "-c", script, path, engine], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


@pytest.mark.parametrize("engine", ENGINES)
def test_a_graph_that_the_engine_refuses(engine, cache, tmp_path):
    needs(engine)
    path = network(tmp_path / "f.onnx", first=[helper.make_node("NoSuchOperator", ["data"], ["scaled"])], pooled=True)
    with pytest.raises(Failure, match=rf"f\.onnx: {engine} cannot run it \(.*\); take another --engine, or export it"):
        choice.build(open_model(path, 0), engine, 4)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_is_not_installed(engine, monkeypatch, published, cache):
    real = importlib.import_module

    def missing(name, *rest):
        if name == engine:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)
    monkeypatch.setattr("eval.networks.engines.by_onnx.importlib.import_module", missing)
    with pytest.raises(Failure, match=f"^--engine {engine}: the package {engine} is not installed: pip install -r req"):
        choice.build(open_model(str(published), 0), engine, 4)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_published_network_and_its_cache(engine, published, cache, capsys):
    needs(engine)
    model, images = open_model(str(published), 0), faces(3)
    wanted = plain(*model.parts, images)
    for _ in range(2):
        found = Embedder(choice.build(open_model(str(published), 0), engine, 4))(images)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
        exported, = (cache / "onnx").iterdir()
        exported.write_bytes(exported.read_bytes()[:1000])  # damaged, it is exported again
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("engine", ENGINES)
def test_a_checkpoint_gets_pixels_as_they_are_whatever_its_graph_does(engine, cache, tmp_path):
    needs(engine)
    symbol = mx.sym.FullyConnected(mx.sym.Pooling(mx.sym.Variable("data"), kernel=(112, 112), pool_type="avg"),
                                   num_hidden=2, name="fc1")
    args = {"fc1_weight": mx.nd.ones((2, 3)), "fc1_bias": mx.nd.zeros(2)}
    checkpoints.save(str(tmp_path / "model"), 0, symbol, args, {})
    images = faces(2)
    found = Embedder(choice.build(open_model(str(tmp_path / "model"), 0), engine, 4))(images)
    np.testing.assert_allclose(found[:, 0], images.mean(axis=(1, 2)).sum(axis=1), rtol=1e-4)


def test_a_cache_that_cannot_be_written(published, tmp_path, monkeypatch, capsys):
    needs("onnxruntime")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert Embedder(choice.build(open_model(str(published), 0), "onnxruntime", 4))(faces(1)).shape == (1, 128)
    said = capsys.readouterr().err
    assert said.startswith("note: the cache ") and said.count("\n") == 1 and "exported again each time" in said


def test_only_onnx_files_have_another_scale(published):
    with pytest.raises(Failure, match="^--input-scale is for ONNX files, and the graph of .*scales its input itself"):
        open_model(str(published), 0, onnx_files.RAW)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_load(published, cache, monkeypatch):
    needs("onnxruntime")
    monkeypatch.setattr("eval.networks.engines.by_onnxruntime.gpu_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(Failure, match=r"^gpu:0: onnxruntime cannot use it \(CUDAExecutionProvider.*\): install"):
        choice.build(open_model(str(published), 0), "onnxruntime", 4, gpu=0)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_exported_network_with_its_scaling_and_without(engine, published, cache, tmp_path):
    needs(engine)
    onnx = pytest.importorskip("onnx")
    images, path = faces(3), str(tmp_path / "y1.onnx")
    wanted = plain(*open_model(str(published), 0).parts, images)
    export((str(published), 0), "onnx", str(tmp_path / "y1"), fold=True)
    model = onnx.load(path)
    first, second = model.graph.node[:2]
    for node in model.graph.node[2:]:
        node.input[:] = ["data" if name == second.output[0] else name for name in node.input]
    model.graph.node.remove(first)
    model.graph.node.remove(second)
    onnx.save(model, str(tmp_path / "cut.onnx"))
    for name, scale in (("y1", onnx_files.RAW), ("cut", onnx_files.CENTRED)):
        opened = open_model(str(tmp_path / f"{name}.onnx"), 0)
        assert opened.onnx.scale == scale
        found = Embedder(choice.build(opened, engine, 4))(images)
        # 0.0078125 = 1/128 is this network's scale, and 1/127.5 the one of graphs without: 0.4 % apart.
        np.testing.assert_allclose(found, wanted, rtol=0, atol=(1e-4 if name == "y1" else 0.05) * np.abs(wanted).max())
