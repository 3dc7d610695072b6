"""Similarities by blocks, against loops over all pairs in float64.

Vectors with whole numbers and one length of 2 have exact cosines in float32, so that ties are ties in every block.
"""
import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.identities import similarity
from runtime import Failure

EXACT = np.array([row for row in itertools.product((-1, 0, 1, 2, -2), repeat=4) if np.dot(row, row) == 4]) / 2
sets = st.lists(st.integers(0, len(EXACT) - 1), max_size=12).map(lambda rows: EXACT[rows].astype(np.float32))
small = st.integers(1, 14)


def cosine(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b))


def nearest_by_loop(first, second, excluded):
    """(place, cosine) of each vector's most similar one, the first of equals; `excluded` are places that do not count.
    """
    found = []
    for i, vector in enumerate(first):
        place, best = -1, -np.inf
        for j, other in enumerate(second):
            if j != excluded[i] and cosine(vector, other) > best:
                place, best = j, cosine(vector, other)
        found.append((place, best))
    return found


@settings(max_examples=80, deadline=None)
@given(sets, sets, small)
def test_blocks_hold_every_pair(first, second, block):
    table = np.full((len(first), len(second)), np.nan)
    for rows, columns, cosines in similarity.blocks(first, second, block):
        assert cosines.shape == (rows.stop - rows.start, columns.stop - columns.start) <= (block, block)
        assert np.isnan(table[rows, columns]).all() and cosines.dtype == np.float32
        table[rows, columns] = cosines
    assert table.tolist() == [[cosine(a, b) for b in second] for a in first]


@settings(max_examples=80, deadline=None)
@given(sets, small)
def test_blocks_of_one_set_come_once(vectors, block):
    table, order = np.full((len(vectors), len(vectors)), np.nan), []
    for rows, columns, cosines in similarity.blocks(vectors, block=block):
        order.append((rows.start, columns.start))
        assert rows.start <= columns.start and (rows == columns) == (rows.start == columns.start)
        table[rows, columns], table[columns, rows] = cosines, cosines.T
    assert table.tolist() == [[cosine(a, b) for b in vectors] for a in vectors]
    assert order == sorted(set(order))


@settings(max_examples=80, deadline=None)
@given(sets, sets, small, st.data())
def test_nearest_equals_a_loop_with_ties(first, second, block, data):
    nobody = [-1] * len(first)
    places, best = similarity.nearest(first, second, block=block)
    assert list(zip(places.tolist(), best.tolist())) == nearest_by_loop(first, second, nobody)
    own = data.draw(st.lists(st.integers(0, max(0, len(second) - 1)), min_size=len(first), max_size=len(first)))
    places, best = similarity.nearest(first, second, np.array(own, np.int64), block)
    assert list(zip(places.tolist(), best.tolist())) == nearest_by_loop(first, second, own)


@settings(max_examples=80, deadline=None)
@given(sets, small)
def test_nearest_other_of_one_set_equals_a_loop_with_ties(vectors, block):
    places, best = similarity.nearest(vectors, block=block)
    assert list(zip(places.tolist(), best.tolist())) == nearest_by_loop(vectors, vectors, range(len(vectors)))


@settings(max_examples=80, deadline=None)
@given(sets, sets, small, st.sampled_from([-1, -0.5, 0, 0.5, 1]), st.booleans())
def test_pairs_equal_those_of_a_loop_with_ties(first, second, block, threshold, itself):
    other = first if itself else second
    rows, columns, cosines = similarity.pairs_above(first, None if itself else second, threshold, block=block)
    found = list(zip(rows.tolist(), columns.tolist(), cosines.tolist()))
    assert sorted(found) == [(i, j, cosine(first[i], other[j])) for i in range(len(first))
                             for j in range(i + 1 if itself else 0, len(other))
                             if cosine(first[i], other[j]) >= threshold]
    assert np.all(np.diff(cosines) <= 0)


@pytest.mark.parametrize("block", [1, 7, 2048])
@pytest.mark.parametrize("itself", [False, True])
def test_vectors_of_any_direction(block, itself):
    draw = np.random.RandomState(1)
    first, second = draw.normal(size=(23, 4)), draw.normal(size=(31, 4))
    first, second = ((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
                     for rows in (first, second))
    other = first if itself else second
    rows, columns, cosines = similarity.pairs_above(first, None if itself else second, 0.7, block=block)
    expected = {(i, j): cosine(first[i], other[j]) for i in range(len(first))
                for j in range(i + 1 if itself else 0, len(other)) if cosine(first[i], other[j]) >= 0.7}
    assert set(zip(rows.tolist(), columns.tolist())) == set(expected) and len(rows) == len(expected)
    np.testing.assert_allclose(cosines, [expected[pair] for pair in zip(rows, columns)], atol=1e-6)
    places, best = similarity.nearest(first, None if itself else second, block=block)
    expected = nearest_by_loop(first, other, range(len(first)) if itself else [-1] * len(first))
    assert places.tolist() == [place for place, _ in expected]
    np.testing.assert_allclose(best, [value for _, value in expected], atol=1e-6)


def test_a_threshold_that_selects_everything():
    with pytest.raises(Failure, match="more than 100 pairs.*higher --threshold"):
        similarity.pairs_above(np.ones((30, 2), np.float32), None, 0.5, most=100)
    assert len(similarity.pairs_above(np.ones((5, 2), np.float32), None, 0.5, most=10)[0]) == 10


def test_memory_is_that_of_a_block():
    """1,500 vectors have 9 MB of similarities; blocks of 100 take 40 kB each."""
    vectors = np.random.RandomState(0).normal(size=(1500, 8)).astype(np.float32)
    tracemalloc.start()
    try:
        similarity.nearest(vectors, block=100)
        similarity.nearest(vectors, vectors, block=100)
        similarity.pairs_above(vectors, None, 1e9, block=100)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
