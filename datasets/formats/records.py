"""The training record: `train.rec`, `train.idx`, `train.lst` and `property` in one folder.

The index gives each record a number, its key, and the byte at which the record begins. Record 0 is a header without an
image, whose label is [F, L]. Records 1 … F−1 are the images, with a class, or an array that begins with it, as the
label. Records F … L−1 hold no image either: one for each identity, labelled [first image, one past its last].
`property` is `classes,height,width`, such as `85742,112,112`. The classes are the largest label + 1.

The keys say what a record is; the place in the file does not. Some builders write the header last, after everything
that it counts. Files of images alone, as MXNet's im2rec writes them, are read as well.
"""
import contextlib
import os
import struct
from typing import NamedTuple, Optional

import numpy as np

from datasets.formats import text
from datasets.formats.image_lists import quoted
from datasets.formats.images import DECODER, lacking
from datasets.formats.labels import LARGEST
from runtime import Failure, mx
from runtime.files import plain_name, whole_file, whole_path

MAGIC = 0xCED7230A  # begins every part of a record
FRAME = struct.Struct("<II")  # magic; how this part continues a record (3 bits) and its length (29 bits)
HEADER = struct.Struct("<IfQQ")  # flag, label, id, id2, as mx.recordio packs them


class Layout(NamedTuple):
    """Where things are in a record file.

    Attributes
    ----------
    record : str
        Path of the record file.
    keys, offsets : ndarray of int64, shape (R,)
        Every record's key, ascending, and the byte at which it begins.
    size : int
        Bytes of the record file.
    images : range or ndarray of int64
        The keys of the images.
    identities : range
        The keys of the identity records; empty where the file holds images alone.
    label_width : int
        Numbers in an image's label.
    classes, height, width : int or None
        From `property`; None where a record file alone was given and has none beside it.
    """

    record: str
    keys: np.ndarray
    offsets: np.ndarray
    size: int
    images: object
    identities: range
    label_width: int
    classes: Optional[int]
    height: Optional[int]
    width: Optional[int]

    def offsets_of(self, keys):
        """Return the offsets of records, shape (K,), given keys that the file has."""
        return self.offsets[np.searchsorted(self.keys, np.asarray(keys, dtype=np.int64))]


def record_path(path):
    """Return the record file that `path` means: itself, or `train.rec` where it is a folder."""
    path = os.path.abspath(path)
    return os.path.join(path, "train.rec") if os.path.isdir(path) else path


def file_size(path):
    """Return the size of a record file in bytes."""
    try:
        size = os.path.getsize(path)
    except FileNotFoundError:
        raise Failure(f"{path} is missing: put the dataset's record file there, "
                      "or name the folder that has it") from None
    if size == 0:
        raise Failure(f"{path} is empty: get it again")
    return size


def read_property(folder):
    """Return (classes, height, width) from the file `property` of a dataset's folder.

    Raises
    ------
    Failure
        It is missing, or its first line is not three positive whole numbers separated by commas. Lines after the
        first one, in which some builders keep a count or a date, are not read.
    """
    path = os.path.join(folder, "property")
    form = "it has to be one line, classes,height,width, such as 85742,112,112"
    try:
        first = next((line.strip()[:200] for _, line in text.lines(path)), "")
    except Failure as failure:
        raise Failure(f"{failure}; {form}; `python datasets/check.py --repair {folder}` writes it") from None
    fields = [field.strip() for field in first.split(",")]
    if len(fields) != 3 or not all(field.isdigit() and field.isascii() and 0 < int(field) < 2**31 for field in fields):
        raise Failure(f"{path} reads {first[:60]!r}: {form}")
    return tuple(int(field) for field in fields)


def read_index(path, size):
    """Read an index file.

    Parameters
    ----------
    path : str
        A line for each record: its key and the byte at which it begins.
    size : int
        Bytes of the record file.

    Returns
    -------
    keys, offsets : ndarray of int64, shape (R,)
        In the order of the keys.

    Raises
    ------
    Failure
        It is missing, empty, not made of such lines, or does not belong to a record file of that size.
    """
    record = os.path.splitext(path)[0] + ".rec"
    again = f"get it again, or write it from the record with `python datasets/check.py --repair {record}`"
    content = text.content(path, missing=again)
    odd = content.translate(None, b"0123456789\t\n\r ")
    numbers = np.empty(0, np.int64) if odd else np.fromstring(content, dtype=np.int64, sep=" ")
    lines = content.rstrip().count(b"\n") + 1
    if odd or numbers.size != 2 * lines:
        raise Failure(f"{path} is not an index, whose lines are a key and an offset: {again}")
    keys, offsets = numbers.reshape(-1, 2).T
    order = np.argsort(keys, kind="stable")
    keys, offsets = keys[order], offsets[order]
    if np.any(np.diff(keys) == 0):
        raise Failure(f"{path} has a key twice: {again}")
    if offsets.max() >= size or np.any(offsets % 4) or np.any(np.diff(np.sort(offsets)) < FRAME.size):
        raise Failure(f"{path} does not belong to the record file beside it, or one of the two is cut short: {again}")
    return keys, offsets


def scan(path):
    """Find the records of a file that has no index, by going from each to the next.

    Returns
    -------
    offsets : ndarray of int64, shape (R,)

    Raises
    ------
    Failure
        It is not a record file or is cut short.
    """
    size, offsets, offset = file_size(path), [], 0
    with open(path, "rb") as file:
        while offset < size:
            offsets.append(offset)
            offset = read_record(file, path, offset, size, payload=False)[1]
    return np.array(offsets, dtype=np.int64)


def read_record(file, path, offset, size, payload=True):
    """Read the record at an offset.

    Parameters
    ----------
    file : file object
        The record file, open for reading.
    path : str
        Its name, for messages.
    offset, size : int
        Where the record begins and how long the file is, in bytes.
    payload : bool
        False finds the end alone.

    Returns
    -------
    content : bytes
    end : int
        The offset at which the next record begins.

    Raises
    ------
    Failure
        There is no record, or it is cut short.
    """
    parts, start = [], offset
    while True:
        frame = os.pread(file.fileno(), FRAME.size, offset)
        if len(frame) < FRAME.size:
            raise Failure(f"{path} is cut short: its record at byte {start} has no end; get it again")
        magic, length = FRAME.unpack(frame)
        # A record that holds the magic number itself is written in parts, without that number:
        # 0 is a whole record, 1 the first part, 2 one between, 3 the last.
        part, length = length >> 29, length & (1 << 29) - 1
        if magic != MAGIC or part not in ((2, 3) if parts else (0, 1)):
            raise Failure(f"{path} has no record at byte {start}: it is damaged, "
                          "or its .idx file belongs to another; get both again")
        offset += FRAME.size
        end = offset + (length + 3) // 4 * 4
        if end > size:
            raise Failure(f"{path} is cut short: its record at byte {start} has no end; get it again")
        parts.append(os.pread(file.fileno(), length, offset) if payload else b"")
        offset = end
        if part in (0, 3):
            return MAGIC.to_bytes(4, "little").join(parts), offset


def unpack(path, offset, content):
    """Return (label, image) of the content of the record at an offset; the label is a float, or float32 (flag,)
    where the record's flag is above 0. A content too short for its labels is a Failure.
    """
    if len(content) < HEADER.size:
        raise Failure(f"{path}: the record at byte {offset} is too short for a label; get the file again")
    flag, label = HEADER.unpack_from(content)[:2]
    if flag == 0:
        return label, content[HEADER.size:]
    end = HEADER.size + 4 * flag
    if len(content) < end:
        raise Failure(f"{path}: the record at byte {offset} is too short for its {flag} labels; get the file again")
    return np.frombuffer(content, "<f4", flag, HEADER.size), content[end:]


def _range(label, what, path):
    """Return the two whole numbers that a header's or an identity's label holds."""
    if np.shape(label) == (2,) and np.all(np.isfinite(label)) and np.all(label == np.floor(label)):
        return int(label[0]), int(label[1])
    raise Failure(f"{path}: {what} has the label {label}, where two record numbers are expected; get the file again")


def is_marker(label, image):
    """Tell whether a record's content is that of a header or an identity: an array as the label, and no image."""
    return np.ndim(label) > 0 and not image


def read_header(record, size, keys, offsets, index):
    """Read the header, which is the record that the index gives key 0.

    Parameters
    ----------
    record : str
        Path of the record file.
    size : int
        Bytes of the record file.
    keys, offsets : ndarray of int64, shape (R,)
        As `read_index` returns them.
    index : str
        Path of the index, for messages.

    Returns
    -------
    ndarray of float32, or None
        The header's label; None for a file of images alone.

    Raises
    ------
    Failure
        The index leaves out the begin or the end of the record file, or gives the header another key than 0.
    """
    first, last = int(offsets.min()), int(offsets.max())
    repair = f"get both again, or write the index from the record with `python datasets/check.py --repair {record}`"
    with open(record, "rb") as file:
        def read(offset):
            content, end = read_record(file, record, offset, size)
            return unpack(record, offset, content), end

        if first > 0:
            raise Failure(f"{index} does not list the begin of {record}: {repair}")
        (label, image), end = read(last)
        if end != size:
            raise Failure(f"{index} does not list the end of {record}: {repair}")
        markers = [last] if is_marker(label, image) else []
        if keys[0] == 0:
            label, image = read(int(offsets[0]))[0]
            if is_marker(label, image):
                return label
        if is_marker(*read(first)[0]):
            markers.insert(0, first)
    if markers:
        raise Failure(f"{index} gives no header the key 0, and the record at byte {markers[0]} of {record} has the "
                      f"label of a header or an identity: {repair}")
    return None


def find_stray(record, offsets, images):
    """Say which record lies between two images and is none.

    MXNet's iterator has no way to leave out such a record: it reads everything from one image to the next.

    Parameters
    ----------
    record : str
        Path of the record file, for the message.
    offsets : ndarray of int64, shape (R,)
        Of all records, in any order.
    images : ndarray of int64, shape (N,)
        Those of the images, in any order.

    Returns
    -------
    str or None
        What is wrong and what to do; None where the images follow each other.
    """
    inside = offsets[(offsets > images.min()) & (offsets < images.max())] if len(images) else images
    if len(inside) <= max(len(images) - 2, 0):
        return None
    stray = np.setdiff1d(inside, images)[0]
    return (f"{record}: the record at byte {stray} lies between the images and is none of them, and MXNet's iterator "
            f"cannot leave it out: `python datasets/convert.py complete {record} OUT` writes the images in the usual "
            "order")


def read_layout(path):
    """Find out where things are in a record file, reading its index and four records at most.

    Parameters
    ----------
    path : str or os.PathLike
        A dataset's folder, which has to hold `train.rec`, `train.idx` and `property`; or a record
        file, with its `.idx` beside it. A file of images alone may come without an index.

    Returns
    -------
    Layout

    Raises
    ------
    Failure
        A file is missing, cut short, or does not fit the others.
    """
    record = record_path(path)
    size = file_size(record)
    index, folder = os.path.splitext(record)[0] + ".idx", os.path.dirname(record)
    with open(record, "rb") as file:
        def read(offset):
            return unpack(record, offset, read_record(file, record, offset, size)[0])

        if os.path.exists(index) or is_marker(*read(0)):
            keys, offsets = read_index(index, size)
            header = read_header(record, size, keys, offsets, index)
        else:
            offsets, header = scan(record), None
            keys = np.arange(offsets.size)
            if is_marker(*read(int(offsets[-1]))):  # a header at the end, which the index alone tells from an identity
                read_index(index, size)
        images, identities = (keys, range(0)) if header is None else _ranges(header, keys, record, index)
        label, _ = read(int(offsets[np.searchsorted(keys, images[0])]))
    known = os.path.isdir(path) or os.path.exists(os.path.join(folder, "property"))
    classes, height, width = read_property(folder) if known else (None, None, None)
    return Layout(record, keys, offsets, size, images, identities, np.size(label), classes, height, width)


def _ranges(label, keys, record, index):
    """Return the ranges of images and identities that the header record tells."""
    first, past = _range(label, "record 0, the header,", record)
    if not 1 < first <= past:
        raise Failure(f"{record}: record 0 says that images are 1 to {first - 1} and identities {first} to {past - 1}; "
                      "get the file again")
    if keys.size < past or keys[past - 1] != past - 1:
        raise Failure(f"{index} does not list the {past} records that the header of {record} counts: get both again")
    return range(1, first), range(first, past)


def read_identities(layout):
    """Read the identity records.

    Parameters
    ----------
    layout : Layout

    Returns
    -------
    ndarray of int64, shape (C, 2)
        First image and one past the last image of each identity; (0, 2) for a file of images alone.

    Raises
    ------
    Failure
        A record is damaged or names images that the file has not.
    """
    ranges = np.empty((len(layout.identities), 2), np.int64)
    with open(layout.record, "rb") as file:
        for row, (key, offset) in enumerate(zip(layout.identities, layout.offsets_of(layout.identities).tolist())):
            label = unpack(layout.record, offset, read_record(file, layout.record, offset, layout.size)[0])[0]
            first, past = _range(label, f"identity record {key}", layout.record)
            if not 1 <= first <= past <= len(layout.images) + 1:
                raise Failure(f"{layout.record}: identity record {key} names images {first} to {past - 1}, "
                              f"where the file has 1 to {len(layout.images)}; get it again")
            ranges[row] = first, past
    return ranges


def iterate(layout):
    """Go through the images of a record file in the order of their keys.

    Parameters
    ----------
    layout : Layout, str or os.PathLike
        As `read_layout` takes or returns it.

    Yields
    ------
    key : int
    label : float, or ndarray of float32 whose first number is the class
    image : bytes
        As encoded in the file; empty where the record has none.

    Raises
    ------
    Failure
        A record is damaged.
    """
    if not isinstance(layout, Layout):
        layout = read_layout(layout)
    with open(layout.record, "rb") as file:
        for key, offset in zip(layout.images, layout.offsets_of(layout.images).tolist()):
            content, _ = read_record(file, layout.record, offset, layout.size)
            yield (int(key), *unpack(layout.record, offset, content))


def write(folder, images, height=112, width=112, largest=LARGEST):
    """Write a dataset's four files, each of which appears only when all are written.

    Parameters
    ----------
    folder : str or os.PathLike
        Made where it is missing.
    images : iterable of (int or sequence of numbers, bytes, str)
        Label, encoded image and the path that `train.lst` shows for it, as `listing.quoted` writes it. The label is
        the class or begins with it; classes are 0, 1, … and the images of one follow each other.
    height, width : int
        Of the images, in pixels; for `property`.
    largest : int
        The most images and identities together.

    Returns
    -------
    images, classes : int
        How many were written.

    Raises
    ------
    Failure
        There is no image, or one is out of order, or there are more than `largest`. Or MXNet's decoder lacks the format
        of one: `images.for_record` makes a PNG of it.
    """
    folder = os.path.abspath(folder)
    os.makedirs(folder, exist_ok=True)
    record, index, listing, properties = (os.path.join(folder, name)
                                          for name in ("train.rec", "train.idx", "train.lst", "property"))
    starts, key = [], 0
    # Contexts end in reverse: the record takes its name first and `property` last.
    with whole_file(properties, "w") as about, whole_file(listing, "w") as lines, \
            whole_path(index) as index_part, whole_path(record) as record_part, \
            plain_name(record_part, "rb+") as record_name:
        writer = mx.recordio.MXIndexedRecordIO(index_part, record_name, "w")
        try:
            _put(writer, 0, (0, 0), b"")  # counts the others, which are not known yet
            for key, (label, image, path) in enumerate(images, 1):
                identity = np.ravel(label)[0]
                if identity == len(starts):
                    starts.append(key)
                if identity != len(starts) - 1:
                    raise Failure(f"{path} has class {identity} after class {len(starts) - 1}: "
                                  "images of 0, 1, … have to follow each other without a gap")
                if lacking(image):
                    raise Failure(f"{path} is a {lacking(image)} picture, which {DECODER} lacks: convert it to PNG")
                _put(writer, key, label, image)
                lines.write(f"1\t{quoted(path)}\t{int(identity)}\n")
            for identity, ends in enumerate(zip(starts, [*starts[1:], key + 1]), key + 1):
                _put(writer, identity, ends, b"")
            size = writer.tell()
        except mx.base.MXNetError:  # it has no other reason to fail
            raise Failure(f"{record} could not be written whole: free some space and run it again") from None
        finally:
            with contextlib.suppress(mx.base.MXNetError):  # the same again
                writer.close()
        past = key + 1 + len(starts)
        if not starts:
            raise Failure(f"{folder}: there is no image to write")
        if past > largest:
            raise Failure(f"{folder}: {key} images are too many for one record file; make several")
        if os.path.getsize(record_part) != size:
            raise Failure(f"{record} could not be written whole: free some space and run it again")
        with open(record_part, "rb+") as file:
            file.seek(FRAME.size + HEADER.size)
            file.write(struct.pack("<2f", key + 1, past))
        about.write(f"{len(starts)},{height},{width}\n")
    return key, len(starts)


def _put(writer, key, label, image):
    """Write one record; a label of several numbers is kept as an array."""
    label = float(label) if np.ndim(label) == 0 else np.asarray(label, np.float32)
    writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), image))
