"""Counts against layers computed by hand, the reference shapes, a file of that network, and the original's figures."""
import json
import os

import numpy as np
import pytest

from eval.networks.flags import one_checkpoint
from runtime import Failure, mx
from symbols import get_symbol, operations
from tools import flops

FIGURES = {"r100": 24.2e9, "r50": 12.6e9, "r50v1": 12.6e9, "y1": 439.8e6, "y2": 933.3e6, "m1": 1.1327e9, "m05": 296.7e6,
           "mnas": 597.9e6, "mnas05": 164.0e6, "mnas025": 48.2e6, "vargfacenet": 1.0224e9, "d169": 6.6e9, "d201": 8.5e9}


def only_layer(symbol, shape):
    [layer] = operations.count(symbol, {"data": shape})
    return layer


@pytest.mark.parametrize("shape, options, output, products", [
    # products: channels in × kernel, of all groups; a multiplication and an addition each
    ((1, 3, 8, 8), {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 1), "num_filter": 8}, (1, 8, 4, 4), 3 * 3 * 3),
    ((1, 4, 9, 9), {"kernel": (3, 3), "dilate": (2, 2), "num_filter": 6}, (1, 6, 5, 5), 4 * 3 * 3),
    ((1, 5, 7, 4), {"kernel": (1, 1), "num_filter": 2}, (1, 2, 7, 4), 5),
    ((2, 3, 6, 9), {"kernel": (1, 5), "pad": (0, 2), "num_filter": 4}, (2, 4, 6, 9), 3 * 1 * 5),
])
@pytest.mark.parametrize("no_bias", [True, False])
def test_convolution_by_hand(shape, options, output, products, no_bias):
    layer = only_layer(mx.sym.Convolution(mx.sym.Variable("data"), name="conv", no_bias=no_bias, **options), shape)
    assert (layer.name, layer.op, layer.output) == ("conv", "Convolution", output)
    assert layer.parameters == products * output[1] + (0 if no_bias else output[1])
    additions = products - 1 if no_bias else products
    assert layer.flops == (products + additions) * np.prod(output)


@pytest.mark.parametrize("groups, products_of_a_group", [(2, 36), (4, 18), (8, 9)])
def test_a_grouped_convolution_sums_fewer_products(groups, products_of_a_group):
    symbol = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), pad=(1, 1), num_filter=16, num_group=groups,
                                no_bias=True, name="conv")
    layer = only_layer(symbol, (1, 8, 5, 5))
    assert layer.parameters == 16 * products_of_a_group
    assert layer.flops == (2 * 72 - 1) * 16 * 25 // groups  # as the original counts
    assert layer.flops == pytest.approx(2 * products_of_a_group * 16 * 25, rel=0.01)


@pytest.mark.parametrize("flatten, shape, output, products", [(True, (1, 3, 2, 2), (1, 5), 12),
                                                             (False, (2, 7, 4), (2, 7, 5), 4)])
def test_dense_layer_by_hand(flatten, shape, output, products):
    symbol = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=5, flatten=flatten, name="dense")
    layer = only_layer(symbol, shape)
    assert (layer.output, layer.parameters) == (output, 5 * products + 5)
    assert layer.flops == 2 * products * np.prod(output)


def test_normalisation_slopes_and_shared_weights():
    data, weight = mx.sym.Variable("data"), mx.sym.Variable("shared_weight")
    first = mx.sym.Convolution(data, weight, kernel=(1, 1), num_filter=3, no_bias=True, name="first")
    norm = mx.sym.BatchNorm(first, fix_gamma=True, name="norm")
    slopes = mx.sym.LeakyReLU(norm, act_type="prelu", name="slopes")
    second = mx.sym.Convolution(mx.sym.Activation(slopes, act_type="relu"), weight, kernel=(1, 1), num_filter=3,
                                no_bias=True, name="second")
    layers = operations.count(mx.sym.Group([second, norm]), {"data": (1, 3, 4, 4)})
    assert [(layer.name, layer.parameters, layer.flops) for layer in layers] == [
        ("first", 9, 5 * 48), ("norm", 6, 0), ("slopes", 3, 0), ("second", 0, 5 * 48)]


def test_shapes_that_do_not_follow():
    symbol = mx.sym.FullyConnected(mx.sym.Variable("other"), num_hidden=2, name="dense")
    with pytest.raises(ValueError, match="dense"):
        operations.count(symbol, {"data": (1, 3)})


@pytest.mark.parametrize("name", FIGURES)
def test_the_originals_figures(name, shared):
    with open(shared / "reference" / "networks.json") as file:
        reference = json.load(file)[name]
    layers = operations.count(get_symbol(**reference["config"]), {"data": (1, 3, 112, 112)})
    assert sum(layer.flops for layer in layers) == pytest.approx(FIGURES[name], rel=0.01)
    assert sum(layer.parameters for layer in layers) == sum(map(np.prod, reference["arguments"].values()))


def test_size_is_that_of_the_file(tmp_path):
    _, args, auxs = network = flops.network_of("y1")
    result = flops.summary("y1", *network)
    mx.nd.save(str(tmp_path / "y1.params"), {**{f"arg:{name}": value for name, value in args.items()},
                                             **{f"aux:{name}": value for name, value in auxs.items()}})
    assert result["file_bytes"] == os.path.getsize(tmp_path / "y1.params")
    assert result["running_statistics"] == sum(value.size for value in auxs.values())


@pytest.mark.slow
def test_command(command, tmp_path):
    done = command("tools/flops.py", "--network", "y1", "--layers", "--json", tmp_path / "y1.json")
    assert done.returncode == 0 and not done.stderr
    for words in ("1,003,264", "439.8 MFLOP", "two for a multiply-add", "160 MB", "conv_6dw7_7_conv2d"):
        assert words in done.stdout
    counts = json.loads((tmp_path / "y1.json").read_text())
    assert counts["flops"] == sum(layer["flops"] for layer in counts["layers"])


def run(monkeypatch, *arguments):
    flops.main(list(map(str, arguments)))


def test_a_checkpoint_counts_as_its_network(published, monkeypatch, capsys):
    run(monkeypatch, "--model", f"{published},0", "--json")
    counts = json.loads(capsys.readouterr().out)
    assert (counts["parameters"], counts["flops"]) == (1003264, 439821056)


@pytest.mark.parametrize("arguments, said", [
    (["--network", "r51"], "r51"), (["--model", "nowhere/model,1"], "nowhere/model-0001.params"),
    (["--model", "nowhere/model"], "nowhere/model")])
def test_what_is_not_there(arguments, said, monkeypatch):
    with pytest.raises(Failure, match=said):
        run(monkeypatch, *arguments)


@pytest.mark.parametrize("arguments", [["--model", "model,x"], ["--model", ",1"], [],
                                       ["--network", "y1", "--model", "m,1"]])
def test_wrong_usage(arguments, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *arguments)
    assert ended.value.code == 2 and capsys.readouterr().err


def test_one_checkpoint_of_several_has_to_be_named(tmp_path):
    for epoch in (1, 2):
        (tmp_path / f"model-{epoch:04d}.params").touch()
    with pytest.raises(Failure, match="1, 2"):
        one_checkpoint(str(tmp_path / "model"))
    assert one_checkpoint(f"{tmp_path}/model,7") == (f"{tmp_path}/model", 7)
    (tmp_path / "model-0001.params").unlink()
    assert one_checkpoint(str(tmp_path / "model")) == (str(tmp_path / "model"), 2)
