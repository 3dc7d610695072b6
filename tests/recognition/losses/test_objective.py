"""Every classification loss of Table 2, as it is trained, against float64 NumPy from the papers' formulas."""
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from recognition.config.build import build
from recognition.config.losses import LOSSES, loss_settings
from recognition.losses import margins, objective
from runtime import Failure, mx

# m1, m2, m3 of Eq. 4, as the paper's Table 2 and its reference give them.
PAPER = {"nsoftmax": (1, 0, 0), "arcface": (1, 0.5, 0), "arcface-0.4": (1, 0.4, 0), "arcface-0.45": (1, 0.45, 0),
         "arcface-0.55": (1, 0.55, 0), "cosface": (1, 0, 0.35), "cosface-authors": (1, 0, 0.35),
         "sphereface": (1.35, 0, 0), "combined": (1, 0.3, 0.2), "cm1": (1, 0.3, 0.2), "cm2": (0.9, 0.4, 0.15),
         **{f"ns-{terms}": (1, 0, 0) for terms in ("intra", "inter", "intra-inter")},
         **{f"arcface-{terms}": (1, 0.5, 0) for terms in ("intra", "inter", "intra-inter")}}
NAMES = [name for name, loss in LOSSES.items() if not loss.needs_triplets]


def loss_of(name):
    """Return the settings of a loss as the trainer passes them on."""
    return dict(loss_settings(build("y1", name, "orl", {})), emb_size=None)


def psi(theta, m=4):
    """SphereFace's (−1)^k cos(mθ) − 2k, for θ in [kπ/m, (k+1)π/m]."""
    k = np.minimum(np.floor(theta * m / np.pi), m - 1)
    return (-1.0) ** k * np.cos(m * theta) - 2 * k


def exact(name, x, w, bias, label, step):
    """Return the batch's loss in float64: the cross entropy alone, and with the terms of Eq. 5 and 6."""
    rows, n = np.arange(len(x)), len(w)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    unit_w = w / np.linalg.norm(w, axis=1, keepdims=True)
    cosine = (x / norms) @ unit_w.T
    theta = np.arccos(cosine[rows, label])
    scale = 64.0
    if name == "softmax":
        cosine, scale = x @ w.T + bias, 1.0
    elif name == "sphereface-m4":
        weight, scale = max(5.0, 1000.0 / (1.0 + 0.1 * step)), norms
        cosine[rows, label] = (weight * np.cos(theta) + psi(theta)) / (1.0 + weight)
    else:
        m1, m2, m3 = PAPER[name]
        cosine[rows, label] = np.cos(m1 * theta + m2) - m3
    scores = scale * cosine
    cross_entropy = total = np.mean(np.log(np.exp(scores - scores[rows, label][:, None]).sum(1)))
    if "-intra" in name:
        total = total + np.sum(theta) / (np.pi * len(x))
    if "-inter" in name:
        others = sum(np.arccos(unit_w[y] @ unit_w[j]) for y in label for j in range(n) if j != y)
        total = total - others / (np.pi * len(x) * (n - 1))
    return cross_entropy, total


def run(x, w, bias, label, step=0, **loss_settings):
    """Return {output: value} and {input: gradient} of the training symbol."""
    symbol = objective.training_symbol(mx.sym.Variable("data"), len(w), **loss_settings)
    values = {"data": x, "fc7_weight": w, "fc7_bias": bias, "softmax_label": label, "step": np.full(len(x), step)}
    values = {name: mx.nd.array(values[name]) for name in symbol.list_arguments()}
    grads = {name: mx.nd.zeros(value.shape) for name, value in values.items() if name not in ("softmax_label", "step")}
    bound = symbol.bind(mx.cpu(), values, args_grad=grads,
                        grad_req={name: "write" if name in grads else "null" for name in values})
    outputs = dict(zip(symbol.list_outputs(), (output.asnumpy() for output in bound.forward(is_train=True))))
    bound.backward()
    return outputs, {name: value.asnumpy() for name, value in grads.items()}


def central(function, at, h=1e-6):
    """Return the gradient of a function by each number of an array."""
    gradient = np.zeros(at.shape)
    for place in np.ndindex(*at.shape):
        there = np.zeros(at.shape)
        there[place] = h
        gradient[place] = (function(at + there) - function(at - there)) / (2 * h)
    return gradient


@pytest.mark.parametrize("name, step", [*((name, 0) for name in NAMES), ("sphereface-m4", 300),
                                        ("sphereface-m4", 10 ** 6)])
def test_values_and_gradients(name, step):
    """With a class that comes twice and one that does not, and targets at angles from 20° to 160°."""
    rng = np.random.RandomState(1)
    label = np.array([0, 3, 3, 1, 4, 2])
    w = rng.normal(size=(6, 7)).astype(np.float32)
    bias = rng.normal(size=6).astype(np.float32)
    x = rng.normal(size=(6, 7)).astype(np.float32)
    for row, degrees in enumerate((20, 50, 70, 100, 130, 160)):
        centre = w[label[row]] / np.linalg.norm(w[label[row]])
        side = x[row] - centre * (x[row] @ centre)
        angle = np.radians(degrees)
        x[row] = (row + 1) * (np.cos(angle) * centre + np.sin(angle) * side / np.linalg.norm(side))
    outputs, gradients = run(x, w, bias, label, step, **loss_of(name))
    at = {"data": x.astype(np.float64), "fc7_weight": w.astype(np.float64), "fc7_bias": bias.astype(np.float64)}

    def total(**changed):
        now = dict(at, **changed)
        return exact(name, now["data"], now["fc7_weight"], now["fc7_bias"], label, step)

    cross_entropy, summed = total()
    assert list(outputs)[:3] == ["embedding_output", "softmax_output", "ce_loss_output"]
    assert outputs["ce_loss_output"] == pytest.approx([cross_entropy], rel=1e-5, abs=1e-5)
    terms = sum(value for output, value in outputs.items() if output in ("intra_loss_output", "inter_loss_output"))
    assert terms == pytest.approx(summed - cross_entropy, rel=1e-5, abs=1e-6)
    for argument, gradient in gradients.items():
        expected = central(lambda value, argument=argument: total(**{argument: value})[1], at[argument])
        assert gradient == pytest.approx(expected, rel=2e-3, abs=2e-4 * np.abs(expected).max()), argument


@pytest.mark.parametrize("term", ["intra", "inter"])
def test_each_term_alone(term):
    """Beside a softmax whose gradient is thousands of times larger a term's error could hide: here is its own part."""
    rng = np.random.RandomState(2)
    x, w = rng.normal(size=(5, 8)).astype(np.float32), rng.normal(size=(7, 8)).astype(np.float32)
    label = np.array([0, 3, 3, 1, 6])
    _, without = run(x, w, None, label, loss_s=1.0)
    _, both = run(x, w, None, label, loss_s=1.0, **{f"{term}_weight": 3.0})

    def formula(x, w):
        unit_x, unit_w = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, w))
        if term == "intra":
            return np.mean([np.arccos(unit_x[i] @ unit_w[y]) for i, y in enumerate(label)]) / np.pi
        return -np.mean([np.arccos(unit_w[y] @ unit_w[j]) for y in label for j in range(7) if j != y]) / np.pi

    x, w = x.astype(np.float64), w.astype(np.float64)
    for name, expected in (("data", central(lambda v: formula(v, w), x)),
                           ("fc7_weight", central(lambda v: formula(x, v), w))):
        assert both[name] - without[name] == pytest.approx(3 * expected, abs=1e-6)


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5])
def test_multiplicative_margin(m):
    """Over the whole circle, the bounds of the pieces included."""
    theta = np.append(np.linspace(0, np.pi, 721), np.arange(m + 1) * np.pi / m)
    cosine = np.cos(theta).astype(np.float32)
    out = margins.multiplicative(mx.sym.Variable("c"), m).bind(mx.cpu(), {"c": mx.nd.array(cosine)}).forward()[0]
    assert out.asnumpy() == pytest.approx(psi(np.arccos(cosine.astype(np.float64)), m), abs=2e-4)


def check_finite(name, x, w, label, step=0):
    outputs, gradients = run(x, w, np.zeros(len(w)), label, step, trace_angles=True,
                             **{key: value for key, value in loss_of(name).items() if key != "trace_angles"})
    for output, value in {**outputs, **gradients}.items():
        assert np.isfinite(value).all(), output


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["equal", "opposite", "all centres alike", "centres opposite", "zero embeddings",
                                  "zero centres", "all zero", "collapsed", "one class"])
def test_finite_everywhere(name, case):
    rng = np.random.RandomState(0)
    x, w = rng.normal(size=(32, 256)).astype(np.float32), rng.normal(0, 0.3, (20, 256)).astype(np.float32)
    label = rng.randint(0, 20, 32)
    if case == "equal":  # float32 normalisation takes some of these above 1
        x = w[label] * 3
    elif case == "opposite":
        x = -w[label]
    elif case == "all centres alike":
        w[:] = w[0]
    elif case == "centres opposite":
        w[1::2] = -w[::2]
    elif case == "zero embeddings":
        x[:] = 0
    elif case == "zero centres":
        w[:] = 0
    elif case == "all zero":
        x[:], w[:] = 0, 0
    elif case == "collapsed":
        x[:], w[:] = x[0], x[0]
    elif case == "one class":
        w, label = w[:1], np.zeros(32)
    check_finite(name, x, w, label, 10 ** 6)


VECTORS = st.integers(1, 4).flatmap(lambda size: st.tuples(
    arrays_of.arrays(np.float32, (3, size), elements=st.integers(-1, 1).map(float)),
    arrays_of.arrays(np.float32, (4, size), elements=st.integers(-1, 1).map(float))))


@settings(max_examples=40, deadline=None)
@given(vectors=VECTORS, size=st.sampled_from([1e-30, 1e-6, 1.0, 1e6]), weight_size=st.sampled_from([1e-6, 1.0]),
       name=st.sampled_from(["arcface-intra-inter", "ns-intra-inter", "sphereface-m4", "sphereface", "softmax"]))
def test_finite_for_vectors_that_coincide_oppose_or_vanish(vectors, size, weight_size, name):
    x, w = vectors
    check_finite(name, x * np.float32(size), w * np.float32(weight_size), np.array([0, 1, 3]), 10 ** 6)


def test_target_cosine_is_blocked():
    rng = np.random.RandomState(3)
    x, w, label = rng.normal(size=(4, 5)), rng.normal(size=(3, 5)), np.array([0, 2, 1, 1])
    outputs, gradients = run(x, w, None, label, loss_m2=0.5, trace_angles=True)
    _, without = run(x, w, None, label, loss_m2=0.5)
    wanted = [a @ w[y] / np.linalg.norm(a) / np.linalg.norm(w[y]) for a, y in zip(x, label)]
    assert outputs["target_cosine_output"] == pytest.approx(wanted, abs=1e-6)
    for name in gradients:
        np.testing.assert_array_equal(gradients[name], without[name])


def test_no_array_of_all_centres_by_all_others():
    """Inter-Loss with 85,742 identities: the largest array has a row for each image or for each centre."""
    symbol = objective.training_symbol(mx.sym.Variable("data"), 85742, loss_m2=0.5, inter_weight=1.0, emb_size=512)
    _, shapes, _ = symbol.get_internals().infer_shape(data=(64, 512), softmax_label=(64,))
    assert {shape for shape in shapes if len(shape) > 1} == {(64, 512), (85742, 512), (64, 85742), (64, 1)}


def test_every_row_of_table_2_is_a_loss(shared):
    rows = json.loads((shared / "reference" / "tables.json").read_text())["table2"]["rows"]
    count = Counter(loss.table2 for loss in LOSSES.values() if loss.table2)
    assert set(count) == set(rows) and set(count.values()) == {1}


def test_flags_reach_the_head():
    flags = {"loss_m2": 0.4, "intra_weight": 0.5, "sphere_lambda_min": 7.0, "trace_angles": True}
    given = loss_settings(build("y1", "arcface-inter", "orl", flags))
    assert {name: given[name] for name in flags} == flags and given["inter_weight"] == 1.0
    assert "table2" not in given


@pytest.mark.parametrize("loss, flags, wanted", [
    ("arcface", {"loss_m2": float("nan")}, "--loss-m2 nan"),
    ("arcface", {"loss_s": float("inf")}, "--loss-s inf"),
    ("ns-intra", {"intra_weight": -1.0}, "--intra-weight -1.0: cannot be negative"),
    ("sphereface-m4", {"loss_m1": 1.35}, "--loss-m1 1.35.*whole number"),
    ("sphereface-m4", {"loss_m1": 0.0}, "--loss-m1 0.0.*whole number"),
    ("sphereface-m4", {"sphere_lambda_decay": -1.0}, "--sphere-lambda-decay -1.0: cannot be negative"),
])
def test_numbers_that_cannot_be_meant(loss, flags, wanted):
    with pytest.raises(Failure, match=wanted):
        build("y1", loss, "orl", flags)
