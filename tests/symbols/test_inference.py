"""What depends on parameters alone is computed once; the network's own values stay as they are."""
import json

import numpy as np

from runtime import mx
from symbols.inference import precompute


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
