"""Rates from the tail of the impostor scores, against loops over all scores with ties."""
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.measures import tails

scores = st.lists(st.integers(-4, 4), max_size=12)
FARS = (1e-6, 0.1, 0.25, 0.5, 0.9)


@settings(max_examples=150, deadline=None)
@given(scores, st.lists(st.integers(-4, 4), min_size=1, max_size=12))
def test_tar(genuine, impostors):
    genuine = np.array(genuine, float)
    ordered = [*sorted(impostors, reverse=True), -math.inf]
    for far, count in zip(FARS, tails.counts_for(len(impostors), FARS)):
        threshold, best, above = ordered[count - 1], 0.0, 1.0
        for candidate in sorted({*genuine.tolist(), *impostors, -9, 9}):  # accepted where the score is at least this
            rate = sum(score >= candidate for score in impostors) / len(impostors)
            tar = np.mean(genuine >= candidate) if len(genuine) else math.nan
            if rate <= far:
                best = max(best, tar)
            else:
                above = tar  # the highest such candidate is the last one
        strict, first = tails.tar_strict(genuine, threshold), tails.tar_first_above(genuine, threshold)
        if len(genuine):
            assert (strict, first) == (best, above if count <= len(impostors) else 1.0)
        else:
            assert math.isnan(strict) and math.isnan(first)


@settings(max_examples=150, deadline=None)
@given(st.integers(-4, 4), scores)
def test_ranks(genuine, impostors):
    best = np.array([*sorted(impostors, reverse=True), *[-np.inf] * 12], float)[None, :12]
    for rank, loose, strict in zip(range(1, 13), tails.rank_rates(np.array([genuine], float), best, range(1, 13)),
                                   tails.rank_rates(np.array([genuine], float), best, range(1, 13), True)):
        assert loose == (sum(score > genuine for score in impostors) < rank)
        assert strict == (sum(score >= genuine for score in impostors) < rank)
