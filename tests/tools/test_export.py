"""What was exported, run by onnxruntime, Gluon, MXNet or ncnn, against the checkpoint run by MXNet."""
import importlib.util
import os
import sys

import numpy as np
import pytest

from eval.networks import checkpoints, to_onnx
from runtime import Failure, mx
from symbols import get_symbol
from symbols.outputs import OUTPUTS
from tools import export
from tools.exporting import formats

FACE = (3, 112, 112)


def embed(symbol, args, auxs, images):
    args = {**args, "data": mx.nd.array(images)}
    args = {name: args[name] for name in symbol.list_arguments()}
    return symbol.bind(mx.cpu(), args, aux_states=auxs, grad_req="null").forward(is_train=False)[0].asnumpy()


def run_params(prefix, images):
    return embed(*mx.model.load_checkpoint(prefix, 0), images)


def run_gluon(prefix, images):
    block = mx.gluon.SymbolBlock.imports(f"{prefix}-symbol.json", ["data"], f"{prefix}-0000.params")
    return block(mx.nd.array(images)).asnumpy()


def run_onnx(prefix, images):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (requirements-onnx.txt)")
    session = onnxruntime.InferenceSession(f"{prefix}.onnx", providers=["CPUExecutionProvider"])
    return session.run(["fc1"], {"data": images})[0]


RUN = {"params": run_params, "gluon": run_gluon, "onnx": run_onnx}


def needs_packages(form):
    if form == "onnx":
        pytest.importorskip("onnx", reason="onnx is not installed (requirements-onnx.txt)")
    if form == "ncnn" and not all(map(importlib.util.find_spec, ("onnx", "ncnn", "pnnx"))):
        pytest.skip("ncnn and pnnx are not installed (requirements-ncnn.txt)")


def assert_equal(ours, theirs):
    assert ours.shape == theirs.shape and ours.dtype == np.float32
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


def filled(symbol, fill):
    shapes, _, states = symbol.infer_shape(data=(1, *FACE))
    return (symbol,
            {n: mx.nd.array(fill.parameter(n, s)) for n, s in zip(symbol.list_arguments(), shapes) if n != "data"},
            {n: mx.nd.array(fill.parameter(n, s)) for n, s in zip(symbol.list_auxiliary_states(), states)})


def small_network(data=None):
    """A network of the family's kind that runs in no time, with as many channels as columns before its slopes."""
    data = mx.sym.Variable("data") if data is None else data
    body = mx.sym.Convolution((data - 127.5) * 0.0078125, num_filter=7, kernel=(3, 3), stride=(16, 16), pad=(1, 1),
                              no_bias=True, name="conv")
    body = mx.sym.BatchNorm(body, fix_gamma=False, name="bn")
    body = mx.sym.LeakyReLU(body, act_type="prelu", name="relu")
    body = mx.sym.FullyConnected(mx.sym.Dropout(body, p=0.4), num_hidden=6, name="pre_fc1")
    return mx.sym.BatchNorm(body, fix_gamma=True, eps=2e-5, name="fc1")


@pytest.fixture
def small(tmp_path, fill):
    """Prefix of a training checkpoint, epoch 3: the small network with a classifier and a loss behind it."""
    symbol = mx.sym.FullyConnected(small_network(), num_hidden=9, no_bias=True, name="fc7")
    symbol, args, auxs = filled(mx.sym.SoftmaxOutput(symbol, name="softmax"), fill)
    del args["softmax_label"]
    mx.model.save_checkpoint(str(tmp_path / "model"), 3, symbol, args, auxs)
    return str(tmp_path / "model")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Cannot decide type")
@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("form", ["params", "gluon", "onnx", "ncnn"])
def test_published_y1(form, fold, published, fill, tmp_path):
    needs_packages(form)
    written, difference = export.export((str(published), 0), form, str(tmp_path / "y1"), fold)
    assert sorted(os.listdir(tmp_path)) == sorted(map(os.path.basename, written))
    assert difference <= 1e-4
    symbol, args, auxs = mx.model.load_checkpoint(str(published), 0)
    for count in (1, 3) if form in RUN else ():
        images = fill.images(count)
        assert_equal(RUN[form](str(tmp_path / "y1"), images), embed(symbol, args, auxs, images))


TINY = ("fmnasnet", {"net_multiplier": 0.25})  # its slopes have the shape (1,)
NETWORKS = [
    *[(TINY[0], {**TINY[1], "net_output": output, "emb_size": 64}) for output in OUTPUTS],
    (TINY[0], {**TINY[1], "net_output": "GNAP", "emb_size": 320}),  # widens the map, of 256 channels
    ("fresnet", {"num_layers": 18, "net_output": "E", "net_se": 1}),
    ("fresnet", {"num_layers": 18, "net_output": "GAP", "net_unit": 1, "net_input": 0, "net_act": "relu"}),
    ("fresnet", {"num_layers": 18, "net_output": "GNAP", "net_unit": 2, "net_input": 0}),
    ("fmobilefacenet", {"net_output": "GDC", "net_blocks": [2, 1, 1, 1]}),
    ("fmobilenet", {"net_output": "GDC", "net_multiplier": 0.25}),
    ("vargfacenet", {"net_output": "J", "net_multiplier": 0.25, "net_se": 1}),
    ("fdensenet", {"num_layers": 121, "net_output": "FC"}),
]


@pytest.mark.slow
@pytest.mark.parametrize("network, settings", NETWORKS, ids=lambda value: "-".join(map(str, value.values()))
                         if isinstance(value, dict) else value)
def test_networks(network, settings, fill, tmp_path):
    needs_packages("onnx")
    symbol, args, auxs = filled(get_symbol(network, **settings), fill)
    checkpoints.save(str(tmp_path / "model"), 1, symbol, args, auxs)
    fold = settings["net_output"] in "EFGJ"
    export.export((str(tmp_path / "model"), 1), "onnx", str(tmp_path / "net"), fold)
    for count in (1, 3):
        images = fill.images(count)
        assert_equal(run_onnx(str(tmp_path / "net"), images), embed(symbol, args, auxs, images))


@pytest.mark.filterwarnings("ignore:Cannot decide type")
@pytest.mark.parametrize("form", ["params", "gluon", "onnx"])
def test_a_training_checkpoint_by_the_formula(form, small, fill, tmp_path):
    needs_packages(form)
    export.export((small, 3), form, str(tmp_path / "out"))
    saved = {name[4:]: value.asnumpy().astype(np.float64) for name, value in mx.nd.load(f"{small}-0003.params").items()}
    images = fill.images(2)
    padded = np.pad((images.astype(np.float64) - 127.5) / 128, ((0, 0), (0, 0), (1, 1), (1, 1)))
    patches = np.array([[padded[:, :, 16 * i:16 * i + 3, 16 * j:16 * j + 3] for j in range(7)] for i in range(7)])
    body = np.einsum("ijbckl,fckl->bfij", patches, saved["conv_weight"])

    def norm(values, name, gamma, eps):
        shape = (1, -1) + (1,) * (values.ndim - 2)
        scale = gamma / np.sqrt(saved[f"{name}_moving_var"] + eps)
        shift = saved[f"{name}_beta"] - scale * saved[f"{name}_moving_mean"]
        return values * scale.reshape(shape) + shift.reshape(shape)

    body = norm(body, "bn", saved["bn_gamma"], 1e-3)
    body = np.where(body > 0, body, saved["relu_gamma"].reshape(-1, 1, 1) * body).reshape(2, -1)
    expected = norm(body @ saved["pre_fc1_weight"].T + saved["pre_fc1_bias"], "fc1", 1, 2e-5)
    assert_equal(RUN[form](str(tmp_path / "out"), images), expected)


def test_params_hold_the_embedding_network_alone(small, tmp_path):
    export.export((small, 3), "params", str(tmp_path / "out"))
    symbol, args, auxs = mx.model.load_checkpoint(str(tmp_path / "out"), 0)
    assert symbol.list_outputs() == ["fc1_output"]
    assert set(args) == set(symbol.list_arguments()) - {"data"} and set(auxs) == set(symbol.list_auxiliary_states())
    export.export((small, 3), "params", str(tmp_path / "folded"), fold=True)
    symbol, args, auxs = mx.model.load_checkpoint(str(tmp_path / "folded"), 0)
    assert not auxs and "BatchNorm" not in symbol.tojson()


def test_the_onnx_graph(small, tmp_path):
    needs_packages("onnx")
    import onnx
    export.export((small, 3), "onnx", str(tmp_path / "out"))
    model = onnx.load(str(tmp_path / "out.onnx"))
    assert model.opset_import[0].version >= 11

    def described(entry):
        return entry.name, [extent.dim_param or extent.dim_value for extent in entry.type.tensor_type.shape.dim]

    assert [described(entry) for entry in model.graph.input] == [("data", ["batch", *FACE])]
    assert [described(entry) for entry in model.graph.output] == [("fc1", ["batch", 6])]


def test_an_exported_checkpoint_exports_again(small, fill, tmp_path):
    for number in range(3):
        export.export((small, 3) if number == 0 else (str(tmp_path / f"{number - 1}"), 0), "params",
                      str(tmp_path / f"{number}"), fold=number == 1)
    images = fill.images(1)
    assert_equal(run_params(str(tmp_path / "2"), images), run_params(str(tmp_path / "0"), images))


@pytest.mark.filterwarnings("ignore:Cannot decide type")
@pytest.mark.parametrize("form", ["params", "gluon", "onnx"])
def test_a_checkpoint_stored_in_halves(form, fill, tmp_path):
    needs_packages(form)
    symbol, args, auxs = filled(small_network(), fill)
    args, auxs = ({name: value.astype("float16") for name, value in table.items()} for table in (args, auxs))
    mx.model.save_checkpoint(str(tmp_path / "half"), 1, symbol, args, auxs)
    export.export((str(tmp_path / "half"), 1), form, str(tmp_path / "out"))
    args, auxs = ({name: value.astype("float32") for name, value in table.items()} for table in (args, auxs))
    assert_equal(RUN[form](str(tmp_path / "out"), fill.images(1)), embed(symbol, args, auxs, fill.images(1)))


def test_what_does_not_compute_the_same_never_appears(small, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "net-0000.params").write_text("older")
    monkeypatch.setitem(formats.FORMATS, "params", lambda prefix, *network: lambda images: np.zeros((len(images), 6)))
    with pytest.raises(Failure, match="nothing was written"):
        export.export((small, 3), "params", str(tmp_path / "out" / "net"))
    assert os.listdir(tmp_path / "out") == ["net-0000.params"]
    assert (tmp_path / "out" / "net-0000.params").read_text() == "older"


def test_not_a_number_is_not_the_same():
    def source(images):
        return images[:, 0, 0]

    assert np.isnan(formats.largest_difference(source, lambda images: source(images) * np.nan, (1, 3)))
    assert formats.largest_difference(source, source, (1, 3)) == 0


def test_packages_that_are_missing(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(Failure, match=r"pip install -r requirements-onnx\.txt"):
        export.export((small, 3), "onnx", str(tmp_path / "out"))
    monkeypatch.setitem(sys.modules, "ncnn", None)
    with pytest.raises(Failure, match=r"requirements-ncnn\.txt"):
        export.export((small, 3), "ncnn", str(tmp_path / "out"))
    assert sorted(os.listdir(tmp_path)) == ["model-0003.params", "model-symbol.json"]


def test_without_onnxruntime_it_is_not_checked(small, tmp_path, monkeypatch):
    needs_packages("onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    written, difference = export.export((small, 3), "onnx", str(tmp_path / "out"))
    assert written == [str(tmp_path / "out.onnx")] and difference is None


@pytest.mark.parametrize("last", [lambda body: mx.sym.L2Normalization(body, mode="instance", name="fc1"),
                                  lambda body: mx.sym.BatchNorm(body, axis=-1, name="fc1"),
                                  lambda body: mx.sym.arccosh(body, name="fc1")])
def test_what_mx_onnx_does_not_translate(last, fill, tmp_path):
    needs_packages("onnx")
    symbol = last(mx.sym.Pooling(mx.sym.Variable("data"), global_pool=True, pool_type="avg", name="pool"))
    with pytest.raises(Failure, match=r"^[^\n]*cannot express[^\n]*$"):
        to_onnx.export(*filled(symbol, fill), str(tmp_path / "out.onnx"))


def test_outputs_that_would_do_harm(small, tmp_path):
    with pytest.raises(Failure, match="checkpoint itself"):
        export.export((small, 3), "params", str(tmp_path / "." / "model"))
    with pytest.raises(Failure, match="folder"):
        export.export((small, 3), "gluon", f"{tmp_path}/")


@pytest.mark.slow
def test_command(command, small, tmp_path):
    done = command("tools/export.py", "--model", small, "--format", "params", "--output", tmp_path / "new" / "net",
                   "--fold")
    assert done.returncode == 0 and not done.stderr and "largest relative difference" in done.stdout
    assert sorted(os.listdir(tmp_path / "new")) == ["net-0000.params", "net-symbol.json"]


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1000, 8000])  # bytes a file: within the graph, within the parameters
def test_a_full_disk_leaves_nothing(limit, command, small, tmp_path):
    resource = pytest.importorskip("resource")

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = command("tools/export.py", "--model", f"{small},3", "--format", "params", "--output",
                   tmp_path / "new" / "net", preexec_fn=limited)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert os.listdir(tmp_path / "new") == []


def test_a_damaged_checkpoint(small, tmp_path, monkeypatch):
    with open(f"{small}-0003.params", "r+b") as file:
        file.truncate(200)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Failure, match=r"model-0003\.params"):
        export.main(["--model", f"{small},3", "--format", "gluon", "--output", "out"])
    assert sorted(os.listdir(tmp_path)) == ["model-0003.params", "model-symbol.json"]
