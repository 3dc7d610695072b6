"""identities.txt: what the identities of a record are called, and where they came from. It lies beside the record.

It has a line for each label. Columns are divided by tabs, and names are written as `image_lists.quoted` does.
The first three columns are the same in every form:

    label, images, name                              datasets/folder.py: the name is the name of the identity's folder
    label, images, old label                         datasets/convert.py, where the record had no names
    label, images, name, source, old label, …        overlap.py, merge.py, convert.py: `source` is the folder of the
                                                     record that had the identity as `old label`

In the last form, `name, source, old label` come again for each further identity that was merged into the first. An
identity without a name has its old label as its name. For example, `2  6  Ann  /data/a  2  Ann L.  /data/b  0`.
"""
import os

import numpy as np

from datasets.formats import text
from datasets.formats.image_lists import quoted, unquoted
from runtime import Failure, shown
from runtime.files import whole_file

FILE = "identities.txt"
LONGEST = 1000  # characters of a name


def beside(record):
    """Return the path of the identities.txt of a record file, or None where there is none.

    A folder may hold several record files. The file is that of `train.rec` where that is there.
    """
    folder, name = os.path.split(os.path.abspath(record))
    path = os.path.join(folder, FILE)
    own = name == "train.rec" or not os.path.exists(os.path.join(folder, "train.rec"))
    return path if own and os.path.lexists(path) else None


def read(path, labels=None):
    """Read the names of identities. A file that is damaged is no reason to stop: what can be read of it is taken.

    Parameters
    ----------
    path : str, os.PathLike or None
        An identities.txt; None for none.
    labels : int array, shape (N,), or None
        Of the record's images, with which the file's counts are compared.

    Returns
    -------
    names : dict of int to str
        Label → name.
    note : str
        What is wrong with the file, in one line, or "".
    """
    names, counts, wrong = {}, {}, []
    if path is None:
        return names, ""
    if not os.path.isfile(path):  # to open a pipe would wait
        return names, f"{path} is not a file: identities have no names"
    try:
        for number, line in text.lines(path):
            fields = line.split("\t")
            name = unquoted(fields[2]) if len(fields) > 2 else ""
            if not name or len(name) > LONGEST or not all(map(_counts, fields[:2])) or int(fields[0]) in names:
                wrong.append(number)
                continue
            label, counts[label] = int(fields[0]), int(fields[1])
            names[label] = name
    except (Failure, OSError) as error:
        return names, f"{path} cannot be read whole ({' '.join(str(error).split())}): other identities have no names"
    if wrong:
        more = f", and {len(wrong) - 1} more lines are not" if len(wrong) > 1 else ""
        return names, (f"{path}: line {wrong[0]} is not `label, images, name` with a label that comes once, divided by "
                       f"tabs{more}: those lines are not used")
    return names, _compared(path, counts, labels)


def _counts(field):
    """Whether a field is a plain whole number."""
    return field.isascii() and field.isdigit() and len(field) < 10


def _compared(path, counts, labels):
    """Return what is wrong where a file's counts of images are not those of a record's labels; "" where they fit."""
    there = {} if labels is None else dict(zip(*(part.tolist() for part in np.unique(labels, return_counts=True))))
    odd = [label for label in counts if counts[label] != there.get(label, 0)] if there else []
    if not odd:
        return ""
    return (f"{path} says that label {odd[0]} has {counts[odd[0]]} images, where the record has "
            f"{there.get(odd[0], 0)}: perhaps its names are those of another record")


def of_record(record, labels=None):
    """Return label → name of a record file's identities; prints a note where its identities.txt is damaged."""
    names, note = read(beside(record), labels)
    if note:
        print(shown(f"note: {note}"))
    return names


def write(folder, identities):
    """Write identities.txt with the origin of each identity.

    Parameters
    ----------
    folder : str or os.PathLike
    identities : iterable of (int, int, list of (str, str, int))
        Label, number of images, and for each identity that went into it: its name or "", the folder of its record, and
        its label there.
    """
    with whole_file(os.path.join(folder, FILE), "w") as file:
        for label, images, origins in identities:
            fields = [str(label), str(images)]
            for name, source, old in origins:
                fields += [quoted(name or str(old)), quoted(source), str(old)]
            file.write("\t".join(fields) + "\n")
