"""Files of frames' embeddings, grouped by video: what YTF and iQIYI-VID are evaluated from without a network.

A file is an `.npz` of `embeddings` (N, D), as the network gave them, `counts` (V,), how many consecutive rows each
video has, and the videos' names (V,), in `videos` or in `names`. For example, `counts` of 2, 3 say that rows 0 and 1
are the first video and rows 2 to 4 the second. Rows are read a block at a time.
"""
import functools

import numpy as np

from datasets.formats.embeddings import Archive
from datasets.formats.image_lists import quoted

ROWS = 2048  # of a block: 4 MB at 512 numbers in float32
HOW = "make it with np.savez(file, embeddings=…, counts=…, {}=…)"


class FrameEmbeddings:
    """A file of frames' embeddings.

    Parameters
    ----------
    path : str or os.PathLike
    key : str
        The array with the videos' names: "videos" or "names".
    one_each : bool
        Whether `counts` may be missing, each row being a video of its own.

    Attributes
    ----------
    names : str array, shape (V,)
    counts : int64 array, shape (V,)
        Frames of each video; 0 for a video without any.
    dimension : int
        D.
    frames : int
        N.

    Raises
    ------
    Failure
        It is missing, damaged, or its arrays do not fit each other.
    """

    def __init__(self, path, key="videos", one_each=False):
        self._archive = Archive(path, HOW.format(key))
        self.path = self._archive.path
        self.frames, self.dimension = self._archive.shape("embeddings", "f", 2)
        names = self._archive.read(key, "US")
        counts = np.ones(len(names), np.int64) if one_each and "counts" not in self._archive.names else \
            self._archive.read("counts", "iu")
        self.names = np.char.decode(names, "utf-8", "surrogateescape") if names.dtype.kind == "S" else names
        try:
            for name in self.names.tolist():
                name.encode("utf-8", "surrogateescape")
        except (ValueError, SystemError):  # half of a character, or a number that is none
            raise self._archive.damaged(f"one of its {key} is no text") from None
        if not self.frames or not self.dimension or not len(names):
            raise self._archive.damaged(f"it has {len(names)} {key} and {self.frames} embeddings of {self.dimension} "
                                        "numbers")
        if len(counts) != len(names):
            raise self._archive.damaged(f"it has {len(counts)} counts for {len(names)} {key}")
        wrong = np.flatnonzero((counts < 0) | (counts > self.frames))
        if wrong.size:
            raise self._archive.damaged(f"the count of {quoted(str(self.names[wrong[0]]))} is {counts[wrong[0]]}")
        self.counts = counts.astype(np.int64)
        if self.counts.sum() != self.frames:
            raise self._archive.damaged(f"its counts sum to {self.counts.sum()}, and there are {self.frames} "
                                        "embeddings")

    def blocks(self, rows=ROWS):
        """Yield the embeddings of consecutive frames, arrays (n, D)."""
        return self._archive.rows("embeddings", "f", rows)

    @functools.cached_property
    def ends(self):
        """The row after the last one of each video: int64 array, shape (V,)."""
        return np.cumsum(self.counts)

    def frame(self, row):
        """Return what messages call a frame: its video, and its place in it from 1."""
        video = int(np.searchsorted(self.ends, row, side="right"))
        return f"frame {row - self.ends[video] + self.counts[video] + 1} of {quoted(str(self.names[video]))}"
