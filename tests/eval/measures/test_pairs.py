"""Measures against plain loops written from the protocol, and against scikit-learn and SciPy."""
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_curve
from sklearn.model_selection import KFold
from sklearn.preprocessing import normalize

from eval.measures import pairs as measures

pytestmark = pytest.mark.filterwarnings("error")


def folds_of(count, nfolds):
    everything = np.arange(count)
    return list(KFold(nfolds, shuffle=False).split(everything)) if nfolds > 1 else [(everything, everything)]


def plain_accuracy(dist, issame, nfolds):
    """Each fold at the threshold that is best on the others, pair by pair. Distances are compared in their own type, as
    NumPy 1 does without being asked.
    """
    own = dist.dtype.type
    accuracies, best = [], []
    for train, test in folds_of(len(dist), nfolds):
        rates = [np.mean((dist[train] < own(threshold)) == issame[train]) for threshold in np.arange(0, 4, 0.01)]
        best.append(np.arange(0, 4, 0.01)[int(np.argmax(rates))])
        accuracies.append(np.mean((dist[test] < own(best[-1])) == issame[test]))
    return accuracies, best


def plain_tar(dist, issame, far, nfolds):
    """TAR and FAR of each fold at the threshold where the others have the FAR, which is linear in between."""
    thresholds, tars, fars = np.arange(0, 4, 0.001), [], []
    own = dist.dtype.type
    for train, test in folds_of(len(dist), nfolds):
        impostors = dist[train][~issame[train]]
        if not len(impostors):
            tars.append(math.nan)
            fars.append(math.nan)
            continue
        rates = [np.count_nonzero(impostors < own(threshold)) / len(impostors) for threshold in thresholds]
        threshold = np.float64(0)
        if max(rates) >= far:
            at = max(index for index, rate in enumerate(rates) if rate <= far)
            threshold = thresholds[at]
            if at + 1 < len(thresholds):
                share = (far - rates[at]) / (rates[at + 1] - rates[at])
                threshold += share * (thresholds[at + 1] - thresholds[at])
        below, same = dist[test] < own(threshold), issame[test]
        tars.append(below[same].mean() if same.any() else math.nan)
        fars.append(below[~same].mean() if not same.all() else math.nan)
    return np.mean(tars), np.std(tars), np.mean(fars)


@st.composite
def pair_sets(draw, smallest=1):
    """Distances on the thresholds' grid or anywhere, in either float type, with labels of one kind or both."""
    count = draw(st.integers(smallest, 40))
    kind = draw(st.sampled_from([np.float32, np.float64]))
    one = draw(st.sampled_from([st.integers(0, 400).map(lambda k: k / 100), st.floats(0, 4, width=32),
                                st.sampled_from([0.0, 0.7, 1.1, 4.0])]))
    dist = np.array(draw(st.lists(one, min_size=count, max_size=count)), kind)
    same = draw(st.sampled_from([st.booleans(), st.just(True), st.just(False)]))
    issame = np.array(draw(st.lists(same, min_size=count, max_size=count)))
    if draw(st.booleans()):
        issame = np.sort(issame)  # leaves folds of one kind
    return dist, issame, draw(st.integers(1, min(count, 10)))


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(pair_sets())
def test_accuracy_equals_the_plain_loop(pairs):
    dist, issame, nfolds = pairs
    accuracies, thresholds = measures.kfold_accuracy(dist, issame, nfolds)
    wanted, best = plain_accuracy(dist, issame, nfolds)
    assert accuracies.tolist() == wanted
    assert thresholds.tolist() == best


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(pair_sets(), st.sampled_from([1e-3, 0.1, 0.25, 0.5]))
def test_tar_equals_the_plain_loop(pairs, far):
    dist, issame, nfolds = pairs
    found = measures.kfold_tar(dist, issame, far, nfolds)
    assert found == pytest.approx(plain_tar(dist, issame, far, nfolds), rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(pair_sets())
def test_what_cannot_be_computed_has_a_reason(pairs):
    dist, issame, nfolds = pairs
    tar, std, far = measures.kfold_tar(dist, issame, nfolds=nfolds)
    no_tar, no_far = measures.unknown_rates(issame, nfolds)
    assert math.isnan(tar) == math.isnan(std) == bool(no_tar)
    assert math.isnan(far) == bool(no_far)


def test_reasons():
    assert measures.unknown_rates([True] * 10) == ("the set has no impostor pairs",) * 2
    assert measures.unknown_rates([False] * 10) == ("the set has no genuine pairs", "")
    assert measures.unknown_rates([True] * 4 + [False] * 4, 4) == (
        "folds 3, 4 without genuine pairs", "folds 1, 2 without impostor pairs")
    assert measures.unknown_rates([True] * 3 + [False], 4)[0] == "only fold 4 has impostor pairs"
    assert measures.unknown_rates([True, False] * 10) == ("", "")


def test_large_sets_equal_the_plain_loop():
    rng = np.random.RandomState(0)
    issame = np.arange(1200) // 60 % 2 == 0
    dist = np.clip(rng.normal(np.where(issame, 1.2, 1.9), 0.25), 0, 4).astype(np.float32)
    accuracies, thresholds = measures.kfold_accuracy(dist, issame)
    wanted, best = plain_accuracy(dist, issame, 10)
    assert accuracies.tolist() == wanted
    assert thresholds.tolist() == best
    assert measures.kfold_tar(dist, issame) == pytest.approx(plain_tar(dist, issame, 1e-3, 10), rel=1e-12)


def test_tar_equals_scipys_interpolation_where_rates_do_not_repeat():
    # An impostor between each two thresholds in each fold makes the rates of all folds strictly increasing.
    thresholds = np.arange(0, 4, 0.001)
    impostors = np.tile((thresholds[:-1] + thresholds[1:]) / 2, 10)
    rng = np.random.RandomState(0)
    genuine = rng.uniform(0, 0.01, len(impostors))
    dist = np.stack([impostors, genuine], axis=1).ravel()
    issame = np.tile([False, True], len(impostors))
    tars, fars = [], []
    for train, test in KFold(10).split(dist):
        negatives = np.sort(dist[train][~issame[train]])
        rates = np.searchsorted(negatives, thresholds) / len(negatives)
        threshold = interp1d(rates, thresholds, kind="slinear")(1e-3)
        tars.append(np.mean(dist[test][issame[test]] < threshold))
        fars.append(np.mean(dist[test][~issame[test]] < threshold))
    tar, std, far = measures.kfold_tar(dist, issame)
    assert 0 < tar < 1
    assert (tar, std, far) == pytest.approx((np.mean(tars), np.std(tars), np.mean(fars)), rel=1e-12)


def test_tar_is_at_threshold_0_where_the_rate_is_never_reached():
    dist, issame = np.array([0.5, 3.9995] * 10), np.array([True, False] * 10)
    assert measures.kfold_tar(dist, issame) == (0, 0, 0)


def test_first_of_equal_thresholds_wins():
    dist, issame = np.array([0.105, 2.0] * 10), np.array([True, False] * 10)
    accuracies, thresholds = measures.kfold_accuracy(dist, issame)
    assert set(accuracies) == {1.0}
    assert set(thresholds) == {np.arange(0, 4, 0.01)[11]}


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_distances(kind):
    rng = np.random.RandomState(0)
    first, second = rng.normal(size=(2, 50, 16)).astype(kind)
    first[3] = 0
    found = measures.distances(first, second)
    wanted = np.square(normalize(first.astype(np.float64)) - normalize(second.astype(np.float64))).sum(axis=1)
    assert found.dtype == kind
    assert found == pytest.approx(wanted, abs=1e-6)
    assert found[3] == pytest.approx(1)
    assert measures.distances(first[:0], second[:0]).shape == (0,)


def test_roc_and_its_area():
    rng = np.random.RandomState(0)
    issame = rng.randint(0, 2, 300).astype(bool)
    dist = np.round(rng.normal(np.where(issame, 1, 1.5), 0.3), 1)
    far, tar, thresholds = measures.roc(dist, issame)
    for one_far, one_tar, threshold in zip(far, tar, thresholds):
        assert one_far == pytest.approx(np.mean(dist[~issame] <= threshold))
        assert one_tar == pytest.approx(np.mean(dist[issame] <= threshold))
    # The area is the chance that a genuine pair is nearer than an impostor, ties counting half.
    difference = dist[~issame][:, None] - dist[issame]
    assert measures.auc(dist, issame) == pytest.approx(np.mean((difference > 0) + 0.5 * (difference == 0)))


def test_roc_of_one_kind_of_pairs():
    assert math.isnan(measures.auc([1.0, 2.0], [True, True]))
    with pytest.raises(ValueError, match="genuine and impostor"):
        measures.roc([1.0, 2.0], [False, False])


@pytest.mark.parametrize("arguments", [([0.1], [True], 10), ([], [], 1), ([0.1, 0.2], [True], 1),
                                       ([[0.1]], [[True]], 1)])
def test_what_does_not_fit_is_refused(arguments):
    dist, issame, nfolds = arguments
    for measure in (measures.kfold_accuracy, measures.kfold_tar):
        with pytest.raises(ValueError, match=r"folds|shape"):
            measure(np.array(dist, float), np.array(issame, bool), nfolds=nfolds)


def plain_eer(dist, issame):
    """The crossing of both error rates on the polygon through all thresholds, in fractions."""
    genuine, impostors = [list(map(float, dist[kind])) for kind in (issame, ~issame)]
    points = [(Fraction(sum(one <= t for one in impostors), len(impostors)),
               Fraction(sum(one > t for one in genuine), len(genuine)))
              for t in [-math.inf, *sorted({*genuine, *impostors})]]
    for (far, missed), (next_far, next_missed) in zip(points, points[1:]):
        if next_missed <= next_far:
            part = (missed - far) / ((missed - far) - (next_missed - next_far))
            return float(far + part * (next_far - far))
    raise AssertionError


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({same for _, same in pairs}) == 2), st.data())
def test_eer_is_that_of_a_loop(pairs, data):
    dist, issame = np.array([one for one, _ in pairs], np.float32) / 4, np.array([same for _, same in pairs])
    assert measures.eer(dist, issame) == pytest.approx(plain_eer(dist, issame), abs=1e-12)
    # Weights are repetitions.
    times = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(dist), max_size=len(dist))))
    found, = measures.weighted_eer(dist, issame)(times[None].astype(float))
    rows = np.repeat(np.arange(len(dist)), times)
    if len({*issame[rows].tolist()}) == 2:
        assert found == pytest.approx(plain_eer(dist[rows], issame[rows]), abs=1e-12)
    else:
        assert math.isnan(found)


def test_eer_is_where_scikit_learns_curve_meets_the_diagonal():
    random = np.random.RandomState(0)
    issame = random.rand(3000) < 0.5
    dist = np.where(issame, random.normal(1, 0.4, 3000), random.normal(1.8, 0.4, 3000)).round(3)
    far, tar, _ = roc_curve(issame, -dist, drop_intermediate=False)
    wanted = brentq(lambda x: 1 - x - np.interp(x, far, tar), 0, 1)
    assert measures.eer(dist, issame) == pytest.approx(wanted, abs=1 / 1400)  # where the curve rises, interp jumps
    assert 0.1 < wanted < 0.2


def test_eer_of_sets_that_are_apart_mixed_up_or_of_one_kind():
    same = np.array([True, True, False, False])
    assert measures.eer(np.array([0.1, 0.2, 0.3, 0.4]), same) == 0
    assert measures.eer(np.array([0.3, 0.4, 0.1, 0.2]), same) == 1
    assert measures.eer(np.full(4, 0.5), same) == 0.5
    for one in (np.ones(3, bool), np.zeros(3, bool), np.zeros(0, bool)):
        assert math.isnan(measures.eer(np.arange(len(one)) / 3, one))


@pytest.mark.parametrize(("count", "nfolds"), [(60, 10), (47, 10), (20, 1), (9, 9)])
def test_pairs_judged_right_make_the_accuracy(count, nfolds):
    random = np.random.RandomState(count)
    dist, issame = random.randint(0, 40, count).astype(np.float32) / 10, random.rand(count) < 0.5
    accuracies, thresholds = measures.kfold_accuracy(dist, issame, nfolds)
    right, shares = measures.judged_right(dist, issame, thresholds)
    assert shares.sum() == pytest.approx(1) and right @ shares == pytest.approx(np.mean(accuracies))
    for (_, test), accuracy, threshold in zip(folds_of(count, nfolds), accuracies, thresholds):
        assert right[test].tolist() == ((dist[test] < np.float32(threshold)) == issame[test]).tolist()
        assert right[test].mean() == pytest.approx(accuracy)
