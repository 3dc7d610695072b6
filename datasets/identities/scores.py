"""The two scores by which benchmarks compare embeddings: the cosine, and minus the squared Euclidean distance.

A score is more when two faces are more alike. Each kind of score has two forms. The quick form is one float32 matrix
product: a matrix of rows times a matrix of columns gives all scores plus `offset`, within `bound`. The exact form is
the protocol's formula in float64 for single pairs. `datasets.identities.tails` takes the quick form for all pairs and
the exact form where the quick one cannot decide.

For example, 3,530 probes and a million distractors have 3.5 billion scores. The quick form takes one product of
matrices, and the exact form is computed for a few thousand pairs.
"""
import numpy as np

from runtime import Failure

UNIT = 2.0 ** -24  # half of float32's relative spacing: the error of one rounding
CHUNK = 2048  # pairs whose exact scores are computed at a time: 8 MB for 512 numbers in float64
LONGEST = 1e18  # of a vector: 4 · 1e36 and sums of such are within float32's 3e38
BLOCK = 8192  # vectors whose norms are computed at a time


def _norms(vectors):
    """Return the norms of vectors in float64, shape (N,), a block at a time."""
    found = np.empty(len(vectors))
    for first in range(0, len(vectors), BLOCK):
        block = np.asarray(vectors[first:first + BLOCK], np.float64)
        found[first:first + BLOCK] = np.sqrt((block * block).sum(axis=1))
    return found


def units(vectors):
    """Return vectors divided by their norms in float64; a vector of zeros stays one."""
    vectors = np.asarray(vectors, np.float64)
    norms = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)


def cosines(first, second):
    """Return the cosines of pairs in float64: each vector normalised, then the inner product.

    Parameters
    ----------
    first, second : float arrays, shape (P, D)

    Returns
    -------
    float64 array, shape (P,)
        A pair's cosine does not depend on the other pairs, so that equal pairs have equal cosines.
    """
    return (units(first) * units(second)).sum(axis=1)


def distances(first, second):
    """Return the squared Euclidean distances of pairs in float64; parameters and result as those of `cosines`."""
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    return (difference * difference).sum(axis=1)


class Score:
    """A kind of score between rows and columns.

    Parameters
    ----------
    rows, columns : arrays of float32, shapes (A, D) and (B, D)
        Of `columns`, slices and arrays of places are taken; it need not be in memory.

    Attributes
    ----------
    rows, columns
    bound : float
        The most by which the quick form differs from the exact one plus `offset`.
    offset : float
    """

    bound, offset = 0.0, 0.0

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns

    @staticmethod
    def of_pairs(first, second):
        """Return the exact scores of pairs of vectors: float64, shape (P,)."""
        raise NotImplementedError

    def exact(self, rows, columns):
        """Return the exact scores of pairs of places: float64, shape (P,)."""
        found = np.empty(len(rows))
        order = np.argsort(columns, kind="stable")  # neighbours in a file are read together
        for first in range(0, len(rows), CHUNK):
            part = order[first:first + CHUNK]
            found[part] = self.of_pairs(self.rows[rows[part]], self.columns[columns[part]])
        return found

    def left(self):
        """Return the rows' matrix of the quick form: float32, shape (A, E)."""
        raise NotImplementedError

    def right(self, columns):
        """Return the columns' matrix of the quick form for a slice of the columns: float32, shape (n, E)."""
        raise NotImplementedError


class Cosine(Score):
    """The cosine, as `cosines` computes it."""

    of_pairs = staticmethod(cosines)

    def __init__(self, rows, columns):
        super().__init__(rows, columns)
        # Each product and sum rounds once, each number of a unit vector once; Σ|a·b| of unit vectors is at most 1.
        self.bound = 1.01 * (rows.shape[1] + 4) * UNIT

    def left(self):
        made = np.empty(self.rows.shape, np.float32)
        for first in range(0, len(made), BLOCK):
            made[first:first + BLOCK] = units(self.rows[first:first + BLOCK])
        return made

    def right(self, columns):
        return units(self.columns[columns]).astype(np.float32)


class Distance(Score):
    """Minus the squared Euclidean distance.

    The quick form has two more numbers a vector, which add the norms: 2ab − a² − b². For unit vectors they are near 0.
    A column whose norm is far above the others' is farther from each row than all others. Such columns are MegaFace's
    noisy distractors, which have 100 as their last number. They would spoil the bound. So they are left out of the
    quick form, unless a caller wants more of a row than there are other columns.

    Parameters
    ----------
    rows, columns
        As for `Score`.
    most : int
        How many columns of a row can matter. For example, 10 when the ten nearest are asked for.

    Raises
    ------
    Failure
        A vector is longer than 1e18: its squared distances do not fit into float32.

    Attributes
    ----------
    far : int
        How many columns are left out.
    """

    def __init__(self, rows, columns, most):
        super().__init__(rows, columns)
        self._row_norms, self._column_norms = _norms(rows), _norms(columns)
        longest = self._row_norms.max(initial=0)
        if max(longest, self._column_norms.max(initial=0)) > LONGEST:
            raise Failure(f"an embedding has a length of {max(longest, self._column_norms.max(initial=0)):.0e}, and "
                          f"squared distances are computed up to {LONGEST:.0e}: it is damaged, or its network had "
                          "diverged")
        usual = max(longest, np.median(self._column_norms) if len(columns) else 0)
        # |b| > R + 2|a| puts b more than R + |a| away from a, and no column of norm R or less is so far.
        self._far = self._column_norms > 2.01 * usual + 2.01 * longest
        near = ~self._far & (self._column_norms > 2 * usual)
        if near.any() or len(columns) - np.count_nonzero(self._far) < most:
            self._far = np.zeros(len(columns), bool)
        self.far = int(np.count_nonzero(self._far))
        column = self._column_norms[~self._far].max(initial=0)
        self._middle = float(np.median(self._column_norms[~self._far]) ** 2) if len(columns) > self.far else 0.0
        self.offset = 2 * self._middle
        sizes = (2 * longest * column + np.abs(self._row_norms ** 2 - self._middle).max(initial=0)
                 + np.abs(self._column_norms[~self._far] ** 2 - self._middle).max(initial=0))
        self.bound = 1.01 * (rows.shape[1] + 6) * UNIT * sizes

    @staticmethod
    def of_pairs(first, second):
        return -distances(first, second)

    def left(self):
        rows, dimension = self.rows.shape
        made = np.empty((rows, dimension + 2), np.float32)
        np.multiply(self.rows, 2, out=made[:, :-2])
        made[:, -2], made[:, -1] = 1, self._middle - self._row_norms ** 2
        return made

    def right(self, columns):
        block = self.columns[columns]
        made = np.empty((len(block), block.shape[1] + 2), np.float32)
        made[:, :-2] = block
        made[:, -2], made[:, -1] = self._middle - self._column_norms[columns] ** 2, 1
        made[self._far[columns]] = 0
        made[self._far[columns], -2] = -1e30  # below every threshold
        return made
