"""YouTube Faces on disk: the list of pairs, and the frames of each video (Table 4).

The list, `splits.txt` or `splits_corrected.txt`, has a header line that starts with `split`, then one pair a line in
six columns: split, number of the pair, first video, second video, same name, same person. For example,
`1, 2, Anna_Adler/0, Boris_Brand/3, 0, 0`. A video is called `person/number`.
Frames lie in `frame_images_DB/person/number/` or `aligned_images_DB/person/number/`, as `<video>.<frame>.jpg` or
`aligned_detect_<video>.<frame>.jpg`.
"""
import os
import re
from typing import NamedTuple

import numpy as np

from datasets.formats import images, text
from datasets.formats.image_lists import quoted
from runtime import Failure

LISTS = ("splits.txt", "splits_corrected.txt")
UNALIGNED, ALIGNED = "frame_images_DB", "aligned_images_DB"
FORM = "split, number of the pair, first video, second video, same name (0 or 1), same person (0 or 1)"
_FRAME = re.compile(r"(?:.*[._-])?([0-9]{1,9})\.[^.]+")


class Splits(NamedTuple):
    """The pairs of a list.

    Attributes
    ----------
    path : str
    split : int64 array, shape (N,)
        The fold of each pair.
    first, second : list of str, length N
        Videos, `person/number`.
    issame : bool array, shape (N,)
        Whether both videos show one person.
    """

    path: str
    split: np.ndarray
    first: list
    second: list
    issame: np.ndarray

    @property
    def videos(self):
        """The different videos, in the order in which the list names them."""
        return list(dict.fromkeys(name for pair in zip(self.first, self.second) for name in pair))

    @property
    def consecutive(self):
        """Whether the splits are the folds that the original takes: consecutive parts of the list, as by KFold."""
        parts = np.array_split(self.split, len(np.unique(self.split)))
        return all(len(np.unique(part)) == 1 for part in parts) and len({part[0] for part in parts}) == len(parts)


def _video(name, where):
    """Return the name of a video, refusing one that leads elsewhere."""
    person, slash, number = name.partition("/")
    if not slash or not person or not number or "/" in number or {person, number} & {".", ".."} or "\\" in name \
            or "\0" in name:
        raise Failure(f"{where} has {quoted(name)} where a video is expected, as person/number")
    return name


def find_list(name, root):
    """Return the path of the list of pairs: the name given, also as one in `root`; else the list that is in `root`.

    Raises
    ------
    Failure
        There is none.
    """
    for path in [name, os.path.join(root or "", name)] if name else [os.path.join(root or "", one) for one in LISTS]:
        if os.path.isfile(path):
            return path
    where = f"{name} is missing" if name else f"{root} has no {' or '.join(LISTS)}"
    raise Failure(f"{where}: it comes with YouTube Faces; name it with --splits")


def read_splits(path):
    """Read a list of pairs.

    Returns
    -------
    Splits

    Raises
    ------
    Failure
        The file is missing, no text, empty, has one split alone, or has a line of another form.
    """
    split, first, second, issame = [], [], [], []
    for number, line in text.lines(path):
        if line.lower().lstrip().startswith("split"):
            continue
        fields = [field.strip() for field in line.split(",")]
        where = f"{path}: line {number}"
        if len(fields) != 6 or not re.fullmatch("[0-9]{1,9}", fields[0], re.ASCII) \
                or not {fields[4], fields[5]} <= {"0", "1"}:
            raise Failure(f"{where} is {quoted(line[:80])}, not of the form: {FORM}")
        split.append(int(fields[0]))
        first.append(_video(fields[2], where))
        second.append(_video(fields[3], where))
        issame.append(fields[5] == "1")
    if len(set(split)) < 2:
        raise Failure(f"{path} has {len(split)} pairs in {len(set(split))} splits: at least two splits are needed; "
                      f"each line is of the form: {FORM}")
    return Splits(os.fspath(path), np.array(split, np.int64), first, second, np.array(issame))


def frames_folder(root, align):
    """Return the folder that holds the videos' folders.

    Parameters
    ----------
    root : str
        The dataset's folder, or that folder itself.
    align : bool
        Whether whole pictures are wanted, where both kinds are there.

    Raises
    ------
    Failure
        There is no such folder.
    """
    if not os.path.isdir(root):
        raise Failure(f"{root} is no folder: name the one that holds {UNALIGNED} or {ALIGNED}")
    if os.path.basename(os.path.abspath(root)) in (UNALIGNED, ALIGNED):
        return root
    for name in (UNALIGNED, ALIGNED) if align else (ALIGNED, UNALIGNED):
        if os.path.isdir(os.path.join(root, name)):
            return os.path.join(root, name)
    raise Failure(f"{root} has neither {ALIGNED} nor {UNALIGNED}: the frames lie there as PERSON/NUMBER/*.jpg; to "
                  "evaluate embeddings that are there already, give --embeddings frames.npz")


def frames_of(folder):
    """Return the paths of a video's frames in the order of their numbers; none where the folder is missing.

    Hidden files and files that are no pictures with a number are passed over.
    """
    if not os.path.isdir(folder):
        return []
    found = []
    for name in os.listdir(folder):
        frame = _FRAME.fullmatch(name)
        if frame and not name.startswith(".") and name.lower().endswith(images.SUFFIXES):
            found.append((int(frame.group(1)), name))
    return [os.path.join(folder, name) for _, name in sorted(found)]


def videos_in(folder):
    """Return the videos in a folder that have frames: dict of `person/number` to the frames' paths, by name."""
    found = {}
    for person in _folders(folder):
        for number in _folders(os.path.join(folder, person)):
            frames = frames_of(os.path.join(folder, person, number))
            if frames:
                found[f"{person}/{number}"] = frames
    if not found:
        raise Failure(f"{folder} has no frames: they lie there as PERSON/NUMBER/*.jpg")
    return found


def _folders(folder):
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
