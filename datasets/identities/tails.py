"""The highest of very many scores, exactly, in bounded memory: the best of each row, and the k-th of all.

MegaFace has 3,530 × 1,000,000 scores, Trillion-Pairs 274,000 × 1,580,000: too many to keep. They are computed a block
at a time by one float32 product. Of a block, the highest score of each row is taken first. It tells which rows may have
a score among the best of their row, or above a threshold of all. In these few rows the scores that may count are kept
with their places.

The results are exact although the product is not. A float32 score differs from the exact one by at most a known bound
(`datasets.identities.scores`). All that lies within the bound of a decision is computed again in float64 by the
protocol's own formula. So equal scores count as equal, such as those of an image that is listed twice.

For example, `scan(Cosine(probes, gallery), best=1, counts=[158])` gives each probe's best score, and the 158th largest
score of all.
"""
import collections
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from runtime import Failure, cores

ROWS, COLUMNS = 4096, 512  # of a block: 8 MB
TAIL = 1 << 20  # a k-th largest up to this one is found by keeping all that are larger
ROOM = 1 << 17  # candidates that are kept at least before the worse ones are dropped
MOST = 1 << 26  # candidates of one threshold in memory: 800 MB
SAMPLE = 1 << 22  # scores by which thresholds farther down are estimated


class Found(NamedTuple):
    """What a scan finds.

    Attributes
    ----------
    best : float64 array, shape (A, k)
        The highest scores of each row, highest first, equal ones as often as they occur; −∞ where a row has fewer
        columns.
    places : int64 array, shape (A, k)
        Their columns, of equal scores the first ones first; −1 where there are fewer.
    kth : dict of int to float
        For each count, the score that is so-manieth of all. −∞ for more than there are.
    """

    best: np.ndarray
    places: np.ndarray
    kth: dict


class _Candidates:
    """Scores with their rows and columns, in lists that are joined when they are looked at."""

    def __init__(self):
        self._held = [[np.empty(0, kind)] for kind in (np.float32, np.int32, np.int32)]
        self.count = 0

    def add(self, picked):
        if picked is not None:
            for held, array in zip(self._held, picked):
                held.append(array)
            self.count += len(picked[0])

    def joined(self):
        """Return values, rows and columns as arrays, and keep them as one."""
        for held in self._held:  # one kind after the other, so that only one is in memory twice
            if len(held) > 1:
                held[:] = [np.concatenate(held)]
        return tuple(held[0] for held in self._held)

    def keep(self, chosen):
        """Keep those of the joined arrays that a mask or places choose."""
        self.joined()
        for held in self._held:
            held[0] = held[0][chosen]
        self.count = len(self._held[0][0])


def _below(value):
    """Return the float32 next below a number, or arrays of such."""
    return np.nextafter(np.asarray(value, np.float64).astype(np.float32), np.float32(-np.inf))


def _above(value):
    """Return the float32 next above a number."""
    return np.nextafter(np.float32(value), np.float32(np.inf))


def _rows_of(block, places):
    """Return rows of a block: a copy, or the block itself where all are meant."""
    return block if len(places) == len(block) else block[places]


def _pick(block, mask, places, left):
    """Return the scores of a block that a mask chooses, with their rows and columns; None where there are none.

    `places` are the numbers of the block's rows, `left` is the number of its first column.
    """
    chosen = np.flatnonzero(mask)
    if not len(chosen):
        return None
    rows, columns = np.divmod(chosen, block.shape[1])
    return block.reshape(-1)[chosen], places[rows].astype(np.int32), (columns + left).astype(np.int32)


class _Best:
    """The highest scores of each row."""

    def __init__(self, score, most):
        self.score, self.most = score, most
        self.limits = np.full(len(score.rows), -np.inf, np.float32)
        self.candidates = _Candidates()

    def look(self, block, peaks, top, left):
        """Return what `take` needs of a block whose rows have these highest scores.

        Several threads may look at the same time, but for the first columns.
        """
        limits = self.limits[top:top + len(block)]
        width = block.shape[1]
        if left == 0 and width >= self.most:
            kth = np.partition(block, width - self.most, axis=1)[:, width - self.most].astype(np.float64)
            limits[:] = _below(kth - 2 * self.score.bound)
        rows = np.flatnonzero(peaks >= limits)
        part = _rows_of(block, rows)
        return _pick(part, part >= limits[rows, None], rows + top, left)

    def take(self, seen):
        self.candidates.add(seen)
        if self.candidates.count > max(ROOM, 4 * self.most * len(self.limits)):
            self._drop()

    def _drop(self):
        """Raise the limits to what the candidates so far allow, and drop candidates below them."""
        values, rows, _ = self.candidates.joined()
        order = np.lexsort((-values, rows))
        starts = np.searchsorted(rows[order], np.arange(len(self.limits) + 1))
        full = np.flatnonzero(np.diff(starts) >= self.most)
        kth = values[order[starts[full] + self.most - 1]].astype(np.float64)
        self.limits[full] = np.maximum(self.limits[full], _below(kth - 2 * self.score.bound))
        self.candidates.keep(values >= self.limits[rows])

    def finish(self):
        """Return `Found.best` and `Found.places`."""
        if self.most:
            self._drop()
        rows, columns = (array.astype(np.int64) for array in self.candidates.joined()[1:])
        values = self.score.exact(rows, columns)
        order = np.lexsort((columns, -values, rows))
        rank = np.arange(len(order)) - np.searchsorted(rows[order], rows[order])
        order, rank = order[rank < self.most], rank[rank < self.most]
        best, places = np.full((len(self.limits), self.most), -np.inf), np.full((len(self.limits), self.most), -1)
        best[rows[order], rank], places[rows[order], rank] = values[order], columns[order]
        return best, places.astype(np.int64)


class _Window:
    """The scores from `low` to `high`, with the number of those above.

    With `high` = ∞ the window holds the largest scores: `low` rises with what has been seen. A window for a count
    farther down keeps its ends, which come from a sample.
    """

    def __init__(self, score, counts, low=-np.inf, high=np.inf):
        self.score, self.counts = score, counts
        self.low, self.high, self.above = np.float32(low), np.float32(high), 0
        self.candidates = _Candidates()

    def look(self, block, peaks, top, left):
        """Return what `take` needs of a block, as `_Best.look`. Several threads may look at the same time."""
        rows = np.flatnonzero(peaks >= self.low)
        part = _rows_of(block, rows)
        mask, above = part >= self.low, 0
        if np.isfinite(self.high):
            below = part <= self.high
            above = part.size - np.count_nonzero(below)
            mask &= below
        return above, _pick(part, mask, rows + top, left)

    def take(self, seen):
        self.above += seen[0]
        self.candidates.add(seen[1])
        if not np.isfinite(self.high) and self.candidates.count > max(ROOM, 2 * max(self.counts)):
            values = self.candidates.joined()[0]
            kth = np.partition(values, len(values) - max(self.counts))[len(values) - max(self.counts)]
            self.low = max(self.low, _below(float(kth) - 2 * self.score.bound))
            self.candidates.keep(values >= self.low)
        if self.candidates.count > MOST:
            raise Failure(f"the {max(self.counts):,}th largest of {len(self.score.rows) * len(self.score.columns):,} "
                          "scores cannot be found in bounded memory: too many are equal or nearly so, or the rate is "
                          "too high; give a lower rate")

    def misses(self, count):
        """Return −1 where a count's score may lie above the window, 1 where below, 0 where it is inside for sure."""
        values = self.candidates.joined()[0]
        if np.isfinite(self.high) and count <= self.above:
            return -1
        if count > self.above + len(values):
            return 1
        kth, margin = self._kth(values, count), 2 * self.score.bound
        return 1 if kth - margin < self.low else -1 if kth + margin > self.high else 0

    def _kth(self, values, count):
        place = len(values) - (count - self.above)
        return float(np.partition(values, place)[place])

    def kth(self, count):
        """Return the exact score of a count that is inside the window."""
        values, rows, columns = self.candidates.joined()
        kth, margin = self._kth(values, count), 2 * self.score.bound
        high = _above(kth + margin)
        above = self.above + np.count_nonzero(values > high)
        near = np.flatnonzero((values >= _below(kth - margin)) & (values <= high))
        exact = np.sort(self.score.exact(rows[near].astype(np.int64), columns[near].astype(np.int64)))
        return float(exact[len(exact) - (count - above)])


def _threads():
    """Return how many threads work at a time: as many as MXNet's and NumPy's, which OMP_NUM_THREADS tells."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(text), cores()) if text.isdigit() and int(text) else cores()


def _see(score, left, takers, progress):
    """Show all quick scores to takers, a block at a time.

    A thread multiplies and looks at a block of columns with all rows. One thread takes what they saw, in order.
    """
    places, own = range(0, len(score.columns), COLUMNS), threading.local()

    def look(first):
        right = score.right(slice(first, min(first + COLUMNS, len(score.columns))))
        if not hasattr(own, "room"):
            own.room = np.empty(min(ROWS, len(left)) * COLUMNS, np.float32)
        for top in range(0, len(left), ROWS):
            part = left[top:top + ROWS]
            block = own.room[:len(part) * len(right)].reshape(len(part), len(right))
            np.matmul(part, right.T, out=block)
            peaks = block.max(axis=1)
            yield [taker.look(block, peaks, top, first) for taker in takers]

    def take(seen):
        for one in seen:
            for taker, saw in zip(takers, one):
                taker.take(saw)
        bar.update(min(COLUMNS, len(score.columns) - bar.n))

    with tqdm(total=len(score.columns), desc=progress, unit="column", leave=False, unit_scale=True,
              disable=None if progress else True) as bar:
        take(look(0))  # block by block, for it sets the limits without which all scores are picked
        threads = _threads()
        if threads == 1 or len(places) < 2 * threads:
            for first in places[1:]:
                take(look(first))
            return
        # Single products in two threads are faster than products of two threads, which wait for each other.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
            waiting = collections.deque()
            for first in places[1:]:
                waiting.append(pool.submit(lambda first: list(look(first)), first))
                if len(waiting) > 2 * threads:
                    take(waiting.popleft().result())
            while waiting:
                take(waiting.popleft().result())


def scan(score, best=0, counts=(), progress=None):
    """Find the highest scores of each row, and the k-th largest of all scores.

    Parameters
    ----------
    score : datasets.identities.scores.Score
    best : int
        How many of each row.
    counts : iterable of int
        From 1: which of all scores, counted from the largest.
    progress : str or None
        What a bar on stderr is called. The bar is shown if stderr is a terminal. None: no bar.

    Returns
    -------
    Found

    Raises
    ------
    Failure
        A count is so large that the scores near it do not fit into memory.
    """
    total, left = len(score.rows) * len(score.columns), score.left()
    kth = {count: -np.inf for count in counts if count > total}
    small = sorted(count for count in set(counts) - set(kth) if count <= TAIL)
    large = sorted(set(counts) - set(kth) - set(small))
    rows = _Best(score, min(best, len(score.columns)))
    windows = [_Window(score, small)] * bool(small)
    windows += [_Window(score, [count], *ends) for count, ends in zip(large, _estimated(score, left, large, total))]
    takers = [rows] * bool(best) + windows
    while takers and total:
        _see(score, left, takers, progress)
        takers = []
        for number, window in enumerate(windows):
            wrong = [window.misses(count) for count in window.counts]
            if any(wrong):  # the sample was not like the rest: once more, with ends farther out on that side
                width = np.float32(window.high - window.low)
                low, high = ((window.high - width / 2, window.high + 4 * width) if min(wrong) < 0
                             else (window.low - 4 * width, window.low + width / 2))
                windows[number] = _Window(score, window.counts, low, high)
                takers.append(windows[number])
    for window in windows if total else ():
        kth.update((count, window.kth(count)) for count in window.counts)
    found, places = rows.finish()
    if found.shape[1] < best:
        missing = (len(found), best - found.shape[1])
        found, places = np.hstack([found, np.full(missing, -np.inf)]), np.hstack([places, np.full(missing, -1)])
    return Found(found, places, kth)


def _estimated(score, left, counts, total):
    """Return, for each count, where its score lies by a sample: (low, high) of the quick form.

    The sample's scores share rows and columns. They tell less than independent ones would, so the ends are twice as
    far out as those of independent ones: six standard deviations.
    """
    if not counts:
        return []
    random, height = np.random.RandomState(0), 64
    rows = random.permutation(len(left))[:height * max(1, SAMPLE // (height * 1024))]
    sample = []
    for first in range(0, len(rows), height):
        start = random.randint(0, max(1, len(score.columns) - 1024 + 1))
        sample.append((left[rows[first:first + height]] @ score.right(slice(start, start + 1024)).T).ravel())
    sample = np.sort(np.concatenate(sample))[::-1]
    found = []
    for count in counts:
        rate, number = count / total, len(sample)
        apart = 12 * np.sqrt(rate * (1 - rate) / number) + 8 / number
        ends = [int(number * (rate + side * apart)) for side in (1, -1)]
        low = sample[ends[0]] if ends[0] < number else 2 * sample[-1] - sample[0]
        high = sample[ends[1]] if ends[1] >= 0 else 2 * sample[0] - sample[-1]
        found.append((low - 4 * score.bound, high + 4 * score.bound))
    return found
