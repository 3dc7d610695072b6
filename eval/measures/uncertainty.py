"""How far a measure can be trusted: bootstrap intervals, and tests of two networks on the same pairs.

Pairs of faces are not independent: one person, or one image, occurs in several of them. So the bootstrap draws
*identities* with replacement, where identities are known. An identity that is drawn twice counts twice: its genuine
pairs have weight 2, and a pair of two identities has the product of their weights. Where identities are not known,
pairs are drawn, and the interval is too narrow if people recur.

Thresholds chosen on the whole set, as those of the k-fold accuracy, stay as they are in all draws.
"""
from typing import NamedTuple, Optional

import numpy as np
from scipy.stats import beta, binom

REPLICATES = 1000
LEVEL = 0.95
BLOCK = 1 << 21  # weights in memory at a time: 16 MB


class Interval(NamedTuple):
    """An interval that holds the level's share of the draws.

    Attributes
    ----------
    low, high : float or None
        None where there is no interval; `reason` says why.
    unit : str
        What was drawn: "identity" or "pair".
    method : str
        "bootstrap"; or "exact", where all pairs are judged rightly, or all wrongly: then no draw differs from another.
    reason : str or None
    """

    low: Optional[float]
    high: Optional[float]
    unit: str
    method: str = "bootstrap"
    reason: Optional[str] = None


class Difference(NamedTuple):
    """How a measure of one network differs from that of another, first minus second.

    Attributes
    ----------
    value : float
    interval : Interval
    p : float or None
        Two-sided: twice the smaller share of the draws on either side of zero. Draws of exactly zero count on both.
    """

    value: float
    interval: Interval
    p: Optional[float]


class McNemar(NamedTuple):
    """McNemar's exact test.

    Attributes
    ----------
    first, second : int
        Pairs that only the first network, and only the second one, judges rightly.
    p : float
        Two-sided.
    """

    first: int
    second: int
    p: float


def known(ends):
    """Return identities where they tell more than the pairs do, else None.

    If no identity occurs in two pairs, nothing is known of who recurs, and pairs are what can be drawn.

    Parameters
    ----------
    ends : int array, shape (N, 2), or None
        The identities of the two images of each pair.
    """
    if ends is None or not len(ends):
        return None
    ends = np.asarray(ends)
    occurrences = np.concatenate([ends[:, 0], ends[ends[:, 0] != ends[:, 1], 1]])
    return ends if len(np.unique(occurrences)) < len(occurrences) else None


def draws(count, ends=None, replicates=REPLICATES, seed=0):
    """Yield the weights of the pairs in draws with replacement.

    Parameters
    ----------
    count : int
        Pairs, N.
    ends : int array, shape (N, 2), or None
        The identities of each pair's images: identities are drawn. None: pairs are drawn.
    replicates : int
    seed : int
        The same seed gives the same weights.

    Yields
    ------
    float64 array, shape (B, N)
        A draw a row. The rows of all blocks are `replicates`.
    """
    random = np.random.default_rng(seed)
    if ends is None:
        units, first, second = count, np.arange(count), None
    else:
        names, inverse = np.unique(ends, return_inverse=True)
        units, (first, second) = len(names), inverse.reshape(-1, 2).T
    block = max(1, BLOCK // max(1, count, units))
    for begin in range(0, replicates, block):
        rows = min(block, replicates - begin)
        drawn = random.integers(0, units, (rows, units)) + units * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units).astype(np.float64)
        weights = times[:, first]
        if second is not None:
            weights *= np.where(first == second, 1.0, times[:, second])
        yield weights


def share(values, shares=None):
    """Return a function from weights, shape (B, N), to the weighted mean of values, shape (B,).

    Parameters
    ----------
    values : array, shape (N,)
        Such as which pairs are judged rightly.
    shares : array, shape (N,), optional
        What each value counts beside its weight (`eval.measures.pairs.judged_right`).
    """
    shares = np.ones(len(values)) if shares is None else np.asarray(shares, float)
    counted = np.asarray(values, float) * shares

    def measure(weights):
        with np.errstate(invalid="ignore"):
            return weights @ counted / (weights @ shares)
    return measure


def interval(measure, count, ends=None, replicates=REPLICATES, level=LEVEL, seed=0):
    """Return the percentile bootstrap interval of a measure.

    Parameters
    ----------
    measure : callable
        From weights, shape (B, N), to values, shape (B,), such as `share(…)` or `pairs.weighted_eer(…)`. NaN where a
        draw lacks a kind of pair: such draws do not count, and where they are half of all there is no interval.
    count : int
        Pairs, N.
    ends : int array, shape (N, 2), or None
        The identities of each pair's images. They are drawn if one of them occurs in two pairs (`known`).
    replicates, level, seed
        Draws, the share of them that the interval holds, and what they begin with.

    Returns
    -------
    Interval
    """
    return _percentiles(*_measured(measure, count, ends, replicates, seed), level)


def _measured(measure, count, ends, replicates, seed):
    """Return the values of a measure over the draws, what was drawn, and of how many."""
    ends = known(ends)
    units = count if ends is None else len(np.unique(ends))
    if units < 2:
        return np.zeros(0), "pair" if ends is None else "identity", units
    values = np.concatenate([measure(weights) for weights in draws(count, ends, replicates, seed)])
    return values, "pair" if ends is None else "identity", units


def _percentiles(values, unit, units, level):
    if units < 2:
        return Interval(None, None, unit, reason=f"fewer than two {'identities' if unit == 'identity' else 'pairs'}")
    finite = values[np.isfinite(values)]
    if 2 * len(finite) <= len(values):
        return Interval(None, None, unit, reason="most draws lack a kind of pair")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), unit)


def accuracy_interval(right, shares=None, ends=None, replicates=REPLICATES, level=LEVEL, seed=0):
    """Return the interval of an accuracy.

    Where all pairs are judged rightly, or all wrongly, each draw gives the same, which says nothing. The exact binomial
    (Clopper-Pearson) interval is given then, of as many trials as there are identities, or pairs where those are fewer.

    Parameters
    ----------
    right : array of bool, shape (N,)
        Which pairs are judged rightly.
    shares, ends, replicates, level, seed
        As for `share` and `interval`.

    Returns
    -------
    Interval
    """
    right = np.asarray(right, dtype=bool)
    if len(right) and (right.all() or not right.any()):
        ends = known(ends)
        trials = len(right) if ends is None else min(len(right), len(np.unique(ends)))
        low, high = exact_interval(trials if right.all() else 0, trials, level)
        return Interval(low, high, "pair" if ends is None else "identity", "exact")
    return interval(share(right, shares), len(right), ends, replicates, level, seed)


def exact_interval(hits, trials, level=LEVEL):
    """Return Clopper and Pearson's interval of a share: (low, high), floats; (0, 1) of no trials."""
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, hits, trials - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high


def difference(first, second, count, ends=None, replicates=REPLICATES, level=LEVEL, seed=0):
    """Compare two networks on the same pairs by the paired bootstrap: both are measured on each draw.

    Parameters
    ----------
    first, second : callable
        Measures, as for `interval`.
    count, ends, replicates, level, seed
        As for `interval`.

    Returns
    -------
    Difference
        Networks that judge all pairs alike have the difference 0, the interval 0 to 0 and p = 1.
    """
    def apart(weights):
        return first(weights) - second(weights)

    value = float(apart(np.ones((1, count)))[0])
    values, unit, units = _measured(apart, count, ends, replicates, seed)
    found = _percentiles(values, unit, units, level)
    if found.low is None:
        return Difference(value, found, None)
    finite = values[np.isfinite(values)]
    # One more on either side: a p of 0 would claim more than so many draws can tell.
    tails = [(1 + np.sum(side)) / (1 + len(finite)) for side in (finite <= 0, finite >= 0)]
    return Difference(value, found, float(min(1.0, 2 * min(tails))))


def mcnemar(first, second):
    """Compare two networks by McNemar's exact test: of the pairs that one alone judges rightly, are half the first's?

    Pairs that both judge alike do not count. The test takes pairs to be independent; where people recur in several
    pairs its p is too small, and `difference` with identities is the one to go by.

    Parameters
    ----------
    first, second : arrays of bool, shape (N,)
        Which pairs each network judges rightly.

    Returns
    -------
    McNemar
        p is 1 where no pair tells them apart, also where there is no pair.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape}: the networks did not judge the same pairs")
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    fewer, both = min(only_first, only_second), only_first + only_second
    return McNemar(only_first, only_second, float(min(1.0, 2 * binom.cdf(fewer, both, 0.5))) if both else 1.0)
