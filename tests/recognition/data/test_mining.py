"""The mining of semi-hard triplets, against a loop over all pairs."""
import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.data import mining


class Fixed:
    """A generator that draws the same number for all."""

    def __init__(self, number):
        self.number = number

    def random(self, count):
        return np.full(count, self.number)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), people=st.integers(1, 6), images=st.integers(1, 24),
       alpha=st.sampled_from([0.05, 0.3, 5.0]), max_ap=st.sampled_from([0.0, 0.5]), rows=st.integers(1, 30))
def test_the_mining_draws_from_exactly_the_semi_hard(admissible, seed, people, images, alpha, max_ap, rows):
    """Whatever the size of blocks; numbers from 0 to 1 reach each of a pair's negatives equally often."""
    rng = np.random.RandomState(seed)
    embeddings = rng.normal(size=(images, 3)).astype(np.float32)
    identities = rng.randint(0, people, images)  # in any order
    expected = admissible(embeddings, identities, alpha, max_ap)
    steps = 60
    drawn = {}
    for step in range(steps):
        triplets, _, _ = mining.semi_hard(embeddings, identities, alpha, Fixed((step + 0.5) / steps), max_ap,
                                          block_bytes=8 * images * rows)
        assert len(triplets) == len(expected)
        for a, p, n in triplets.tolist():
            drawn.setdefault((a, p), Counter())[n] += 1
    assert {pair: set(counter) for pair, counter in drawn.items()} == expected
    for counter in drawn.values():
        assert max(counter.values()) - min(counter.values()) <= 1


def test_what_is_drawn_depends_on_the_generator_alone():
    rng = np.random.RandomState(1)
    embeddings, identities = rng.normal(size=(60, 8)), np.repeat(np.arange(12), 5)

    def mined(seed, block):
        return mining.semi_hard(embeddings, identities, 0.3, np.random.default_rng(seed), block_bytes=block)[0].tolist()
    assert mined(0, 1) == mined(0, 10_000) == mined(0, 1 << 26) != mined(1, 1 << 26)


def test_mean_distances():
    rng = np.random.RandomState(2)
    embeddings, identities = rng.normal(size=(12, 4)), np.repeat([0, 1, 2], 4)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    distances = ((unit[:, None] - unit) ** 2).sum(2)
    pairs = [(a, p) for a, p in itertools.combinations(range(12), 2) if identities[a] == identities[p]]
    _, genuine, impostor = mining.semi_hard(embeddings, identities, 0.3, np.random.default_rng(0), block_bytes=500)
    assert genuine == pytest.approx(np.mean([distances[pair] for pair in pairs]))
    assert impostor == pytest.approx(np.mean([distances[a][identities != identities[a]].mean() for a, _ in pairs]))


@pytest.mark.parametrize("value", [0.0, 0.37])
def test_a_point_has_no_triplets(value):
    """Equal distances are not farther, however the products are rounded."""
    triplets, genuine, impostor = mining.semi_hard(np.full((200, 37), value, np.float32), np.arange(200) // 4, 0.3,
                                                   np.random.default_rng(0))
    assert len(triplets) == 0 and genuine == pytest.approx(0, abs=1e-12) and impostor == pytest.approx(0, abs=1e-12)
