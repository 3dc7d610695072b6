"""Lists of pairs of images in the forms in which they are published, and which folds they mean.

What each reader rests on:

lfw
    The README of LFW, "pairs.txt format": the first line has the number of folds and of pairs of each kind in a fold;
    then, fold by fold, `name i j` for genuine and `name1 i name2 j` for impostor pairs, divided by tabs. Image i is
    `name/name_000i.jpg`. The list of its first view has one number in the first line, and is one fold.
cfp
    The README of CFP: `Protocol/Split/FP/01` to `10` (or `FF`) have `same.txt` and `diff.txt` of 350 pairs, each of two
    numbers from 1, divided by a comma. The first counts in `Pair_list_F.txt`, the second in `Pair_list_P.txt` (`FF`: in
    the first, too), whose lines are a number and a path. That these two lie in `Protocol`, with paths relative to it,
    and the comma, are what public readers of the dataset agree on. A fold's genuine pairs come first here.
agedb
    `04_FINAL_protocol_30_years.mat` of AgeDB, as InsightFace's builder of `agedb_30.bin` reads it: `splits` has, for
    each fold, two rows of columns that are pairs; an entry begins with the name of an image, without `.jpg`, in
    `03_Protocol_Images`; a pair is genuine where both names begin with the same word before the first `_`.
calfw, cplfw
    `pairs_CALFW.txt` and `pairs_CPLFW.txt` as public readers take them: two lines a pair, `file flag`, the flag 0 for
    impostors. In CALFW's, all genuine pairs come first and their flag is the fold, 1 to 10, and the impostor pairs
    follow; their folds are not in the file, so they are dealt out here in their order, as many to each fold.
list
    Lines `first,second,1|0`, where the third may read Yes/No, True/False or same/different, and columns may be divided
    by tabs or, in names without them, by spaces; the first line may be a heading. This project's own.
"""
import csv
import os
import re
from typing import NamedTuple, Optional

import numpy as np

from datasets.formats import text
from datasets.formats.image_lists import quoted
from datasets.formats.images import SUFFIXES
from runtime import Failure

LAYOUTS = ("lfw", "cfp", "agedb", "calfw", "cplfw", "list")
LONGEST = 1 << 28  # characters; LFW's own list has 150 thousand
SAME = {"1": True, "yes": True, "true": True, "same": True, "0": False, "no": False, "false": False, "different": False}


class PairList(NamedTuple):
    """Pairs in the order in which they are written.

    Attributes
    ----------
    pairs : list of (tuple of str, tuple of str)
        For either image, the paths under the folder of images where it may lie, the likeliest first.
    issame : ndarray of bool, shape (N,)
    folds : int or None
        How many consecutive parts of equal size the list has; None where it does not say.
    layout : str
    """

    pairs: list[tuple[tuple[str, ...], tuple[str, ...]]]
    issame: np.ndarray
    folds: Optional[int]
    layout: str


def read_pairs(path, layout=None):
    """Read a list of pairs.

    Parameters
    ----------
    path : str or os.PathLike
        The list; for CFP the folder `Protocol/Split/FP` or `FF`, or the dataset's, which means `FP`.
    layout : str or None
        One of `LAYOUTS`; None finds it out.

    Returns
    -------
    PairList

    Raises
    ------
    Failure
        It is missing, empty, of another form, or its folds are not as it says. The message names the line.
    """
    if layout is None:
        layout = "cfp" if os.path.isdir(path) else "agedb" if str(path).endswith(".mat") else None
    if layout == "cfp":
        pairs, issame, folds = _cfp(path)
    elif layout == "agedb" and str(path).endswith(".mat"):
        pairs, issame, folds = _agedb(path)
    else:
        lines = _lines(path)
        first = _fields(lines[0][1])
        if layout is None:
            layout = "lfw" if (len(first) <= 2 and all(map(_counts, first))) or _lfw_without_head(lines) else \
                "calfw" if len(first) == 2 and _counts(first[1]) else "list"
        reader = {"lfw": _lfw, "calfw": _two_lines, "cplfw": _two_lines}.get(layout, _list)
        pairs, issame, folds = reader(path, lines)
    if not pairs:
        raise Failure(f"{quoted(str(path))} has no pairs")
    return PairList(pairs, np.array(issame, dtype=bool), folds, layout)


def _lines(path):
    """Return (number, line) of the lines of a text file that are not empty."""
    lines, size = [], 0
    for number, line in text.lines(path, strict=True, missing="--pairs takes the list of pairs"):
        lines.append((number, line))
        size += len(line)
        if size > LONGEST:
            raise Failure(f"{quoted(str(path))} is not a list of pairs, but something else: it has more than "
                          f"{LONGEST >> 20} million characters")
    if not lines:
        raise Failure(f"{quoted(str(path))} is empty: it has to name pairs of images")
    return lines


def _fields(line):
    """Return the columns of a line that is divided by tabs, where there are any, or by spaces."""
    return [field.strip() for field in line.split("\t") if field.strip()] if "\t" in line else line.split()


def _counts(field):
    """Whether a field is a plain whole number."""
    return re.fullmatch("[0-9]{1,9}", field) is not None


def _wrong(path, number, line, form):
    return Failure(f"{quoted(str(path))}: line {number} reads {quoted(line[:60])}, where {form} is expected")


def _lfw_genuine(line):
    """Return whether a line is one of LFW's genuine pairs, `name i j`, or impostor pairs, `name1 i name2 j`; None where
    it is neither.
    """
    fields = _fields(line)
    if len(fields) not in (3, 4) or "," in line or _counts(fields[0]) or not _counts(fields[1]) \
            or not _counts(fields[-1]):
        return None
    return len(fields) == 3


def _lfw_without_head(lines):
    """Whether lines begin as LFW's pairs do, and are not a list of lines `first second 1|0`."""
    return _lfw_genuine(lines[0][1]) is not None and any(_label(_fields(line)) is None for _, line in lines)


def _no_head(path, lines):
    """Return the Failure that says that LFW's first line is missing, and which line fits the pairs."""
    kinds = [_lfw_genuine(line) for _, line in lines]
    each = next((row for row, kind in enumerate(kinds) if kind != kinds[0]), len(kinds))
    folds = max(1, len(kinds) // (2 * each))
    fits = kinds == [kind for _ in range(folds) for kind in (True, False) for _ in range(each)]
    example = f"; `{folds} {each}` fits its pairs" if fits else ", such as `10 300` for ten folds of 300 and 300 pairs"
    return Failure(f"{quoted(str(path))} begins with a pair: its first line is missing, which has the number of folds "
                   f"and of pairs of each kind in a fold{example}; put it before the pairs, or get the list again")


def _lfw(path, lines):
    number, line = lines[0]
    if _lfw_genuine(line) is not None:
        raise _no_head(path, lines)
    head = [int(field) for field in _fields(line) if _counts(field)]
    if len(head) != len(_fields(line)) or not 1 <= len(head) <= 2 or min(head) < 1:
        raise _wrong(path, number, line, "the number of folds and of pairs of each kind in a fold")
    folds, each = head if len(head) == 2 else (1, head[0])
    pairs, issame = [], []
    for number, line in lines[1:]:
        fields = _fields(line)
        if len(fields) == 3:
            fields.insert(2, fields[0])
            issame.append(True)
        else:
            issame.append(False)
        if len(fields) != 4 or not (_counts(fields[1]) and _counts(fields[3])):
            raise _wrong(path, number, line, "`name i j` or `name1 i name2 j`")
        pairs.append(tuple(_lfw_image(name, int(image)) for name, image in (fields[:2], fields[2:])))
    if len(pairs) != 2 * folds * each:
        raise Failure(f"{quoted(str(path))} has {len(pairs)} pairs where its first line says 2 times {folds} times "
                      f"{each}: get the list again")
    for fold, part in enumerate(np.split(np.array(issame), folds), 1):
        if part.sum() != each:
            raise Failure(f"{quoted(str(path))}: fold {fold} has {part.sum()} genuine pairs where its first line says "
                          f"{each}: get the list again")
    return pairs, issame, folds


def _lfw_image(name, image):
    return tuple(f"{name}/{name}_{image:04d}{suffix}" for suffix in (*SUFFIXES, *map(str.upper, SUFFIXES)))


def _two_lines(path, lines):
    names, flags = [], []
    for number, line in lines:
        fields = _fields(line)
        if "\t" not in line:
            fields = [field.strip() for field in line.rsplit(None, 1)]  # names may have spaces
        if len(fields) != 2 or not _counts(fields[1]):
            raise _wrong(path, number, line, "`file flag`")
        names.append((fields[0], f"images/{fields[0]}", f"aligned images/{fields[0]}"))
        flags.append(int(fields[1]))
        if len(names) % 2 == 0 and flags[-1] != flags[-2]:
            raise Failure(f"{quoted(str(path))}: line {number} has the flag {flags[-1]} where the line before, of the "
                          f"other image of the pair, has {flags[-2]}: a line is missing before it")
    if len(names) % 2:
        raise Failure(f"{quoted(str(path))}: its last line is half a pair, where a pair has two: get the list again")
    pairs, flags = list(zip(names[::2], names[1::2])), np.array(flags[::2])
    folds = int(flags.max())
    if folds < 2:
        return pairs, flags > 0, None
    members = [np.flatnonzero(flags == fold) for fold in range(1, folds + 1)] if folds <= len(flags) else [()]
    impostors = np.flatnonzero(flags == 0)
    if len({len(own) for own in members}) > 1 or len(members[0]) == 0 or len(impostors) % folds:
        raise Failure(f"{quoted(str(path))}: its flags 1 to {folds} are folds, which have to be of equal size, and its "
                      f"{len(impostors)} impostor pairs have to divide among them: get the list again")
    order = np.concatenate([np.append(*fold) for fold in zip(members, np.split(impostors, folds))])
    return [pairs[pair] for pair in order], flags[order] > 0, folds


def _list(path, lines):
    rows = _rows(path, lines)
    if len(rows) > 1 and not _named(rows[0][1]) and (_named(rows[1][1]) or _label(rows[0][1]) is None):
        rows = rows[1:]  # the first one is the heading, whose third column may well read `same`
    pairs, issame = [], []
    for number, fields in rows:
        if _label(fields) is None:
            raise _wrong(path, number, ",".join(fields), "`first,second,1|0`")
        pairs.append(((fields[0],), (fields[1],)))
        issame.append(_label(fields))
    return pairs, issame, None


def _rows(path, lines):
    """Return (number, columns) of the lines of a list."""
    if "," not in lines[0][1]:
        return [(number, _fields(line)) for number, line in lines]
    reader, rows = csv.reader((line + "\n" for _, line in lines), skipinitialspace=True), []
    try:
        for fields in reader:
            fields = [field.strip() for field in fields]
            while len(fields) > 3 and not fields[-1]:
                fields.pop()
            rows.append((lines[reader.line_num - 1][0], fields))
    except csv.Error as error:
        raise Failure(f"{quoted(str(path))}: line {lines[reader.line_num - 1][0]} is no list's ({error})") from None
    return rows


def _label(fields):
    """Return whether a row says that its pair is genuine; None where it is not a pair."""
    return SAME.get(fields[2].lower()) if len(fields) == 3 and fields[0] and fields[1] else None


def _named(fields):
    """Whether a row's first two columns look like the names of images."""
    return all(field.lower().endswith(SUFFIXES) for field in fields[:2])


def _cfp(path):
    root = os.fspath(path)
    split = os.path.join(root, "Protocol", "Split", "FP")
    split = split if os.path.isdir(split) else os.path.normpath(root)
    protocol = os.path.dirname(os.path.dirname(os.path.abspath(split)))
    kind = os.path.basename(os.path.abspath(split)).upper()
    if kind not in ("FP", "FF") or not os.path.isdir(split):
        raise Failure(f"{quoted(root)} is not CFP's: --pairs takes its folder, or Protocol/Split/FP or FF in it")
    first = _cfp_images(os.path.join(protocol, "Pair_list_F.txt"))
    second = _cfp_images(os.path.join(protocol, "Pair_list_P.txt")) if kind == "FP" else first
    folds = sorted(name for name in os.listdir(split) if _counts(name))
    pairs, issame, sizes = [], [], set()
    for fold in folds:
        size = []
        for name, same in (("same.txt", True), ("diff.txt", False)):
            own = os.path.join(split, fold, name)
            lines = _lines(own)
            for number, line in lines:
                ends = [field.strip() for field in line.split(",")]
                if len(ends) != 2 or not all(map(_counts, ends)):
                    raise _wrong(own, number, line, "two numbers and a comma between them")
                for end, known in zip(ends, (first, second)):
                    if int(end) not in known:
                        raise Failure(f"{quoted(own)}: line {number} names image {end}, which its list has not")
                pairs.append((first[int(ends[0])], second[int(ends[1])]))
                issame.append(same)
            size.append(len(lines))
        sizes.add(tuple(size))
    if len(sizes) > 1:
        raise Failure(f"{quoted(split)}: its folds are not of one size ({sorted(sizes)} genuine and impostor pairs): "
                      "get the protocol again")
    return pairs, issame, len(folds)


def _cfp_images(path):
    """Read CFP's list of numbered images: number → the paths where it may lie."""
    found = {}
    for number, line in _lines(path):
        fields = line.split(None, 1)
        if len(fields) != 2 or not _counts(fields[0]):
            raise _wrong(path, number, line, "a number and a path")
        inside = re.sub(r"^(\.\./|\./)+", "", fields[1].strip().replace("\\", "/"))
        found[int(fields[0])] = (inside, inside.split("Images/", 1)[-1])
    return found


def _agedb(path):
    from scipy.io import loadmat
    if not os.path.exists(path):
        raise Failure(f"{quoted(str(path))} is missing: --pairs takes AgeDB's 04_FINAL_protocol_30_years.mat")
    pairs, issame, sizes = [], [], set()
    try:
        for split in loadmat(path, variable_names=["splits"])["splits"].ravel():
            columns = _within(split, lambda value: isinstance(value, np.ndarray) and value.ndim == 2
                              and value.shape[0] == 2 and value.dtype.kind in "OV")
            names = [[str(_within(end, lambda value: isinstance(value, str))) for end in pair] for pair in columns.T]
            own = [first.split("_")[0] == second.split("_")[0] for first, second in names]
            pairs += [tuple((f"03_Protocol_Images/{name}.jpg", f"{name}.jpg") for name in pair) for pair in names]
            issame += own
            sizes.add((sum(own), len(own) - sum(own)))
    except Exception as error:  # a damaged file makes SciPy raise nearly anything
        raise Failure(f"{quoted(str(path))} is not AgeDB's protocol ({' '.join(str(error).split())[:80]}): "
                      "get 04_FINAL_protocol_30_years.mat again") from None
    return pairs, issame, len(pairs) // sum(next(iter(sizes))) if len(sizes) == 1 else None


def _within(value, wanted):
    """Return the first value that is wanted on the way into MATLAB's nested cells and structures."""
    for _ in range(12):
        if wanted(value):
            return value
        value = value.flat[0] if isinstance(value, np.ndarray) else value[0]
    raise ValueError("it is nested otherwise")
