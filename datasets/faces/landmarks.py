"""Where faces are, as lists and landmark files tell it: five points of each, in one order."""
import array
import csv
import os

import numpy as np

from datasets.faces.align import likeness
from datasets.formats import image_lists, text
from datasets.formats.image_lists import finder, numbers, unquoted
from runtime import Failure


def five_points(rows):
    """Return ten numbers a row as points, shape (N, 5, 2). Files have x1 y1 x2 y2 … or, as the original's lists,
    x1 … x5 y1 … y5: the order under which the file's points look like faces is taken.
    """
    rows = np.asarray(rows, dtype=np.float64).reshape(-1, 10)
    orders = [rows.reshape(-1, 2, 5).transpose(0, 2, 1), rows.reshape(-1, 5, 2)]
    if not len(rows) or np.abs(rows).max() >= 1e6:
        return orders[0]
    some = slice(None, None, max(1, len(rows) // 1000))
    return max(orders, key=lambda points: np.mean([likeness(five) for five in points[some]]))


def read_list(path):
    """Read a list of labelled images, as `image_lists.read_list`, with the points of faces in order, shape (5, 2)."""
    entries = image_lists.read_list(path)
    rows = [row for row, entry in enumerate(entries) if entry.points is not None]
    for row, points in zip(rows, five_points([entries[row].points for row in rows])):
        entries[row] = entries[row]._replace(points=points)
    return entries


def read_landmarks(path, root=None):
    """Read where the faces of images are.

    Parameters
    ----------
    path : str or os.PathLike
        A line for each image: its path, then x and y of left eye, right eye, nose, left and right mouth corner, as
        seen in the upright picture, in pixels. Columns are divided by tabs, commas or spaces; the order may be
        x1 y1 x2 y2 … or x1 … x5 y1 … y5; what follows, such as a score, is not used; one or two lines of headings may
        come first. Or the original's list with all its 17 columns.
    root : str or os.PathLike or None
        The folder of images, in which names that Windows wrote are looked for (`finder`).

    Returns
    -------
    dict of str to ndarray of float64, shape (5, 2)

    Raises
    ------
    Failure
        The file is missing, empty, or has a line of another form.
    """
    names, rows, find = [], array.array("d"), finder(root) if root is not None else str
    for number, line in text.lines(path):
        try:
            fields = line.split("\t") if "\t" in line else next(csv.reader([line])) if "," in line else line.split()
        except csv.Error:
            fields = []
        if len(fields) >= 17 and not numbers(fields[1:2]):
            fields = fields[1:2] + fields[7:]
        points = numbers(fields[1:11])
        if not points or len(points) != 10:
            if number <= 2 and not names:
                continue
            raise Failure(f"{path}: line {number} is not a path and ten numbers")
        names.append(find(os.path.normpath(unquoted(fields[0]))))
        rows.extend(points)
    if not names:
        raise Failure(f"{path} has no line of a path and ten numbers")
    return dict(zip(names, five_points(rows)))
