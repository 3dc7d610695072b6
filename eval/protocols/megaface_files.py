"""MegaFace's files: lists of images, sets of distractors, feature files, and the devkit's result files.

    ROOT/data/facescrub_lst, ROOT/data/megaface_lst             a path a line
    ROOT/data/facescrub_noises.txt, megaface_noises.txt         the noise lists
    ROOT/templatelists/facescrub_features_list.json             the probes: {"id": […], "path": […]}
    ROOT/templatelists/megaface_features_list.json_<N>_<set>    N distractors
    FEATURES/facescrub/<person>/<image>_<algorithm>.bin         a probe's feature
    FEATURES/megaface/<a>/<b>/<image>_<algorithm>.bin           a distractor's feature

Only the last two parts of a probe's path count, and the last three of a distractor's.
"""
import json
import os
import re
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from datasets.formats import opencv_matrix, text
from runtime import Failure, shown
from runtime.files import write_json

KINDS = {"facescrub": 2, "megaface": 3}
"""The kinds of images, with the parts of a path that count."""
LAYOUT = ("MegaFace's folder has data/ (facescrub_lst, megaface_lst and the noise lists) and templatelists/ "
          "(facescrub_features_list.json, megaface_features_list.json_N_SET)")
LARGEST = 1 << 29  # bytes of a list; a list of a million distractors has about 100 MB
_SET = re.compile(r"megaface_features_list\.json_([1-9][0-9]{0,8})_([0-9]{1,9})")


class Listed(NamedTuple):
    """Images of a list.

    Attributes
    ----------
    path : str
        Of the list.
    names : list of str
        `person/image` of probes, `a/b/image` of distractors.
    people : list of str, or None
        The identity of each, where the list tells it.
    """

    path: str
    names: list
    people: list = None


class Distractors(NamedTuple):
    """A set of distractors: how many the file's name tells, the number of the set, and its file."""

    number: int
    set: int
    path: str


def name_of(path, kind, where):
    """Return the part of a path that counts."""
    parts = [part for part in path.replace("\\", "/").split("/") if part]
    wanted = parts[-KINDS[kind]:]
    if len(wanted) < KINDS[kind] or any(part in (".", "..") for part in wanted) or "\0" in path:
        raise Failure(f"{where}: {shown(path)[:200]} is no path of {KINDS[kind]} parts or more, such as "
                      f"{'person/image.png' if kind == 'facescrub' else 'a/b/image.jpg'}")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise Failure(f"{where}: {shown(path)[:200]} cannot be a path: it has half of a character") from None
    return "/".join(wanted)


def read_lst(root, kind):
    """Read `data/facescrub_lst` or `data/megaface_lst`: the paths as they stand, and the names of the images.

    Returns
    -------
    paths : list of str
    Listed

    Raises
    ------
    Failure
        It is missing, empty, or has a line that is no path.
    """
    path = os.path.join(root, "data", f"{kind}_lst")
    paths, names = [], []
    for number, line in text.lines(path, missing=LAYOUT):
        paths.append(line.strip())
        names.append(name_of(line.strip(), kind, f"{shown(path)}: line {number}"))
    if not names:
        raise Failure(f"{shown(path)} is empty: it has to name a path a line")
    return paths, Listed(path, names)


def read_template_list(path, kind):
    """Read a list of the devkit, JSON with `id` and `path`.

    Returns
    -------
    Listed

    Raises
    ------
    Failure
        It is missing, damaged, or has another form.
    """
    if not os.path.isfile(path):
        raise Failure(f"{shown(path)} is {'missing' if not os.path.lexists(path) else 'no plain file'}: {LAYOUT}")
    form = f"{shown(path)} has to be JSON with two lists of the same length, `id` and `path`"
    if os.path.getsize(path) > LARGEST:
        raise Failure(f"{form}; it is far larger")
    try:
        with open(path, encoding="utf-8-sig") as file:
            found = json.load(file)
        people, paths = found["id"], found["path"]
        if not isinstance(people, list) or not isinstance(paths, list) or len(people) != len(paths):
            raise ValueError(f"{len(people)} ids and {len(paths)} paths")
        if not all(type(one) is str for one in paths) or not all(type(one) in (str, int) for one in people):
            raise ValueError("a path is no text, or an id is no text and no number")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Failure(f"{form} ({shown(str(error))[:80]})") from None
    if not paths:
        raise Failure(f"{form}; they are empty")
    return Listed(path, [name_of(one, kind, shown(path)) for one in paths], [str(one) for one in people])


def distractor_sets(root, sizes=None):
    """Find the sets of distractors under `ROOT/templatelists`.

    Parameters
    ----------
    root : str
    sizes : sequence of int, optional
        Those that are wanted; all by default.

    Returns
    -------
    list of Distractors
        By number and set.

    Raises
    ------
    Failure
        There are none, or none of a size.
    """
    folder = os.path.join(root, "templatelists")
    if not os.path.isdir(folder):
        raise Failure(f"{shown(folder)} is missing: {LAYOUT}")
    found = [(_SET.fullmatch(name), name) for name in os.listdir(folder)]
    sets = sorted(Distractors(int(match[1]), int(match[2]), os.path.join(folder, name))
                  for match, name in found if match)
    there = sorted({one.number for one in sets})
    if not sets:
        raise Failure(f"{shown(folder)} has no megaface_features_list.json_N_SET: {LAYOUT}")
    missing = [size for size in sizes or () if size not in there]
    if missing:
        raise Failure(f"{shown(folder)} has no set of {missing[0]} distractors; there are sets of "
                      f"{', '.join(map(str, there))}")
    return [one for one in sets if sizes is None or one.number in sizes]


def read_distractors(one):
    """Read a set of distractors.

    Raises
    ------
    Failure
        As `read_template_list`, or it has another number of images than its name tells.
    """
    listed = read_template_list(one.path, "megaface")
    if len(listed.names) != one.number:
        raise Failure(f"{shown(one.path)} has {len(listed.names)} images, and its name tells {one.number}: get it "
                      "again")
    return listed


def feature_path(features, kind, name, algorithm):
    """Return the path of an image's feature file."""
    return os.path.join(features, kind, *name.split("/")[:-1], f"{name.split('/')[-1]}_{algorithm}.bin")


def read_features(features, kind, names, algorithm, dimension=None, extra=0, progress=True):
    """Read feature files.

    Parameters
    ----------
    features : str
        The folder FEATURES.
    kind : {"facescrub", "megaface"}
    names : list of str
    algorithm : str
    dimension : int, optional
        How many numbers each has to have; by default as many as the first one.
    extra : int
        Further numbers that each row gets room for. They are 0.
    progress : bool

    Returns
    -------
    float32 array, shape (N, D + extra)

    Raises
    ------
    Failure
        A file is missing, cut short, or of another number of numbers.
    """
    made = None
    for row, name in enumerate(tqdm(names, desc=f"reading features of {kind}", leave=False,
                                    disable=None if progress else True)):
        path = feature_path(features, kind, name, algorithm)
        try:
            with open(path, "rb") as file:
                content = file.read(1 << 22)
        except (FileNotFoundError, NotADirectoryError):
            raise Failure(f"{shown(path)} is missing: features are {shown(os.path.join(features, kind))}/"
                          f"{'person' if kind == 'facescrub' else 'a/b'}/image_{shown(algorithm)}.bin; give --model to "
                          "write them, or another --algorithm") from None
        vector = opencv_matrix.vector(path, content)
        if made is None:
            dimension = dimension or len(vector)
            made = np.zeros((len(names), dimension + extra), np.float32)
        if len(vector) != dimension:
            raise Failure(f"{shown(path)} has {len(vector)} numbers, and the others have {dimension}: it was made by "
                          "another network; write all of them again under another --algorithm")
        made[row, :dimension] = vector
    return made


def result_path(folder, algorithm, number, set_number):
    """Return the name of the devkit's result file."""
    return os.path.join(folder, f"cmc_facescrub_megaface_{algorithm}_{number}_{set_number}.json")


def write_result(path, rates, fars, tars):
    """Write a result file as the devkit does.

    Parameters
    ----------
    path : str
    rates : sequence of float
        Of rank 1, 2, …; the file counts ranks from 0.
    fars, tars : sequences of float
    """
    write_json(path, {"cmc": [list(range(len(rates))), [float(one) for one in rates]],
                      "roc": [[float(one) for one in fars], [float(one) for one in tars]]})


def read_result(path):
    """Read a result file of the devkit, or one that `write_result` wrote.

    Returns
    -------
    cmc, roc : float64 arrays, shape (2, n)
        Ranks from 0 and rates; FAR and TAR.

    Raises
    ------
    Failure
        It is missing or has another form.
    """
    if not os.path.isfile(path):
        raise Failure(f"{shown(path)} is {'missing' if not os.path.lexists(path) else 'no plain file'}: name a result "
                      "file of the devkit, cmc_facescrub_megaface_ALGORITHM_N_SET.json")
    try:
        if os.path.getsize(path) > LARGEST:
            raise ValueError("it is far larger than such files are")
        with open(path, encoding="utf-8-sig") as file:
            found = json.load(file)
        curves = [np.array(found[name], np.float64) for name in ("cmc", "roc")]
        if any(curve.ndim != 2 or curve.shape[0] != 2 or not curve.shape[1] or not np.isfinite(curve).all()
               or curve[1].min() < 0 or curve[1].max() > 1 for curve in curves):
            raise ValueError("`cmc` and `roc` have to be two rows of numbers each, the second of rates")
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise Failure(f"{shown(path)} is no result file of the devkit ({shown(str(error))[:100]})") from None
    return tuple(curves)
