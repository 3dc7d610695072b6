"""Measures of identification (1:N): rank-k rates, CMC, and TPIR at FPIR in both protocols of the original.

A *probe* is searched in a *gallery*. The probe's *mate* is the gallery's template of the same subject. A probe without
a mate is *unmated*. FPIR is the share of searches that return somebody wrong. TPIR is the share of mated probes whose
mate is returned.

The original has two protocols, which give different numbers:

- `one_gallery` (its older script, copied by others): both galleries of IJB are searched as one.
- `mean_of_two` (its script since September 2021): each gallery is searched apart, and the rates are averaged.

`search` goes through the scores once, a block at a time. The measures read what `search` found.
"""
import math
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from eval.measures.rates import allowed

BLOCK = 2048  # probes compared at a time: against 3,531 templates in float64, 58 MB


class Search(NamedTuple):
    """What was found for each of P probes.

    Attributes
    ----------
    mated : bool array, shape (P,)
        Whether the gallery has the probe's subject.
    mate : float array, shape (P,)
        Score of the mate: of several, the first in the gallery. NaN for unmated probes.
    ahead : int64 array, shape (P,)
        How many templates come before the mate when the gallery is ordered by score. −1 for unmated probes.
    rival : float array, shape (P,)
        The largest score of a template of another subject. −∞ where the gallery has none.
    impostors : float array
        The largest scores of pairs of two subjects, over all probes, descending. As many as were asked for.
    """

    mated: np.ndarray
    mate: np.ndarray
    ahead: np.ndarray
    rival: np.ndarray
    impostors: np.ndarray


def _mates(probe_subjects, gallery_subjects):
    """Return for each probe the place of the first template of its subject in the gallery; −1 where there is none."""
    names, first = np.unique(gallery_subjects, return_index=True)
    if not len(names):
        return np.full(len(probe_subjects), -1, np.int64)
    places = np.minimum(np.searchsorted(names, probe_subjects), len(names) - 1)
    return np.where(names[places] == probe_subjects, first[places], -1)


def mates_of(probe_subjects, gallery_subjects):
    """Return how many templates of its subject the gallery has for each probe: int64 array, shape (P,)."""
    names, counts = np.unique(gallery_subjects, return_counts=True)
    if not len(names):
        return np.zeros(len(probe_subjects), np.int64)
    places = np.minimum(np.searchsorted(names, probe_subjects), len(names) - 1)
    return np.where(names[places] == probe_subjects, counts[places], 0)


def search(probes, gallery, probe_subjects, gallery_subjects, ties="first", keep=0, block=BLOCK, progress=None):
    """Search probes in a gallery.

    Parameters
    ----------
    probes : float array, shape (P, D)
        Unit vectors. Scores are their inner products with the gallery's, in the vectors' type.
    gallery : float array, shape (G, D)
    probe_subjects : int array, shape (P,)
    gallery_subjects : int array, shape (G,)
    ties : {"first", "last", "for", "against"}
        Which of two templates with equal scores comes first in the order: the first in the gallery, the last in the
        gallery, the mate, or the other one.
    keep : int
        How many of the largest impostor scores to return.
    block : int
        Probes in a block. Memory: one block of (block, G) scores, and as many again while they are ordered.
    progress : str or None
        What a bar on stderr is called. The bar is shown if stderr is a terminal. None: no bar.

    Returns
    -------
    Search

    Raises
    ------
    ValueError
        `ties` is none of the four, or shapes do not fit.
    """
    if ties not in ("first", "last", "for", "against"):
        raise ValueError(f"ties {ties!r}: one of first, last, for, against")
    probe_subjects, gallery_subjects = np.asarray(probe_subjects), np.asarray(gallery_subjects)
    if (len(probes), len(gallery)) != (len(probe_subjects), len(gallery_subjects)):
        raise ValueError("a subject for each probe and each template of the gallery is needed")
    count, kind = len(probes), np.result_type(probes, gallery)
    mates = _mates(probe_subjects, gallery_subjects)
    mated = mates >= 0
    mate, ahead = np.full(count, np.nan, kind), np.full(count, -1, np.int64)
    rival, largest = np.full(count, -np.inf, kind), np.full(0, 0, kind)
    columns = np.arange(len(gallery))
    for begin in tqdm(range(0, count, block), desc=progress, leave=False, disable=None if progress else True):
        rows = slice(begin, min(begin + block, count))
        scores = probes[rows] @ gallery.T
        here = np.flatnonzero(mated[rows])
        own = scores[here, mates[rows][here], None]
        before = np.count_nonzero(scores[here] > own, axis=1)
        if ties != "for":
            equal = scores[here] == own
            place = mates[rows][here, None]
            if ties == "first":
                equal &= columns < place
            elif ties == "last":
                equal &= columns > place
            before += np.count_nonzero(equal, axis=1) - (ties == "against")  # the mate equals itself
        mate[rows][here], ahead[rows][here] = own[:, 0], before  # slices are views
        scores[probe_subjects[rows, None] == gallery_subjects] = -np.inf
        if scores.shape[1]:
            rival[rows] = scores.max(axis=1)
        if keep:
            floor = largest[-1] if len(largest) == keep else -np.inf
            largest = np.append(largest, scores[scores > floor])
            if len(largest) > keep:
                largest = np.partition(largest, len(largest) - keep)[-keep:]
            largest = np.sort(largest)[::-1]
    return Search(mated, mate, ahead, rival, largest)


def hits(found, k):
    """Return how many probes have their mate among the first k templates."""
    return int(np.count_nonzero(found.mated & (found.ahead < k)))


def rank_rates(found, ranks):
    """Return the rank-k identification rate of each k: the share of mated probes whose mate is among the first k.

    Equal scores are ordered as `search` was told. NaN where no probe is mated.
    """
    mated = np.count_nonzero(found.mated)
    return np.array([hits(found, k) / mated if mated else np.nan for k in ranks])


def cmc(found, most):
    """Return the cumulative match characteristic (Figure 8): the rank-k rates of k = 1 … most. Ties as in `rank_rates`.
    """
    return rank_rates(found, range(1, most + 1))


def tpir_of_all_scores(found, fpirs):
    """Return TPIR and threshold at FPIRs as the protocol `one_gallery` reads them.

    The threshold is the ⌈FPIR × probes⌉-th largest of all scores of two subjects. With 250 probes and a FPIR of 0.01
    that is the third largest. A probe counts when its mate's score exceeds the threshold; it may be ranked behind
    others. A mate at the threshold does not count.

    Parameters
    ----------
    found : Search
        Of one mate a probe, with `keep` of at least `kept(probes, fpirs)`.
    fpirs : sequence of float

    Returns
    -------
    tpir, thresholds : float64 arrays, shape (len(fpirs),)
        NaN where there are fewer scores of two subjects than the rate takes, or no probes.
    """
    count = len(found.mated)
    places = [math.ceil(count * rate) - 1 for rate in fpirs]
    thresholds = np.array([found.impostors[place] if 0 <= place < len(found.impostors) else np.nan
                           for place in places], float)
    tpir = [np.nan if np.isnan(threshold) else np.count_nonzero(found.mate > threshold) / count
            for threshold in thresholds]
    return np.array(tpir, float), thresholds


def kept(probes, fpirs):
    """Return how many impostor scores `tpir_of_all_scores` needs for so many probes."""
    return max((math.ceil(probes * rate) for rate in fpirs), default=0)


def _tpir_of_unmated(found, places):
    """Return TPIR and threshold, where a threshold is the unmated probe's best score of a place, descending."""
    best = np.sort(found.rival[~found.mated])[::-1]
    mate, rival = found.mate[found.mated], found.rival[found.mated]
    thresholds, rates = np.full(len(places), np.nan), np.full(len(places), np.nan)
    for number, place in enumerate(places):
        if not len(best) or not len(mate):
            continue
        thresholds[number] = best[place] if place < len(best) else -np.inf
        rates[number] = np.count_nonzero((mate > rival) & (mate > thresholds[number])) / len(mate)
    return rates, thresholds


def tpir_of_unmated(found, fpirs):
    """Return TPIR and threshold at FPIRs as the protocol `mean_of_two` reads them, for one gallery.

    The unmated probes' best scores are ordered, largest first. The threshold is the one at index
    max(⌊FPIR × unmated⌋ − 1, 0): with 42 unmated probes and a FPIR of 0.1, the fourth. So fewer unmated probes exceed
    the threshold than the rate allows. A mated probe counts when its mate's score exceeds the threshold and all scores
    of other subjects. Equal scores do not exceed.

    Returns
    -------
    tpir, thresholds : float64 arrays, shape (len(fpirs),)
        NaN where no probe is mated or none is unmated.
    """
    unmated = np.count_nonzero(~found.mated)
    return _tpir_of_unmated(found, [max(int(unmated * rate) - 1, 0) for rate in fpirs])


def tpir_strict(found, fpirs):
    """Return TPIR and threshold at FPIRs in the strict reading, for one gallery.

    At most ⌊FPIR × unmated⌋ unmated probes have a best score above the threshold. The threshold is the lowest such:
    with 42 unmated probes and a FPIR of 0.1, the fifth largest of their best scores. Otherwise as `tpir_of_unmated`.
    """
    unmated = np.count_nonzero(~found.mated)
    return _tpir_of_unmated(found, [allowed(unmated, rate) for rate in fpirs])
