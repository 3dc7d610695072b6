"""What is wrong with a training record: its four files against each other, and every image in it."""
import collections
import os
import re

import numpy as np

from datasets.checking.images import CONSTANT, inspect
from datasets.formats import records, text
from datasets.formats.images import DECODER
from datasets.formats.labels import LARGEST, is_class, no_class
from runtime import Failure
from runtime.files import whole_file

AGAIN = "get the file again, or make it anew"
UNREADABLE = re.compile("[#;?]")  # in a path: MXNet has meanings of its own for these
REPAIR = "`python datasets/check.py --repair` writes it from the record"


def check_record(path, findings, workers=None, repair=False, size=112):
    """Check a dataset's folder or a record file whole.

    It takes some 170 bytes of memory an image, 1 GB for 5.8 million.

    Parameters
    ----------
    path : str or os.PathLike
        A folder with `train.rec`, or a record file.
    findings : datasets.checking.findings.Findings
        Gets what is wrong.
    workers : int or None
        Threads; by default one a core.
    repair : bool
        Write the index or `property` where it is missing, unreadable or, for the index, does not fit. Both are
        written only for a record that is whole, and what fits is not touched.
    size : int
        Height and width that training takes.

    Returns
    -------
    str
        What the record holds.

    Raises
    ------
    runtime.Failure
        The record is missing or empty, or does not begin with a record.
    """
    record = records.record_path(path)
    rows = _Rows(record, findings, repair)
    found = inspect(rows.read, len(rows.keys), workers, record)
    rows.check_frames(findings)
    classes, height, width = _property(rows, found, findings, repair)
    for row, problem in found.problems:
        findings.error("images", f"{record}: record {rows.keys[row]}: its image {problem}: {AGAIN}")
    for row, name in found.lacking:
        findings.error(f"{name} pictures", f"{record}: record {rows.keys[row]}: its image is a {name} picture, a "
                       f"format that {DECODER} lacks, and training stops there: `python datasets/convert.py complete "
                       f"{record} OUT` writes it as PNG")
    there = found.sizes[:, 0] > 0
    for row in np.flatnonzero(there & np.any(found.sizes != (height, width), axis=1)):
        findings.error("sizes", f"{record}: record {rows.keys[row]}: its image is {found.sizes[row, 1]}×"
                       f"{found.sizes[row, 0]} where {width}×{height} is expected: make the record anew at one size")
    if there.any() and (height, width) != (size, size):
        findings.error("size of training", f"{record}: its images are {width}×{height}, as that of record "
                       f"{_first_key(rows, found, height, width)}, where training takes {size}×{size}: make the record "
                       "anew with datasets/folder.py --align")
    if UNREADABLE.search(record):
        findings.error("name", f"{record}: MXNet cannot read a file with #, ; or ? in its path: rename it")
    for row, problem in found.damaged:
        findings.warning("damaged images", f"{record}: record {rows.keys[row]}: its image is damaged ({problem}): "
                         f"{AGAIN}")
    for row in np.flatnonzero(there & (found.spreads < CONSTANT)):
        findings.warning("blank images", f"{record}: record {rows.keys[row]}: its image has nearly one colour "
                         f"(standard deviation {found.spreads[row]:.1f} of 255): leave it out when making "
                         "the record anew")
    _check_labels(rows, classes, findings)
    _check_repeated(rows, found, findings)
    return (f"{record}: {np.sum(rows.is_image)} images of {rows.present} identities, {width}×{height}")


class _Rows:
    """The records of a file, one a row in the order of their keys, and what reading them tells.

    Attributes
    ----------
    keys, offsets, ends : ndarray of int64, shape (R,)
        `ends` is −1 for a record that cannot be read.
    labels : ndarray of float64, shape (R,)
        An image's class as it stands there.
    widths : ndarray of int32, shape (R,)
        Numbers in the label.
    is_image : ndarray of bool, shape (R,)
    header : (int, int) or None
        F and L.
    """

    def __init__(self, record, findings, repair):
        self.record, self.size = record, records.file_size(record)
        self.index = os.path.splitext(record)[0] + ".idx"
        with open(record, "rb") as file:
            records.read_record(file, record, 0, self.size)
        self.whole, self.from_index, self.header = True, True, None
        self.keys, self.offsets, label, wrong = self._find(findings, repair)
        count = len(self.keys)
        self.has_header = label is not None
        if self.has_header:
            self.header = self._header(label, findings)
            self.whole &= self.header is not None
        if repair and self.whole and not self.from_index:
            _write_index(self.index, self.keys, self.offsets)
            findings.note(f"repaired: {self.index} lists {count} records")
        elif wrong:
            findings.error("index", wrong)
        if not self.has_header:
            findings.warning("header", f"{record}: it holds images alone, without the header and the identity records "
                             "that the original needs (it stops with KeyError: 0); here it trains all the same; "
                             "`python datasets/convert.py complete` adds them")
        self.is_image = np.ones(count, bool)
        if self.header:
            self.is_image = (self.keys >= 1) & (self.keys < self.header[0])
        elif self.has_header:
            self.is_image = self.keys > 0
        stray = records.find_stray(record, self.offsets, self.offsets[self.is_image])
        if stray:
            findings.error("order", stray)
        self.is_identity = ~self.is_image & (self.keys > 0) & (self.keys < (self.header or (0, 0))[1])
        self.ends, self.labels = np.full(count, -1, np.int64), np.full(count, np.nan)
        self.widths = np.zeros(count, np.int32)
        self.ranges, self.faults, self.present = {}, [], 0

    def _find(self, findings, repair):
        """Return keys and offsets of the records, the header's label or None, and what is wrong with the index or None.

        Where the index does not fit, keys and offsets come from the record.
        """
        try:
            keys, offsets = records.read_index(self.index, self.size)
            header = records.read_header(self.record, self.size, keys, offsets, self.index)
            in_order = header is None or self._in_order(keys, offsets, header)
            if not in_order or (repair and not np.array_equal(np.sort(offsets), _scan(self.record, self.size)[0])):
                raise Failure(f"{self.index} does not list all records of {self.record}, or not under their own "
                              f"numbers: {REPAIR}")
            listed = np.fromstring(text.content(self.index), np.int64, sep=" ")[::2]
            if header is not None and listed[-1] == 0:
                listed = listed[:-1]  # a builder that writes the header last lists it last as well
            if np.any(np.diff(listed) < 0):
                findings.warning("index", f"{self.index}: its lines are not in the order of the keys; readers here "
                                 "sort them, others may not")
            return keys, offsets, header, None
        except Failure as failure:
            wrong = str(failure)
        self.from_index = False
        offsets, cut = _scan(self.record, self.size)
        keys, offsets, header, marked = number(self.record, offsets, self.size)
        self.whole = cut is None
        if cut:
            findings.error("record", f"{cut}; {len(offsets)} whole records come before")
        elif header is None and marked:
            self.whole = False
            findings.error("header", f"{self.record}: {marked} records have the label of a header or an identity and "
                           f"no image, and none of them counts the {len(offsets)} records: {AGAIN}")
        if header is None and not marked and not os.path.exists(self.index):
            wrong = None  # images alone come without an index as well
        return keys, offsets, header, wrong

    def _in_order(self, keys, offsets, header):
        """Tell whether an index gives each record of a file with a header its own number.

        Builders number the records as they come, but for the header. Where the order is another, the number that stands
        in each record decides, if the records have such.
        """
        if keys[0] != 0 or np.any(np.diff(keys) != 1):
            return False
        if np.size(header) != 2 or header[1] != len(keys):  # it may be an identity record that has got the key 0
            found = number(self.record, np.sort(offsets), self.size)
            if found[2] is not None and found[1][0] != offsets[0]:
                return False
        if np.all(np.diff(offsets[1:]) > 0):
            return True
        own = _heads(self.record, offsets, self.size)[0]
        return np.array_equal(own, keys) or not np.array_equal(np.sort(own), keys)

    def _header(self, label, findings):
        """Return F and L, or None where they cannot be right."""
        count = len(self.keys)
        if np.shape(label) == (2,) and np.all(np.isfinite(label)) and np.all(label == np.floor(label)):
            first, past = (int(number) for number in label)
            if 1 < first <= past <= count:
                if past < count:
                    findings.warning("header", f"{self.record}: {count - past} records come after the {past} that its "
                                     "header counts, and are never read")
                return first, past
            wrong = f"says that images are 1 to {first - 1} and identities {first} to {past - 1}, of {count} records"
        else:
            wrong = f"has the label {label}, where two record numbers are expected"
        findings.error("header", f"{self.record}: record 0, the header, {wrong}: {AGAIN}")
        return None

    def read(self, chunk):
        """Yield the image of each row of a range, or None; fill in what else the records tell."""
        with open(self.record, "rb") as file:
            for row in chunk:
                offset = int(self.offsets[row])
                try:
                    content, end = records.read_record(file, self.record, offset, self.size)
                    label, image = records.unpack(self.record, offset, content)
                except Failure as failure:
                    self.faults.append((row, str(failure)))
                    yield None
                    continue
                self.ends[row], self.widths[row] = end, np.size(label)
                self.labels[row] = np.ravel(label)[0] if np.size(label) else np.nan
                if self.is_identity[row]:
                    self.ranges[row] = np.ravel(label).tolist()
                if self.header is None and records.is_marker(label, image):
                    self.is_image[row] = False  # as an identity record has it, where no header tells which they are
                    if not self.has_header:
                        self.faults.append((row, f"{self.record}: record {self.keys[row]} at byte {offset} holds no "
                                            f"image, and the file has no header that counts it: {AGAIN}"))
                yield image if self.is_image[row] else None

    def check_frames(self, findings):
        """Say which records cannot be read, and whether the index lists all that there are."""
        for _, fault in sorted(set(self.faults)):
            findings.error("records", fault)
        order = np.argsort(self.offsets)
        starts, ends = self.offsets[order], self.ends[order]
        beyond = np.append(starts[1:], self.size if self.whole else ends[-1]) != ends
        for row in order[beyond & (ends >= 0)]:
            findings.error("index", f"{self.index}: it skips what comes after record {self.keys[row]}, at byte "
                           f"{self.ends[row]} of {self.record}: {REPAIR}")


def _scan(record, size):
    """Return the offsets of a file's records up to one that is cut short or damaged, and what is wrong there."""
    offsets, offset = [], 0
    with open(record, "rb") as file:
        while offset < size:
            try:
                end = records.read_record(file, record, offset, size, payload=False)[1]
            except Failure as failure:
                return np.array(offsets, np.int64), str(failure)
            offsets.append(offset)
            offset = end
    return np.array(offsets, np.int64), None


def _heads(record, offsets, size):
    """Look at the heads of records. A record that cannot be read counts as an image of number 0.

    Returns
    -------
    numbers : ndarray of uint64, shape (R,)
        The number that each record has in itself.
    markers : dict of int to ndarray of float32
        The labels of the records that are a header's or an identity's, by row.
    """
    numbers, markers = np.zeros(len(offsets), np.uint64), {}
    longest = records.FRAME.size + records.HEADER.size + 8  # of a record of two labels without an image
    with open(record, "rb") as file:
        for row, offset in enumerate(offsets.tolist()):
            head = os.pread(file.fileno(), longest, offset)
            length = records.FRAME.unpack_from(head)[1] if len(head) >= records.FRAME.size else 0
            if len(head) < longest or length + records.FRAME.size <= longest:
                try:
                    content = records.read_record(file, record, offset, size)[0]
                    label, image = records.unpack(record, offset, content)
                except Failure:
                    continue
                if records.is_marker(label, image):
                    markers[row] = label
                head = bytes(records.FRAME.size) + content
            numbers[row] = records.HEADER.unpack_from(head, records.FRAME.size)[2]
    return numbers, markers


def number(record, offsets, size):
    """Give the records of a file without an index their keys.

    The header gets 0. It is the record without an image whose label [F, L] counts all records of the file, wherever it
    lies; without such a record, it is the first record, if that one has no image. The others get the numbers that stand
    in them. Where those are not 1, 2, …, the images are numbered as they come, and the identity records after them.

    Parameters
    ----------
    record : str
        Path of the record file.
    offsets : ndarray of int64, shape (R,)
        Where its records begin, ascending.
    size : int
        Bytes of the record file.

    Returns
    -------
    keys, offsets : ndarray of int64, shape (R,)
        In the order of the keys.
    header : ndarray of float32, or None
        Its label; None for a file of images alone.
    marked : int
        How many records are a header's or an identity's.
    """
    own, markers = _heads(record, offsets, size)
    keys = np.arange(len(offsets))
    fitting = [row for row, label in markers.items()
               if np.size(label) == 2 and 1 < label[0] <= label[1] == len(offsets)]
    if 0 not in markers and not fitting:
        return keys, offsets, None, len(markers)
    header = fitting[-1] if fitting else 0
    others = np.delete(keys, header)
    numbered = np.append(header, others)
    identities = [row for row in markers if row != header]
    if header in fitting and markers[header][1] - markers[header][0] == len(identities):
        first = int(markers[header][0])
        if own[header] == 0 and np.array_equal(np.sort(own), keys) and np.all(own[identities] >= first):
            numbered = np.argsort(own)
        else:
            numbered = np.concatenate([[header], np.setdiff1d(others, identities), identities]).astype(np.int64)
    return keys, offsets[numbered], markers[header], len(markers)


def _write_index(path, keys, offsets):
    """Write an index, in the order of the keys."""
    with whole_file(path, "w") as file:
        file.writelines(f"{key}\t{offset}\n" for key, offset in zip(keys.tolist(), offsets.tolist()))


def _property(rows, found, findings, repair):
    """Return classes, height and width as `property` has them, or as the record has where that cannot be read."""
    folder = os.path.dirname(rows.record)
    sizes = collections.Counter(map(tuple, found.sizes[found.sizes[:, 0] > 0].tolist()))
    height, width = sizes.most_common(1)[0][0] if sizes else (0, 0)
    labels = rows.labels[rows.is_image]
    classes = int(labels[is_class(labels)].max(initial=-1)) + 1
    about = os.path.join(folder, "property")
    try:
        stated = records.read_property(folder)
    except Failure as failure:
        if not (repair and rows.whole and len(sizes) == 1 and classes):
            findings.error("property", str(failure))
            return classes, height, width
        with whole_file(about, "w") as file:
            file.write(f"{classes},{height},{width}\n")
        findings.note(f"repaired: {about} says {classes},{height},{width}")
        return classes, height, width
    mend = f"where the record is the right one, remove {about} and run this with --repair"
    if stated[1:] in sizes:
        height, width = stated[1:]
    elif sizes:
        findings.error("property", f"{about} says {stated[2]}×{stated[1]} where the images are {width}×{height}, as "
                       f"that of record {_first_key(rows, found, height, width)}: {mend}")
    if stated[0] > LARGEST:
        findings.error("property", f"{about} says {stated[0]} classes, and a label can name {LARGEST}: {mend}")
        return classes, height, width
    if stated[0] < classes:
        findings.error("property", f"{about} says {stated[0]} classes, and the largest label is {classes - 1}, which "
                       f"needs {classes}: {mend}, which makes it {classes}; or "
                       f"`python datasets/convert.py complete {rows.record} OUT` renumbers the classes without gaps")
    return stated[0], height, width


def _first_key(rows, found, height, width):
    """Return the key of the first record whose image has that size."""
    return rows.keys[np.argmax(np.all(found.sizes == (height, width), axis=1))]


def _check_labels(rows, classes, findings):
    """Check labels against the classes, and the identity records against the labels."""
    record = rows.record
    read = np.flatnonzero(rows.is_image & (rows.ends >= 0))
    labels = rows.labels[read]
    good = is_class(labels, classes)
    for row in read[~good]:
        findings.error("labels", no_class(rows.labels[row], f"{record}: record {rows.keys[row]}", classes)
                       + ": get the record and its property again, they do not belong together")
    widths = rows.widths[read]
    for row in read[widths != widths[0]] if len(read) else ():
        findings.error("labels", f"{record}: record {rows.keys[row]} has {rows.widths[row]} labels where the first has "
                       f"{widths[0]}: {AGAIN}")
    present = np.unique(labels[good]).astype(np.int64)
    rows.present = len(present)
    if len(present) < classes:
        absent = np.setdiff1d(np.arange(min(classes, len(present) + 5)), present)[:5]
        findings.warning("classes", f"{record}: {classes - len(present)} of {classes} classes have no image: "
                         f"{', '.join(map(str, absent))}{', …' if classes - len(present) > 5 else ''}; "
                         f"`python datasets/convert.py complete {record} OUT` renumbers the classes without gaps")
    _check_identities(rows, findings)


def _check_identities(rows, findings):
    """Check that each identity record names images that there are, all of them of one class, that each image has one
    such record, and that each class has.
    """
    if not rows.header:
        return
    record, images = rows.record, rows.header[0] - 1
    seen = {}  # the first identity record of each class
    owners = np.zeros(images + 2, np.int64)  # where ranges begin and end: its running sum counts those over an image
    labels = rows.labels[np.searchsorted(rows.keys, np.arange(1, images + 1))]
    for row, label in sorted(rows.ranges.items()):
        key = rows.keys[row]
        if len(label) != 2 or not all(number.is_integer() for number in label) \
                or not 1 <= label[0] <= label[1] <= images + 1:
            findings.error("identities", f"{record}: identity record {key} has the label {label}, where the first and "
                           f"one past the last of images 1 to {images} are expected: {AGAIN}")
            continue
        first, past = (int(number) for number in label)
        owners[first] += 1
        owners[past] -= 1
        own = labels[first - 1:past - 1]
        if first == past:
            findings.warning("identities", f"{record}: identity record {key} names no image")
        elif np.any(own != own[0]):
            findings.error("identities", f"{record}: identity record {key} names images {first} to {past - 1}, whose "
                           f"labels are {np.nanmin(own):g} to {np.nanmax(own):g}, not one: {AGAIN}")
        elif seen.setdefault(own[0], key) != key:
            findings.warning("identities", f"{record}: identity records {seen[own[0]]} and {key} are both of class "
                             f"{own[0]:g}: triplet losses take them for two people; "
                             f"`python datasets/convert.py complete {record} OUT` joins them")
    owners = np.cumsum(owners)[1:images + 1]
    for kind, wrong in (("no identity record", owners == 0), ("several identity records", owners > 1)):
        if wrong.any():
            findings.error("identities", f"{record}: {kind} for {wrong.sum()} images, the first of them record "
                           f"{np.argmax(wrong) + 1}: {AGAIN}")


def _check_repeated(rows, found, findings):
    """Find images that come more than once."""
    for group in found.repeated():
        labels = rows.labels[group]
        keys = ", ".join(str(key) for key in rows.keys[group[:5]]) + (", …" if len(group) > 5 else "")
        if np.all(labels == labels[0]):
            findings.warning("repeated images", f"{rows.record}: records {keys} of class {labels[0]:g} are one image "
                             f"{len(group)} times: keep one when making the record anew")
        else:
            who = ", ".join(f"{label:g}" for label in np.unique(labels)[:5])
            findings.warning("images of several classes", f"{rows.record}: records {keys} are one image, under the "
                             f"classes {who}: find whose it is, and leave it out of the others")
