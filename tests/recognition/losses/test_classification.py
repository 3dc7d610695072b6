"""Loss heads against float64 NumPy written from the paper's equations."""
import json

import numpy as np
import pytest

from recognition.losses import classification, objective
from runtime import mx
from symbols.lowering import lower

MARGINS = {
    "nsoftmax": (64.0, 1.0, 0.0, 0.0),
    "arcface": (64.0, 1.0, 0.5, 0.0),
    "cosface": (64.0, 1.0, 0.0, 0.35),
    "sphereface": (64.0, 1.35, 0.0, 0.0),
    "cm1": (64.0, 1.0, 0.3, 0.2),
    "cm2": (30.0, 0.9, 0.4, 0.15),
}


def exact(x, w, label, s, m1, m2, m3, upstream):
    """Return logits and gradients of sum(upstream · logits) by x and by w (Eq. 4), in float64."""
    x, w, upstream = x.astype(np.float64), w.astype(np.float64), upstream.astype(np.float64)
    nx, nw = np.linalg.norm(x, axis=1, keepdims=True), np.linalg.norm(w, axis=1, keepdims=True)
    ux, uw = x / nx, w / nw
    cosine = ux @ uw.T
    rows = np.arange(len(x))
    target = cosine[rows, label]
    theta = np.arccos(target)
    out = cosine.copy()
    out[rows, label] = np.cos(m1 * theta + m2) - m3
    slope = np.ones_like(cosine)
    slope[rows, label] = m1 * np.sin(m1 * theta + m2) / np.sin(theta)
    by_cosine = s * upstream * slope
    by_ux, by_uw = by_cosine @ uw, by_cosine.T @ ux
    by_x = (by_ux - ux * (ux * by_ux).sum(1, keepdims=True)) / nx
    by_w = (by_uw - uw * (uw * by_uw).sum(1, keepdims=True)) / nw
    return s * out, by_x, by_w


def run(x, w, label, upstream, lowered=False, **settings):
    """Return logits and gradients by embedding and by weight of the head's symbols, plain or lowered for a CPU."""
    symbol = classification.logits(mx.sym.Variable("embedding"), mx.sym.Variable("softmax_label"), len(w), **settings)
    arrays = {"embedding": mx.nd.array(x), "fc7_weight": mx.nd.array(w), "softmax_label": mx.nd.array(label),
              "fc7_bias": mx.nd.zeros(len(w)), "step": mx.nd.full(len(x), 3)}
    if lowered:
        symbol = lower(symbol, training=True, shapes={name: value.shape for name, value in arrays.items()
                                                      if name in symbol.list_arguments()})
    arrays = {name: arrays[name] for name in symbol.list_arguments()}
    grads = {name: mx.nd.zeros_like(value) for name, value in arrays.items() if name not in ("softmax_label", "step")}
    bound = symbol.bind(mx.cpu(), arrays, args_grad=grads, grad_req={n: "write" if n in grads else "null"
                                                                     for n in arrays})
    out = bound.forward(is_train=True)[0].asnumpy()
    bound.backward(mx.nd.array(upstream))
    return out, grads["embedding"].asnumpy(), grads["fc7_weight"].asnumpy()


def sample(seed=0, batch=8, classes=20, size=32):
    rng = np.random.RandomState(seed)
    return (rng.normal(size=(batch, size)).astype(np.float32), rng.normal(0, 0.3, (classes, size)).astype(np.float32),
            rng.randint(0, classes, batch), rng.normal(size=(batch, classes)).astype(np.float32))


def close(actual, expected, tolerance=2e-4):
    """Assert that the largest difference is within `tolerance` of the largest expected number, row by row."""
    scale = np.abs(expected).max(axis=1, keepdims=True)
    assert np.all(np.abs(actual - expected) <= tolerance * scale)


@pytest.mark.parametrize("name", MARGINS)
@pytest.mark.parametrize("seed", range(3))
def test_logits_and_gradients_follow_equation_4(name, seed):
    s, m1, m2, m3 = MARGINS[name]
    x, w, label, upstream = sample(seed)
    # Samples near to and far from their centres, on both sides, up to |cos θ| just below 0.99.
    for row, cosine in enumerate((0.985, 0.7, 0.2, -0.2, -0.7, -0.985)):
        centre = w[label[row]] / np.linalg.norm(w[label[row]])
        side = x[row] - centre * (x[row] @ centre)
        side /= np.linalg.norm(side)
        x[row] = 5 * (cosine * centre + np.sqrt(1 - cosine ** 2) * side)
    expected = exact(x, w, label, s, m1, m2, m3, upstream)
    actual = run(x, w, label, upstream, loss_s=s, loss_m1=m1, loss_m2=m2, loss_m3=m3)
    for got, wanted in zip(actual, expected):
        close(got, wanted)


def test_softmax_is_a_dense_layer_with_bias():
    x, w, label, upstream = sample()
    out, by_x, by_w = run(x, w, label, upstream, loss_name="softmax")
    close(out, x.astype(np.float64) @ w.T.astype(np.float64))
    close(by_x, upstream.astype(np.float64) @ w)
    close(by_w, upstream.T.astype(np.float64) @ x)


@pytest.mark.parametrize("name", MARGINS)
@pytest.mark.parametrize("case", ["equal", "opposite", "beyond", "zero embedding", "zero weight", "all zero",
                                  "collapsed"])
def test_finite_everywhere(name, case):
    s, m1, m2, m3 = MARGINS[name]
    x, w, label, upstream = sample(size=512, batch=64)
    if case == "equal":
        x = w[label] * 3
    elif case == "opposite":
        x = -w[label]
    elif case == "beyond":  # float32 normalisation takes many of these above 1
        x = w[label].copy()
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        assert (unit * unit).sum(1).max() > 1
    elif case == "zero embedding":
        x[:] = 0
    elif case == "zero weight":
        w[label[0]] = 0
    elif case == "all zero":
        x[:], w[:] = 0, 0
    elif case == "collapsed":
        x[:], w[:] = x[0], x[0]
    for array in run(x, w, label, upstream, loss_s=s, loss_m1=m1, loss_m2=m2, loss_m3=m3):
        assert np.isfinite(array).all()


def test_near_one_the_bounded_formula_holds():
    """At the bound arccos is taken of ±(1 − 1e-7); the gradient through the margin's term is zero beyond."""
    w = np.eye(4, 8, dtype=np.float32)
    x = np.stack([w[0] * 2, -w[1] * 3]).astype(np.float32)
    label, upstream = np.array([0, 1]), np.ones((2, 4), np.float32)
    out, by_x, _ = run(x, w, label, upstream, loss_m2=0.5)
    bound = np.float64(np.float32(1 - 1e-7))
    assert out[0, 0] == pytest.approx(64 * np.cos(np.arccos(bound) + 0.5), rel=1e-5)
    assert out[1, 1] == pytest.approx(64 * np.cos(np.arccos(-bound) + 0.5), rel=1e-5)
    # What is left is the gradient of the other logits' cosines, along the other axes.
    assert by_x[0, :4] == pytest.approx([0, 32, 32, 32], abs=1e-3)


def test_training_outputs_and_gradients():
    """Outputs in the original's order; softmax's gradient is the batch's mean of (p − one_hot)."""
    x, w, label, _ = sample()
    symbol = objective.training_symbol(mx.sym.Variable("data"), len(w), loss_s=64.0, loss_m2=0.5)
    assert symbol.list_outputs() == ["embedding_output", "softmax_output", "ce_loss_output"]
    arrays = {"data": mx.nd.array(x), "fc7_weight": mx.nd.array(w), "softmax_label": mx.nd.array(label)}
    grads = {"data": mx.nd.zeros(x.shape), "fc7_weight": mx.nd.zeros(w.shape)}
    bound = symbol.bind(mx.cpu(), arrays, args_grad=grads,
                        grad_req={"data": "write", "fc7_weight": "write", "softmax_label": "null"})
    embedding, softmax, loss = (output.asnumpy() for output in bound.forward(is_train=True))
    bound.backward()

    scores, _, _ = exact(x, w, label, 64.0, 1.0, 0.5, 0.0, np.ones((len(x), len(w))))
    shifted = scores - scores.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    one_hot = np.eye(len(w))[label]
    _, by_x, by_w = exact(x, w, label, 64.0, 1.0, 0.5, 0.0, (np.exp(log_p) - one_hot) / len(x))
    assert np.array_equal(embedding, x)
    assert softmax == pytest.approx(np.exp(log_p), abs=1e-5)
    assert loss == pytest.approx([-(log_p * one_hot).sum(1).mean()], rel=1e-5)
    close(grads["data"].asnumpy(), by_x, 1e-3)
    assert grads["fc7_weight"].asnumpy() == pytest.approx(by_w, rel=1e-3, abs=1e-4 * np.abs(by_w).max())


def test_cross_entropy_does_not_underflow():
    """A probability of exp(−120) is zero in float32; the loss is still 120."""
    scores = mx.sym.Variable("scores")
    bound = objective.cross_entropy(scores, mx.sym.Variable("label")).bind(
        mx.cpu(), {"scores": mx.nd.array([[60.0, -60.0]]), "label": mx.nd.array([1])})
    assert bound.forward()[0].asnumpy() == pytest.approx([120.0])


def test_algorithm_1_operators_in_order():
    nodes = json.loads(classification.logits(mx.sym.Variable("x"), mx.sym.Variable("gt"), 10, loss_m2=0.5).tojson())
    ops = [node["op"] for node in nodes["nodes"] if node["op"] != "null"]
    assert ops == ["L2Normalization", "L2Normalization", "FullyConnected", "one_hot", "pick", "clip", "arccos",
                   "_plus_scalar", "cos", "elemwise_sub", "expand_dims", "broadcast_mul", "elemwise_add",
                   "_mul_scalar"]


def test_weight_settings():
    symbol = classification.logits(mx.sym.Variable("x"), mx.sym.Variable("gt"), 10, loss_name="softmax", emb_size=4)
    attributes = symbol.attr_dict()
    assert attributes["fc7_bias"]["__lr_mult__"] == "2.0" and attributes["fc7_bias"]["__wd_mult__"] == "0.0"
    shapes = dict(zip(symbol.list_arguments(), symbol.infer_shape(x=(3, 4))[0]))
    assert shapes["fc7_weight"] == (10, 4) and shapes["fc7_bias"] == (10,)


@pytest.mark.parametrize("settings", [{"loss_name": "hinge"}, {"loss_s": 0}])
def test_wrong_settings(settings):
    with pytest.raises(ValueError):
        classification.logits(mx.sym.Variable("x"), mx.sym.Variable("gt"), 10, **settings)

@pytest.mark.parametrize("name", [*MARGINS, "softmax", "sphereface-m4"])
@pytest.mark.parametrize("lowered", [False, True])
def test_a_label_outside_of_the_classes_gives_no_margin(name, lowered):
    """The contract of a shard: blocks of classes with shifted labels give the logits and gradients of the whole."""
    x, w, label, upstream = sample(classes=20)
    settings = {"softmax": {"loss_name": "softmax"}, "sphereface-m4": {"loss_name": "sphereface", "loss_m1": 4.0}}
    if name in MARGINS:
        settings[name] = dict(zip(("loss_s", "loss_m1", "loss_m2", "loss_m3"), MARGINS[name]))
    whole = run(x, w, label, upstream, lowered, **settings[name])
    blocks = [run(x, w[first:first + 7], label - first, upstream[:, first:first + 7], lowered, **settings[name])
              for first in (0, 7, 14)]
    outside = [(label < first) | (label >= first + 7) for first in (0, 7, 14)]
    assert all(rows.any() and not rows.all() for rows in outside)
    close(np.concatenate([logits for logits, _, _ in blocks], axis=1), whole[0], 1e-6)
    close(sum(by_x for _, by_x, _ in blocks), whole[1], 1e-5)
    close(np.concatenate([by_w for _, _, by_w in blocks]), whole[2], 1e-5)
