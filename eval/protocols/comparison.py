"""How sure the figures of a verification are, and whether two networks differ on the same pairs."""
from eval.measures import uncertainty
from eval.measures.pairs import judged_right, weighted_eer


def right_of(result):
    """Return which pairs a result of `eval.protocols.pairs.verify` judges rightly, and each pair's share."""
    return judged_right(result.distances, result.issame, result.thresholds)


def intervals(result, ends):
    """Return the 95 % intervals of a verification.

    Parameters
    ----------
    result : EasyDict
        From `eval.protocols.pairs.verify`.
    ends : int array, shape (N, 2)
        The identities of each pair's images. They are drawn where one occurs in two pairs, else pairs are.

    Returns
    -------
    dict of str to eval.measures.uncertainty.Interval
        Of `accuracy` and `eer`. An `eer` of 0 or 1 has none: each draw would give the same, which says nothing.
    """
    right, shares = right_of(result)
    accuracy = uncertainty.accuracy_interval(right, shares, ends)
    if result.eer in (0, 1):
        eer = uncertainty.Interval(None, None, accuracy.unit, reason="no draw would differ")
    else:
        eer = uncertainty.interval(weighted_eer(result.distances, result.issame), len(right), ends)
    return {"accuracy": accuracy, "eer": eer}


def interval_values(found):
    """Return what `intervals` gives as it stands in a result: level, unit and method, and [low, high] by measure."""
    return {"level": uncertainty.LEVEL, "unit": found["accuracy"].unit, "method": found["accuracy"].method,
            "draws": uncertainty.REPLICATES,
            **{name: None if one.low is None else [one.low, one.high] for name, one in found.items()}}


def compare(first, second, ends):
    """Compare two networks on the same pairs.

    Parameters
    ----------
    first, second : EasyDict
        From `eval.protocols.pairs.verify`, of the same pairs, folds and flip.
    ends : int array, shape (N, 2)
        The identities of each pair's images.

    Returns
    -------
    dict
        `accuracy`, that of the second network; `difference`, the first's less the second's; its `interval` ([low, high]
        or None) and the bootstrap's p (`p_bootstrap`, None without an interval), with the `unit` that was drawn; and
        McNemar's: `only_here` and `only_there`, the pairs that one alone judges rightly, and `p_mcnemar`.
    """
    (right, shares), (other, _) = right_of(first), right_of(second)
    found = uncertainty.difference(uncertainty.share(right, shares), uncertainty.share(other, shares), len(right), ends)
    test = uncertainty.mcnemar(right, other)
    return {"accuracy": second.accuracy, "difference": first.accuracy - second.accuracy,
            "interval": None if found.interval.low is None else [found.interval.low, found.interval.high],
            "unit": found.interval.unit, "p_bootstrap": found.p, "only_here": test.first, "only_there": test.second,
            "p_mcnemar": test.p}
