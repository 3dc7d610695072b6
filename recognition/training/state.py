"""States that a run resumes from: everything that resuming needs, part by part, with checksums.

    models/r100-arcface-emore/state/step-00002000/network.params     weights and statistics
                                                  optimizer.params   momentum
                                                  data.params        what the data holds beside its position
                                                  angles.params      with --trace-angles
                                                  progress.json      position, best accuracies, configuration
                                                  SHA256SUMS         checked on loading; `sha256sum -c` reads it
                                                  verified.json      the best accuracies, once its step was verified

Each part belongs to one owner, which alone makes and reads it. A state's folder appears under its name only when it is
whole, and the last two are kept. Older states have one file for all parts, `arrays.params`, and load as well.
"""
import hashlib
import json
import os
import re
import shutil
from typing import NamedTuple

from eval.networks.checkpoint_files import read_arrays, save_arrays
from runtime import Failure
from runtime.files import whole_file, write_json

KEPT = 2
WRITING = ".writing"
SUMS, PROGRESS, VERIFIED, OLDER = "SHA256SUMS", "progress.json", "verified.json", "arrays.params"
_NAME = re.compile(r"step-\d{8,}(-\d+)?$")
_PREFIXES = {"arg": "network", "aux": "network", "mom": "optimizer", "ang": "angles", "bag": "data"}  # of OLDER


class State(NamedTuple):
    """What a state holds.

    Attributes
    ----------
    path : str
        Its folder.
    step : int
        Steps done.
    parts : dict of str to dict of str to mx.nd.NDArray
        Arrays by owner and name; an owner without arrays may be absent.
    progress : dict
        Plain values: `epoch` and `batch` of the data, `best` accuracies, `due` (whether its step is still to be
        verified), `config`.
    """

    path: str
    step: int
    parts: dict
    progress: dict


def states(folder):
    """Return the paths of the states under `<folder>/state`, the oldest first."""
    root = os.path.join(folder, "state")
    names = [name for name in os.listdir(root) if _NAME.match(name)] if os.path.isdir(root) else []
    return sorted((os.path.join(root, name) for name in names), key=lambda path: (os.path.getmtime(path), path))


def _digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def save(folder, step, parts, progress):
    """Write what resuming needs, and drop all but the last two states.

    Parameters
    ----------
    folder : str
        The run's folder; the state goes to `<folder>/state/step-NNNNNNNN`.
    step : int
        Steps done.
    parts : dict of str to dict of str to mx.nd.NDArray
        Arrays by owner and name.
    progress : dict
        Plain values.

    Returns
    -------
    str
        The state's path.

    Raises
    ------
    OSError
        The disk is full, or the folder cannot be written. The states before stay whole.
    """
    root = os.path.join(folder, "state")
    temporary = os.path.join(root, WRITING)
    shutil.rmtree(temporary, ignore_errors=True)
    os.makedirs(temporary)
    try:
        _write(temporary, parts, dict(progress, step=step))
    except OSError:  # a disk that is full gets the room back
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    final = os.path.join(root, f"step-{step:08d}")
    again = 0
    while os.path.exists(final):  # of an earlier run; it goes when two newer ones are whole
        again += 1
        final = os.path.join(root, f"step-{step:08d}-{again}")
    os.rename(temporary, final)
    for old in states(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def _write(path, parts, progress):
    """Write the files of a state into a folder."""
    for owner, arrays in parts.items():
        if arrays:
            save_arrays(os.path.join(path, f"{owner}.params"), arrays)
    write_json(os.path.join(path, PROGRESS), progress)
    lines = [f"{_digest(os.path.join(path, name))}  {name}\n" for name in sorted(os.listdir(path))]
    with whole_file(os.path.join(path, SUMS), "w") as file:
        file.writelines(lines)


def note_verified(path, best):
    """Keep in a state that its step was verified, and the best accuracies since: a dict of plain values."""
    write_json(os.path.join(path, VERIFIED), best)


def load(folder):
    """Return the newest state of a run that is whole; one that is damaged is named, and the one before it used.

    Raises
    ------
    runtime.Failure
        There is none, or none is whole.
    """
    found = states(folder)
    if not found:
        raise Failure(f"nothing to resume in {folder}: no state/step-… there; start without --resume")
    faults = []
    for path in reversed(found):
        try:
            state = _read(path)
        except (Failure, OSError, ValueError, KeyError, TypeError) as error:
            faults.append(f"{path} cannot be read ({_reason(error)})")
            continue
        for fault in faults:
            print(f"note: {fault}: resuming from the state before it, {path}", flush=True)
        return state
    raise Failure(f"{'; '.join(faults)}: start without --resume")


def _reason(error):
    """Return in some words why a state cannot be read."""
    if isinstance(error, OSError) and error.filename:
        return f"{os.path.basename(error.filename)}: {os.strerror(error.errno)}"
    return " ".join(str(error).split())[:100]


def _read(path):
    """Return the State in a folder; raises where a file is missing, damaged or not the one that was written."""
    if os.path.exists(os.path.join(path, OLDER)):
        return _read_older(path)
    with open(os.path.join(path, SUMS), encoding="utf-8") as file:
        sums = dict(reversed(line.split()) for line in file)
    for name, digest in sums.items():
        if os.path.basename(name) != name or _digest(os.path.join(path, name)) != digest:
            raise ValueError(f"{name} is not the file that was written")
    progress = _progress(path)
    parts = {name[:-len(".params")]: read_arrays(os.path.join(path, name)) for name in sums if name.endswith(".params")}
    if PROGRESS not in sums or not {"network", "optimizer"} <= {*parts, "optimizer"}:
        raise ValueError(f"{SUMS} does not list a whole state")
    return State(path, progress["step"], parts, progress)


def _progress(path):
    with open(os.path.join(path, PROGRESS), encoding="utf-8") as file:
        progress = json.load(file)
    if not isinstance(progress, dict) or type(progress.get("step")) is not int:
        raise ValueError(f"{PROGRESS} does not say at which step it is")
    if os.path.exists(os.path.join(path, VERIFIED)):
        with open(os.path.join(path, VERIFIED), encoding="utf-8") as file:
            progress.update(best=json.load(file), due=False)
    return progress


def _read_older(path):
    """Return the State in a folder of the older form, whose arrays have prefixes of three letters."""
    progress, parts = _progress(path), {}
    for name, value in read_arrays(os.path.join(path, OLDER)).items():
        kind, _, plain = name.partition(":")
        owner = _PREFIXES[kind]
        parts.setdefault(owner, {})[name if owner == "network" else plain] = value
    return State(path, progress["step"], parts, progress)
