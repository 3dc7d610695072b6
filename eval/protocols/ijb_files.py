"""The files of IJB-B and IJB-C under `meta/`, in their published layout: images, pairs of templates, galleries, probes.

For the target IJBC the files are `ijbc_name_5pts_score.txt`, `ijbc_face_tid_mid.txt`, `ijbc_template_pair_label.txt`,
`ijbc_1N_gallery_G1.csv`, `ijbc_1N_gallery_G2.csv` and `ijbc_1N_probe_mixed.csv`. For IJBB, names begin with `ijbb`, and
the galleries are S1 and S2.

A *template* is a set of images of one person. A *media* is a still image or a video. A template has images of several
medias. Numbers of templates, medias and subjects are whole numbers of any size below 1e18.

Columns may be divided by any spaces and tabs, and lines may end in CRLF. Blank lines are passed over. Any other line
that is not as it should be is refused, with its number.
"""
import array
import io
import math
import os
import re
import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd

from datasets.formats import text
from datasets.formats.image_lists import quoted
from runtime import Failure, shown

TARGETS = {"IJBB": ("S1", "S2"), "IJBC": ("G1", "G2")}
CHUNK = 1 << 24  # bytes of a file in memory, about 1.3 million pairs
INTEGER = re.compile("-?[0-9]{1,18}")
NUMERIC = b"-0123456789 \t\r\n"  # all that a file of whole numbers consists of
LARGEST_SCORE = float(np.finfo(np.float32).max)
TABLE = 1 << 24  # numbers of templates up to here are looked up in a table


class Layout(NamedTuple):
    """Paths of a target's files.

    Attributes
    ----------
    images, medias, pairs : str
        `…_name_5pts_score.txt`, `…_face_tid_mid.txt`, `…_template_pair_label.txt`.
    galleries : tuple of (str, str)
    probes : str
    crops : str
        The folder of pictures, `loose_crop`. It need not be there for ready-made embeddings.
    """

    images: str
    medias: str
    pairs: str
    galleries: tuple
    probes: str
    crops: str


class Images(NamedTuple):
    """The images of a target, in the order of the files. Names may repeat.

    Attributes
    ----------
    names : list of str
    points : float64 array, shape (N, 5, 2)
        x, y in the picture: left eye, right eye, nose, left and right mouth corner, as seen in the picture.
    scores : float32 array, shape (N,)
        The detector's.
    templates, medias : int64 arrays, shape (N,)
    """

    names: list
    points: np.ndarray
    scores: np.ndarray
    templates: np.ndarray
    medias: np.ndarray


class Pairs(NamedTuple):
    """Pairs of templates.

    Attributes
    ----------
    first, second : int32 arrays, shape (P,)
        Places among the target's templates in ascending order of their numbers.
    issame : bool array, shape (P,)
    """

    first: np.ndarray
    second: np.ndarray
    issame: np.ndarray


class Subjects(NamedTuple):
    """The templates of a gallery, or the probes.

    Attributes
    ----------
    templates : int64 array, shape (K,)
        Ascending, each once.
    subjects : int64 array, shape (K,)
        Of a template that is listed with several subjects, the first.
    path : str
        For messages.
    """

    templates: np.ndarray
    subjects: np.ndarray
    path: str


def layout(root, target):
    """Return the paths of a target's files.

    Raises
    ------
    Failure
        One is missing. The line names it, and the layout that is expected.
    """
    if target not in TARGETS:
        raise ValueError(f"{target!r}: one of {', '.join(TARGETS)}")
    meta, prefix = os.path.join(root, "meta"), target.lower()

    def path(name):
        return os.path.join(meta, f"{prefix}_{name}")
    found = Layout(path("name_5pts_score.txt"), path("face_tid_mid.txt"), path("template_pair_label.txt"),
                   tuple(path(f"1N_gallery_{name}.csv") for name in TARGETS[target]), path("1N_probe_mixed.csv"),
                   os.path.join(root, "loose_crop"))
    for one in (found.images, found.medias, found.pairs, *found.galleries, found.probes):
        if not os.path.isfile(one):
            names = ", ".join(os.path.basename(each) for each in (found.images, found.medias, found.pairs,
                                                                  *found.galleries, found.probes))
            raise Failure(f"{shown(one)} is missing: --root has to hold meta/ with {names}")
    return found


def _integer(field):
    """Return the whole number that a field is, or None."""
    return int(field) if INTEGER.fullmatch(field) else None


def _rows_of_images(path, kind, columns, form):
    """Read `name number…` lines: names, numbers (N, columns) as floats or whole numbers, and each line's own number."""
    names, values, numbers = [], array.array("d" if kind is float else "q"), array.array("q")
    for number, line in text.lines(path):
        fields = line.split()
        if len(fields) != columns + 1:
            raise Failure(f"{shown(path)}: line {number} has {len(fields)} columns, not {columns + 1}: {form}")
        try:
            row = [float(field) if kind is float else int(INTEGER.fullmatch(field).group()) for field in fields[1:]]
        except (ValueError, AttributeError):
            row = [math.nan]
        if not all(map(math.isfinite, row)) or (kind is float and abs(row[-1]) > LARGEST_SCORE):
            raise Failure(f"{shown(path)}: line {number} has a column that is no {'whole ' * (kind is int)}number: "
                          f"{form}")
        names.append(fields[0])
        values.extend(row)
        numbers.append(number)
    if not names:
        raise Failure(f"{shown(path)} is empty: each line should be {form}")
    return names, np.array(values).reshape(-1, columns), numbers


def read_images(paths):
    """Read the two files of images, which belong together row by row.

    Parameters
    ----------
    paths : Layout

    Returns
    -------
    Images

    Raises
    ------
    Failure
        A file is missing, empty or malformed, or the two differ in the number of rows or in a row's name.
    """
    names, values, lines = _rows_of_images(paths.images, float, 11, "name x1 y1 x2 y2 x3 y3 x4 y4 x5 y5 score")
    others, numbers, others_lines = _rows_of_images(paths.medias, int, 2, "name template media")
    if len(others) != len(names):
        raise Failure(f"{shown(paths.medias)} has {len(others)} rows and {shown(paths.images)} has {len(names)}: they "
                      "belong together row by row; take both from one release")
    if others != names:
        place = next(place for place, (one, other) in enumerate(zip(names, others)) if one != other)
        raise Failure(f"{shown(paths.medias)}: line {others_lines[place]} names {quoted(others[place])}, where line "
                      f"{lines[place]} of {shown(paths.images)} names {quoted(names[place])}: they belong together row "
                      "by row; take both from one release")
    return Images(names, values[:, :10].reshape(-1, 5, 2), values[:, 10].astype(np.float32),
                  np.ascontiguousarray(numbers[:, 0]), np.ascontiguousarray(numbers[:, 1]))


def _chunks(path, size):
    """Yield (number of the first line, whole lines as bytes) of a text file, without a byte-order mark."""
    line, held = 1, b""
    if not os.path.exists(path):
        raise Failure(f"{shown(path)} is missing")
    with open(path, "rb") as file:
        first = True
        while True:
            block = file.read(size)
            if first:
                if block[:2] in (b"\xff\xfe", b"\xfe\xff"):
                    raise Failure(f"{shown(path)} is UTF-16: {text.SAVE}")
                block, first = block[3:] if block[:3] == b"\xef\xbb\xbf" else block, False
            whole = held + block
            end = b"\n" if b"\n" in whole else b"\r"  # files with \r alone are cut there
            cut = whole.rfind(end) + 1 if block else len(whole)
            held = whole[cut:]
            if len(held) > text.LONGEST_LINE:
                raise Failure(f"{shown(path)}: line {line + _count(whole[:cut])} does not end within "
                              f"{text.LONGEST_LINE} characters: this is no list, but something else")
            if cut:
                yield line, whole[:cut]
                line += _count(whole[:cut])
            if not block:
                return


def _count(lines):
    """Return how many lines end in these bytes."""
    return lines.count(b"\n") or lines.count(b"\r")


def _malformed(path, first, lines, wrong, form):
    """Return the Failure that names the first line for which `wrong(fields)` says so."""
    for number, line in enumerate(lines.splitlines(), first):
        if line.strip() and wrong(line):
            return Failure(f"{shown(path)}: line {number} is malformed ({quoted(line[:60].decode('ascii', 'replace'))})"
                           f": it should be {form}")
    return Failure(f"{shown(path)}: lines from {first} on are malformed: each should be {form}")


def _places(wanted, templates):
    """Return where numbers stand in an ascending array; −1 where they do not."""
    if len(templates) and templates[0] >= 0 and templates[-1] < TABLE:
        table = np.full(templates[-1] + 2, -1, np.int32)
        table[templates] = np.arange(len(templates), dtype=np.int32)
        # What is out of the table goes to its last place, which is empty.
        return table[np.where((wanted >= 0) & (wanted <= templates[-1]), wanted, templates[-1] + 1)]
    if not len(templates):
        return np.full(len(wanted), -1, np.int32)
    places = np.minimum(np.searchsorted(templates, wanted), len(templates) - 1)
    return np.where(templates[places] == wanted, places, -1).astype(np.int32)


PAIR = "template template 0|1"


def _wrong_pair(line):
    fields = line.split()
    return (len(fields) != 3 or any(_integer(one.decode("ascii", "replace")) is None for one in fields)
            or int(fields[2]) not in (0, 1))


def read_pairs(path, templates, chunk=CHUNK):
    """Read the file of pairs: 15.7 million lines in some three seconds. In memory is a part of the file at a time.

    Parameters
    ----------
    path : str
    templates : int64 array
        The numbers of the target's templates, ascending.
    chunk : int
        Bytes of a part.

    Returns
    -------
    Pairs

    Raises
    ------
    Failure
        The file is missing, empty or malformed, or names a template that no image has. The line is named.
    """
    parts = []
    for first, lines in _chunks(path, chunk):
        if lines.translate(None, NUMERIC):
            raise _malformed(path, first, lines, _wrong_pair, PAIR)
        try:
            # A fourth column, which is empty, holds what is one too many. More than that raises, or warns if all lines
            # have them.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", pd.errors.ParserWarning)
                table = pd.read_csv(io.BytesIO(lines), header=None, names=["first", "second", "same", "more"],
                                    dtype={"first": np.int64, "second": np.int64, "same": np.int64, "more": str},
                                    index_col=False, sep=r"\s+", engine="c", na_filter=False, low_memory=False)
        except pd.errors.EmptyDataError:
            continue
        except (ValueError, OverflowError):  # pandas' ParserError is a ValueError
            raise _malformed(path, first, lines, _wrong_pair, PAIR) from None
        same = table["same"].to_numpy()
        if table["more"].any() or not ((same == 0) | (same == 1)).all():
            raise _malformed(path, first, lines, _wrong_pair, PAIR)
        places = [_places(table[side].to_numpy(), templates) for side in ("first", "second")]
        if len(same) and min(places[0].min(), places[1].min()) < 0:
            raise _unknown(path, first, lines, templates)
        parts.append((*places, same == 1))
    pairs = Pairs(*(np.concatenate(side) for side in zip(*parts))) if parts else None
    if pairs is None or not len(pairs.issame):
        raise Failure(f"{shown(path)} is empty: each line should be {PAIR}")
    return pairs


def _unknown(path, first, lines, templates):
    """Return the Failure that names the first line with a template that no image has."""
    for number, line in enumerate(lines.splitlines(), first):
        for field in line.split()[:2]:
            if _places(np.array([int(field)]), templates)[0] < 0:
                return Failure(f"{shown(path)}: line {number} has the template {int(field)}, which no image has: take "
                               "all files from one release")
    return Failure(f"{shown(path)} has a template that no image has: take all files from one release")


SUBJECT = "a template and a subject, as whole numbers, and more columns, divided by commas"


def read_subjects(path, templates):
    """Read a gallery or the probes: a header, then a line for each image, whose template and subject come first.

    Parameters
    ----------
    path : str
    templates : int64 array
        The numbers of the target's templates, ascending.

    Returns
    -------
    Subjects

    Raises
    ------
    Failure
        The file is missing, empty or malformed, has no header, or names a template that no image has.
    """
    found, header = {}, True
    for number, line in text.lines(path):
        fields = line.split(",", 2)
        pair = tuple(_integer(field.strip(' \t"')) for field in fields[:2])
        if header:
            header = False
            if len(fields) > 1 and None not in pair:
                raise Failure(f"{shown(path)}: line {number} is no header: the first line should name the columns, "
                              "TEMPLATE_ID,SUBJECT_ID,…")
            continue
        if len(pair) < 2 or None in pair:
            raise Failure(f"{shown(path)}: line {number} is malformed ({quoted(line[:60])}): it should be {SUBJECT}")
        if pair[0] not in found:
            found[pair[0]] = pair[1], number
    if not found:
        raise Failure(f"{shown(path)} names no template: each line after the header should be {SUBJECT}")
    numbers = np.array(sorted(found), np.int64)
    missing = np.flatnonzero(_places(numbers, templates) < 0)
    if len(missing):
        line, template = min((found[number][1], number) for number in numbers[missing].tolist())
        raise Failure(f"{shown(path)}: line {line} has the template {template}, which no image has: take all files "
                      "from one release")
    return Subjects(numbers, np.array([found[number][0] for number in numbers.tolist()], np.int64), path)


def places_of(wanted, templates):
    """Return where numbers of templates stand among all of the target, which are ascending: int32 array."""
    return _places(np.asarray(wanted, np.int64), np.asarray(templates, np.int64))
