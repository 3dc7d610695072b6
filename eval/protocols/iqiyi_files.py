"""iQIYI-VID on disk: ground truths, submissions, and the clips themselves (Table 9).

`train_gt.txt` and `test_gt.txt` have an identity a line: its number and its clips, divided by spaces. For example,
`7 IQIYI_VID_TEST_0000012.mp4 IQIYI_VID_TEST_0000345.mp4 `. A submission has the same form, the best clip first.
Clips lie in the dataset's folder, or in one of its folders `clips`, `IQIYI_VID_TRAIN` or `IQIYI_VID_TEST`: each as a
video file, or as a folder of frames with the clip's name, with or without `.mp4`.
"""
import os
import re

from datasets.formats import text
from datasets.formats.image_lists import quoted
from eval.protocols.ytf_files import frames_of
from runtime import Failure
from runtime.files import whole_file

TRAIN, TEST = "train_gt.txt", "test_gt.txt"
FOLDERS = ("", "clips", "IQIYI_VID_TRAIN", "IQIYI_VID_TEST")
VIDEO = (".mp4", ".avi", ".mkv", ".webm")
FORM = "an identity's number and its clips, divided by spaces"


def read_truth(path):
    """Read a ground truth.

    Returns
    -------
    dict of int to list of str
        Identity → clips, in the order of the file. Repeated clips of an identity are left out.

    Raises
    ------
    Failure
        The file is missing, empty, no text, has a line of another form or two lines of one identity.
    """
    found = {}
    whole = text.content(path, f"each line has {FORM}")
    for number, line in enumerate(whole.splitlines(), 1):
        fields = line.decode("utf-8", "surrogateescape").split()
        if not fields:
            continue
        if b"\0" in line:
            raise Failure(f"{path}: line {number} has a zero byte: this is no text file; each line has {FORM}")
        if not re.fullmatch("[0-9]{1,9}", fields[0], re.ASCII):
            raise Failure(f"{path}: line {number} begins with {quoted(fields[0][:40])}; each line has {FORM}")
        identity = int(fields[0])
        if identity in found:
            raise Failure(f"{path}: line {number} is a second line of identity {identity}: join the two lines")
        found[identity] = list(dict.fromkeys(fields[1:]))
    if not found:
        raise Failure(f"{path} is empty: each line has {FORM}")
    return found


def write_submission(path, rankings):
    """Write rankings, dict of identity to clips, in the form of the ground truth; whole or not at all.

    A name has the bytes that it has in the ground truth, also where they are no UTF-8.
    """
    with whole_file(path) as file:
        for identity, clips in rankings.items():
            file.write((" ".join([str(identity), *clips]) + " \n").encode("utf-8", "surrogateescape"))


def _stem(name):
    stem, extension = os.path.splitext(name)
    return stem if extension.lower() in VIDEO else name


def clips_in(root, known):
    """Return the clips of the dataset's folder: dict of name to the paths of its frames, or to the one of its video.

    Parameters
    ----------
    root : str
    known : iterable of str
        Names of clips. A folder or file whose name differs in the extension alone is that clip.

    Raises
    ------
    Failure
        There is none.
    """
    names, found = {_stem(name): name for name in known}, {}
    for folder in FOLDERS:
        place = os.path.join(root, folder)
        for entry in sorted(os.scandir(place), key=lambda one: one.name) if os.path.isdir(place) else ():
            if entry.name.startswith(".") or (not folder and entry.name in FOLDERS):
                continue
            video = entry.is_file() and entry.name.lower().endswith(VIDEO)
            paths = [entry.path] if video else frames_of(entry.path) if entry.is_dir() else []
            stem = _stem(entry.name)
            if paths:
                found.setdefault(names.get(stem, stem + ".mp4" if stem == entry.name else entry.name), paths)
    if not found:
        raise Failure(f"{root} has no clips: they lie there, or in {' or '.join(FOLDERS[1:])}, as CLIP.mp4 or as "
                      "CLIP/*.jpg; to evaluate embeddings that are there already, give --embeddings clips.npz")
    return dict(sorted(found.items()))
