"""Whether a dataset of the catalog is here, and whole as far as a look tells that decodes no image."""
import glob
import os

import numpy as np

from datasets.formats import records, verification_file
from datasets.formats.labels import is_class
from runtime import Failure
from runtime.files import data_folders


def look(entry, root):
    """Look for a dataset.

    Parameters
    ----------
    entry : datasets.catalog.Dataset
    root : str
        Where the datasets' folders are.

    Returns
    -------
    dict
        ``here`` (bool), ``whole`` (bool, or None where it is not here or nothing tells), ``state`` (a few words),
        ``path`` (what was looked at, or None).
    """
    folder = os.path.join(root, entry.folder)
    if len(entry.files) == 1 and entry.files[0].endswith(".bin"):
        return _look_at_pairs(entry, root, folder)
    there = [name for name in entry.files if _is_there(folder, name)]
    if not there:
        return {"here": False, "whole": None, "state": "not here", "path": None}
    missing = [name for name in entry.files if name not in there]
    if missing:
        return _found(folder, False, f"lacks {', '.join(missing)}")
    if "train.rec" in entry.files:
        return _judged(folder, lambda: _record(entry, folder))
    if "*" in entry.files:
        return _found(folder, None, "here; nothing tells whether it is whole")
    empty = [name for name in entry.files if os.path.isfile(os.path.join(folder, name))
             and not os.path.getsize(os.path.join(folder, name))]
    return _found(folder, not empty, f"{empty[0]} is empty" if empty else f"here: {', '.join(entry.files)}")


def _is_there(folder, name):
    return any(True for _ in glob.iglob(os.path.join(glob.escape(folder), name)))


def _found(path, whole, state):
    return {"here": True, "whole": whole, "state": state, "path": path}


def _judged(path, judge):
    """Return what `judge()` says, or what is wrong in one line."""
    try:
        return _found(path, True, judge())
    except (Failure, OSError) as error:
        return _found(path, False, " ".join(str(error).split()))


def _record(entry, folder):
    """Return what a record holds, by its header, index, identities and `property`; Failure where they disagree."""
    layout = records.read_layout(folder)
    ranges = records.read_identities(layout)
    ranges = ranges[ranges[:, 0] < ranges[:, 1]]
    _check_classes(layout, ranges, folder)
    if len(layout.identities) and (ranges[:, 1] - ranges[:, 0]).sum() != len(layout.images):
        raise Failure(f"{folder}/train.rec has {len(layout.images)} images, and its identities "
                      f"{(ranges[:, 1] - ranges[:, 0]).sum()}")
    for name in entry.files:
        if name.endswith(".bin"):
            verification_file.read(os.path.join(folder, name))
    people = len(ranges) or layout.classes
    notes = [f"{layout.classes} classes"] if layout.classes != people else []
    notes += [f"{entry.classes} were published"] if entry.classes not in (None, people) else []
    return f"here: {len(layout.images)} images of {people} identities" + (f" ({', '.join(notes)})" if notes else "")


def _check_classes(layout, ranges, folder):
    """Fail where a label is not below the classes of `property`.

    More classes than identities are no fault: labels may have gaps. Where there are as many classes as identities or
    more, only the last identity's label is read; to read all of them would take minutes from a cold disk.
    """
    rows = ranges if len(ranges) > layout.classes else ranges[-1:]
    with open(layout.record, "rb") as file:
        for offset in layout.offsets_of(rows[:, 0]).tolist():
            content = records.read_record(file, layout.record, offset, layout.size)[0]
            label = np.ravel(records.unpack(layout.record, offset, content)[0])[0]
            if not is_class(label, layout.classes):
                raise Failure(f"{folder}/property says {layout.classes} classes, and train.rec has the label "
                              f"{label:g}: `python datasets/check.py {folder}` says what to do")


def _look_at_pairs(entry, root, folder):
    """Look for a verification file in its folder, then under the root and in the other folders there."""
    places = [os.path.join(place, entry.files[0]) for place in (folder, root, *data_folders(root))]
    path = next((path for path in places if os.path.isfile(path)), None)
    if path is None:
        return {"here": False, "whole": None, "state": "not here", "path": None}

    def judge():
        pairs = len(verification_file.read(path)[1])
        if pairs != entry.pairs:
            raise Failure(f"{path} has {pairs} pairs, where {entry.pairs} were published")
        return f"here: {pairs} pairs in {os.path.relpath(path, root)}"
    return _judged(path, judge)
