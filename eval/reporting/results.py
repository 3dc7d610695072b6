"""The results of evaluations, which lie beside the checkpoint: one file a benchmark, `RUN/evaluations/BENCHMARK.json`.

RUN is the folder of the checkpoint. A file is one JSON object:

- `benchmark`: the benchmark's name, such as "lfw".
- `paper`: the paper's values for that benchmark by table and row, in %; null where the paper has none.
- `evaluations`: a list with the newest evaluation last. Each one has
  - `protocol`: `name` ("pairs"), `folds`, and `far`, the false accept rate that was asked for;
  - `checkpoint`: `prefix`, `epoch`, and `fingerprint` (`eval.networks.checkpoints.fingerprint`);
  - `flip`: whether an embedding is the sum over the image and its mirror image;
  - `values`: plain numbers (shares of 1), null for what cannot be computed, and in `reasons` why it cannot;
  - `folds`: the accuracy and the threshold of each fold;
  - `note`: why the accuracy is not to be trusted, or null;
  - `pair_angles`: the angle of each pair in degrees, as base64 of little-endian float32;
  - `data`: `path`, `pairs`, `bytes` and `sha256` of the file;
  - `versions` and `made`, the time.

One evaluation is kept for each checkpoint, epoch, `flip`, number of folds and path of the data; a new one replaces an
older one of the same. So epochs 1 and 2 of a prefix stand beside each other, and an epoch that was trained again
replaces what it was. A reader goes by the fingerprint and the data's SHA-256: `find` does.
"""
import base64
import contextlib
import datetime
import functools
import hashlib
import json
import math
import os
import platform
import sys
import time

import numpy as np

from eval.measures import angles
from eval.protocols.pairs import FAR
from eval.reporting.paper_numbers import of_set
from runtime import ROOT, Failure, environment, mx, shown
from runtime.files import write_json
from runtime.locks import Taken, alone_with

FOLDER = "evaluations"
LARGEST = 1 << 26  # bytes of a file of results: room for a thousand evaluations
PATIENCE = 10  # seconds to wait for another process that adds to the same file; it needs some milliseconds

_VALUES = ("accuracy", "std", "auc", "tar", "tar_std", "far", "xnorm")
_REASONS = {"auc": "no_auc", "tar": "no_tar", "tar_std": "no_tar", "far": "no_far"}


@functools.cache
def versions():
    """Return what made a result: the versions of Python, its libraries and this repository, and the machine."""
    import cv2
    return {**environment.versions(mxnet=mx, numpy=np, opencv=cv2), "machine": platform.machine(),
            "repository": environment.repository(ROOT)}


def place(prefix, benchmark):
    """Return the name of the file with a checkpoint's results on a benchmark."""
    return os.path.join(os.path.dirname(os.fspath(prefix)), FOLDER, f"{benchmark}.json")


def data_of(path, pairs):
    """Return what tells one data file from another: its path, the number of its pairs, its bytes and SHA-256.

    The last two are None for a pipe, which can be read once alone.
    """
    if not os.path.isfile(path):
        return {"path": os.path.abspath(path), "pairs": int(pairs), "bytes": None, "sha256": None}
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
            size += len(block)
    return {"path": os.path.abspath(path), "pairs": int(pairs), "bytes": size, "sha256": digest.hexdigest()}


def of_pairs(result, checkpoint, data, note=None):
    """Return the verification of a set as an evaluation: plain values, as they stand in the file.

    Parameters
    ----------
    result : EasyDict
        From `eval.protocols.pairs.verify`.
    checkpoint : dict
        `prefix`, `epoch` and `fingerprint`.
    data : dict
        From `data_of`.
    note : str, optional
        Why the accuracy is not to be trusted.
    """
    values = {name: _plain(result[name]) for name in _VALUES}
    reasons = {name: result[_REASONS[name]] if result.get(_REASONS.get(name)) else "it is not finite"
               for name, value in values.items() if value is None}
    folder, name = os.path.split(os.fspath(checkpoint["prefix"]))
    between = angles.between(result.embeddings[0::2], result.embeddings[1::2])
    return {"protocol": {"name": "pairs", "folds": len(result.accuracies), "far": FAR},
            "checkpoint": {**checkpoint, "prefix": os.path.join(os.path.abspath(folder), name)},
            "flip": bool(result.flip),
            "values": values, "reasons": reasons, "note": note,
            "folds": {"accuracies": [_plain(one) for one in result.accuracies],
                      "thresholds": [_plain(one) for one in result.thresholds]},
            "pair_angles": base64.b64encode(np.asarray(between, "<f4").tobytes()).decode(),
            "data": data, "versions": versions(),
            "made": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}


def _plain(value):
    """Return a number as a float, or None where it is not finite."""
    return float(value) if value is not None and math.isfinite(value) else None


def pair_angles(evaluation):
    """Return the angles of the pairs in degrees, as float64 of shape (N,).

    Raises ValueError where they are not those of so many pairs.
    """
    found = np.frombuffer(base64.b64decode(evaluation["pair_angles"], validate=True), "<f4").astype(np.float64)
    if len(found) != evaluation["data"]["pairs"] or not ((found >= 0) & (found <= 180.001)).all():
        raise ValueError("these are not the angles of the pairs")
    return found


def keep(prefix, benchmark, evaluation):
    """Add an evaluation to the file beside its checkpoint. Where that cannot be written, a note on stderr says so.

    Parameters
    ----------
    prefix : str
    benchmark : str
        Such as "lfw".
    evaluation : dict
        From `of_pairs`.
    """
    path = place(prefix, benchmark)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(path) and not os.path.isfile(path):
            raise Failure("it is not a plain file")
        with _turn(path):
            kept = [one for one in read(path) if _key(one) not in (None, _key(evaluation))]
            write_json(path, {"benchmark": benchmark, "paper": of_set(benchmark), "evaluations": [*kept, evaluation]})
    except (OSError, Failure) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        print(f"note: {shown(path)} is not written ({shown(reason)})", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _turn(path):
    """Hold a file while the block runs, after at most some seconds of waiting for its holder."""
    until = time.monotonic() + PATIENCE
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(alone_with(path, "evaluate again"))
                break
            except Taken:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
        yield


def read(path):
    """Return the evaluations that a file holds, as a list of dicts, none where there is no file.

    A damaged file has none either, and a note on stderr says so: what is in it can be computed again.
    """
    try:
        if os.path.lexists(path) and not os.path.isfile(path):
            raise ValueError("it is not a plain file")
        if os.path.getsize(path) > LARGEST:
            raise ValueError("it is far larger than such files are")
        with open(path, "rb") as file:
            found = json.load(file, parse_constant=_no_number)
        if not isinstance(found, dict) or not isinstance(found.get("evaluations"), list):
            raise ValueError("it has no list of evaluations")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        print(f"note: {shown(path)} is not a file of results ({shown(reason)[:80]}) and not used", file=sys.stderr,
              flush=True)
        return []
    return [one for one in found["evaluations"] if isinstance(one, dict)]


def _no_number(text):
    raise ValueError(f"{text} is no number")


def _key(evaluation):
    """Return what is kept once; None where that cannot be told.

    The checkpoint counts by its file's name alone: a run's folder may be moved.
    """
    try:
        checkpoint = evaluation["checkpoint"]
        return json.dumps([os.path.basename(checkpoint["prefix"]), checkpoint["epoch"], evaluation["flip"],
                           evaluation["protocol"], evaluation["data"]["path"]], sort_keys=True)
    except (KeyError, TypeError, ValueError):
        return None


def find(prefix, benchmark, fingerprint, flip, folds, data):
    """Return the evaluation of a network on a data file that is kept beside its checkpoint, or None.

    Parameters
    ----------
    prefix : str
    benchmark : str
    fingerprint : str
        Of the network, so that the results of an epoch that was trained again do not count.
    flip : bool
    folds : int
    data : dict
        From `data_of`. The path does not count, the content does.
    """
    wanted = {"name": "pairs", "folds": folds, "far": FAR}
    return next((one for one in reversed(read(place(prefix, benchmark)))
                 if one.get("protocol") == wanted and one.get("flip") is flip and _usable(one)
                 and one["checkpoint"]["fingerprint"] == fingerprint
                 and all(one["data"][name] == data[name] for name in ("pairs", "bytes", "sha256"))), None)


def _usable(evaluation):
    """Whether an evaluation has what tables and figures take from it."""
    try:
        pair_angles(evaluation)
        return all(type(evaluation["values"][name]) is float and 0 <= evaluation["values"][name] <= 1
                   for name in ("accuracy", "std")) and all(
            type(part[name]) in (str, int) for part, name in (
                (evaluation["checkpoint"], "fingerprint"), (evaluation["data"], "pairs"),
                (evaluation["data"], "bytes"), (evaluation["data"], "sha256")))
    except (KeyError, TypeError, ValueError):
        return False
