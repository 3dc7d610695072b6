"""Folds of a list of pairs: how many pairs of each kind a fold has, and dealing pairs over folds.

Folds are consecutive parts, as `numpy.array_split` and scikit-learn's KFold without shuffling make them: of 23 pairs
and 10 folds, the first 3 folds have 3 pairs and the others have 2.
"""
import numpy as np

FOLDS = 10  # what eval/verification.py takes by default
MOST_TRIED = 100  # folds, in the search for a number that fits a set


def fold_counts(issame, folds):
    """Count the pairs of each kind in each fold.

    Parameters
    ----------
    issame : array of bool, shape (N,)
    folds : int

    Returns
    -------
    ndarray of int64, shape (2, folds)
        Genuine pairs, impostor pairs.
    """
    parts = np.array_split(np.asarray(issame, bool), folds)
    return np.array([[np.sum(part) for part in parts], [np.sum(~part) for part in parts]], np.int64)


def are_even(issame, folds):
    """Whether all folds have the same number of genuine pairs and of impostor pairs, give or take one pair."""
    return bool((np.ptp(fold_counts(issame, folds), axis=1) <= 1).all())


def usable_folds(issame, most):
    """Return the largest number of folds, from 2 to `most`, that all have pairs of both kinds; None if none is."""
    issame = np.asarray(issame, bool)
    most = min(most, issame.sum(), (~issame).sum(), MOST_TRIED)
    return next((folds for folds in range(most, 1, -1) if fold_counts(issame, folds).all()), None)


def deal(issame, folds):
    """Deal pairs over folds as cards are dealt: the next pair of a kind goes to the next fold.

    Each fold gets the same number of genuine pairs and of impostor pairs, give or take one pair. The hard pairs of one
    person, which lie together in most lists, end up in different folds. Otherwise the threshold of the fold that has
    them would come from easier pairs alone.

    Parameters
    ----------
    issame : array of bool, shape (N,)
    folds : int
        At most N.

    Returns
    -------
    ndarray of int64, shape (N,)
        The pairs' numbers in their new order. Within a fold they ascend.
    """
    issame = np.asarray(issame, bool)
    sizes = np.array([len(part) for part in np.array_split(issame, folds)])
    total = int(issame.sum())
    # A fold has room for 0, 1 or 2 pairs beyond the whole shares. For 2, it gets one of each kind. For 1, of either.
    room = sizes - total // folds - (len(issame) - total) // folds
    genuine = total // folds + (room == 2)
    either = np.flatnonzero(room == 1)
    left = total - genuine.sum()
    genuine[either] += np.arange(len(either)) * left % max(len(either), 1) < left  # spread evenly
    fold = np.empty(len(issame), np.int64)
    for same, counts in ((True, genuine), (False, sizes - genuine)):
        rounds = np.concatenate([np.arange(count) for count in counts])
        fold[issame == same] = np.repeat(np.arange(folds), counts)[np.argsort(rounds, kind="stable")]
    return np.argsort(fold, kind="stable")
