"""MegaFace's challenge 1: ranks and TAR at FAR of probes among distractors (Sec. 3.3, Table 6, Figure 8).

Every ordered pair of two images of one person is a trial: the first image is the probe, and the second stands in the
gallery among all distractors. The rank counts how many distractors are nearer to the probe than its mate, by squared
Euclidean distance. For the true accept rate, these pairs are genuine, and every pair of a probe and a distractor is an
impostor pair.

A distractor at the same distance as the mate does not count as nearer. `rank_strict` counts it.
"""
from typing import NamedTuple

import numpy as np

from datasets.identities.scores import CHUNK, Distance
from datasets.identities.tails import TAIL, scan
from eval.measures import tails
from eval.measures.rates import rate_key

RANKS = range(1, 11)
FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
CURVE = 100  # ranks of the curve
SMALL = 500_000  # training images: fewer make the protocol small


class Pairs(NamedTuple):
    """The genuine pairs: places of probe and mate, and their scores, minus the squared distance."""

    probes: np.ndarray
    mates: np.ndarray
    scores: np.ndarray


class Outcome(NamedTuple):
    """What one set of distractors gives.

    Attributes
    ----------
    values : dict
        `rank`, `rank_strict`, `tar`, `tar_strict`, as results keep them.
    cmc : list of float
        Rates of rank 1, 2, ….
    roc : (list of float, list of float)
        FAR, and the strict TAR.
    """

    values: dict
    cmc: list
    roc: tuple


def genuine_pairs(features, people):
    """Return all ordered pairs of two places of one person, with their exact scores.

    Parameters
    ----------
    features : float32 array, shape (N, D)
    people : list of str
    """
    _, codes = np.unique(np.asarray(people, dtype=object).astype(str), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.append(True, codes[order][1:] != codes[order][:-1]))
    firsts, seconds = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for own in np.split(order, starts[1:]):
        first, second = np.nonzero(~np.eye(len(own), dtype=bool))
        firsts.append(own[first])
        seconds.append(own[second])
    firsts, seconds = np.concatenate(firsts), np.concatenate(seconds)
    scores = np.empty(len(firsts))
    for begin in range(0, len(firsts), CHUNK):
        part = slice(begin, begin + CHUNK)
        scores[part] = Distance.of_pairs(features[firsts[part]], features[seconds[part]])
    return Pairs(firsts, seconds, scores)


def evaluate(probes, pairs, distractors, fars=FARS, curves=False, progress=None):
    """Judge probes among one set of distractors.

    Parameters
    ----------
    probes : float32 array, shape (N, D)
    pairs : Pairs
        Of the probes.
    distractors : float32 array, shape (M, D), or what gives slices and places of such
    fars : sequence of float
    curves : bool
        Whether the curves are wanted: ranks up to 100, and ten points a decade of the ROC. Else they have the ranks and
        rates of the values alone.
    progress : str, optional
        What a bar on stderr is called.

    Returns
    -------
    Outcome

    Raises
    ------
    Failure
        Too many scores are equal or nearly so.
    """
    total = len(probes) * len(distractors)
    ranks = min(CURVE, len(distractors)) if curves else max(RANKS)
    points = sorted({*fars, *([float(f"{10 ** (-place / 10):.3g}") for place in range(10, 81)] if curves else ())})
    counts = tails.counts_for(total, points)
    # Above the point where all larger scores can be kept, a threshold of its own takes time; the curve does without.
    kept = [(far, count) for far, count in zip(points, counts) if far in fars or count <= TAIL]
    most = max([max(ranks, max(RANKS)), *(-(-count // max(1, len(probes))) for _, count in kept if count <= total)])
    found = scan(Distance(probes, distractors, most), max(ranks, max(RANKS)), {count for _, count in kept}, progress)
    best = found.best[pairs.probes]
    cmc = tails.rank_rates(pairs.scores, best, range(1, ranks + 1))
    strict = {far: tails.tar_strict(pairs.scores, found.kth[count]) for far, count in kept}
    at = dict(kept)
    values = {"rank": {str(rank): rate for rank, rate in zip(RANKS, tails.rank_rates(pairs.scores, best, RANKS))},
              "rank_strict": {str(rank): rate for rank, rate in
                              zip(RANKS, tails.rank_rates(pairs.scores, best, RANKS, True))},
              "tar": {rate_key(far): tails.tar_first_above(pairs.scores, found.kth[at[far]]) for far in fars},
              "tar_strict": {rate_key(far): strict[far] for far in fars}}
    return Outcome(values, cmc, ([far for far, _ in kept], [strict[far] for far, _ in kept]))


def protocol_of(training_images):
    """Return which protocol a number of training images makes: "small", "large", or None where it is not known."""
    if training_images is None:
        return None
    return "small" if training_images < SMALL else "large"
