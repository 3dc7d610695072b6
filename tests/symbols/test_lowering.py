"""The lowered graph against the plain one and against PReLU written from its formula."""
import json

import numpy as np
import pytest

from runtime import mx
from symbols import get_symbol
from symbols.inference import for_inference
from symbols.lowering import lower


def operators(symbol):
    return [node["op"] for node in json.loads(symbol.tojson())["nodes"]]


def interface(symbol):
    return symbol.list_arguments(), symbol.list_auxiliary_states(), symbol.list_outputs()


def training_symbol(embedding, classes=5):
    """A head of the kind that training appends: blocked embedding, softmax, blocked loss."""
    label = mx.sym.Variable("softmax_label")
    logits = mx.sym.FullyConnected(embedding, num_hidden=classes, no_bias=True, name="fc7")
    softmax = mx.sym.SoftmaxOutput(logits, label, name="softmax", normalization="valid")
    loss = mx.sym.softmax_cross_entropy(logits, label)
    return mx.sym.Group([mx.sym.BlockGrad(embedding), softmax, mx.sym.BlockGrad(loss)])


def heads(outputs):
    return [np.random.RandomState(7).normal(size=output.shape) for output in outputs]


def run(symbol, values, training, dtype=np.float32, **shapes):
    types = dict.fromkeys(symbol.list_arguments(), dtype)
    executor = symbol.simple_bind(mx.cpu(), grad_req="write" if training else "null", type_dict=types, **shapes)
    for name, array in [*executor.arg_dict.items(), *executor.aux_dict.items()]:
        array[:] = values(name, array.shape)
    outputs = [output.asnumpy() for output in executor.forward(is_train=training)]
    if not training:
        return outputs, {}
    executor.backward([mx.nd.array(head, dtype=dtype) for head in heads(outputs)])
    return outputs, {name: array.asnumpy() for name, array in executor.grad_dict.items()}


def assert_close(ours, theirs):
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


NETWORKS = {
    "y1": ("fmobilefacenet", {"net_output": "GDC", "emb_size": 128}),
    "r18": ("fresnet", {"num_layers": 18}),
    "r18 with gates": ("fresnet", {"num_layers": 18, "net_output": "GAP", "net_se": 1}),
    "mnas025": ("fmnasnet", {"net_multiplier": 0.25, "net_output": "GDC"}),
}


def operator(data, slope, name):
    return mx.sym.LeakyReLU(data, gamma=slope, act_type="prelu", name=name)


def formula(data, slope, name):
    slope = mx.sym.reshape(slope, shape=(1, -1, 1, 1))
    return mx.sym.broadcast_mul(slope, mx.sym.relu(-data)) * -1 + mx.sym.relu(data)


def assert_right_gradients(build, **shapes):
    """Compare the lowered `build(operator)` with `build(formula)` in float64; return the former, plain and lowered.

    The operator's own gradients are no measure: `test_gradient_by_slopes_where_the_operator_itself_is_wrong`.
    """
    plain = build(operator)
    lowered = lower(plain, training=True, shapes=shapes)
    assert interface(lowered) == interface(plain)
    assert "LeakyReLU" in operators(plain) and "LeakyReLU" not in operators(lowered)
    assert lowered.infer_shape(**shapes) == plain.infer_shape(**shapes)

    def values(name, shape):
        return np.random.RandomState(len(name)).normal(size=shape)

    outputs, gradients = run(lowered, values, True, **shapes)
    exact, exact_gradients = run(build(formula), values, True, np.float64, **shapes)
    for output, expected in zip(outputs, exact):
        assert_close(output, expected)
    assert set(gradients) == set(exact_gradients)
    for name in gradients:
        assert_close(gradients[name], exact_gradients[name])
    return plain, lowered


@pytest.mark.parametrize("one_slope", [False, True])
def test_outputs_and_gradients_of_a_small_network(one_slope):
    def build(prelu):
        body = mx.sym.Variable("data")
        for number, (filters, groups) in enumerate([(6, 1), (6, 3), (4, 1)]):
            body = mx.sym.Convolution(body, kernel=(3, 3), pad=(1, 1), num_filter=filters, num_group=groups,
                                      name=f"conv{number}")
            slope = mx.sym.Variable(f"relu{number}_gamma", shape=(1 if one_slope else filters,))
            body = prelu(body, slope, f"relu{number}")
        return mx.sym.Group([mx.sym.FullyConnected(body, num_hidden=5, name="dense"), body])

    assert_right_gradients(build, data=(3, 3, 9, 7))


@pytest.mark.slow
def test_a_whole_network(fill):
    def values(name, shape):
        if name == "data":
            return fill.images(shape[0])
        return np.arange(shape[0]) if name == "softmax_label" else fill.parameter(name, shape)

    network, settings = NETWORKS["y1"]
    plain = training_symbol(get_symbol(network, **settings))
    lowered = lower(plain, training=True)
    assert interface(lowered) == interface(plain)
    assert "LeakyReLU" not in operators(lowered)
    (theirs, gradients), (ours, lowered_gradients) = (
        run(symbol, values, True, data=(4, 3, 112, 112), softmax_label=(4,)) for symbol in (plain, lowered))
    for output, expected in zip(ours, theirs):
        assert_close(output, expected)
    # A bias before a normalisation has a gradient of zero, of which only rounding is seen.
    floor = 1e-2 * np.median([np.abs(gradient).max() for gradient in gradients.values()])
    for name, gradient in gradients.items():
        # Rounding moves a few of a million values across zero, where the gradient jumps.
        size = max(np.linalg.norm(gradient), floor * gradient.size ** 0.5)
        assert np.linalg.norm(lowered_gradients[name] - gradient) <= 5e-2 * size, name


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_inference(name, fill):
    network, settings = NETWORKS[name]
    plain = get_symbol(network, **{**settings, "net_output": "E"})
    lowered = lower(plain, training=False)
    assert interface(lowered) == interface(plain)
    assert "LeakyReLU" not in operators(lowered) and "Dropout" not in operators(lowered)

    def values(name, shape):
        return fill.images(shape[0]) if name == "data" else fill.parameter(name, shape)

    (theirs, _), (ours, _) = (run(s, values, False, data=(2, 3, 112, 112)) for s in (plain, lowered))
    assert_close(ours[0], theirs[0])


@pytest.mark.parametrize("slopes", [(6,), (1,)])
def test_prelu_by_its_formula(slopes):
    shape = (3, 6, 5, 4)
    symbol = lower(mx.sym.LeakyReLU(mx.sym.Variable("x"), mx.sym.Variable("a_gamma", shape=slopes), act_type="prelu",
                                    name="a"), training=True, shapes={"x": (1, *shape[1:])})
    assert "LeakyReLU" not in operators(symbol) and symbol.list_outputs() == ["a_output"]
    assert symbol.infer_shape(x=shape)[0] == [shape, slopes]
    rng = np.random.RandomState(0)
    x, gamma, head = (rng.normal(size=size).astype(np.float32) for size in (shape, slopes, shape))
    x[0, 0, 0, 0] = 0
    arrays = {"x": mx.nd.array(x), "a_gamma": mx.nd.array(gamma)}
    gradients = {name: mx.nd.zeros(array.shape) for name, array in arrays.items()}
    executor = symbol.bind(mx.cpu(), arrays, gradients)
    output = executor.forward(is_train=True)[0].asnumpy()
    executor.backward(mx.nd.array(head))
    x, gamma, head = (array.astype(np.float64) for array in (x, gamma, head))
    per_channel = np.broadcast_to(gamma, (6,)).reshape(6, 1, 1)
    by_slope = np.sum(head * x * (x <= 0), axis=(0, 2, 3))
    assert_close(output, np.where(x > 0, x, per_channel * x))
    assert_close(gradients["x"].asnumpy(), head * np.where(x > 0, 1, per_channel))
    assert_close(gradients["a_gamma"].asnumpy(), by_slope if slopes == (6,) else by_slope.sum(keepdims=True))


def test_slope_states_its_shape_and_keeps_its_start():
    lowered = lower(get_symbol("fmobilefacenet"), training=True)
    attributes = lowered.attr_dict()["conv_1_relu_gamma"]
    assert attributes["__shape__"] == "(64,)"
    module = mx.mod.Module(lowered, label_names=None)
    module.bind([("data", (1, 3, 112, 112))])
    module.init_params(mx.init.Xavier())
    assert (module.get_params()[0]["conv_1_relu_gamma"].asnumpy() == 0.25).all()


def test_published_symbol_files(shared):
    for path in ("pretrained/y1/model-symbol.json", "reference/r100-published-symbol.json"):
        plain = mx.sym.load(str(shared / path))
        lowered = lower(plain, training=False)
        assert interface(lowered) == interface(plain)
        assert "LeakyReLU" in operators(plain) and "LeakyReLU" not in operators(lowered)
        assert lowered.infer_shape(data=(2, 3, 112, 112)) == plain.infer_shape(data=(2, 3, 112, 112))


def test_what_is_not_known_stays():
    data = mx.sym.Variable("data")
    image = mx.sym.LeakyReLU(data, act_type="prelu", name="image")
    dense = mx.sym.LeakyReLU(mx.sym.FullyConnected(data, num_hidden=4), act_type="prelu", name="dense")
    other = mx.sym.LeakyReLU(mx.sym.Variable("other"), act_type="prelu", name="elsewhere")
    plain = mx.sym.LeakyReLU(image, act_type="leaky", slope=0.1, name="leaky")
    symbol = mx.sym.Group([dense, other, plain])
    lowered = lower(symbol, training=True)
    assert interface(lowered) == interface(symbol)
    left = {n["name"] for n in json.loads(lowered.tojson())["nodes"] if n["op"] == "LeakyReLU"}
    assert left == {"dense", "elsewhere", "leaky"}
    assert operators(lower(symbol, True, {"data": (3, 3, 4, 4), "other": (2, 7)})).count("LeakyReLU") == 3
    assert operators(lower(symbol, True, {"data": (3, 3), "unknown": (1,)})).count("LeakyReLU") == 4


def test_gradient_by_slopes_where_the_operator_itself_is_wrong():
    """Between two products, MXNet 1.9.1's PReLU computes it from a gradient that it has overwritten."""
    shape = (4, 6, 7, 7)
    plain = mx.sym.LeakyReLU(mx.sym.Variable("data") * 1, act_type="prelu", name="a") * 2
    rng = np.random.RandomState(0)
    data, slopes = rng.normal(size=shape), rng.uniform(0.1, 0.4, 6)
    symbol = lower(plain, training=True, shapes={"data": shape})
    outputs, gradients = run(symbol, lambda name, _: data if name == "data" else slopes, True, data=shape)
    assert_close(gradients["a_gamma"], np.sum(2 * heads(outputs)[0] * data * (data < 0), axis=(0, 2, 3)))


def test_stated_shapes_win_and_contradictions_change_nothing():
    data = mx.sym.Variable("data", shape=(0, 5, 8, 8))
    lowered = lower(mx.sym.LeakyReLU(data, act_type="prelu", name="a"), training=True)
    assert "LeakyReLU" not in operators(lowered)
    assert lowered.infer_shape(data=(2, 5, 8, 8))[0] == [(2, 5, 8, 8), (5,)]
    weight = mx.sym.Variable("weight", shape=(4, 7, 1, 1))
    symbol = mx.sym.Convolution(mx.sym.Variable("data"), weight, kernel=(1, 1), num_filter=4, no_bias=True)
    symbol = mx.sym.LeakyReLU(symbol, act_type="prelu")
    assert lower(symbol, training=True).tojson() == symbol.tojson()


def test_graph_with_several_outputs_shared_slopes_and_device_groups():
    def build(prelu):
        data = mx.sym.Variable("data")
        halves = mx.sym.split(data, num_outputs=2, axis=1, name="halves")
        slope = mx.sym.Variable("slope", shape=(4,), init=mx.init.Constant(0.5))
        with mx.AttrScope(ctx_group="left"):
            first = prelu(halves[0], slope, "first")
        second = prelu(halves[1], slope * 2, "second")
        return mx.sym.Group([second, data, first + second, first])

    _, lowered = assert_right_gradients(build, data=(2, 8, 3, 3))
    attributes = lowered.attr_dict()
    assert json.loads(attributes["slope"]["__init__"]) == ["constant", {"value": 0.5}]
    assert attributes["first"]["__ctx_group__"] == "left"


def test_dropout_goes_only_for_inference_and_an_output_keeps_its_name():
    data = mx.sym.Variable("data")
    symbol = mx.sym.Group([mx.sym.Dropout(data, p=0.5, name="out"), mx.sym.Dropout(data, mode="always", name="kept")])
    assert operators(lower(symbol, training=True)).count("Dropout") == 2
    lowered = lower(symbol, training=False)
    assert lowered.list_outputs() == ["out_output", "kept_output"]
    assert operators(lowered).count("Dropout") == 1


def test_a_graph_without_prelu_is_unchanged():
    symbol = get_symbol("fresnet", num_layers=18, net_act="relu", net_output="FC")
    assert lower(symbol, training=True).tojson() == symbol.tojson()


def test_normalised_prelu_before_convolutions_in_float64():
    """BN, PReLU and two 1×1 convolutions of it: one depthwise convolution is left, all values and gradients right."""
    rng = np.random.RandomState(0)
    shape, filters, eps = (6, 5, 8, 9), 3, 1e-3
    x, upstream = rng.normal(size=shape), rng.normal(size=(6, filters, 8, 9))
    values = {"norm_gamma": rng.uniform(0.5, 1.5, 5), "norm_beta": rng.normal(size=5),
              "act_gamma": np.array([0.25, -0.5, 0.0, 1.0, 1.5]), "one_weight": rng.normal(size=(filters, 5, 1, 1)),
              "two_weight": rng.normal(size=(filters, 5, 1, 1))}

    data = mx.sym.Variable("data")
    body = mx.sym.BatchNorm(data, name="norm", fix_gamma=False, eps=eps, momentum=0.9)
    body = mx.sym.LeakyReLU(body, name="act", act_type="prelu")
    plain = sum(mx.sym.Convolution(body, name=name, num_filter=filters, kernel=(1, 1), no_bias=True)
                for name in ("one", "two"))
    lowered = lower(plain, training=True, shapes={"data": shape})
    assert lowered.list_arguments() == plain.list_arguments()
    assert lowered.list_auxiliary_states() == plain.list_auxiliary_states()
    nodes = [node for node in json.loads(lowered.tojson())["nodes"] if node["op"] == "Convolution"]
    assert sum(node["attrs"].get("num_group") == "5" for node in nodes) == 1

    args = {name: mx.nd.array(value) for name, value in dict(values, data=x).items()}
    grads = {name: mx.nd.zeros_like(value) for name, value in args.items()}
    auxs = {"norm_moving_mean": mx.nd.zeros(5), "norm_moving_var": mx.nd.ones(5)}
    bound = lowered.bind(mx.cpu(), args, args_grad=grads, aux_states=auxs)
    out = bound.forward(is_train=True)[0].asnumpy()
    bound.backward(mx.nd.array(upstream))
    mx.nd.waitall()

    def channels(vector):
        return vector.reshape(1, -1, 1, 1)
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    unit = (x - channels(mean)) / np.sqrt(channels(var) + eps)
    z = channels(values["norm_gamma"]) * unit + channels(values["norm_beta"])
    slope = channels(values["act_gamma"])
    y = np.where(z > 0, z, slope * z)
    weight = (values["one_weight"] + values["two_weight"])[:, :, 0, 0]
    by_y = np.einsum("oc,nohw->nchw", weight, upstream)
    by_z = by_y * np.where(z > 0, 1, slope)
    by_unit = by_z * channels(values["norm_gamma"])
    count = x.size / 5
    by_x = (by_unit - channels(by_unit.sum((0, 2, 3))) / count
            - unit * channels((by_unit * unit).sum((0, 2, 3))) / count) / np.sqrt(channels(var) + eps)
    by_weight = np.einsum("nohw,nchw->oc", upstream, y)[:, :, None, None]
    expected = {"data": by_x, "norm_gamma": (by_z * unit).sum((0, 2, 3)), "norm_beta": by_z.sum((0, 2, 3)),
                "act_gamma": (by_y * np.minimum(z, 0)).sum((0, 2, 3)), "one_weight": by_weight, "two_weight": by_weight}
    np.testing.assert_allclose(out, np.einsum("oc,nchw->nohw", weight, y), rtol=1e-4, atol=1e-4)
    for name, value in expected.items():
        np.testing.assert_allclose(grads[name].asnumpy(), value, rtol=1e-4, atol=1e-4 * np.abs(value).max(),
                                   err_msg=name)
    np.testing.assert_allclose(auxs["norm_moving_mean"].asnumpy(), 0.1 * mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("labels", [[0, 3, 6, 2], [-1, 7, 6, 0]], ids=["classes", "labels that are no class"])
def test_margin(labels):
    """Values and gradients of logits with a margin at the target, in float64, from their formula."""
    label, logits = mx.sym.Variable("label"), mx.sym.Variable("logits")
    one_hot = mx.sym.one_hot(label, depth=7)
    margin = mx.sym.square(mx.sym.pick(logits, label, axis=1)) + mx.sym.Variable("shift")
    plain = mx.sym.Group([logits + mx.sym.broadcast_mul(one_hot, mx.sym.expand_dims(margin, 1)), logits * 2])
    shapes = {"logits": (4, 7), "label": (4,), "shift": (4,)}
    lowered = lower(plain, training=True, shapes=shapes)
    assert interface(lowered) == interface(plain) and "broadcast_mul" not in operators(lowered)
    rng = np.random.RandomState(0)
    logits, shift = rng.normal(size=(4, 7)), rng.normal(size=4)
    given = {"logits": logits, "shift": shift, "label": np.array(labels)}
    outputs, gradients = run(lowered, lambda name, shape: mx.nd.array(given[name], dtype=np.float64), True, np.float64,
                             **shapes)

    rows, picked = np.arange(4), np.clip(labels, 0, 6)  # `pick` takes the nearest class, `one_hot` none
    inside = picked == labels
    expected = logits.copy()
    expected[rows, picked] += inside * (logits[rows, picked] ** 2 + shift)
    np.testing.assert_allclose(outputs[0], expected, rtol=1e-12)
    first, second = heads(outputs)
    np.testing.assert_allclose(gradients["shift"], inside * first[rows, picked], rtol=1e-12)
    gradient = first + 2 * second
    gradient[rows, picked] += inside * first[rows, picked] * 2 * logits[rows, picked]
    np.testing.assert_allclose(gradients["logits"], gradient, rtol=1e-12)


def test_relu_that_mxnet_fuses_is_not_taken_for_its_input():
    """MXNet 1.9.1 fuses relu into a convolution whose output others need as well; PReLU's form must not meet that."""
    data = mx.sym.Variable("data")
    net = mx.sym.Convolution(data, num_filter=8, kernel=(3, 3), no_bias=True, name="conv")
    net = mx.sym.LeakyReLU(net, act_type="prelu", name="first")
    net = mx.sym.Convolution(net, num_filter=8, kernel=(1, 1), no_bias=True, name="middle")
    net = mx.sym.LeakyReLU(mx.sym.BatchNorm(net, fix_gamma=False, name="norm"), act_type="prelu", name="second")
    net = mx.sym.Convolution(net, num_filter=4, kernel=(3, 3), no_bias=True, name="last")
    rng = np.random.RandomState(1)
    values = {name: rng.normal(size=shape) for name, shape in
              [("data", (2, 3, 9, 9)), ("conv_weight", (8, 3, 3, 3)), ("first_gamma", 8),
               ("middle_weight", (8, 8, 1, 1)), ("norm_gamma", 8), ("norm_beta", 8), ("norm_moving_mean", 8),
               ("second_gamma", 8), ("last_weight", (4, 8, 3, 3))]}
    values["norm_moving_var"] = rng.uniform(0.5, 1.5, 8)

    def convolved(maps, weight):
        size = weight.shape[-1]
        windows = np.lib.stride_tricks.sliding_window_view(maps, (size, size), axis=(2, 3))
        return np.einsum("bcijkl,ockl->boij", windows, weight)

    def rectified(maps, slope):
        return np.where(maps > 0, maps, values[slope].reshape(1, -1, 1, 1) * maps)

    maps = rectified(convolved(values["data"], values["conv_weight"]), "first_gamma")
    maps = convolved(maps, values["middle_weight"])
    scale = values["norm_gamma"] / np.sqrt(values["norm_moving_var"] + 1e-3)
    maps = (maps - values["norm_moving_mean"].reshape(1, -1, 1, 1)) * scale.reshape(1, -1, 1, 1)
    maps = rectified(maps + values["norm_beta"].reshape(1, -1, 1, 1), "second_gamma")
    expected = convolved(maps, values["last_weight"])

    args = {name: mx.nd.array(value) for name, value in values.items() if "moving" not in name and name != "data"}
    auxs = {name: mx.nd.array(value) for name, value in values.items() if "moving" in name}
    lowered, params = for_inference(net, args, {"data": (1, 3, 9, 9)})
    assert "LeakyReLU" not in operators(lowered) and "negative" not in operators(lowered)
    executor = lowered.simple_bind(mx.cpu(), grad_req="null", data=(2, 3, 9, 9))
    executor.copy_params_from(params, auxs)
    output = executor.forward(is_train=False, data=mx.nd.array(values["data"]))[0].asnumpy()
    assert_close(output, expected)
