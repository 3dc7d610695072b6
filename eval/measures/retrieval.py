"""Measures of retrieval: items ranked by score for each query, and the average precision of the first 100 (Table 9).

A query is an identity, an item a clip. Of equal scores, the item that comes first in the alphabet is ranked first. For
example, clips `a` and `b` with the same score are ranked `a`, `b`.
"""
import numpy as np
from tqdm import tqdm

DEPTH = 100  # places that count


def without_repeats(ranked):
    """Return a list without the names that occur earlier in it."""
    return list(dict.fromkeys(ranked))


def average_precision(ranked, relevant, depth=DEPTH, divisor=None):
    """Return the average precision of one query.

    It is the sum of the precisions at the hits among the first `depth` items, divided by the number of relevant items.
    So a query with more than `depth` relevant items stays below 1.

    Parameters
    ----------
    ranked : sequence of str
        Items, the best first. A repeated item counts where it occurs first, and later items move up.
    relevant : collection of str
        Items that belong to the query. A repeated item counts once.
    depth : int
    divisor : int, optional
        What the sum is divided by in place of the number of relevant items.

    Returns
    -------
    float
        0 to 1; 0 where nothing is relevant.
    """
    relevant = set(relevant)
    hits, precisions = 0, 0.0
    for place, item in enumerate(without_repeats(ranked)[:depth], 1):
        if item in relevant:
            hits += 1
            precisions += hits / place
    divisor = len(relevant) if divisor is None else divisor
    return precisions / divisor if divisor else 0.0


def average_precisions(rankings, relevant, depth=DEPTH):
    """Return the average precision of each query of the ground truth.

    Parameters
    ----------
    rankings : dict of query to sequence of str
        A query that is missing here counts 0.
    relevant : dict of query to collection of str
        The ground truth. MAP is the mean over its queries. A query without relevant items counts 0.
    depth : int

    Returns
    -------
    dict of query to float
        In the order of the ground truth.
    """
    return {query: average_precision(rankings.get(query, ()), items, depth) for query, items in relevant.items()}


def mean(values):
    """Return the mean of a dict's values, such as average precisions; NaN where there are none."""
    return float(np.mean(list(values.values()))) if values else float("nan")


def _first(scores, items, depth):
    """Return the columns of the `depth` first items of each row, equal scores by item. Arrays have shape (Q, M)."""
    rows, columns = scores.shape
    if columns <= depth:
        return np.broadcast_to(np.arange(columns), (rows, columns))
    last = np.partition(scores, columns - depth, axis=1)[:, columns - depth, None]
    kept, level = scores > last, scores == last
    wanted = depth - kept.sum(axis=1)
    for row in np.flatnonzero(level.sum(axis=1) > wanted):  # more items share the last score than have room
        tied = np.flatnonzero(level[row])
        level[row] = False
        level[row, tied[np.argsort(items[row, tied], kind="stable")[:wanted[row]]]] = True
    kept |= level
    return np.nonzero(kept)[1].reshape(rows, depth)


class Ranking:
    """The first places of many queries, from scores that come a block of items at a time.

    In memory are one block and `depth` items a query.

    Parameters
    ----------
    queries : int
        Q.
    depth : int
    """

    def __init__(self, queries, depth=DEPTH):
        self.depth = depth
        self._scores, self._items = np.empty((queries, 0)), np.empty((queries, 0), np.int64)

    def add(self, scores, items):
        """Add a block of items.

        Parameters
        ----------
        scores : float array, shape (Q, n)
            Finite; the greater, the more similar.
        items : int array, shape (n,)
            Numbers of the items, each added once. Of equal scores the smaller number is ranked first.
        """
        scores = np.concatenate([self._scores, scores], axis=1)
        items = np.concatenate([self._items, np.broadcast_to(items, (len(scores), len(items)))], axis=1)
        columns = _first(scores, items, self.depth)
        self._scores, self._items = (np.take_along_axis(one, columns, axis=1) for one in (scores, items))

    def items(self):
        """Return the items of each query, the best first: int array, shape (Q, at most depth)."""
        return np.take_along_axis(self._items, np.lexsort((self._items, -self._scores), axis=1), axis=1)


def rank(names, score, queries, depth=DEPTH, block=2048, progress=False):
    """Rank named items for each query; the scores of one block are in memory at a time.

    Parameters
    ----------
    names : array of str, shape (N,)
        Where a name occurs several times, its best score counts.
    score : callable
        From rows, an int array (n,), to scores (Q, n).
    queries : int
        Q.
    depth : int
    block : int
        Names of a block.
    progress : bool
        Whether to show progress on stderr, where that is a terminal.

    Returns
    -------
    list of list of str
        For each query, the names of its first `depth` items. Equal scores are ranked by name.
    """
    found = Ranking(queries, depth)
    different, of_row = np.unique(names, return_inverse=True)
    order = np.argsort(of_row, kind="stable")
    begins = np.searchsorted(of_row[order], np.arange(len(different) + 1))
    for first in tqdm(range(0, len(different), block), desc="ranking", leave=False, disable=None if progress else True):
        past = min(first + block, len(different))
        scores = score(order[begins[first]:begins[past]])
        if begins[past] - begins[first] > past - first:
            scores = np.maximum.reduceat(scores, begins[first:past] - begins[first], axis=1)
        found.add(scores, np.arange(first, past))
    return [different[items].tolist() for items in found.items()]
