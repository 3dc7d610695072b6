"""Cosine similarities of many unit vectors, computed a block at a time.

All similarities of 85,742 centres would take 29 GB. A block of 2,048 × 2,048 float32 takes 16 MB, and one block is in
memory at a time, with a mask of a quarter of its size. What each function returns comes on top.
"""
import numpy as np
from tqdm import tqdm

from runtime import Failure

BLOCK = 2048  # rows and columns of a block of similarities: 16 MB
MOST_PAIRS = 100_000


def blocks(first, second=None, block=BLOCK, progress=None):
    """Yield the cosine similarities of unit vectors, a block at a time.

    Parameters
    ----------
    first : float32 array, shape (A, D)
    second : float32 array, shape (B, D), or None
        None compares `first` with itself. Each pair of blocks then comes once: the one on and above the diagonal. The
        block of `columns` and `rows` is its transpose.
    block : int
        The most rows and columns of a block.
    progress : str or None
        What a bar on stderr is called. The bar is shown if stderr is a terminal. None: no bar.

    Yields
    ------
    rows : slice
        Of `first`. Ascending: all blocks of the same rows follow each other.
    columns : slice
        Of `second`. Ascending within the same rows. On the diagonal of one set, `rows` equals `columns`.
    cosines : float32 array, shape (rows, columns)
        The caller may change the array.
    """
    others = first if second is None else second
    for top in tqdm(range(0, len(first), block), desc=progress, leave=False, disable=None if progress else True):
        rows = slice(top, min(top + block, len(first)))
        for left in range(top if second is None else 0, len(others), block):
            columns = slice(left, min(left + block, len(others)))
            yield rows, columns, first[rows] @ others[columns].T


def nearest(first, second=None, own=None, block=BLOCK):
    """Find the vector most similar to each vector.

    Parameters
    ----------
    first : float32 array, shape (A, D)
        Unit vectors.
    second : float32 array, shape (B, D), or None
        None finds the nearest *other* vector of `first`. Each pair of blocks is then computed once.
    own : int array, shape (A,), or None
        For each vector, one of `second` that does not count. Needs `second`.
    block : int
        As for `blocks`.

    Returns
    -------
    places : int64 array, shape (A,)
        The first of equals; −1 where there is none.
    cosines : float32 array, shape (A,)
        −∞ where there is none.
    """
    places, best = np.full(len(first), -1, np.int64), np.full(len(first), -np.inf, np.float32)

    def offer(rows, columns, cosines):
        """Take the nearest of these columns for each row that has a less similar one so far."""
        column = cosines.argmax(axis=1)
        value = cosines[np.arange(len(cosines)), column]
        better = value > best[rows]
        places[rows][better], best[rows][better] = column[better] + columns.start, value[better]  # slices are views

    for rows, columns, cosines in blocks(first, second, block):
        if own is not None:
            mine = own[rows] - columns.start
            here = np.flatnonzero((mine >= 0) & (mine < cosines.shape[1]))
            cosines[here, mine[here]] = -np.inf
        if second is None and rows == columns:
            np.fill_diagonal(cosines, -np.inf)
        elif second is None:
            offer(columns, rows, cosines.T)
        offer(rows, columns, cosines)
    return places, best


def pairs_above(first, second, threshold, most=MOST_PAIRS, progress=False, block=BLOCK):
    """Find all pairs of unit vectors whose cosine similarity is at least a threshold.

    Parameters
    ----------
    first : float32 array, shape (A, D)
    second : float32 array, shape (B, D), or None
        None compares `first` with itself, each pair once.
    threshold : float
    most : int
        More pairs than that are a Failure: such a threshold means nothing.
    progress : bool
        Whether to show progress and the time left on stderr, where that is a terminal.
    block : int
        As for `blocks`.

    Returns
    -------
    rows, columns : int64 arrays, shape (P,)
        Most similar first.
    cosines : float32 array, shape (P,)

    Raises
    ------
    Failure
        There are more than `most` pairs.
    """
    found, total = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))], 0
    for rows, columns, cosines in blocks(first, second, block, "comparing identities" if progress else None):
        if second is None and rows == columns:
            cosines[np.tri(len(cosines), dtype=bool)] = -np.inf
        above = cosines >= threshold
        total += np.count_nonzero(above)
        if total > most:
            raise Failure(f"more than {most} pairs of identities have a cosine of {threshold:g} or more: give a "
                          "higher --threshold; if the network is not yet trained, it tells nobody apart")
        row, column = np.nonzero(above)
        found.append((row + rows.start, column + columns.start, cosines[row, column]))
    rows, columns, cosines = map(np.concatenate, zip(*found))
    order = np.argsort(-cosines, kind="stable")
    return rows[order], columns[order], cosines[order]
