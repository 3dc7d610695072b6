"""Matrices of float32 as OpenCV's tools write them: MegaFace's feature files and the one of Trillion-Pairs.

A file has four little-endian int32: rows, columns, bytes a row, and 5, OpenCV's number for one channel of float32.
Then come the rows. A MegaFace file is one embedding as a column, (n, 1, 4, 5), and has 16 + 4n bytes: 2,064 for 512
numbers. The Trillion-Pairs file has a row an image: (1950, 32, 128, 5) is the head of 1,950 embeddings of 32 numbers.
"""
import os
import struct

import numpy as np

from runtime import Failure, shown

HEAD = struct.Struct("<4i")
FLOAT32 = 5
LAYOUT = "four int32 (rows, columns, bytes a row, 5), then rows of float32"


def head(rows, columns):
    """Return the first 16 bytes of a file."""
    return HEAD.pack(rows, columns, 4 * columns, FLOAT32)


def vector(path, content):
    """Return the embedding that a MegaFace file holds.

    Parameters
    ----------
    path : str
        For messages.
    content : bytes
        Of the whole file.

    Returns
    -------
    float32 array, shape (n,)

    Raises
    ------
    Failure
        The content is no such file, is cut short, or has numbers that are not finite.
    """
    if len(content) < HEAD.size:
        raise Failure(f"{shown(path)} has {len(content)} bytes, less than the head of a feature file: write it again")
    rows, columns, width, kind = HEAD.unpack_from(content)
    if columns != 1 or width != 4 or kind != FLOAT32 or rows < 1:
        raise Failure(f"{shown(path)} begins with {rows}, {columns}, {width}, {kind}, where a feature file of n "
                      "numbers begins with n, 1, 4, 5: it is something else, or damaged")
    if len(content) != HEAD.size + 4 * rows:
        raise Failure(f"{shown(path)} has {len(content)} bytes, where {rows} numbers take {HEAD.size + 4 * rows}: "
                      f"{'it is cut short' if len(content) < HEAD.size + 4 * rows else 'it is damaged'}; write it "
                      "again")
    found = np.frombuffer(content, "<f4", offset=HEAD.size)
    if not np.isfinite(found).all():
        raise Failure(f"{shown(path)} has numbers that are not finite: write it again")
    return found


def vector_bytes(values):
    """Return the content of a MegaFace file: bytes, for an array of shape (n,)."""
    return head(len(values), 1) + np.ascontiguousarray(values, "<f4").tobytes()


class Matrix:
    """The rows of a file, read as they are asked for; never the whole file.

    A slice gives these rows, an array of places gives rows in its order: float32 arrays of shape (n, D). Each is mapped
    while it is copied, and not longer, so that memory holds what was asked for alone.

    Parameters
    ----------
    path : str

    Attributes
    ----------
    shape : (int, int)

    Raises
    ------
    Failure
        The file is missing, is something else, or has another size than its head tells. While reading: a number is not
        finite.
    """

    def __init__(self, path):
        self.path = os.fspath(path)
        if not os.path.isfile(path):
            raise Failure(f"{shown(path)} is {'missing' if not os.path.lexists(path) else 'no plain file'}: a feature "
                          f"file has {LAYOUT}")
        with open(path, "rb") as file:
            start = file.read(HEAD.size)
        size = os.path.getsize(path)
        if len(start) < HEAD.size:
            raise Failure(f"{shown(path)} has {size} bytes: a feature file has {LAYOUT}")
        rows, columns, width, kind = HEAD.unpack(start)
        if rows < 1 or columns < 1 or width != 4 * columns or kind != FLOAT32:
            raise Failure(f"{shown(path)} begins with {rows}, {columns}, {width}, {kind}: a feature file has {LAYOUT}")
        wanted = HEAD.size + rows * width
        if size != wanted:
            raise Failure(f"{shown(path)} has {size} bytes, where its {rows} rows of {columns} numbers take {wanted}: "
                          f"it is {'cut short' if size < wanted else 'damaged'}; write it again")
        self.shape = (rows, columns)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, places):
        mapped = np.memmap(self.path, "<f4", "r", HEAD.size, self.shape)
        found = np.array(mapped[places], np.float32)
        if not np.isfinite(found).all():
            raise Failure(f"{shown(self.path)} has numbers that are not finite: write it again")
        return found


class Picked:
    """Some rows of an array or `Matrix`, in a given order, without copying them.

    Parameters
    ----------
    rows : array or Matrix
    places : int array, shape (N,)
    """

    def __init__(self, rows, places):
        self._rows, self._places = rows, np.asarray(places)
        self.shape = (len(self._places), rows.shape[1])
        consecutive = len(self._places) and np.array_equal(self._places, np.arange(len(self._places))
                                                           + self._places[0])
        self._first = int(self._places[0]) if consecutive else None

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, places):
        if isinstance(places, slice) and self._first is not None:
            start, stop, step = places.indices(len(self))
            return self._rows[self._first + start:self._first + max(stop, start):step]
        return self._rows[self._places[places]]
