"""The best of each row and the k-th of all scores, against sorting all of them in float64."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.formats.opencv_matrix import Matrix, Picked
from datasets.identities import scores, tails
from runtime import Failure
from tests.miniatures.trillionpairs import write_features


@pytest.fixture
def small(monkeypatch):
    """Blocks, buffers and samples so small that every path is taken."""
    monkeypatch.setattr(tails, "ROWS", 7)
    monkeypatch.setattr(tails, "COLUMNS", 16)
    monkeypatch.setattr(tails, "ROOM", 60)


def drawn(seed, rows, columns, dimension):
    """Rows and columns with vectors that occur several times, also in both."""
    random = np.random.RandomState(seed)
    first = random.normal(size=(rows, dimension)).astype(np.float32)
    second = random.normal(size=(columns, dimension)).astype(np.float32)
    second[random.randint(0, columns, columns // 3)] = first[random.randint(0, rows, columns // 3)]
    second[random.randint(0, columns, columns // 3)] = second[0]
    return first, second


def check(score, best, counts, found):
    rows, columns = len(score.rows), len(score.columns)
    table = score.of_pairs(np.repeat(score.rows[np.arange(rows)], columns, axis=0),
                           np.tile(score.columns[np.arange(columns)], (rows, 1))).reshape(rows, columns)
    width = min(best, columns)
    order = np.argsort(-table, axis=1, kind="stable")[:, :width]
    assert np.array_equal(found.places[:, :width], order)
    assert np.array_equal(found.best[:, :width], np.take_along_axis(table, order, axis=1))
    assert np.isneginf(found.best[:, width:]).all() and (found.places[:, width:] == -1).all()
    every = np.append(np.sort(table.ravel())[::-1], -np.inf)
    assert found.kth == {count: every[min(count, table.size + 1) - 1] for count in counts}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10 ** 6), st.integers(1, 30), st.integers(1, 200), st.integers(2, 40), st.integers(1, 12),
       st.booleans(), st.sampled_from([1 << 22, 1, 30]), st.integers(1, 2))
def test_against_sorting(seed, rows, columns, dimension, best, cosine, tail, threads):
    first, second = drawn(seed, rows, columns, dimension)
    total = rows * columns
    counts = sorted({1, 2, -(-total // 10), -(-total // 2), total, total + 1})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("TAIL", tail), ("ROWS", 7), ("COLUMNS", 16), ("ROOM", 60), ("_threads", lambda: threads)):
            patch.setattr(tails, name, value)
        score = scores.Cosine(first, second) if cosine else scores.Distance(first, second, columns)
        check(score, best, counts, tails.scan(score, best, counts))


def test_columns_far_away(small):
    first, second = drawn(3, 20, 300, 12)
    second[::9, -1] = 100
    score = scores.Distance(first, second, 40)
    assert score.far == 34
    check(score, 40, [1, 50, 5000], tails.scan(score, 40, [1, 50, 5000]))


def test_a_sample_unlike_the_rest(small, monkeypatch):
    """The window misses, and the scan goes on until it does not."""
    monkeypatch.setattr(tails, "TAIL", 1)
    first, second = drawn(4, 20, 300, 12)
    score = scores.Cosine(first, second)
    for low, high in ((0.9, 0.95), (-0.95, -0.9), (0.0, 1e-6)):
        monkeypatch.setattr(tails, "_estimated", lambda score, left, counts, total, ends=(low, high):
                            [ends for _ in counts])
        check(score, 0, [600, 3000], tails.scan(score, 0, [600, 3000]))


def test_equal_scores_only(small, monkeypatch):
    first, second = np.ones((9, 4), np.float32), np.ones((50, 4), np.float32)
    for tail in (1 << 22, 1):
        monkeypatch.setattr(tails, "TAIL", tail)
        score = scores.Distance(first, second, 50)
        check(score, 3, [1, 200, 450], tails.scan(score, 3, [1, 200, 450]))


def test_more_than_fits_is_refused(monkeypatch):
    monkeypatch.setattr(tails, "MOST", 100)
    first, second = drawn(5, 20, 300, 12)
    with pytest.raises(Failure, match="give a lower rate"):
        tails.scan(scores.Cosine(first, second), 0, [1000])


def test_columns_of_a_file_in_another_order(tmp_path, small):
    first, second = drawn(6, 10, 120, 8)
    write_features(tmp_path / "f.bin", second)
    order = np.random.RandomState(0).permutation(120)
    score = scores.Cosine(first, Picked(Matrix(tmp_path / "f.bin"), order))
    found = tails.scan(score, 5, [7])
    check(scores.Cosine(first, second[order]), 5, [7], found)


def test_memory_does_not_grow_with_the_columns(monkeypatch):
    import tracemalloc
    first, second = drawn(7, 64, 40_000, 8)
    monkeypatch.setattr(tails, "_threads", lambda: 1)
    monkeypatch.setattr(tails, "ROOM", 20_000)
    score = scores.Cosine(first, second)
    tracemalloc.start()
    tails.scan(score, 10, [100])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 40_000 * 4 / 2, "half of what all scores take"
