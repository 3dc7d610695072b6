"""Folded networks against the unfolded, and one layer of each kind against the formula in float64."""
import json

import numpy as np
import pytest

from runtime import mx
from symbols import get_symbol
from symbols.folding import fold_batch_norm
from symbols.lowering import lower


def operators(symbol):
    return [node["op"] for node in json.loads(symbol.tojson())["nodes"]]


def embed(symbol, arguments, auxiliary, data):
    assert set(arguments) == set(symbol.list_arguments()) - {"data"}
    assert set(auxiliary) == set(symbol.list_auxiliary_states())
    executor = symbol.bind(mx.cpu(), {**arguments, "data": mx.nd.array(data)}, aux_states=auxiliary, grad_req="null")
    return executor.forward(is_train=False)[0].asnumpy()


def filled(symbol, fill, shape):
    arguments, _, auxiliary = symbol.infer_shape(data=shape)
    return ({n: mx.nd.array(fill.parameter(n, s)) for n, s in zip(symbol.list_arguments(), arguments) if n != "data"},
            {n: mx.nd.array(fill.parameter(n, s)) for n, s in zip(symbol.list_auxiliary_states(), auxiliary)})


def assert_close(ours, theirs):
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


def check(symbol, arguments, auxiliary, data):
    """Fold, compare, lower, compare; return the folded symbol."""
    before = {name: value.asnumpy() for name, value in {**arguments, **auxiliary}.items()}
    expected = embed(symbol, arguments, auxiliary, data)
    folded, folded_arguments, folded_auxiliary = fold_batch_norm(symbol, arguments, auxiliary)
    assert folded.list_outputs() == symbol.list_outputs()
    assert_close(embed(folded, folded_arguments, folded_auxiliary, data), expected)
    assert_close(embed(lower(folded, training=False), folded_arguments, folded_auxiliary, data), expected)
    for name, value in {**arguments, **auxiliary}.items():
        np.testing.assert_array_equal(value.asnumpy(), before[name])
    return folded


def test_published_y1(published, fill):
    symbol, arguments, auxiliary = mx.model.load_checkpoint(str(published), 0)
    arguments = {name: value for name, value in arguments.items() if name in symbol.list_arguments()}
    arguments.pop("data", None)
    folded = check(symbol, arguments, auxiliary, fill.images(2))
    assert "BatchNorm" not in operators(folded) and not folded.list_auxiliary_states()


@pytest.mark.slow
@pytest.mark.parametrize("network, settings, left", [
    ("fresnet", {"num_layers": 18}, 9),  # those before a padded convolution, and bn1
    ("fresnet", {"num_layers": 18, "net_unit": 1, "net_se": 1, "net_output": "F"}, 1),
    ("fmnasnet", {"net_multiplier": 0.25, "net_output": "GDC"}, 0),
    ("fmobilenet", {"net_multiplier": 0.5, "net_output": "GNAP"}, 2),
    ("vargfacenet", {"net_multiplier": 0.5, "net_output": "J"}, 0),
])
def test_networks(network, settings, left, fill):
    symbol = get_symbol(network, **settings)
    folded = check(symbol, *filled(symbol, fill, (1, 3, 112, 112)), fill.images(1))
    assert operators(folded).count("BatchNorm") == left and "Dropout" not in operators(folded)


@pytest.mark.parametrize("groups, bias, fix_gamma, eps", [(1, False, False, 1e-5), (2, True, True, 2e-5),
                                                          (4, False, True, 0.5), (4, True, False, None)])
def test_convolution_by_the_formula(groups, bias, fix_gamma, eps):
    options = {} if eps is None else {"eps": eps}
    body = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(1, 1), num_filter=8, num_group=groups, no_bias=not bias,
                              name="conv")
    symbol = mx.sym.BatchNorm(body, fix_gamma=fix_gamma, name="bn", **options)
    shape, rng = (2, 4, 3, 5), np.random.RandomState(3)
    sizes = dict(zip(symbol.list_arguments(), symbol.infer_shape(data=shape)[0]))
    values = {name: rng.normal(size=size) for name, size in sizes.items()}
    states = {"bn_moving_mean": rng.normal(size=8), "bn_moving_var": rng.uniform(0.2, 3, 8)}
    folded, arguments, auxiliary = fold_batch_norm(
        symbol, {name: mx.nd.array(value) for name, value in values.items() if name != "data"},
        {name: mx.nd.array(value) for name, value in states.items()})
    assert folded.list_arguments() == ["data", "conv_weight", "conv_bias"] and not auxiliary
    assert folded.list_outputs() == ["bn_output"]
    data = values["data"].reshape(2, groups, 4 // groups, 3, 5)
    weight = values["conv_weight"].reshape(groups, 8 // groups, 4 // groups)
    plain = np.einsum("bgihw,goi->bgohw", data, weight).reshape(2, 8, 3, 5)

    def column(value):
        return np.reshape(value, (-1, 1, 1))

    plain = plain + column(values["conv_bias"] if bias else 0)
    gamma = 1 if fix_gamma else values["bn_gamma"]
    scale = column(gamma / np.sqrt(states["bn_moving_var"] + (1e-3 if eps is None else eps)))
    expected = scale * (plain - column(states["bn_moving_mean"])) + column(values["bn_beta"])
    assert_close(embed(folded, arguments, auxiliary, values["data"]), expected)


def test_what_cannot_be_folded_stays(fill):
    data = mx.sym.Variable("data")

    def conv(data, name, **options):
        return mx.sym.Convolution(data, kernel=(3, 3), pad=(1, 1), num_filter=4, no_bias=True, name=name, **options)

    def norm(data, name, **options):
        return mx.sym.BatchNorm(data, name=name, fix_gamma=False, **options)

    twice = conv(data, "twice")
    used_twice = norm(twice, "used_twice") + twice
    weight = mx.sym.Variable("weight", shape=(4, 4, 3, 3))
    shared = norm(conv(used_twice, "left", weight=weight), "norm_left")
    shared = shared + norm(conv(used_twice, "right", weight=weight), "norm_right")
    padded = conv(norm(mx.sym.Activation(shared, act_type="relu"), "before"), "padded")
    symbol = norm(padded, "last")
    folded = check(symbol, *filled(symbol, fill, (2, 3, 6, 6)), np.random.RandomState(0).normal(size=(2, 3, 6, 6)))
    left = {node["name"] for node in json.loads(folded.tojson())["nodes"] if node["op"] == "BatchNorm"}
    assert left == {"used_twice", "norm_left", "norm_right", "before"}


def test_normalisation_of_another_axis_stays():
    conv = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(1, 1), num_filter=3, no_bias=True, name="conv")
    symbol = mx.sym.BatchNorm(conv, axis=2, name="bn")
    names = symbol.list_arguments() + symbol.list_auxiliary_states()
    folded, _, _ = fold_batch_norm(symbol, {name: mx.nd.ones((3,)) for name in names},
                                   {name: mx.nd.ones((3,)) for name in names})
    assert "BatchNorm" in operators(folded)


def test_an_intermediate_output_is_not_folded_away(fill):
    conv = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(1, 1), num_filter=2, no_bias=True, name="conv")
    symbol = mx.sym.Group([mx.sym.BatchNorm(conv, fix_gamma=False, name="bn"), conv])
    folded = check(symbol, *filled(symbol, fill, (1, 2, 3, 3)), np.ones((1, 2, 3, 3)))
    assert folded.list_outputs() == ["bn_output", "conv_output"] and "BatchNorm" in operators(folded)


def test_dense_layer_behind_dropout_and_a_taken_bias_name(fill):
    data = mx.sym.Variable("data")
    taken = mx.sym.Variable("dense_bias", shape=(1,))
    dense = mx.sym.FullyConnected(mx.sym.broadcast_mul(data, taken), num_hidden=3, no_bias=True, name="dense")
    symbol = mx.sym.BatchNorm(mx.sym.Dropout(dense, p=0.5), fix_gamma=True, name="fc1")
    folded = check(symbol, *filled(symbol, fill, (4, 5)), np.random.RandomState(1).normal(size=(4, 5)))
    assert "BatchNorm" not in operators(folded)
    assert folded.list_arguments() == ["data", "dense_bias", "dense_weight", "dense_bias_folded"]
