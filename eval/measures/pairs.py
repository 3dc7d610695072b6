"""Measures of pair verification: k-fold accuracy, TAR at a given FAR, the ROC curve. NumPy and scikit-learn alone.

A pair is *genuine* (both images show one person) or an *impostor*; it is called the same when its distance is
less than a threshold. FAR is the share of impostors called the same, TAR that of genuine pairs. All counts come
from sorted distances, and equal those of a loop over thresholds and pairs.
"""
import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.preprocessing import normalize

FAR = 1e-3
"""The false accept rate at which verification files are judged."""
ACCURACY_THRESHOLDS = np.arange(0, 4, 0.01)  # squared distances of unit vectors lie in 0…4
TAR_THRESHOLDS = np.arange(0, 4, 0.001)


def distances(first, second):
    """Return the squared Euclidean distances between embeddings after L2 normalisation.

    Everything is computed in the type of the embeddings, as the original does, so float32 gives float32.

    Parameters
    ----------
    first, second : array, shape (N, D)
        Embeddings of any norm. A zero vector stays zero.

    Returns
    -------
    array, shape (N,)
        0 (same direction) to 4 (opposite).
    """
    if len(first) == 0:
        return np.zeros(0, np.asarray(first).dtype)
    return np.sum(np.square(normalize(first) - normalize(second)), axis=1)


def _checked(dist, issame, nfolds):
    """Return distances and labels as arrays, refusing what cannot be split into folds."""
    dist, issame = np.asarray(dist), np.asarray(issame, dtype=bool)
    if dist.dtype.kind != "f":
        dist = dist.astype(np.float64)
    if dist.ndim != 1 or dist.shape != issame.shape:
        raise ValueError(f"{dist.shape} distances and {issame.shape} labels: both should have shape (N,)")
    if np.ndim(nfolds) and np.shape(nfolds) != dist.shape:
        raise ValueError(f"{dist.shape} distances and folds of shape {np.shape(nfolds)}")
    if not np.ndim(nfolds) and not 1 <= nfolds <= len(dist):
        raise ValueError(f"{len(dist)} pairs do not make {nfolds} folds")
    return dist, issame


def _parts(values, nfolds):
    """Return the values of each fold: consecutive ones, or, where the fold of each pair is given, by that."""
    if not np.ndim(nfolds):
        return np.array_split(values, nfolds)
    return [values[nfolds == fold] for fold in np.unique(nfolds)]


def _below(dist, wanted, thresholds, nfolds):
    """Count the wanted pairs nearer than each threshold: on each fold, and on the others of each fold.

    Folds are consecutive, as by scikit-learn's KFold without shuffling. One fold is judged by itself.

    Returns
    -------
    two int arrays, shape (nfolds, T)
    """
    # NumPy 1 compares an array with a threshold in the array's type; so did the original, and so do we.
    thresholds = thresholds.astype(dist.dtype)
    folds = zip(_parts(dist, nfolds), _parts(wanted, nfolds))
    test = np.stack([np.searchsorted(np.sort(d[w]), thresholds, side="left") for d, w in folds])
    return test, (test.sum(axis=0) - test if len(test) > 1 else test)


def _sizes(wanted, nfolds):
    """Count the wanted pairs on each fold and on the others of each fold: two int arrays, shape (nfolds,)."""
    test = np.array([part.sum() for part in _parts(wanted, nfolds)])
    return test, (test.sum() - test if len(test) > 1 else test)


def _share(part, whole):
    """Divide counts; NaN where there is nothing to count."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def kfold_accuracy(dist, issame, nfolds=10):
    """Return the accuracy of each fold at the threshold that is best on the others.

    Thresholds are 0, 0.01, …, 3.99; of equally good ones the first is taken.

    Parameters
    ----------
    dist : array, shape (N,)
        Distances, compared in their own floating type.
    issame : array of bool, shape (N,)
    nfolds : int or array of int, shape (N,)
        A number of folds, which are consecutive, as by KFold(nfolds, shuffle=False); or the fold of each pair.

    Returns
    -------
    accuracies, thresholds : float arrays, one number for each fold
        In ascending order of the folds' numbers, where these are given.

    Raises
    ------
    ValueError
        Fewer pairs than folds, or shapes that do not fit.
    """
    dist, issame = _checked(dist, issame, nfolds)
    genuine, genuine_others = _below(dist, issame, ACCURACY_THRESHOLDS, nfolds)
    impostor, impostor_others = _below(dist, ~issame, ACCURACY_THRESHOLDS, nfolds)
    # Right are genuine pairs below and impostors not below: up to a constant, the difference of the two counts.
    best = np.argmax(genuine_others - impostor_others, axis=1)
    fold = np.arange(len(best))
    impostors, _ = _sizes(~issame, nfolds)
    pairs, _ = _sizes(np.ones_like(issame), nfolds)
    right = genuine[fold, best] + impostors - impostor[fold, best]
    return right / pairs, ACCURACY_THRESHOLDS[best]


def kfold_tar(dist, issame, far=1e-3, nfolds=10):
    """Return TAR at a FAR: on each fold, at the threshold where the FAR of the others is `far`.

    Thresholds are 0, 0.001, …, 3.999. Between two neighbouring ones the FAR is taken to be linear, so with i the
    last threshold whose FAR on the other folds is at most `far`, the one used lies between thresholds i and i+1.
    That fixes what a FAR repeated over a run of thresholds means: the run's last threshold counts below and at
    `far`, its first above. Where even the largest FAR is less than `far`, the threshold is 0.

    Parameters
    ----------
    dist, issame, nfolds
        As for `kfold_accuracy`.
    far : float
        The false accept rate asked for.

    Returns
    -------
    tar, tar_std, far : float
        Means over the folds, and the deviation of TAR. NaN where a fold has no pairs to compute its rate from, or
        its threshold (see `unknown_rates` for the reason).

    Raises
    ------
    ValueError
        Fewer pairs than folds, or shapes that do not fit.
    """
    dist, issame = _checked(dist, issame, nfolds)
    _, accepted_others = _below(dist, ~issame, TAR_THRESHOLDS, nfolds)
    _, impostors_others = _sizes(~issame, nfolds)
    tars, fars = np.full(nfolds, np.nan), np.full(nfolds, np.nan)
    folds = zip(np.array_split(dist, nfolds), np.array_split(issame, nfolds))
    for fold, (test, same) in enumerate(folds):
        if not impostors_others[fold]:
            continue
        rates = accepted_others[fold] / impostors_others[fold]
        threshold = np.interp(far, rates, TAR_THRESHOLDS) if rates[-1] >= far else 0.0
        below = test < test.dtype.type(threshold)
        tars[fold] = _share(np.sum(below & same), np.sum(same))
        fars[fold] = _share(np.sum(below & ~same), np.sum(~same))
    return float(tars.mean()), float(tars.std()), float(fars.mean())


def unknown_rates(issame, nfolds=10):
    """Return why `kfold_tar` cannot give its TAR and its FAR on such a set: two texts, empty where it can."""
    issame = np.asarray(issame, dtype=bool)
    genuine, _ = _sizes(issame, nfolds)
    impostors, others = _sizes(~issame, nfolds)

    def lacking(kind, counts):
        folds = [str(fold + 1) for fold in np.flatnonzero(counts == 0)]
        if not counts.any():
            return f"the set has no {kind} pairs"
        return f"fold{'s' * (len(folds) > 1)} {', '.join(folds)} without {kind} pairs" if folds else ""

    if not others.all():  # there is no FAR to choose a threshold by
        reason = f"only fold {np.argmax(impostors) + 1} has impostor pairs" if impostors.any() else \
            "the set has no impostor pairs"
        return reason, reason
    return lacking("genuine", genuine), lacking("impostor", impostors)


def roc(dist, issame):
    """Return the ROC curve of distances: (far, tar, thresholds), by scikit-learn's roc_curve.

    A pair is called the same at threshold t when its distance is at most t; the first, −inf, accepts none.

    Raises
    ------
    ValueError
        The set is empty or has pairs of one kind only.
    """
    issame = np.asarray(issame, dtype=bool)
    if issame.all() or not issame.any():
        raise ValueError("a ROC curve needs genuine and impostor pairs")
    far, tar, thresholds = roc_curve(issame, -np.asarray(dist))
    return far, tar, -thresholds


def auc(dist, issame):
    """Return the area under the ROC curve; NaN where the set has pairs of one kind only."""
    issame = np.asarray(issame, dtype=bool)
    if issame.all() or not issame.any():
        return float("nan")
    return float(roc_auc_score(issame, -np.asarray(dist)))


def judged_right(dist, issame, thresholds):
    """Return which pairs `kfold_accuracy` judges rightly: a pair is called the same below its fold's threshold.

    Parameters
    ----------
    dist, issame
        As for `kfold_accuracy`.
    thresholds : float array, shape (nfolds,)
        From `kfold_accuracy`.

    Returns
    -------
    right : array of bool, shape (N,)
        A pair whose distance equals the threshold is called different.
    shares : float64 array, shape (N,)
        What each pair counts in the mean over the folds: ``right @ shares`` is the accuracy. Shares add up to 1.
    """
    dist, issame = _checked(dist, issame, len(thresholds))
    sizes = [len(part) for part in np.array_split(issame, len(thresholds))]
    limits = np.repeat(np.asarray(thresholds).astype(dist.dtype), sizes)
    return (dist < limits) == issame, np.repeat(1 / (len(sizes) * np.array(sizes, float)), sizes)


def eer(dist, issame):
    """Return the equal error rate: where FAR equals the share of genuine pairs that are called different.

    Thresholds lie at the distances. All pairs of one distance are accepted together, so a tie between a genuine and an
    impostor pair is one step of the ROC curve. Between two steps the curve is taken to be straight.

    Parameters
    ----------
    dist : array, shape (N,)
    issame : array of bool, shape (N,)

    Returns
    -------
    float
        0 (all genuine pairs are nearer than all impostor pairs) to 1. NaN where the set lacks one kind of pair.
    """
    return float(weighted_eer(dist, issame)(np.ones((1, len(dist))))[0])


def weighted_eer(dist, issame):
    """Return a function from weights of the pairs, shape (B, N), to the `eer` under each row of them, shape (B,).

    A pair of weight 2 counts as two pairs, one of weight 0 as none. A row where one kind of pair has no weight gives
    NaN. The pairs are sorted once for all rows.
    """
    dist, issame = np.asarray(dist), np.asarray(issame, dtype=bool)
    order = np.argsort(dist, kind="stable")
    same, steps = issame[order], np.flatnonzero(np.append(np.diff(dist[order]) != 0, True)[:len(dist)])

    def rates(weights, wanted):
        """Return the share of the wanted pairs that each step accepts, from none to all: (B, steps + 1)."""
        sums = np.cumsum(weights * wanted, axis=1)[:, steps]
        sums = np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)
        with np.errstate(invalid="ignore"):
            return sums / sums[:, -1:]

    def measure(weights):
        if not issame.any() or issame.all():
            return np.full(len(weights), np.nan)
        weights = np.asarray(weights, float)[:, order]
        far, missed = rates(weights, ~same), 1 - rates(weights, same)
        apart = missed - far  # falls from 1 to −1, never rises
        rows, after = np.arange(len(far)), np.argmax(apart <= 0, axis=1)
        before = np.maximum(after - 1, 0)
        gap, step = apart[rows, before], far[rows, after] - far[rows, before]
        with np.errstate(invalid="ignore", divide="ignore"):
            return far[rows, before] + step * gap / (gap - apart[rows, after])
    return measure
