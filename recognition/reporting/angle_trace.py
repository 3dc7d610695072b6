"""What Figure 4a needs of a run: the distribution of θ, the angle of each embedding with the centre of its class.

Kept as histograms, each of a *window* of consecutive steps. There are at most 300, however long the run: a window is
one step until they are all taken; then, and each time again, neighbours are put together and windows are twice as
long. The first ten steps stay apart, since a run changes fastest at its start.
"""
import os
import zipfile
import zlib

import numpy as np

from runtime import Failure
from runtime.files import whole_file

MOST, APART = 300, 10  # windows, and how many first ones are of one step for good
BINS = 180  # of one degree
FILE = "angles.npz"


class AngleTrace:
    """Collects angles step by step.

    Attributes
    ----------
    steps : np.ndarray of int64, (W, 2)
        First and last step of each window, counted from 1.
    sums : np.ndarray of float64, (W,)
        Sum of its angles in degrees.
    counts : np.ndarray of int64, (W, 180)
        How many of them lie in each degree from 0 to 180.
    """

    def __init__(self):
        self.steps, self.sums = np.zeros((0, 2), np.int64), np.zeros(0)
        self.counts = np.zeros((0, BINS), np.int64)

    def __call__(self, report):
        """Count the angles of a step that a run reports."""
        self.add(report.step, report.cosines)

    def add(self, step, cosine):
        """Count the cosines (B,) of a step; those that are no numbers are left out."""
        degrees = np.degrees(np.arccos(np.clip(np.asarray(cosine, np.float64), -1, 1)))
        degrees = degrees[np.isfinite(degrees)]
        if self._full():
            if len(self.steps) == MOST:
                self._merge()
            self.steps = np.append(self.steps, [[step, step]], axis=0)
            self.sums = np.append(self.sums, 0.0)
            self.counts = np.append(self.counts, np.zeros((1, BINS), np.int64), axis=0)
        self.steps[-1, 1] = step
        self.sums[-1] += degrees.sum()
        self.counts[-1] += np.histogram(degrees, BINS, (0, 180))[0]

    def _full(self):
        """Whether the next step begins a window: the last one is as long as the first that may grow."""
        lengths = self.steps[:, 1] - self.steps[:, 0]
        return len(lengths) <= APART or lengths[-1] >= lengths[APART]

    def _merge(self):
        """Put neighbouring windows together."""
        first, second = slice(APART, None, 2), slice(APART + 1, None, 2)
        merged = np.column_stack([self.steps[first, 0], self.steps[second, 1]])
        self.steps = np.concatenate([self.steps[:APART], merged])
        self.sums = np.concatenate([self.sums[:APART], self.sums[first] + self.sums[second]])
        self.counts = np.concatenate([self.counts[:APART], self.counts[first] + self.counts[second]])

    def state(self):
        """Return the arrays that `restore` takes, by name."""
        return {"steps": self.steps, "sums": self.sums, "counts": self.counts}

    def restore(self, arrays):
        """Go on from what `state` gave; from nothing where that is empty.

        Raises runtime.Failure where the arrays do not belong together.
        """
        if not arrays:
            return
        shapes = {name: np.shape(values) for name, values in arrays.items()}
        windows = shapes.get("sums", (0,))[0]
        if shapes != {"steps": (windows, 2), "sums": (windows,), "counts": (windows, BINS)} or windows > MOST:
            raise Failure("the state's angles are damaged: resume without --trace-angles, or from an older state")
        self.steps, self.sums, self.counts = (np.array(arrays[name], kind) for name, kind in
                                              (("steps", np.int64), ("sums", np.float64), ("counts", np.int64)))

    def write(self, folder):
        """Write `<folder>/angles.npz`, whole or not at all: `steps`, `counts`, `edges` (181,) and `means` (W,)."""
        means = self.sums / np.maximum(self.counts.sum(1), 1)
        with whole_file(os.path.join(folder, FILE)) as file:
            np.savez_compressed(file, steps=self.steps, means=means, counts=self.counts, edges=np.arange(BINS + 1.0))


def read(path):
    """Return what a run kept.

    Parameters
    ----------
    path : str or os.PathLike
        `angles.npz`, or a run's folder.

    Returns
    -------
    dict of str to np.ndarray
        `steps` (W, 2), first and last of each window; `means` (W,) and `edges` (181,) in degrees; `counts` (W, 180).

    Raises
    ------
    runtime.Failure
        Where there is no such file or it is damaged.
    """
    path = os.path.join(path, FILE) if os.path.isdir(path) else os.fspath(path)
    if not os.path.exists(path):
        raise Failure(f"{path} is missing: train with --trace-angles")
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in ("steps", "means", "counts", "edges")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, NotImplementedError,
            zipfile.BadZipFile, zlib.error) as error:
        raise Failure(f"{path} cannot be read ({' '.join(str(error).split())[:100]}): train again with "
                      "--trace-angles") from error
    windows = len(np.atleast_1d(found["means"]))
    shapes = {"steps": (windows, 2), "means": (windows,), "counts": (windows, BINS), "edges": (BINS + 1,)}
    if windows < 1 or any(found[name].shape != shape or found[name].dtype.kind not in "iuf"
                          for name, shape in shapes.items()):
        raise Failure(f"{path} does not hold a run's angles: train again with --trace-angles")
    return found


def stages(trace, samples=2000):
    """Return a run's start, middle and end from what `read` gave.

    Each stage is the fewest neighbouring windows there that hold `samples` angles together, or all of them: from the
    first on, around the middle step, and up to the last.

    Returns
    -------
    list of (int, int, float, np.ndarray)
        Three times: first step, last step, mean angle in degrees, counts (180,).
    """
    steps, counts = trace["steps"], trace["counts"]
    sizes, windows = counts.sum(1), len(steps)

    def pooled(first, last):
        weights = sizes[first:last + 1]
        mean = float((trace["means"][first:last + 1] * weights).sum() / max(weights.sum(), 1))
        return int(steps[first, 0]), int(steps[last, 1]), mean, counts[first:last + 1].sum(0)

    def grown(first, last):
        while sizes[first:last + 1].sum() < samples and (first > 0 or last < windows - 1):
            if last < windows - 1 and (first == 0 or (last - first) % 2 == 0):
                last += 1
            else:
                first -= 1
        return pooled(first, last)

    middle = int(np.searchsorted(steps[:, 1], (steps[0, 0] + steps[-1, 1]) / 2))
    return [grown(0, 0), grown(middle, middle), grown(windows - 1, windows - 1)]
