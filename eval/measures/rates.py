"""True accept rates at given false accept rates, from similarity scores: the original's reading, and the strict one.

A *score* is larger the more similar two faces are. A pair is accepted at a threshold when its score is at least the
threshold. FAR is the share of impostor pairs that are accepted. TAR is the share of genuine pairs that are accepted.
Pairs of equal score are accepted together in every function here.

The functions sort the scores once: 15.7 million take about three seconds.
"""
from typing import NamedTuple

import numpy as np


def rate_key(rate):
    """Return the key of a rate in results, such as "1e-04"."""
    return f"{rate:.0e}"


class Curve(NamedTuple):
    """A ROC curve.

    Attributes
    ----------
    far, tar : float64 arrays, shape (P,)
        From (0, 0), which accepts no pair, to (1, 1), which accepts all pairs. Neither ever decreases.
    thresholds : array, shape (P,)
        The lowest score that is accepted at each point. The first is +inf. Of the scores' type.
    """

    far: np.ndarray
    tar: np.ndarray
    thresholds: np.ndarray


def _checked(scores, issame):
    """Return scores and labels as arrays; refuse what cannot be counted."""
    scores, issame = np.asarray(scores), np.asarray(issame, dtype=bool)
    if scores.dtype.kind != "f":
        scores = scores.astype(np.float64)
    if scores.ndim != 1 or scores.shape != issame.shape:
        raise ValueError(f"{scores.shape} scores and {issame.shape} labels: both should have shape (N,)")
    if np.isnan(scores).any():
        raise ValueError("a score is NaN")
    return scores, issame


def _counts(scores, issame):
    """Return accepted impostors, accepted genuine pairs and threshold for each different score, highest score first.

    Sorting each kind alone and merging takes half the time of sorting an index.
    """
    impostors, genuine = np.sort(scores[~issame]), np.sort(scores[issame])
    places = np.searchsorted(impostors, genuine)
    merged = np.insert(impostors, places, genuine)[::-1]
    kind = np.zeros(len(merged), bool)
    kind[places + np.arange(len(genuine))] = True
    kind = kind[::-1]
    last = np.append(np.flatnonzero(merged[1:] != merged[:-1]), len(merged) - 1)  # of the pairs with this score
    tps = np.cumsum(kind)[last]
    return last + 1 - tps, tps, merged[last]


def roc(scores, issame, drop_collinear=True):
    """Return the ROC curve as scikit-learn's `roc_curve` gives it.

    Parameters
    ----------
    scores : float array, shape (N,)
        Compared in their own type.
    issame : array of bool, shape (N,)
    drop_collinear : bool
        Whether to leave out points between two others with the same steps on both sides, as `roc_curve` does by
        default. The area under the curve stays the same. `tar_original` depends on it.

    Returns
    -------
    Curve

    Raises
    ------
    ValueError
        The pairs are of one kind only, a score is NaN, or shapes do not fit.
    """
    scores, issame = _checked(scores, issame)
    if issame.all() or not issame.any():
        raise ValueError("a ROC curve needs genuine and impostor pairs")
    fps, tps, thresholds = _counts(scores, issame)
    if drop_collinear and len(fps) > 2:
        corner = (np.diff(fps, 2) != 0) | (np.diff(tps, 2) != 0)
        kept = np.concatenate([[0], 1 + np.flatnonzero(corner), [len(fps) - 1]])
        fps, tps, thresholds = fps[kept], tps[kept], thresholds[kept]
    infinity = np.array([np.inf], thresholds.dtype)
    return Curve(np.append(0.0, fps / fps[-1]), np.append(0.0, tps / tps[-1]), np.append(infinity, thresholds))


def area(curve):
    """Return the area under a ROC curve, as scikit-learn's `auc` does: equal scores count as half right."""
    return float(np.sum(np.diff(curve.far) * (curve.tar[1:] + curve.tar[:-1])) / 2)


def nearest_points(curve, fars):
    """Return the point of a curve whose FAR is nearest to each rate: its FAR and its TAR.

    Of points with the same FAR, the one with the largest TAR is taken. Of two FARs at the same distance, the larger is
    taken. So the FAR of the point can be above the rate that was asked for.

    Returns
    -------
    far, tar : float64 arrays, shape (len(fars),)
    """
    last = len(curve.far) - 1
    places = [last - int(np.argmin(np.abs(curve.far[::-1] - rate))) for rate in fars]
    return curve.far[places], curve.tar[places]


def tar_original(scores, issame, fars):
    """Return TAR at FARs in the reading of the original's IJB scripts: the nearest point of the ROC curve.

    The curve is scikit-learn's `roc_curve` with collinear points dropped. The point is that of `nearest_points`.
    Example: with FARs 0 and 1.5e-4 on the curve, a FAR of 1e-4 reads the TAR at 1.5e-4, which is above the rate.
    Published TARs of IJB-B and IJB-C (Table 7) are read this way.

    Parameters
    ----------
    scores : float array, shape (N,)
    issame : array of bool, shape (N,)
    fars : sequence of float

    Returns
    -------
    float64 array, shape (len(fars),)
        NaN where there are no genuine pairs or no impostor pairs.
    """
    scores, issame = _checked(scores, issame)
    if issame.all() or not issame.any():
        return np.full(len(fars), np.nan)
    return nearest_points(roc(scores, issame), fars)[1]


def allowed(count, rate):
    """Return how many of `count` a rate allows: the largest k of 0 … count for which k / count is at most the rate."""
    if not count:
        return 0
    k = min(count, int(count * rate) + 1)  # the product is rounded; the quotient of two whole numbers decides
    while k / count > rate:
        k -= 1
    return max(k, 0)


def tar_strict(scores, issame, fars):
    """Return TAR at FARs in the strict reading: the largest TAR of all thresholds whose FAR is at most the rate.

    A genuine pair with the same score as the first impostor that is not allowed does not count.

    Parameters
    ----------
    scores : float array, shape (N,)
    issame : array of bool, shape (N,)
    fars : sequence of float

    Returns
    -------
    float64 array, shape (len(fars),)
        0 where even one impostor is too many and scores above all genuine pairs. NaN where there are no genuine pairs
        or no impostor pairs.
    """
    scores, issame = _checked(scores, issame)
    genuine, impostors = np.sort(scores[issame]), scores[~issame]
    if not len(genuine) or not len(impostors):
        return np.full(len(fars), np.nan)
    ranks = [allowed(len(impostors), rate) for rate in fars]  # the impostor of this rank, from 0, is one too many
    places = {rank: len(impostors) - 1 - rank for rank in ranks if rank < len(impostors)}
    if places:
        impostors.partition(sorted(set(places.values())))
    above = [len(genuine) - np.searchsorted(genuine, impostors[places[rank]], side="right") if rank in places
             else len(genuine) for rank in ranks]
    return np.array(above, float) / len(genuine)
