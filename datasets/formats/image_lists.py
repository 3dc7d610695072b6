"""Text files that name images: lists with labels (`.lst`), and how a name stands in a line.

A name is written as it is. One that would break a line or a column (tabs, newlines, bytes that are no UTF-8) is
written as a JSON string, in quotation marks, which is how it is read back.
"""
import json
import ntpath
import os
from typing import NamedTuple, Optional

import numpy as np

from datasets.formats import text
from datasets.formats.images import is_windows
from datasets.formats.labels import is_class, no_class
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
    points : ndarray of float64, or None
        Where its face is, if that is known: shape (5, 2), or (10,) as the numbers stand in a list
        (`datasets.faces.landmarks` brings them into order).
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


def numbers(fields):
    """Return fields as a list of finite floats, or None where they are no such."""
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        return None
    return numbers if np.all(np.isfinite(numbers)) else None


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
    entries, form = [], None
    for number, line in text.lines(path):
        fields = line.split("\t")
        where = f"{path}: line {number}"
        if form is None and len(fields) > 2:
            form = "im2rec" if numbers(fields[1:-1]) and not numbers(fields[-1:]) else "original"
        labels = numbers(fields[2:3] if form == "original" else fields[1:-1])
        if form is None or not labels or (form == "original" and fields[0].strip() not in ("0", "1")):
            raise Failure(f"{where} is neither `aligned, path, label` nor `index, label, path`, divided by tabs")
        if not is_class(labels[0], np.inf):
            raise Failure(no_class(labels[0], where))
        points = None
        if form == "original" and len(fields) >= 17:
            points = numbers(fields[7:17])
            if points is None:
                raise Failure(f"{where} has points that are not numbers")
        name = unquoted(fields[1] if form == "original" else fields[-1])
        entries.append(Entry(os.path.normpath(name), int(labels[0]),
                             None if form == "im2rec" else fields[0].strip() == "1",
                             None if points is None else np.array(points),
                             labels=labels if len(labels) > 1 else None))
    if not entries:
        raise Failure(f"{path} is empty: it has to name images and their labels")
    return entries
