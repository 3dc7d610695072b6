"""Intervals and tests against loops that repeat pairs one by one, and against SciPy."""
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from eval.measures import pairs, uncertainty

pytestmark = pytest.mark.filterwarnings("error")


def people(count, images, random):
    """Genuine pairs within and impostor pairs between `count` people; right answers that go by the person."""
    ends = [(one, one) for one in range(count) for _ in range(images)]
    ends += [tuple(random.choice(count, 2, replace=False)) for _ in range(count * images)]
    return np.array(ends)


def test_draws_of_identities_are_what_a_loop_repeats():
    ends = np.array([[7, 7], [7, 3], [3, 3], [9, 3], [9, 9], [7, 9], [9, 9]])
    weights = np.concatenate(list(uncertainty.draws(7, ends, replicates=50, seed=4)))
    assert weights.shape == (50, 7)
    drawn = np.random.default_rng(4).integers(0, 3, (50, 3))  # the same numbers, read one by one
    for row, own in zip(weights, drawn):
        people_drawn = [(3, 7, 9)[one] for one in own]
        for weight, (first, second) in zip(row, ends):
            assert weight == (people_drawn.count(first) if first == second else
                              people_drawn.count(first) * people_drawn.count(second))


def test_draws_of_pairs_come_in_blocks_of_any_size(monkeypatch):
    monkeypatch.setattr(uncertainty, "BLOCK", 20)
    blocks = list(uncertainty.draws(6, replicates=11, seed=1))
    assert [len(block) for block in blocks] == [3, 3, 3, 2]
    assert all((block.sum(axis=1) == 6).all() for block in blocks)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 12), st.booleans())
def test_the_interval_is_that_of_a_loop(seed, values, by_identity):
    random = np.random.RandomState(seed)
    ends = people(5, 3, random) if by_identity else None
    issame = np.arange(30) < 15
    dist = (random.randint(0, values, 30) / 4).astype(np.float32)  # many ties

    def auc(weights):
        return np.array([roc_auc_score(issame, -dist, sample_weight=row)
                         if row[issame].sum() and row[~issame].sum() else math.nan for row in weights])
    def both(rows):
        return 0 < issame[rows].sum() < len(rows)
    plain = {uncertainty.share(dist): lambda rows: np.mean(dist[rows]) if len(rows) else math.nan,
             pairs.weighted_eer(dist, issame):
                 lambda rows: pairs.eer(dist[rows], issame[rows]) if both(rows) else math.nan,
             auc: lambda rows: roc_auc_score(issame[rows], -dist[rows]) if both(rows) else math.nan}
    for measure, of_rows in plain.items():
        found = uncertainty.interval(measure, 30, ends, replicates=40, level=0.9, seed=seed)
        looped = [of_rows(np.repeat(np.arange(30), row.astype(int)))
                  for row in np.concatenate(list(uncertainty.draws(30, ends, 40, seed)))]
        assert found.unit == ("identity" if by_identity else "pair") and found.method == "bootstrap"
        wanted = np.nanpercentile(np.array(looped, float), [5, 95])
        assert (found.low, found.high) == pytest.approx(tuple(wanted), abs=1e-6)


def test_people_that_recur_make_a_wider_interval():
    random = np.random.RandomState(0)
    ends = people(40, 25, random)
    difficult = random.rand(40) < 0.3
    right = ~difficult[ends].any(axis=1)
    by_pair = uncertainty.accuracy_interval(right)
    by_identity = uncertainty.accuracy_interval(right, ends=ends)
    assert by_identity.high - by_identity.low > 4 * (by_pair.high - by_pair.low)
    normal = 1.96 * math.sqrt(right.mean() * (1 - right.mean()) / len(right))
    assert by_pair.low == pytest.approx(right.mean() - normal, abs=0.004)
    assert by_pair.high == pytest.approx(right.mean() + normal, abs=0.004)


def test_identities_count_as_known_where_one_occurs_in_two_pairs():
    assert uncertainty.known(None) is None
    assert uncertainty.known(np.zeros((0, 2), int)) is None
    assert uncertainty.known(np.array([[0, 0], [1, 2], [3, 3]])) is None
    assert uncertainty.known(np.array([[0, 0], [0, 1]])) is not None


def test_an_accuracy_without_an_error_has_the_exact_interval():
    found = uncertainty.accuracy_interval(np.ones(20, bool))
    wanted = binomtest(20, 20).proportion_ci(method="exact")
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high)) and found.method == "exact"
    ends = np.array([[0, 0], [1, 1], [2, 2], [0, 1]] * 5)
    found = uncertainty.accuracy_interval(np.zeros(20, bool), ends=ends)
    wanted = binomtest(0, 3).proportion_ci(method="exact")
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high)) and found.unit == "identity"


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (5, 5), (2, 9), (1, 1)])
def test_the_exact_interval_is_scipys(hits, trials):
    wanted = binomtest(hits, trials).proportion_ci(0.9, "exact")
    assert uncertainty.exact_interval(hits, trials, 0.9) == pytest.approx((wanted.low, wanted.high))


def test_what_has_no_interval_says_why():
    assert uncertainty.exact_interval(0, 0) == (0, 1)
    nothing = uncertainty.accuracy_interval(np.zeros(0, bool))
    assert (nothing.low, nothing.high, nothing.reason) == (None, None, "fewer than two pairs")
    one = uncertainty.accuracy_interval(np.array([True, False]), ends=np.array([[4, 4], [4, 4]]))
    assert (one.low, one.reason) == (None, "fewer than two identities")
    kind = uncertainty.interval(pairs.weighted_eer(np.arange(4.0), np.ones(4, bool)), 4)
    assert (kind.low, kind.reason) == (None, "most draws lack a kind of pair")


def test_the_paired_bootstrap_sees_what_two_intervals_do_not():
    random = np.random.RandomState(2)
    first = random.rand(2000) < 0.9
    second = first & (random.rand(2000) < 0.99)  # one in a hundred more is wrong
    found = uncertainty.difference(uncertainty.share(first), uncertainty.share(second), 2000)
    assert found.value == pytest.approx(first.mean() - second.mean())
    values = np.concatenate([weights @ first / 2000 - weights @ second / 2000 for weights in uncertainty.draws(2000)])
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))
    assert found.p == pytest.approx(min(1, 2 * (1 + sum(values <= 0)) / 1001)) and found.p < 0.01
    low, high = [uncertainty.accuracy_interval(one) for one in (first, second)]
    assert low.low < high.high  # the two intervals overlap
    back = uncertainty.difference(uncertainty.share(second), uncertainty.share(first), 2000)
    assert back.p == found.p and back.value == -found.value


def test_networks_that_agree_do_not_differ():
    right = np.arange(50) % 7 > 0
    found = uncertainty.difference(uncertainty.share(right), uncertainty.share(right), 50)
    assert (found.value, found.interval.low, found.interval.high, found.p) == (0, 0, 0, 1)
    lonely = uncertainty.difference(uncertainty.share(right[:1]), uncertainty.share(right[:1]), 1)
    assert lonely.p is None and lonely.interval.reason == "fewer than two pairs"


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 5))
def test_mcnemar_is_scipys_binomial_test_and_a_sum_of_fractions(first_alone, second_alone, alike):
    first = np.array([True] * first_alone + [False] * second_alone + [True, False] * alike, bool)
    second = np.array([False] * first_alone + [True] * second_alone + [True, False] * alike, bool)
    found, both = uncertainty.mcnemar(first, second), first_alone + second_alone
    assert (found.first, found.second) == (first_alone, second_alone)
    tail = sum(Fraction(math.comb(both, hits), 2**both) for hits in range(min(first_alone, second_alone) + 1))
    assert found.p == pytest.approx(float(min(Fraction(1), 2 * tail)))
    if both:
        assert found.p == pytest.approx(binomtest(first_alone, both).pvalue)


def test_mcnemar_refuses_other_pairs():
    with pytest.raises(ValueError, match="the same pairs"):
        uncertainty.mcnemar([True], [True, False])
