"""The quick form of scores stays within its bound of the exact one, and the exact one is the protocol's formula."""
import numpy as np
import pytest

from datasets.identities import scores
from runtime import Failure


@pytest.mark.parametrize("kind", ["cosine", "distance"])
@pytest.mark.parametrize("size", [1.0, 30.0, 1e-3])
def test_the_bound_holds(kind, size):
    random = np.random.RandomState(0)
    rows = (size * random.normal(size=(40, 24))).astype(np.float32)
    columns = (size * random.normal(size=(90, 24))).astype(np.float32)
    columns[:10] = rows[:10]
    columns[10], columns[11] = 0, 5 * size
    made = scores.Cosine(rows, columns) if kind == "cosine" else scores.Distance(rows, columns, 10)
    quick = made.left() @ made.right(slice(0, 90)).T
    places = np.repeat(np.arange(40), 90), np.tile(np.arange(90), 40)
    exact = made.exact(*places).reshape(40, 90)
    wide_rows, wide = rows.astype(np.float64), columns.astype(np.float64)
    if kind == "cosine":
        norms = np.linalg.norm(wide, axis=1)
        want = (wide_rows @ wide.T) / np.linalg.norm(wide_rows, axis=1)[:, None] / np.where(norms > 0, norms, 1)
    else:
        want = -((wide_rows[:, None] - wide[None]) ** 2).sum(axis=2)
    assert exact == pytest.approx(want, abs=1e-12 * max(1, size ** 2))
    assert 0 < np.abs(quick - exact - made.offset).max() < made.bound


def test_equal_vectors_have_equal_scores_wherever_they_stand():
    random = np.random.RandomState(1)
    rows, columns = (random.normal(size=(5, 512)).astype(np.float32) for _ in range(2))
    columns = np.concatenate([columns, columns[::-1], columns])
    for of_pairs in (scores.Cosine.of_pairs, scores.Distance.of_pairs):
        alone = np.array([of_pairs(rows[:1], columns[place:place + 1])[0] for place in range(15)])
        assert np.array_equal(alone[:5], alone[5:10][::-1]) and np.array_equal(alone[:5], alone[10:])
        assert np.array_equal(of_pairs(np.repeat(rows[:1], 15, axis=0), columns), alone)


def test_columns_far_away_are_left_out_of_the_quick_form():
    random = np.random.RandomState(2)
    rows, columns = (scores.units(random.normal(size=(size, 16))).astype(np.float32) for size in (4, 30))
    columns[3, -1] = columns[7, -1] = 100
    made = scores.Distance(rows, columns, 10)
    quick = made.left() @ made.right(slice(0, 30)).T
    assert made.far == 2 and (quick[:, [3, 7]] < -1e29).all()
    assert made.bound < 1e-4 < scores.Distance(rows, columns, 30).bound  # all 30 can be asked for, so none is left out
    columns[5] *= 3  # between the others and those far away
    assert scores.Distance(rows, columns, 10).far == 0


def test_vectors_whose_squared_distances_do_not_fit_are_refused():
    rows, columns = np.ones((2, 4), np.float32), np.ones((3, 4), np.float32)
    scores.Distance(rows, columns * np.float32(1e17), 1)
    for long in ((rows * np.float32(1e19), columns), (rows, columns * np.float32(1e19))):
        with pytest.raises(Failure, match="an embedding has a length of 2e.19"):
            scores.Distance(*long, 1)
