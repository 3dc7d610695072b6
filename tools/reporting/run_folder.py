"""What a run's folder holds: settings, the log, angles, and evaluations."""
import json
import os
import sys
from typing import NamedTuple, Optional

from eval.reporting import results
from recognition.reporting import angle_trace
from runtime import Failure, shown
from tools.reporting import training_log

LARGEST = 1 << 24  # bytes of config.json; it needs some thousand
LOG = "train.log"


class Run(NamedTuple):
    """A run.

    Attributes
    ----------
    folder : str
    settings : dict
        Of config.json; empty where there is none.
    course : tools.reporting.training_log.Course or None
    angles : dict or None
        From `recognition.reporting.angle_trace.read`.
    evaluations : list of (str, list of dict)
        Benchmarks in alphabetical order, with their evaluations.
    """

    folder: str
    settings: dict
    course: Optional[training_log.Course]
    angles: Optional[dict]
    evaluations: list


def read(folder, log=None):
    """Read a run's folder. What is damaged is left out, and a note on stderr says so.

    Parameters
    ----------
    folder : str
    log : str, optional
        The run's log, if it is not `train.log` in the folder.

    Raises
    ------
    Failure
        There is no such folder, nothing in it is a run's, or `log` cannot be read.
    """
    if not os.path.isdir(folder):
        raise Failure(f"{shown(folder)} is no folder: name the folder of a run's checkpoints, such as "
                      "models/r100-arcface-emore")
    settings = _settings(os.path.join(folder, "config.json"))
    course = training_log.read(log) if log else _unless_damaged(training_log.read, os.path.join(folder, LOG))
    angles = _unless_damaged(angle_trace.read, os.path.join(folder, angle_trace.FILE))
    evaluations = list(_evaluations(os.path.join(folder, results.FOLDER)))
    if not (settings or course or angles or evaluations):
        raise Failure(f"{shown(folder)} has no config.json, {LOG} or {results.FOLDER}/*.json: it is no folder of a run")
    return Run(folder, settings, course, angles, evaluations)


def _note(path, reason):
    print(f"note: {shown(path)} is not used ({shown(reason)[:200]})", file=sys.stderr, flush=True)


def _unless_damaged(reader, path):
    """Return what a reader makes of a file; None where it is missing or damaged."""
    if not os.path.isfile(path):
        return None
    try:
        return reader(path)
    except Failure as failure:
        _note(path, failure)
    except OSError as error:
        _note(path, os.strerror(error.errno))
    return None


def _settings(path):
    try:
        if not os.path.isfile(path):
            return {}
        if os.path.getsize(path) > LARGEST:
            raise ValueError("it is far larger than such files are")
        with open(path, "rb") as file:
            found = json.load(file)
        if not isinstance(found, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError, RecursionError) as error:
        _note(path, error)
        return {}
    return found


def _evaluations(folder):
    """Yield (benchmark, evaluations) of the files of results that have some."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json") and not name.startswith("."))
    except OSError:
        return
    for name in names:
        found = results.read(os.path.join(folder, name))
        if found:
            yield name[:-len(".json")], found
