"""Templates of videos: each frame's embedding normalised, the mean over the frames, normalised (Sec. 3.3, YTF, iQIYI).

A video of one frame that points north and one that points east has the template that points north-east, however long
the two embeddings are. The mirror image is not used.
"""
import numpy as np
from tqdm import tqdm

from runtime import Failure


def normalised(vectors):
    """Return vectors (N, D) in float64 with a length of 1, and their lengths before (N,). A zero vector stays zero."""
    vectors = np.asarray(vectors, np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    with np.errstate(invalid="ignore"):  # callers refuse what is not finite by its length
        return vectors / np.where(lengths > 0, lengths, 1)[:, None], lengths


def of_frames(frames):
    """Return the template of one video.

    Parameters
    ----------
    frames : array, shape (N, D)
        Embeddings of its frames, of any length but 0; N is at least 1.

    Returns
    -------
    float64 array, shape (D,)
        A unit vector; zero where the frames cancel each other.
    """
    return normalised(normalised(frames)[0].sum(axis=0)[None])[0][0]


def of_file(file, progress=False, blocks=None, unit_frames=True):
    """Return the templates of all videos of a file, in one pass.

    In memory are one block of frames and the templates. The sum over a video does not depend on where blocks end.

    Parameters
    ----------
    file : datasets.formats.frame_embeddings.FrameEmbeddings
    progress : bool
        Whether to show progress on stderr, where that is a terminal.
    blocks : iterable of arrays (n, D), optional
        The file's rows; by default `file.blocks()`.
    unit_frames : bool
        Whether each frame is normalised before the mean, as the original does. Otherwise a long embedding, which a
        clear picture has, weighs more.

    Returns
    -------
    float64 array, shape (V, D)
        Unit vectors; zero for a video without frames.

    Raises
    ------
    Failure
        A frame's embedding is zero or not finite, the frames of a video cancel each other, the file is damaged.
    """
    templates = np.zeros((len(file.names), file.dimension))
    there = np.flatnonzero(file.counts)
    ends, first, video = file.ends[there], 0, 0  # `video` is the place in `there` that the next row belongs to
    with tqdm(total=file.frames, desc=str(file.path), unit="frame", leave=False,
              disable=None if progress else True) as bar:
        for block in file.blocks() if blocks is None else blocks:
            rows, lengths = normalised(block)
            rows = rows if unit_frames else np.array(block, np.float64)
            wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
            if wrong.size:
                raise Failure(f"{file.path}: the embedding of {file.frame(first + int(wrong[0]))} is zero or not "
                              "finite; the network that made it had diverged, or the image is damaged")
            past = first + len(rows)
            last = int(np.searchsorted(ends, past, side="left"))  # the video of the block's last row
            # Rows are added one after another, so that a video that a block's end divides gets the same sum.
            rows[0] += templates[there[video]]
            begin = 0
            for place, end in enumerate((ends[video:last + 1] - first).tolist(), video):
                rows[begin:end].sum(axis=0, out=templates[there[place]])
                begin = end
            first, video = past, last + int(ends[last] == past)
            bar.update(len(rows))
    templates, lengths = normalised(templates)
    cancelled = there[lengths[there] == 0]
    if cancelled.size:
        raise Failure(f"{file.path}: the frames of {file.frame(int(file.ends[cancelled[0]]) - 1).split(' of ', 1)[1]} "
                      "cancel each other, which leaves no template; the network that made them had diverged")
    return templates
