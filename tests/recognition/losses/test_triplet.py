"""The triplet losses against float64 NumPy written from their equations."""
import numpy as np
import pytest

from recognition.losses import objective, triplet
from runtime import mx

ALPHA = {"euclidean": 0.3, "angular": 0.35}


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def exact(x, distance, alpha):
    """Return the loss of embeddings (3T, D) and its gradient by them, in float64."""
    x = x.astype(np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    u = x / norms
    a, p, n = np.split(u, 3)
    if distance == "euclidean":
        near, far = ((a - p) ** 2).sum(1), ((a - n) ** 2).sum(1)
        grads = 2 * (n - p), -2 * (a - p), 2 * (a - n)
    else:
        cos_p, cos_n = (a * p).sum(1), (a * n).sum(1)
        near, far = np.arccos(cos_p), np.arccos(cos_n)
        slope_p, slope_n = (-1 / np.sqrt(1 - cos ** 2)[:, None] for cos in (cos_p, cos_n))
        grads = slope_p * p - slope_n * n, slope_p * a, -slope_n * a
    losses = near - far + alpha
    by_u = np.concatenate(grads) * np.tile(losses > 0, 3)[:, None] / len(losses)
    return np.maximum(losses, 0).mean(), (by_u - u * (u * by_u).sum(1, keepdims=True)) / norms


def run(x, distance, alpha):
    """Return the loss and its gradient as the training symbol gives them."""
    name = {"euclidean": "triplet", "angular": "atriplet"}[distance]
    symbol = objective.training_symbol(mx.sym.Variable("embedding"), 5, loss_name=name, triplet_distance=distance,
                                          triplet_alpha=alpha)
    assert symbol.list_arguments() == ["embedding"]
    assert symbol.list_outputs() == ["embedding_output", "triplet_loss_output"]
    arrays = {"embedding": mx.nd.array(x)}
    gradient = mx.nd.zeros(x.shape)
    bound = symbol.bind(mx.cpu(), arrays, args_grad={"embedding": gradient})
    outputs = bound.forward(is_train=True)
    bound.backward()
    np.testing.assert_array_equal(outputs[0].asnumpy(), x)
    return float(outputs[1].asscalar()), gradient.asnumpy()


@pytest.mark.parametrize("distance", ALPHA)
@pytest.mark.parametrize("spread", [0.1, 0.5, 3.0])
def test_values_and_gradients(distance, spread):
    """Near and far positives, triplets within the margin and beyond."""
    rng = np.random.RandomState(int(10 * spread))
    anchor = rng.normal(size=(12, 16))
    x = np.concatenate([anchor, anchor + rng.normal(0, 0.5, anchor.shape), anchor + rng.normal(0, spread, anchor.shape)]
                       ).astype(np.float32) * 5
    value, gradient = run(x, distance, ALPHA[distance])
    expected, by_x = exact(x, distance, ALPHA[distance])
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(gradient, by_x, rtol=2e-4, atol=2e-4 * np.abs(by_x).max() + 1e-12)


def test_a_triplet_beyond_the_margin_has_no_loss():
    x = np.array([[1, 0], [1, 0.1], [-1, 0.2]], np.float32)
    for distance, alpha in ALPHA.items():
        value, gradient = run(x, distance, alpha)
        assert value == 0 and not gradient.any()


@pytest.mark.parametrize("distance", ALPHA)
@pytest.mark.parametrize("case", ["identical", "opposite", "zero", "one zero", "huge", "tiny"])
def test_never_nan(distance, case):
    rng = np.random.RandomState(0)
    one = rng.normal(size=(1, 512)).astype(np.float32)
    x = np.repeat(one, 12, 0)
    if case == "opposite":
        x[4:8] *= -1
    elif case == "zero":
        x[:] = 0
    elif case == "one zero":
        x[5] = 0
    elif case == "huge":
        x *= 1e15
    elif case == "tiny":
        x *= 1e-15
    value, gradient = run(x, distance, ALPHA[distance])
    assert np.isfinite(value) and np.isfinite(gradient).all()
    if case in ("identical", "zero"):
        assert value == pytest.approx(ALPHA[distance], abs=5e-3)  # an angle's error at ±1
    if case == "opposite":
        apart = {"euclidean": 4, "angular": np.pi}[distance]
        assert value == pytest.approx(apart + ALPHA[distance], abs=5e-3)


def test_beside_arcface_the_gradients_add():
    """The gradient of the sum is ArcFace's plus the weighed one of the triplets."""
    rng = np.random.RandomState(3)
    x, w = rng.normal(size=(9, 8)).astype(np.float32), rng.normal(size=(5, 8)).astype(np.float32)
    label = np.array([0, 1, 2, 0, 1, 2, 3, 4, 4], np.float32)
    settings = {"loss_name": "margin_softmax", "loss_s": 64.0, "loss_m2": 0.5}

    def gradient(symbol):
        arrays = {"embedding": mx.nd.array(x), "fc7_weight": mx.nd.array(w), "softmax_label": mx.nd.array(label)}
        grads = {"embedding": mx.nd.zeros(x.shape)}
        bound = symbol.bind(mx.cpu(), arrays, args_grad=grads)
        bound.forward(is_train=True)
        bound.backward()
        return grads["embedding"].asnumpy()

    embedding = mx.sym.Variable("embedding")
    both = objective.training_symbol(embedding, 5, triplet_distance="angular", triplet_weight=3.0, triplet_alpha=0.35,
                                     **settings)
    assert both.list_outputs() == ["embedding_output", "softmax_output", "ce_loss_output", "triplet_loss_output"]
    arcface = gradient(objective.training_symbol(embedding, 5, **settings))
    np.testing.assert_allclose(gradient(both), arcface + 3 * exact(x, "angular", 0.35)[1], rtol=1e-3, atol=1e-4)


def test_unknown_distance():
    with pytest.raises(ValueError, match="manhattan"):
        triplet.triplet_loss(mx.sym.Variable("x"), "manhattan", 0.3)
