"""A picture of the pairs that verification gets most wrong."""
import cv2
import numpy as np

from datasets.formats.verification_file import decode
from runtime.files import whole_file

CAPTION = 18  # pixels, below each pair
GAP = 24  # pixels, between the columns


def worst_pairs(issame, dist, count=12):
    """Return the pairs nearest to being mistaken, or furthest on the wrong side, worst first.

    Parameters
    ----------
    issame : array of bool, shape (N,)
    dist : array, shape (N,)
    count : int
        At most so many of either kind.

    Returns
    -------
    genuine, impostors : int arrays
        Numbers of genuine pairs of the largest distances, and of impostor pairs of the smallest.
    """
    issame, order = np.asarray(issame, dtype=bool), np.argsort(dist, kind="stable")
    return order[issame[order]][::-1][:count], order[~issame[order]][:count]


def draw_worst_pairs(path, images, issame, dist, count=12, name="the file"):
    """Write a PNG: left the genuine pairs of the largest distances, right the impostors of the smallest.

    Parameters
    ----------
    path : str
        The picture to write.
    images : list of bytes, length 2N
        Encoded, as from `datasets.formats.verification_file.read`.
    issame, dist, count
        As for `worst_pairs`. The number of the pair, from 0, and its squared distance stand below it.
    name : str
        The verification file, for messages.
    """
    columns = [_column(images, pairs, dist, kind, name)
               for kind, pairs in zip(("genuine", "impostor"), worst_pairs(issame, dist, count))]
    height = max(len(column) for column in columns)
    columns = [np.pad(column, ((0, height - len(column)), (0, GAP), (0, 0)), constant_values=255)
               for column in columns if len(column)]
    _, encoded = cv2.imencode(".png", np.concatenate(columns, axis=1)[:, :, ::-1])
    with whole_file(path, "wb") as file:
        file.write(encoded.tobytes())


def _column(images, pairs, dist, kind, name):
    """Return pairs below one another, with captions, RGB; no rows where there are none."""
    rows = [np.zeros((0, 0, 3), np.uint8)]
    for pair in pairs:
        both = np.concatenate(decode(images[2 * pair:2 * pair + 2], name=name, first=2 * pair), axis=1)
        row = np.pad(both, ((0, CAPTION), (0, 0), (0, 0)), constant_values=255)
        text, corner = f"{kind} {pair}: {dist[pair]:.3f}", (4, len(row) - 5)
        rows.append(cv2.putText(row, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA))
    return np.concatenate(rows[1:] or rows)
