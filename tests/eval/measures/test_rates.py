import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, roc_curve

from eval.measures import rates

FARS = [0, 1e-6, 1e-4, 1e-3, 1e-2, 0.05, 0.1, 0.3, 0.5, 1]


@st.composite
def pairs(draw, both=True):
    """Scores on a coarse grid, so that there are ties, of float32 or float64, with labels."""
    count = draw(st.integers(2 if both else 0, 60))
    steps = draw(st.sampled_from([2, 5, 40, 1000]))
    scores = draw(st.lists(st.integers(0, steps), min_size=count, max_size=count))
    issame = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    if both:
        issame[:2] = [True, False]
    kind = draw(st.sampled_from([np.float32, np.float64]))
    return np.array(scores, kind) / kind(steps), np.array(issame, bool)


def nearest_by_loop(scores, issame, rate):
    """The original's reading, point by point."""
    far, tar, _ = roc_curve(issame, scores)
    best = None
    for x, y in zip(far, tar):
        key = (abs(x - rate), -x, -y)
        if best is None or key < best[0]:
            best = key, y
    return best[1]


def strict_by_loop(scores, issame, rate):
    """Every threshold tried: each score, and one above all."""
    genuine, impostors = scores[issame], scores[~issame]
    return max(sum(s >= t for s in genuine) / len(genuine) for t in [*scores, np.inf]
               if sum(s >= t for s in impostors) / len(impostors) <= rate)


@given(pairs())
@settings(deadline=None, max_examples=150)
def test_against_scikit_learn_and_a_loop(case):
    scores, issame = case
    far, tar, thresholds = roc_curve(issame, scores)
    curve = rates.roc(scores, issame)
    np.testing.assert_array_equal(curve.far, far)
    np.testing.assert_array_equal(curve.tar, tar)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    whole = rates.roc(scores, issame, drop_collinear=False)
    np.testing.assert_array_equal(whole.far, roc_curve(issame, scores, drop_intermediate=False)[0])
    assert rates.area(curve) == pytest.approx(auc(far, tar), abs=1e-12)
    assert rates.area(whole) == pytest.approx(auc(far, tar), abs=1e-12)
    np.testing.assert_array_equal(rates.tar_original(scores, issame, FARS),
                                  [nearest_by_loop(scores, issame, rate) for rate in FARS])
    np.testing.assert_array_equal(rates.tar_strict(scores, issame, FARS),
                                  [strict_by_loop(scores, issame, rate) for rate in FARS])


@given(pairs(both=False))
@settings(deadline=None, max_examples=50)
def test_one_kind_alone_has_no_rates(case):
    scores, issame = case
    for kind in (True, False):
        same = np.full(len(issame), kind)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.isnan(rates.tar_original(scores, same, [1e-3, 1e-2])).all()
            assert np.isnan(rates.tar_strict(scores, same, [1e-3, 1e-2])).all()
        with pytest.raises(ValueError, match="genuine and impostor"):
            rates.roc(scores, same)


def test_rates_that_divide_exactly():
    """k of n impostors are a rate of k / n, whatever the product n × rate is rounded to."""
    for count in range(1, 1200):
        for thousandths in (1, 7, 10, 70, 100, 290):
            assert rates.allowed(count, thousandths / 1000) == count * thousandths // 1000
    assert rates.allowed(1000, 1e-3) == 1
    assert rates.allowed(0, 0.5) == 0 and rates.allowed(7, 1) == 7


def test_refuses_what_cannot_be_counted():
    with pytest.raises(ValueError, match="NaN"):
        rates.tar_original(np.array([0.1, np.nan]), np.array([True, False]), [0.1])
    with pytest.raises(ValueError, match="shape"):
        rates.tar_strict(np.zeros(3), np.zeros(2, bool), [0.1])


def test_scores_stay_as_they_are():
    scores, issame = np.array([3., 1., 2., 0.]), np.array([True, False, True, False])
    rates.tar_strict(scores, issame, [0.5])
    rates.roc(scores, issame)
    assert scores.tolist() == [3, 1, 2, 0]
