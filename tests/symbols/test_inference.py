"""What depends on parameters alone is computed once; the network's own values stay as they are."""
import json

import numpy as np

from runtime import mx
from symbols.inference import for_inference, precompute


def test_constants_are_replaced_by_their_values():
    data, weight, bias = (mx.sym.Variable(name) for name in ("data", "weight", "bias"))
    turned = mx.sym.negative(weight, name="turned")
    kept = mx.sym.FullyConnected(data, turned, bias * 2, num_hidden=3, name="dense")
    scale = mx.sym.reshape(mx.sym.exp(bias), shape=(1, 3))
    net = mx.sym.Group([kept, mx.sym.broadcast_mul(kept, scale, name="scaled")])
    rng = np.random.RandomState(0)
    x, w, b = rng.normal(size=(2, 4)), rng.normal(size=(3, 4)), rng.normal(size=3)
    given = {"weight": mx.nd.array(w), "bias": mx.nd.array(b), "another": mx.nd.zeros(1)}
    found, params = precompute(net, given)
    assert [node["op"] for node in json.loads(found.tojson())["nodes"] if node["op"] != "null"] == [
        "FullyConnected", "broadcast_mul"]
    assert set(params) == set(found.list_arguments()) - {"data"}
    assert found.list_outputs() == net.list_outputs() and set(given) == {"weight", "bias", "another"}
    outputs = found.bind(mx.cpu(), {"data": mx.nd.array(x), **params}).forward()
    dense = x @ -w.T + 2 * b
    np.testing.assert_allclose(outputs[0].asnumpy(), dense, rtol=1e-5)
    np.testing.assert_allclose(outputs[1].asnumpy(), dense * np.exp(b), rtol=1e-5)


def test_nothing_to_compute():
    net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="dense")
    given = {"dense_weight": mx.nd.ones((2, 3)), "dense_bias": mx.nd.zeros(2)}
    found, params = precompute(net, given)
    assert found.tojson() == net.tojson() and params == given


def test_a_dense_layer_over_maps_runs_again_and_again():
    """With channels in blocks, as AVX-512 has them, MXNet's own dense layer fails in its second run over 1×1 maps."""
    net = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=64, kernel=(3, 3), no_bias=True, name="conv")
    net = mx.sym.BatchNorm(net, fix_gamma=False, eps=1e-5, name="norm")
    net = mx.sym.FullyConnected(net, num_hidden=4, name="dense")
    shape, rng = (2, 32, 3, 3), np.random.RandomState(0)
    shapes, _, states = net.infer_shape(data=shape)
    args = {name: rng.normal(size=size) for name, size in zip(net.list_arguments(), shapes) if name != "data"}
    auxs = {name: rng.uniform(0.5, 1, size) for name, size in zip(net.list_auxiliary_states(), states)}
    lowered, params = for_inference(net, {name: mx.nd.array(value) for name, value in args.items()}, {"data": shape})
    executor = lowered.simple_bind(mx.cpu(), grad_req="null", data=shape)
    executor.copy_params_from(params, {name: mx.nd.array(value) for name, value in auxs.items()})
    for _ in range(3):
        x = rng.normal(size=shape)
        found = executor.forward(is_train=False, data=x)[0].asnumpy()
        maps = np.einsum("nchw,kchw->nk", x, args["conv_weight"])[:, :, None, None]
        mean, variance, gamma, beta = (value.reshape(1, -1, 1, 1) for value in (
            auxs["norm_moving_mean"], auxs["norm_moving_var"], args["norm_gamma"], args["norm_beta"]))
        maps = (maps - mean) / np.sqrt(variance + 1e-5) * gamma + beta
        np.testing.assert_allclose(found, maps.reshape(2, -1) @ args["dense_weight"].T + args["dense_bias"],
                                   rtol=1e-3, atol=1e-3)
