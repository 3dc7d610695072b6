"""Verification by loops over folds and thresholds, straight from the protocol, to check `eval.measures.pairs`.

Distances are compared with thresholds in the distances' own type, as NumPy 1 did it for the original.
"""
import numpy as np

from eval.measures.pairs import ACCURACY_THRESHOLDS, TAR_THRESHOLDS


def _folds(pairs, nfolds):
    """Yield the pairs of each fold and those of the others; folds are consecutive."""
    for test in np.array_split(np.arange(pairs), nfolds):
        yield test, np.setdiff1d(np.arange(pairs), test)


def accuracy(dist, issame, nfolds=10):
    """Return what `eval.measures.pairs.kfold_accuracy` does: each fold's accuracy at the threshold that is best on the
    others, the first one on a tie, and that threshold.
    """
    accuracies, chosen = [], []
    for test, others in _folds(len(dist), nfolds):
        others_dist, others_same = dist[others], issame[others]
        best, threshold = -1.0, None
        for candidate in ACCURACY_THRESHOLDS:
            right = np.mean((others_dist < dist.dtype.type(candidate)) == others_same)
            if right > best:
                best, threshold = right, candidate
        accuracies.append(np.mean((dist[test] < dist.dtype.type(threshold)) == issame[test]))
        chosen.append(threshold)
    return np.array(accuracies), np.array(chosen)


def tar(dist, issame, far=1e-3, nfolds=10):
    """Return what `eval.measures.pairs.kfold_tar` does: mean and deviation of TAR, and mean FAR, at the threshold where
    the FAR of the other folds is `far`, interpolated between neighbouring thresholds; 0 where it is never reached.
    """
    tars, fars = [], []
    for test, others in _folds(len(dist), nfolds):
        impostors = dist[others][~issame[others]]
        rates = [np.mean(impostors < dist.dtype.type(candidate)) for candidate in TAR_THRESHOLDS]
        threshold = 0.0
        if rates[-1] >= far:
            last = max(row for row, rate in enumerate(rates) if rate <= far)
            threshold = TAR_THRESHOLDS[last]
            if rates[last] < far:
                slope = (TAR_THRESHOLDS[last + 1] - threshold) / (rates[last + 1] - rates[last])
                threshold = slope * (far - rates[last]) + threshold
        called_same = dist[test] < dist.dtype.type(threshold)
        tars.append(np.mean(called_same[issame[test]]))
        fars.append(np.mean(called_same[~issame[test]]))
    return float(np.mean(tars)), float(np.std(tars)), float(np.mean(fars))
