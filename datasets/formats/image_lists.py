"""Text files that name images: lists with labels (`.lst`) and landmark files.

A name is written as it is. One that would break a line or a column (tabs, newlines, bytes that are no UTF-8) is
written as a JSON string, in quotation marks, which is how it is read back.
"""
import array
import csv
import json
import ntpath
import os
from typing import NamedTuple, Optional

import numpy as np

from datasets.faces.align import likeness
from datasets.formats import text
from datasets.formats.images import is_windows
from runtime import Failure


class Entry(NamedTuple):
    """An image of a list.

    Attributes
    ----------
    path : str
        Relative to the folder of images.
    identity : str or int
        The name of its folder, or its label in a list.
    aligned : bool or None
        Whether it is a crop already, which is taken as it is; None where that is not known.
    points : ndarray of float64, shape (5, 2), or None
        Where its face is, if that is known.
    labels : list of float, or None
        All labels of a list that has several of an image.
    """

    path: str
    identity: object
    aligned: Optional[bool]
    points: Optional[np.ndarray] = None
    labels: Optional[list] = None


def quoted(name):
    """Return a name as one field of one line."""
    return name if name.isprintable() and not name.startswith('"') else json.dumps(name)


def unquoted(field):
    """Return the name that a field means."""
    if field.startswith('"'):
        try:
            name = json.loads(field)
            return name if isinstance(name, str) else field
        except ValueError:
            pass  # a name that begins so and was written by others
    return field


def finder(root):
    r"""Return a function that tells where the image lies that a list names.

    Lists that were made on Windows have names such as `p0\0.jpg` or `C:\faces\p0\0.jpg`. The function takes `\` for `/`
    where that file is there. From a name with a drive, the function drops the first folders: as few as find the file,
    and the same ones for all names on that drive. So no two names on a drive come to mean one file.

    Parameters
    ----------
    root : str or os.PathLike
        The folder of images.

    Returns
    -------
    callable
        Takes a name and returns a path under `root`; the name itself where it is there as it stands, or no other
        reading of it is there.
    """
    bases = {}  # of each drive, the folders that are left out

    def there(path):
        try:
            return os.path.lexists(os.path.join(root, path))
        except ValueError:  # a zero byte
            return False

    def find(name):
        if not is_windows(name) or there(name):
            return name
        drive, rest = ntpath.splitdrive(name)
        parts = ntpath.normpath(rest).split("\\")
        if not drive and parts[0]:
            inside = "/".join(parts)
            return inside if there(inside) else name
        parts = [part for part in parts if part]
        if ".." in parts:
            return name
        drive = drive.lower()
        if drive not in bases:
            left = next((number for number in range(len(parts)) if there("/".join(parts[number:]))), None)
            if left is None:
                return name
            bases[drive] = [part.lower() for part in parts[:left]]
        base = bases[drive]
        inside = "/".join(parts[len(base):])
        same = [part.lower() for part in parts[:len(base)]] == base
        return inside if same and inside and there(inside) else name
    return find


def _numbers(fields):
    """Return fields as a list of finite floats, or None where they are no such."""
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        return None
    return numbers if np.all(np.isfinite(numbers)) else None


def _five_points(rows):
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
    """Read a list of labelled images.

    Parameters
    ----------
    path : str or os.PathLike
        Lines in columns divided by tabs, in one of two forms: the original's `aligned, path, label`, which may go on
        with a face's box (4 numbers, not used) and points (10 numbers); or that of MXNet's im2rec,
        `index, label, path`, where there may be several labels, the first of which is the class.

    Returns
    -------
    list of Entry
        In the order of the file. The identity is the label. For im2rec's form, which does not say it, `aligned`
        is None.

    Raises
    ------
    Failure
        The file is missing, empty, or has a line of another form.
    """
    entries, rows, with_points, form = [], [], [], None
    for number, line in text.lines(path):
        fields = line.split("\t")
        where = f"{path}: line {number}"
        if form is None and len(fields) > 2:
            form = "im2rec" if _numbers(fields[1:-1]) and not _numbers(fields[-1:]) else "original"
        labels = _numbers(fields[2:3] if form == "original" else fields[1:-1])
        if form is None or not labels or (form == "original" and fields[0].strip() not in ("0", "1")):
            raise Failure(f"{where} is neither `aligned, path, label` nor `index, label, path`, divided by tabs")
        if labels[0] < 0 or labels[0] != int(labels[0]):
            raise Failure(f"{where} has the label {labels[0]:g}, which is not a class: 0, 1, 2, …")
        if form == "original" and len(fields) >= 17:
            points = _numbers(fields[7:17])
            if points is None:
                raise Failure(f"{where} has points that are not numbers")
            with_points.append(len(entries))
            rows += points
        name = unquoted(fields[1] if form == "original" else fields[-1])
        entries.append(Entry(os.path.normpath(name), int(labels[0]),
                             None if form == "im2rec" else fields[0].strip() == "1",
                             labels=labels if len(labels) > 1 else None))
    if not entries:
        raise Failure(f"{path} is empty: it has to name images and their labels")
    for row, points in zip(with_points, _five_points(rows)):
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
        if len(fields) >= 17 and not _numbers(fields[1:2]):
            fields = fields[1:2] + fields[7:]
        points = _numbers(fields[1:11])
        if not points or len(points) != 10:
            if number <= 2 and not names:
                continue
            raise Failure(f"{path}: line {number} is not a path and ten numbers")
        names.append(find(os.path.normpath(unquoted(fields[0]))))
        rows.extend(points)
    if not names:
        raise Failure(f"{path} has no line of a path and ten numbers")
    return dict(zip(names, _five_points(rows)))
