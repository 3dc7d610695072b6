"""Verification files, as `lfw.bin`: a pickle of 2N encoded images and N booleans, images 2i and 2i+1 being pair i.

They are written by Python 2 and 3, with images as `bytes` or uint8 arrays and booleans plain or of
NumPy. A pickle can name any function to be called, so those few that these files need are replaced
by ones of our own here, and every other name is refused.
"""
import contextlib
import io
import itertools
import math
import pickle
import pickletools
import re
import struct

import numpy as np

from datasets.formats.images import Unusable, decode_as_mxnet, header
from runtime import Failure
from runtime.files import whole_file

MAKES_MORE = "it makes more bytes of its objects than it holds"
AGAIN = "get the file again or make it anew with `python datasets/pairs.py`"


class _NotSuch(Exception):
    """What is wrong with the pickle."""


def _stand_ins(room):
    """Return what a verification file may call, by name.

    Made anew for each file, so that one that sets attributes of these changes nothing outside itself.
    No NumPy code sees the file's dtypes and shapes before they have been checked. The calls make at
    most `room` bytes: a text that is stored once can be encoded a million times.
    """

    class Dtype:
        def __init__(self, code, *_):
            code = code.decode("ascii", "replace") if isinstance(code, bytes) else code
            if not isinstance(code, str) or not re.fullmatch(r"[|<>]?[bui][1248]", code):
                raise _NotSuch(f"it has an array of {code!r}")
            self.code, self.order = code[-2:], "<"

        def __setstate__(self, state):
            big = len(state) > 1 and state[1] in (">", b">")
            self.order = ">" if big else "<"

    def array_of(content, dtype, shape):
        if not isinstance(content, (bytes, bytearray)) or not isinstance(dtype, Dtype):
            raise _NotSuch("it has an array that is not of whole numbers")
        code = np.dtype("?" if dtype.code == "b1" else dtype.order + dtype.code)
        if len(content) != code.itemsize * math.prod(shape):
            raise _NotSuch("it has an array of another size than it says")
        return np.frombuffer(content, code)

    class Array:
        value = None

        def __setstate__(self, state):
            shape, dtype, _, content = state[-4:]
            self.value = array_of(content, dtype, shape)

    def reconstruct(*_):
        return Array()

    def from_buffer(content, dtype, shape, _):
        array = Array()
        array.value = array_of(content, dtype, shape)
        return array

    def scalar(dtype, content):
        return array_of(content, dtype, ())[0]

    def to_bytes(text=b"", encoding="latin1"):
        nonlocal room
        if isinstance(text, bytes):
            return text
        room -= len(text) if isinstance(text, (str, bytearray)) else 0
        if room < 0:
            raise _NotSuch(MAKES_MORE)
        if isinstance(text, bytearray):
            return bytes(text)
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1", b"latin1", b"latin-1"):
            raise _NotSuch("it encodes text")
        return text.encode("latin-1")

    named = {("numpy", "ndarray"): Array, ("numpy", "dtype"): Dtype, ("_codecs", "encode"): to_bytes}
    for module in ("builtins", "__builtin__"):
        named.update({(module, "bytes"): to_bytes, (module, "bytearray"): to_bytes})
    for core in ("numpy.core", "numpy._core"):
        named.update({(core + ".multiarray", "_reconstruct"): reconstruct, (core + ".multiarray", "scalar"): scalar,
                      (core + ".numeric", "_frombuffer"): from_buffer})
    return named, Array


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows the names above and no other."""

    def __init__(self, content):
        super().__init__(io.BytesIO(content), encoding="bytes")
        self._named, self.Array = _stand_ins(len(content))

    def find_class(self, module, name):
        if (module, name) not in self._named:
            raise _NotSuch(f"it asks for {f'{module}.{name}'!r}, which no verification file needs")
        return self._named[module, name]


def _load(content):
    """Unpickle; raises whatever a damaged pickle makes `pickle` raise."""
    _check_memo(content)
    unpickler = _Unpickler(content)
    return unpickler.load(), unpickler.Array


def _check_memo(content):
    """Refuse a number in the memo above the count of operations: `pickle` would take memory for all below it."""
    file = io.BytesIO(content)
    for count in itertools.count():
        opcode = pickletools.code2op[file.read(1).decode("latin-1")]
        if opcode.name == "STRING":
            file.readline()  # its own reader takes ASCII alone, and Python 2 wrote other bytes as well
        else:
            argument = opcode.arg and opcode.arg.reader(file)
        if "PUT" in opcode.name and argument > count:
            raise _NotSuch("it numbers its objects falsely")
        if opcode.name == "STOP":
            return


def read(path):
    """Read a verification file.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    images : list of bytes, length 2N
        Encoded images (JPEG, PNG, …).
    issame : ndarray of bool, shape (N,)

    Raises
    ------
    Failure
        It is missing or empty, cut short, holds anything else, or the counts do not match. Nothing
        that a file names is executed.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        raise Failure(f"{path} is missing: a verification file is expected there") from None
    try:
        value, array = _load(content)
    except _NotSuch as error:
        raise Failure(f"{path} is not a verification file: {error}; {AGAIN}") from None
    except Exception:  # `pickle` raises nearly anything for bytes that are not a pickle
        raise Failure(f"{path} is cut short or not a verification file: {AGAIN}") from None
    if not isinstance(value, (tuple, list)) or len(value) != 2 or not isinstance(value[0], (tuple, list)):
        raise Failure(f"{path} is not a verification file, which holds images and booleans: {AGAIN}")
    images = _images(value[0], array, path, len(content))
    issame = _booleans(value[1], array, path)
    if not len(issame):
        raise Failure(f"{path} has no pairs: {AGAIN}")
    if len(images) != 2 * len(issame):
        raise Failure(f"{path} has {len(images)} images, where {len(issame)} pairs need {2 * len(issame)}: {AGAIN}")
    return images, issame


def _images(entries, array, path, room):
    """Return the bytes of entries. Where an object comes again, its bytes do too; `room` bounds those that are made."""
    known, images = {}, []
    for number, entry in enumerate(entries):
        if id(entry) not in known:
            known[id(entry)] = image = _image(entry, array, path, number)
            room -= len(image) if image is not entry else 0
            if room < 0:
                raise Failure(f"{path} is not a verification file: {MAKES_MORE}; {AGAIN}")
        images.append(known[id(entry)])
    return images


def _image(entry, array, path, number):
    """Return an entry's bytes."""
    if isinstance(entry, array) and entry.value is not None and entry.value.dtype == np.uint8:
        entry = entry.value.tobytes()
    if not isinstance(entry, (bytes, bytearray)):
        raise Failure(f"{path}: image {number} is not stored as bytes; {AGAIN}")
    if not entry:
        raise Failure(f"{path}: image {number} is empty; {AGAIN}")
    return bytes(entry)


def _booleans(entries, array, path):
    """Return the second half of the file as a bool array (N,)."""
    if isinstance(entries, array) and entries.value is not None:
        entries = entries.value
    if not isinstance(entries, (list, tuple, np.ndarray)) or not all(
            isinstance(entry, (bool, int, np.bool_, np.integer)) and entry in (0, 1) for entry in entries):
        raise Failure(f"{path} does not tell same from different by booleans: {AGAIN}")
    return np.array([bool(entry) for entry in entries], dtype=bool)


def distinct(images):
    """Find the different images among encoded ones, byte for byte.

    In verification files an image often is part of several pairs.

    Parameters
    ----------
    images : sequence of bytes, length M
        As `read` gives them.

    Returns
    -------
    first : int64 array, shape (U,)
        Where each different image comes first, ascending.
    numbers : int64 array, shape (M,)
        Which of the different images each image is: ``images[i] == images[first[numbers[i]]]``. An example is
        ``[b"a", b"b", b"a"]``, which gives ``[0, 1]`` and ``[0, 1, 0]``.
    """
    known, first, numbers = {}, [], np.empty(len(images), np.int64)
    for place, image in enumerate(images):
        numbers[place] = known.setdefault(image, len(first))
        if numbers[place] == len(first):
            first.append(place)
    return np.array(first, np.int64), numbers


def identities(images, issame):
    """Return who is in each image, as far as the pairs tell: images that genuine pairs connect show one person.

    Equal images, byte for byte, are one image. An image that is in no genuine pair is an identity of its own.

    Parameters
    ----------
    images : sequence of bytes, length 2N
        As `read` gives them.
    issame : array of bool, shape (N,)

    Returns
    -------
    int64 array, shape (2N,)
        Identities are numbered by their first image: that of image 0 is 0, the next other one is 1.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    first, numbers = distinct(images)
    ends = numbers.reshape(-1, 2)[np.asarray(issame, dtype=bool)]
    joined = coo_matrix((np.ones(len(ends)), ends.T), shape=(len(first), len(first)))
    found = connected_components(joined, directed=False)[1]
    _, begins, inverse = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(begins))[inverse].astype(np.int64)[numbers]


def write(path, images, issame):
    """Write a verification file that Python 2 and 3, and with them the original, can read.

    Parameters
    ----------
    path : str or os.PathLike
    images : sequence of bytes, length 2N
        Encoded images. Images that are equal are stored once, whether they are one object or several.
    issame : sequence of bool, length N

    Raises
    ------
    Failure
        The counts do not match.
    """
    if len(images) != 2 * len(issame) or not len(issame):
        raise Failure(f"{path}: {len(images)} images do not make {len(issame)} pairs")
    images = list(map(bytes, images))
    first, numbers = (found.tolist() for found in distinct(images))
    with whole_file(path) as file:
        file.write(pickle.PROTO + b"\x02" + pickle.EMPTY_LIST + pickle.MARK)
        for place, number in enumerate(numbers):
            file.write(_stored(images[place], number) if place == first[number] else
                       _memo(pickle.BINGET, pickle.LONG_BINGET, number))
        file.write(pickle.APPENDS + pickle.EMPTY_LIST + pickle.MARK)
        file.write(b"".join(pickle.NEWTRUE if same else pickle.NEWFALSE for same in issame))
        file.write(pickle.APPENDS + pickle.TUPLE2 + pickle.STOP)


def _stored(image, place):
    """Return the operations that make an image and keep it under a number, for Python 2 and 3 alike.

    Protocol 2 has no bytes: Python 3 writes them as a text to be encoded. `pickle` writes that text as UTF-8, where
    every byte from 128 takes two, and a JPEG grows by half. Text of protocol 0 takes one, but for two bytes of 256.
    """
    text = image.decode("latin-1").encode("utf-8")
    lines = image.replace(b"\\", b"\\u005c").replace(b"\n", b"\\u000a")
    text = pickle.UNICODE + lines + b"\n" if len(lines) <= len(text) else \
        pickle.BINUNICODE + struct.pack("<I", len(text)) + text
    return pickle.GLOBAL + b"_codecs\nencode\n" + text + pickle.BINUNICODE + struct.pack("<I", 6) + b"latin1" + \
        pickle.TUPLE2 + pickle.REDUCE + _memo(pickle.BINPUT, pickle.LONG_BINPUT, place)


def _memo(short, long, number):
    """Return the operation that keeps or fetches the object of a number."""
    return short + bytes([number]) if number < 256 else long + struct.pack("<I", number)


def decode(images, size=112, name="the file", first=0):
    """Decode images of a verification file; grey ones become RGB.

    Parameters
    ----------
    images : sequence of bytes, length n
        All of a file's images or, for little memory, a slice of them.
    size : int
        Height and width that each has to have, in pixels.
    name : str
        The file, for messages.
    first : int
        The number of the first image within the file, for messages.

    Returns
    -------
    ndarray of uint8, shape (n, size, size, 3)
        RGB.

    Raises
    ------
    Failure
        An image cannot be decoded or is of another size.
    """
    decoded = np.empty((len(images), size, size, 3), np.uint8)
    for number, image in enumerate(images, first):
        with _explained(name, number):
            _check_size(image, size, name, number)
            decoded[number - first] = decode_as_mxnet(image)
    return decoded


@contextlib.contextmanager
def _explained(name, number):
    """Make a Failure of what makes an image unusable."""
    try:
        yield
    except Unusable as unusable:
        raise Failure(f"{name}: image {number} cannot be decoded: it {unusable}; {AGAIN}") from None


def _check_size(image, size, name, number):
    """Fail where an encoded image has another size, by its header."""
    height, width = header(image)[1:3]
    if (height, width) != (size, size):
        raise Failure(f"{name}: image {number} is {width}×{height} where {size}×{size} is needed: "
                      "build the file anew from the photographs with `python datasets/pairs.py --align`")


def check_usable(images, issame, name, size=112, folds=10, sample=16):
    """Check quickly that a verification will be able to use what `read` gave: folds, sizes, and some images.

    Parameters
    ----------
    images : sequence of bytes, length 2N
    issame : sequence of bool, length N
    name : str
        The file, for messages.
    size : int
        Height and width that each image has to have; all headers are read.
    folds : int
    sample : int
        How many images are decoded, spread over the file.

    Raises
    ------
    Failure
        There are fewer pairs than folds, an image is of another size, or one of the sample cannot be decoded.
    """
    if len(issame) < folds:
        raise Failure(f"{name}: {len(issame)} pairs do not make {folds} folds: make a file of more pairs with `python "
                      "datasets/pairs.py`")
    for number, image in enumerate(images):
        with _explained(name, number):
            _check_size(image, size, name, number)
    for number in sorted(set(np.linspace(0, len(images) - 1, sample).astype(int).tolist())):
        decode([images[number]], size, name, number)
