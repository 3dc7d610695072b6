"""Folds of pairs against scikit-learn's, and dealing, whose shares are computed by hand."""
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from datasets.formats.folds import are_even, deal, fold_counts, usable_folds
from eval.measures.pairs import auc, kfold_accuracy


def shares(issame, folds):
    """Return (genuine, impostor) of each fold, by scikit-learn."""
    if folds == 1:
        return [(sum(issame), len(issame) - sum(issame))]
    return [(sum(bool(issame[pair]) for pair in test), sum(not issame[pair] for pair in test))
            for _, test in KFold(folds, shuffle=False).split(np.zeros(len(issame)))]


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 60))
def test_counts_are_those_of_scikit_learn(issame, folds):
    folds = min(folds, len(issame))
    assert list(map(tuple, fold_counts(issame, folds).T)) == shares(issame, folds)


def test_each_fold_gets_its_share_of_both_kinds():
    """For every number of pairs of either kind, all genuine pairs first: the floor or the ceiling of a tenth."""
    for genuine in range(45):
        for impostors in range(max(0, 10 - genuine), 45):
            issame = np.arange(genuine + impostors) < genuine
            order = deal(issame, 10)
            assert sorted(order) == list(range(len(issame)))
            for total, counts in zip((genuine, impostors), zip(*shares(issame[order], 10))):
                assert set(counts) <= {math.floor(total / 10), math.ceil(total / 10)}, (genuine, impostors)


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 12))
def test_dealing_in_any_order(issame, folds):
    folds, issame = min(folds, len(issame)), np.array(issame)
    order = deal(issame, folds)
    assert sorted(order) == list(range(len(issame)))
    for counts in zip(*shares(issame[order], folds)):
        assert max(counts) - min(counts) <= 1
    assert all((np.diff(part) > 0).all() for part in np.array_split(order, folds))
    assert are_even(issame[order], folds)
    assert (deal(issame, folds) == order).all()


def test_neighbours_go_to_different_folds():
    order = deal(np.arange(60) < 30, 10)
    assert [sorted(part) for part in np.split(order, 10)] == [
        [fold + start for start in (0, 10, 20, 30, 40, 50)] for fold in range(10)]


def test_even():
    assert are_even([True, False] * 20, 10)
    assert are_even([True, True, False] * 10, 10)
    assert are_even([True, False] * 10 + [True], 10)
    assert not are_even([True] * 20 + [False] * 20, 10)


@pytest.mark.parametrize(("issame", "most", "folds"), [
    ([True, False] * 10, 9, 9), ([True] * 5 + [False] * 5, 9, None), ([True, False, False] * 3, 9, 3),
    ([True] * 9, 9, None), ([True, False], 1, None), ([True, False, True, True], 9, None)])
def test_folds_that_can_be_used(issame, most, folds):
    assert usable_folds(issame, most) == folds


def test_pairs_that_are_separated_without_an_error():
    """300 pairs, the genuine ones first, one person's eight hard pairs together: 0.973 as they lie, 1.0 when dealt."""
    rng = np.random.RandomState(0)
    genuine, impostor = rng.uniform(0.3, 1.0, 150), rng.uniform(1.3, 2.0, 150)
    genuine[92:100] = np.linspace(1.101, 1.108, 8)
    dist, issame = np.concatenate([genuine, impostor]), np.arange(300) < 150
    assert genuine.max() < impostor.min()
    assert auc(dist, issame) == 1.0
    assert kfold_accuracy(dist, issame)[0].mean() == pytest.approx(292 / 300)
    order = deal(issame, 10)
    assert kfold_accuracy(dist[order], issame[order])[0].mean() == 1.0
