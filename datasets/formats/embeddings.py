"""Files of embeddings: what compares images without knowing the network that described them.

A file is an uncompressed `.npz` of `embeddings` (N, D), `labels` (N,) and, where images have names, `names` (N,). Where
identities have names, `identity_labels` (K,) and `identity_names` (K,) have them. Any NumPy writes one with `np.savez`.
Where the network is known, `network` (4,) has its prefix, epoch and fingerprint, and "flip" or "single crop". The other
kind of file is a store, an `.npy` with two files beside it (`datasets.formats.embedding_store`).
Rows are read a block at a time, so that MS1MV2's 5.8 million rows (12 GB) take some megabytes of memory.
`tools/embed.py` makes such files from a record, a folder or a verification file.
"""
import contextlib
import errno
import functools
import math
import os
import zipfile
from typing import NamedTuple

import numpy as np
from numpy.lib import format as npy

from datasets.formats import embedding_store
from datasets.formats.image_lists import quoted
from runtime import Failure
from runtime.files import whole_path

ROWS = 8192  # of a block: 16 MB at 512 numbers
LARGEST = 1 << 31  # bytes of an array that is read whole
HOW = "make it with tools/embed.py, or with np.savez(file, embeddings=…, labels=…)"


def _header(stream):
    """Return (shape, order, dtype) of an array whose header comes next in a stream."""
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its array has the version {version}")
    return (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(stream)


class Archive:
    """The arrays of an `.npz`, none of which is unpickled, or believed before its size has been checked.

    Parameters
    ----------
    path : str or os.PathLike
    how : str
        What messages say about getting a better file.

    Raises
    ------
    Failure
        It is missing or no such file.
    """

    def __init__(self, path, how=HOW):
        self.path, self.how = os.fspath(path), how
        with self._archive() as archive:
            self.names = {info.filename[:-4] for info in archive.infolist() if info.filename.endswith(".npy")}

    @contextlib.contextmanager
    def _archive(self):
        """Open the file; whatever zipfile and NumPy raise for damaged bytes becomes one Failure."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                yield archive
        except (Failure, MemoryError):
            raise
        except FileNotFoundError:
            raise Failure(f"{self.path} is missing: {self.how}") from None
        except Exception as error:
            # Of the system's errors, EINVAL and none are zipfile's own: it goes where a damaged file sends it.
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise
            raise self.damaged(error) from None

    def damaged(self, reason):
        """Return the Failure that says what is wrong with the file."""
        reason = " ".join(str(reason).split()) or type(reason).__name__
        return Failure(f"{self.path} is damaged or not such a file ({quoted(reason[:120])}): {self.how}")

    def _open(self, archive, name, kinds, dimensions):
        """Return (stream, shape, dtype) of an array, its content next in the stream."""
        if name not in self.names:
            raise ValueError(f"it has no array {name!r}")
        info = archive.getinfo(name + ".npy")
        stream = archive.open(info)
        shape, fortran, dtype = _header(stream)
        if dtype.hasobject or dtype.kind not in kinds or len(shape) != dimensions:
            raise ValueError(f"its {name} are {dtype} of shape {shape}")
        if fortran and dimensions > 1:
            raise ValueError(f"its {name} of shape {shape} are in the order of Fortran: save np.ascontiguousarray(…)")
        # The header may be followed by nothing: a header of 100 bytes can claim any shape.
        if min(shape, default=1) < 0 or stream.tell() + math.prod(shape) * dtype.itemsize != info.file_size:
            raise ValueError(f"its {name} are cut short")
        return stream, shape, dtype

    def shape(self, name, kinds, dimensions):
        """Return the shape of an array; Failure where it is not of one of these kinds and so many dimensions."""
        with self._archive() as archive:
            return self._open(archive, name, kinds, dimensions)[1]

    def read(self, name, kinds, dimensions=1):
        """Return an array whole.

        Parameters
        ----------
        name : str
        kinds : str
            NumPy's letters for kinds of types, such as ``"iu"`` for whole numbers and ``"U"`` for text.
        dimensions : int
        """
        with self._archive() as archive:
            stream, shape, dtype = self._open(archive, name, kinds, dimensions)
            size = math.prod(shape) * dtype.itemsize
            if size > LARGEST:
                raise ValueError(f"its {name} take {size} bytes")
            return np.frombuffer(stream.read(size), dtype).reshape(shape)

    def rows(self, name, kinds, rows):
        """Yield the rows of an array (N, D), a block at a time."""
        with self._archive() as archive:
            stream, (count, width), dtype = self._open(archive, name, kinds, 2)
            for first in range(0, count, rows):
                height = min(rows, count - first)
                content = stream.read(height * width * dtype.itemsize)
                yield np.frombuffer(content, dtype).reshape(height, width)


def _text(name):
    """Return a name of NumPy's as a string."""
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def identity_arrays(names):
    """Return the arrays that keep the names of identities in a file of embeddings, for `write`; none where there are no
    names.

    Parameters
    ----------
    names : dict of int to str
        Label → name.
    """
    return {"identity_labels": list(names), "identity_names": list(names.values())} if names else {}


class Network(NamedTuple):
    """What embeddings were made with."""

    prefix: str
    epoch: str
    fingerprint: str
    flip: bool

    def array(self):
        """Return the array `network` of a file of embeddings."""
        return np.array([self.prefix, self.epoch, self.fingerprint, "flip" if self.flip else "single crop"])


def _network(archive):
    """Return the Network of an archive; None where it has none. An array of that name may be anything of a user's."""
    if "network" not in archive.names:
        return None
    try:
        found = archive.read("network", "U").tolist()
    except Failure:
        return None
    if len(found) != 4 or found[3] not in ("flip", "single crop"):
        return None
    return Network(found[0], found[1], found[2], found[3] == "flip")


class Embeddings:
    """A file of embeddings: an `.npz`, or a finished store, an `.npy`.

    Parameters
    ----------
    path : str or os.PathLike

    Attributes
    ----------
    labels : int64 array, shape (N,)
        The identity of each row, any whole numbers.
    dimension : int
        D.
    identity_names : dict of int to str
        What identities are called: label → name, of those that have one.
    network : Network or None
        What made them; None where the file does not say.

    Raises
    ------
    Failure
        It is missing, damaged, not finished, or its arrays do not fit each other.
    """

    def __init__(self, path):
        self.path = os.fspath(path)
        if embedding_store.is_store(self.path):
            store = embedding_store.Rows(self.path)
            self._archive = Archive(embedding_store.labels_path(self.path), embedding_store.LABELS_HOW)
            self._rows, state = store.blocks, store.state
            count, self.dimension = state.rows, state.dimension
            self.network = Network(state.prefix, str(state.epoch), state.fingerprint, state.flip)
        else:
            self._archive = Archive(path)
            count, self.dimension = self._archive.shape("embeddings", "f", 2)
            self._rows = functools.partial(self._archive.rows, "embeddings", "f")
            self.network = _network(self._archive)
        self.labels = self._archive.read("labels", "iu").astype(np.int64)
        if not count or not self.dimension or len(self.labels) != count:
            raise self._archive.damaged(f"it has {count} embeddings of {self.dimension} numbers and "
                                        f"{len(self.labels)} labels")
        self._names = self._archive.read("names", "US") if "names" in self._archive.names else None
        if self._names is not None and len(self._names) != count:
            raise self._archive.damaged(f"it has {len(self._names)} names for {count} embeddings")
        self.identity_names = self._identities()

    def _identities(self):
        """Return label → name of the identities, from the arrays that `identity_arrays` makes."""
        if "identity_names" not in self._archive.names:
            return {}
        labels, names = self._archive.read("identity_labels", "iu"), self._archive.read("identity_names", "US")
        if len(labels) != len(names):
            raise self._archive.damaged(f"it has {len(names)} names for {len(labels)} identities")
        return dict(zip(labels.tolist(), map(_text, names)))

    def __len__(self):
        return len(self.labels)

    def name(self, row):
        """Return what an image is called: its name, or its number, from 1 as in a record file."""
        if self._names is None:
            return f"image {row + 1}"
        return quoted(_text(self._names[row]))

    def blocks(self, rows=ROWS):
        """Yield (first row, unit vectors (n, D) in float32), in the order of the file.

        Raises
        ------
        Failure
            A row is zero or not finite, or the file is cut short.
        """
        first = 0
        for block in self._rows(rows):
            block = block.astype(np.float32)
            norms = np.linalg.norm(block, axis=1, keepdims=True)
            wrong = np.flatnonzero(~(np.isfinite(norms[:, 0]) & (norms[:, 0] > 0)))
            if wrong.size:
                raise Failure(f"{self.path}: the embedding of {self.name(first + wrong[0])} is zero or not finite; the "
                              "network that made it had diverged, or the image is damaged")
            yield first, block / norms
            first += len(block)


def check_comparable(first, second, what="both"):
    """Raise Failure where cosines between two `Embeddings` would mean nothing.

    Embeddings of two networks differ in their numbers' meaning. Files that do not say what made them are believed.
    `what` is what the message tells to make again.
    """
    if first.dimension != second.dimension:
        raise Failure(f"{first.path} has embeddings of {first.dimension} numbers, and {second.path} of "
                      f"{second.dimension}: make {what} with one network")
    one, other = first.network, second.network
    if one is None or other is None:
        return
    if one.fingerprint != other.fingerprint:
        raise Failure(f"{first.path} and {second.path} are of two networks ({quoted(one.prefix)}, epoch "
                      f"{quoted(one.epoch)}, and {quoted(other.prefix)}, epoch {quoted(other.epoch)}), whose "
                      f"embeddings cannot be compared: make {what} with one network")
    if one.flip != other.flip:
        plain, mirrored = (second, first) if one.flip else (first, second)
        raise Failure(f"{mirrored.path} was made with mirror images, and {plain.path} without: make {what} with "
                      "--no-flip, or none")


def write_arrays(path, arrays):
    """Write arrays by name as an `.npz`, which appears when it is whole."""
    with whole_path(path) as temporary, zipfile.ZipFile(temporary, "w", allowZip64=True) as archive:
        _put(archive, arrays)


def _put(archive, arrays):
    for name, array in arrays.items():
        with archive.open(name + ".npy", "w", force_zip64=True) as file:
            npy.write_array(file, np.asarray(array), allow_pickle=False)


def write(path, blocks, labels, names=None, **more):
    """Write a file of embeddings, which appears when it is whole; its rows are not held in memory.

    Parameters
    ----------
    path : str or os.PathLike
    blocks : iterable of arrays (n, D)
        The rows, in order; written as float32.
    labels : sequence of int, length N
        The identity of each row.
    names : sequence of str, length N, or None
        What each image is called.
    more : arrays
        Further arrays by name, beside these.

    Raises
    ------
    Failure
        There are none, or not as many as labels.
    """
    arrays = {"labels": np.asarray(labels, np.int64), **{key: np.asarray(value) for key, value in more.items()}}
    if names is not None:
        arrays["names"] = np.array(names, dtype=str)
    blocks, count = iter(blocks), 0
    with whole_path(path) as temporary, zipfile.ZipFile(temporary, "w", allowZip64=True) as archive:
        block = np.asarray(next(blocks, np.empty((0, 0))), np.float32)
        shape = (len(arrays["labels"]), block.shape[1])
        with archive.open("embeddings.npy", "w", force_zip64=True) as file:
            npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            while block is not None:
                file.write(np.ascontiguousarray(block, "<f4").tobytes())
                count += len(block)
                block = next(blocks, None)
        if count != len(arrays["labels"]) or not count:
            raise Failure(f"{path}: {count} embeddings for {len(arrays['labels'])} labels")
        _put(archive, arrays)
