"""The results of evaluations, which lie beside the checkpoint: one file a benchmark, `RUN/evaluations/BENCHMARK.json`.

RUN is the folder of the checkpoint. A file is one JSON object:

- `benchmark`: the benchmark's name, such as "lfw" or "ijbc".
- `paper`: the paper's values for that benchmark by table and row, as printed; null where the paper has none.
- `evaluations`: a list with the newest evaluation last. Each one has
  - `protocol`: `name`, such as "pairs", and the settings that change what is measured ("pairs": `folds`, and `far`,
    the false accept rate that was asked for);
  - `checkpoint`: `prefix`, `epoch`, and `fingerprint` (`eval.networks.checkpoints.fingerprint`); null where ready-made
    embeddings were evaluated;
  - `engine`: what ran the network, such as "mxnet"; null where that is not known or there was no network;
  - `flip`: whether an embedding is the sum over the image and its mirror image; null where that is not known;
  - `values`: shares of 1, null for what cannot be computed. Measures with a parameter are objects by that parameter,
    such as `tar` by FAR: ``{"tar": {"1e-04": 0.95}}``. `rate_key` makes the keys of rates;
  - `reasons`: by the name of a value that is null, why it cannot be computed;
  - `note`: why the values are not to be trusted, or null;
  - `data`: `path` and more that tells the data apart. For verification files `path`, `pairs`, `bytes` and `sha256`;
  - `versions` and `made`, the time.
  Verification files also have
  - `folds`: the accuracy and the threshold of each fold;
  - `pair_angles`: the angle of each pair in degrees, as base64 of little-endian float32;
  - `pair_kinds`: which pairs are genuine, as base64 of bits, that of pair 0 the highest of the first byte.

`values` by benchmark: verification files have `accuracy`, `std`, `auc`, `eer`, `xnorm`, `tar` by FAR (the mean over the
folds) with `tar_std` and `far`, and `tar_strict` by FAR (of all pairs). From `eval/verification.py` they also have
`intervals` (`level`, `unit`, and [low, high] by measure), `subgroups` by attribute, and `comparison` with another
checkpoint. YTF has `accuracy`, `std` and `auc`. IJB has `tar` and `tar_strict` by FAR, and `one_gallery` and
`mean_of_two`, each with `rank` (by k: "1") and `tpir` (by FPIR). MegaFace has `by_distractors`, by their number, each
with `rank`, `rank_strict`, `tar` and `tar_strict`. Trillion-Pairs has `tpr` and `identification` by FPR. iQIYI-VID has
`map`.

One evaluation is kept for each checkpoint, epoch, engine, `flip`, protocol and path of the data; a new one replaces an
older one of the same. So epochs 1 and 2 of a prefix stand beside each other, and an epoch that was trained again
replaces what it was. A reader goes by the fingerprint and the data's SHA-256: `find` does.

`--json OUT` of a command writes one evaluation as one object (`write_object`): `benchmark`, `paper`, and the
evaluation's own entries, `values` among them.
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
from eval.measures.pairs import FAR
from eval.measures.rates import rate_key, tar_strict
from eval.reporting.paper_numbers import of_benchmark as paper_of
from runtime import ROOT, Failure, environment, shown
from runtime.files import write_json
from runtime.locks import Taken, alone_with

FOLDER = "evaluations"
LARGEST = 1 << 26  # bytes of a file of results: room for a thousand evaluations
PATIENCE = 10  # seconds to wait for another process that adds to the same file; it needs some milliseconds

_VALUES = ("accuracy", "std", "auc", "eer", "tar", "tar_std", "far", "xnorm")
_REASONS = {"auc": "no_auc", "eer": "no_auc", "tar": "no_tar", "tar_std": "no_tar", "far": "no_far",
            "tar_strict": "no_auc"}


def versions():
    """Return what made a result: the versions of Python, its libraries and this repository, and the machine.

    MXNet and OpenCV are told where they are in use. Benchmarks of ready-made embeddings need neither.
    """
    return _versions(tuple((title, name) for title, name in (("mxnet", "mxnet"), ("numpy", "numpy"), ("opencv", "cv2"))
                           if name in sys.modules))


@functools.cache
def _versions(used):
    modules = {title: sys.modules[name] for title, name in used}
    return {**environment.versions(**modules), "machine": platform.machine(),
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


def of_pairs(result, checkpoint, data, note=None, engine=None, further=None):
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
    engine : str, optional
        What ran the network.
    further : dict, optional
        Further values, such as `intervals`.
    """
    values = {name: _plain(result[name]) for name in _VALUES}
    values["tar_strict"] = _plain(tar_strict(-np.asarray(result.distances), result.issame, [FAR])[0])
    reasons = {name: result[_REASONS[name]] if result.get(_REASONS.get(name)) else "it is not finite"
               for name, value in values.items() if value is None}
    for name in ("tar", "tar_strict"):
        values[name] = None if values[name] is None else {rate_key(FAR): values[name]}
    between = angles.between(result.embeddings[0::2], result.embeddings[1::2])
    made = of_benchmark({"name": "pairs", "folds": len(result.accuracies), "far": FAR},
                        {**values, **(further or {})}, data, checkpoint, bool(result.flip), engine, reasons, note)
    return {**made, "folds": {"accuracies": [_plain(one) for one in result.accuracies],
                              "thresholds": [_plain(one) for one in result.thresholds]},
            "pair_angles": base64.b64encode(np.asarray(between, "<f4").tobytes()).decode(),
            "pair_kinds": base64.b64encode(np.packbits(result.issame).tobytes()).decode()}


def tar_of(values):
    """Return the TAR at a FAR of 1e-3 of a verification's values, or None."""
    return values["tar"] and values["tar"][rate_key(FAR)]


def of_benchmark(protocol, values, data, checkpoint=None, flip=None, engine=None, reasons=None, note=None):
    """Return an evaluation as it stands in the file.

    Parameters
    ----------
    protocol : dict
        `name`, and the settings that change what is measured.
    values : dict
        Numbers of Python or NumPy, and dicts of them. What is not finite becomes None.
    data : dict
        `path`, and more that tells the data from others.
    checkpoint : dict, optional
        `prefix`, `epoch` and `fingerprint`. None for ready-made embeddings.
    flip : bool, optional
    engine : str, optional
        What ran the network.
    reasons : dict of str to str, optional
        Why values are None, by their names.
    note : str, optional
        Why the values are not to be trusted.
    """
    if checkpoint is not None:
        folder, name = os.path.split(os.fspath(checkpoint["prefix"]))
        checkpoint = {**checkpoint, "prefix": os.path.join(os.path.abspath(folder), name)}
    return {"protocol": _plain(protocol), "checkpoint": checkpoint, "engine": engine, "flip": flip,
            "values": _plain(values), "reasons": dict(reasons or {}), "note": note, "data": _plain(data),
            "versions": versions(),
            "made": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}


def _plain(value):
    """Return a value as JSON has it: NumPy's numbers and arrays as Python's, None for what is not finite."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def pair_angles(evaluation):
    """Return the angles of the pairs in degrees, as float64 of shape (N,).

    Raises ValueError where they are not those of so many pairs.
    """
    found = np.frombuffer(base64.b64decode(evaluation["pair_angles"], validate=True), "<f4").astype(np.float64)
    if len(found) != evaluation["data"]["pairs"] or not ((found >= 0) & (found <= 180.001)).all():
        raise ValueError("these are not the angles of the pairs")
    return found


def pair_kinds(evaluation):
    """Return which pairs are genuine, as bool of shape (N,); None where the file is of an older version.

    Raises ValueError where they are not those of so many pairs.
    """
    if "pair_kinds" not in evaluation:
        return None
    packed = np.frombuffer(base64.b64decode(evaluation["pair_kinds"], validate=True), np.uint8)
    pairs = evaluation["data"]["pairs"]
    if len(packed) != -(-pairs // 8):
        raise ValueError("these are not the kinds of the pairs")
    return np.unpackbits(packed)[:pairs].astype(bool)


def keep(prefix, benchmark, evaluation):
    """Add an evaluation to the file beside its checkpoint. Where that cannot be written, a note on stderr says so.

    Parameters
    ----------
    prefix : str
    benchmark : str
        Such as "lfw".
    evaluation : dict
        From `of_pairs` or `of_benchmark`.
    """
    path = place(prefix, benchmark)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(path) and not os.path.isfile(path):
            raise Failure("it is not a plain file")
        with _turn(path):
            kept = [one for one in read(path) if _key(one) not in (None, _key(evaluation))]
            write_json(path, {"benchmark": benchmark, "paper": paper_of(benchmark), "evaluations": [*kept, evaluation]})
    except (OSError, Failure) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        print(f"note: {shown(path)} is not written ({shown(reason)})", file=sys.stderr, flush=True)


def object_of(benchmark, evaluation):
    """Return one evaluation as the one object that `--json OUT` promises.

    It has `benchmark`, `paper`, and the evaluation's entries, `values` among them.
    """
    return {"benchmark": benchmark, "paper": paper_of(benchmark), **evaluation}


def write_object(path, benchmark, evaluation):
    """Write one evaluation as one object (`object_of`), whole or not at all."""
    write_json(path, object_of(benchmark, evaluation))


def write_objects(path, evaluated):
    """Write the evaluations of several verification files, or of several epochs, as one object.

    One evaluation is written as `write_object` does. For several, `values` has those of each by the benchmark's name,
    and, of several epochs, by the epoch within: ``{"values": {"lfw": {"1": {"accuracy": 0.99}}}}``. `paper` is by name,
    and `evaluations` has each as an object of its own.

    Parameters
    ----------
    path : str
    evaluated : list of (str, dict)
        Benchmark and evaluation.
    """
    if len(evaluated) == 1:
        write_object(path, *evaluated[0])
        return
    names = list(dict.fromkeys(name for name, _ in evaluated))
    several = len({one["checkpoint"]["epoch"] for _, one in evaluated}) > 1
    values = {name: {} for name in names}
    for name, one in evaluated:
        if several:
            values[name][str(one["checkpoint"]["epoch"])] = one["values"]
        else:
            values[name] = one["values"]
    write_json(path, {"benchmark": "verification", "paper": {name: paper_of(name) for name in names}, "values": values,
                      "evaluations": [object_of(name, one) for name, one in evaluated]})


def values_by_name(written):
    """Return the values of each benchmark from an object of `write_objects` with one epoch: name → values.

    Without an object, which is an empty dict, there are none.
    """
    if not written:
        return {}
    return dict(written["values"]) if "evaluations" in written else {written["benchmark"]: written["values"]}


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

    The checkpoint counts by its file's name alone: a run's folder may be moved. Files of older versions name no engine.
    """
    try:
        checkpoint = evaluation["checkpoint"] or {"prefix": "", "epoch": None}
        return json.dumps([os.path.basename(checkpoint["prefix"]), checkpoint["epoch"], evaluation.get("engine"),
                           evaluation["flip"], evaluation["protocol"], evaluation["data"]["path"]], sort_keys=True)
    except (AttributeError, KeyError, TypeError, ValueError):
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
