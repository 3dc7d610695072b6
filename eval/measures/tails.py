"""Rates from the highest of very many scores: rank-k and TAR at FAR without all scores in memory.

MegaFace and Trillion-Pairs have billions of impostor scores. Of these, the k best of each probe give the ranks, and
one threshold for each false accept rate gives the true accept rate (`datasets.identities.tails` finds both). A score
is more when two faces are more alike.
"""
import numpy as np

from eval.measures.rates import allowed


def counts_for(total, rates):
    """Return, for each rate, which impostor score is the first that the rate does not allow.

    Parameters
    ----------
    total : int
        Impostor scores.
    rates : sequence of float

    Returns
    -------
    list of int
        From 1. For example, a rate of 1e-3 of 6,100 scores allows 6, and the first that it does not allow is the 7th.
        `total` + 1 where all are allowed; such a score does not exist and counts as −∞.
    """
    return [allowed(total, rate) + 1 for rate in rates]


def tar_strict(genuine, threshold):
    """Return the largest true accept rate of all thresholds whose false accept rate is at most the given one.

    Parameters
    ----------
    genuine : float array, shape (P,)
        Scores of genuine pairs.
    threshold : float
        The first impostor score that is not allowed. A genuine pair of the same score does not count.

    Returns
    -------
    float
        NaN where there are no genuine pairs.
    """
    return float(np.mean(genuine > threshold)) if len(genuine) else float("nan")


def tar_first_above(genuine, threshold):
    """Return the true accept rate at the first point of the ROC curve above the given false accept rate.

    Parameters and result are as for `tar_strict`. A genuine pair of the same score counts. Where no two scores are
    equal, both are the same.
    """
    return float(np.mean(genuine >= threshold)) if len(genuine) else float("nan")


def rank_rates(genuine, best, ranks, strict=False):
    """Return the share of genuine pairs whose mate is among the first k, for each k.

    Parameters
    ----------
    genuine : float64 array, shape (P,)
        Scores of pairs of a probe and its mate.
    best : float64 array, shape (P or more, K), or an index into such
        For each pair, the probe's highest impostor scores, highest first; −∞ where there are fewer.
    ranks : sequence of int
        Each from 1 to K.
    strict : bool
        Whether an impostor of the same score counts as nearer than the mate.

    Returns
    -------
    list of float
        NaN where there are no pairs.
    """
    if not len(genuine):
        return [float("nan")] * len(ranks)
    if strict:
        return [float(np.mean((best[:, rank - 1] < genuine) | np.isneginf(best[:, rank - 1]))) for rank in ranks]
    return [float(np.mean(best[:, rank - 1] <= genuine)) for rank in ranks]
