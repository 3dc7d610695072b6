"""The threshold at which two faces are called the same, for a false accept rate that is asked for.

It belongs to one network, and is as good as the impostor pairs that it was measured on: n of them show no rate below
1/n. So it is kept beside the checkpoint, in `PREFIX-NNNN-threshold.json`, with what it was measured on.
"""
import datetime
import json
import math
import os

import numpy as np

from datasets.formats.image_lists import quoted
from eval.networks.checkpoints import is_onnx, params_path
from runtime import Failure, mx
from runtime.environment import versions
from runtime.files import whole_file

LARGEST = 1 << 20  # bytes of a calibration file


def threshold_at(dist, issame, far):
    """Return the largest threshold at which the false accept rate is at most `far`.

    A pair is called the same when its distance is less than the threshold, so it is the distance of an impostor pair:
    of the first one that must not be accepted.

    Parameters
    ----------
    dist : array, shape (N,)
        Squared distances of unit vectors.
    issame : array of bool, shape (N,)
    far : float
        In [0, 1).

    Returns
    -------
    threshold : float
    reached : float
        The false accept rate at it, on these pairs.

    Raises
    ------
    ValueError
        There are no impostor pairs, or the rate is none.
    """
    dist, issame = np.asarray(dist), np.asarray(issame, dtype=bool)
    impostors = np.sort(dist[~issame])
    if not impostors.size or not 0 <= far < 1:
        raise ValueError(f"a false accept rate of {far} on {impostors.size} impostor pairs")
    accepted = np.arange(len(impostors))  # k pairs may be accepted where k/n is at most the rate
    allowed = int(np.flatnonzero(accepted / len(impostors) <= far)[-1])
    threshold = impostors[allowed]
    return float(threshold), float(np.mean(impostors < threshold))


def calibrate(dist, issame, far, sets, flip, checkpoint):
    """Return a calibration: the threshold and what it was measured on, as plain values.

    Parameters
    ----------
    dist, issame, far
        As for `threshold_at`.
    sets : list of dict
        What the pairs are of: `name`, `path`, `genuine` and `impostors`, their numbers.
    flip : bool
        Whether the embeddings were sums over both flips.
    checkpoint : dict
        `prefix`, `epoch`, and `fingerprint` as the function of that name gives it.

    Raises
    ------
    Failure
        There are no impostor pairs.
    """
    issame = np.asarray(issame, dtype=bool)
    if issame.all():
        raise Failure(f"{', '.join(one['path'] for one in sets)}: no impostor pairs, so there is no false accept rate "
                      "to calibrate at; name another verification file with --target")
    threshold, reached = threshold_at(dist, issame, far)
    genuine = np.asarray(dist)[issame]
    return {"squared_distance": threshold, "cosine": 1 - threshold / 2,
            "angle_degrees": math.degrees(math.acos(min(1, max(-1, 1 - threshold / 2)))),
            "far_asked": far, "far_reached": reached, "smallest_far": 1 / int((~issame).sum()),
            "tar": float(np.mean(genuine < threshold)) if genuine.size else None,
            "sets": sets, "flip": bool(flip), "checkpoint": checkpoint,
            "made": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "versions": versions(mxnet=mx, numpy=np)}


def default_path(prefix, epoch):
    """Return the name of the calibration file beside a checkpoint or an ONNX file."""
    if is_onnx(prefix):
        return f"{prefix}-threshold.json"
    return params_path(prefix, epoch)[:-len(".params")] + "-threshold.json"


def check_place(path):
    """Fail where a calibration file could not be written, before anything is measured."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise Failure(f"{path}: its folder is not there or cannot be written to; name another file with --calibration")


def describe(calibration):
    """Return in a line what a threshold was measured on, with a warning where the pairs are too few for its rate."""
    pairs = sum(one["impostors"] for one in calibration["sets"])
    names = ", ".join(quoted(one["name"]) for one in calibration["sets"])
    line = (f"false accept rate of {calibration['far_asked']:g} on {names} "
            f"({calibration['far_reached']:.2g} reached on {pairs} impostor pairs)")
    if calibration["far_asked"] * pairs < 1:
        line += f"; {pairs} impostor pairs cannot show a rate below {1 / pairs:.2g}: calibrate on a larger set"
    return line


def write(path, calibration):
    """Write a calibration file; it appears when it is whole."""
    with whole_file(path, "w") as file:
        json.dump(calibration, file, indent=1)


def read(path, network=None):
    """Read a calibration file.

    Parameters
    ----------
    path : str or os.PathLike
    network : str or None
        The fingerprint of the network that it has to be of.

    Raises
    ------
    Failure
        It is missing, damaged, or of another network.
    """
    how = "make it with eval/verification.py --calibrate FAR"
    try:
        if os.path.getsize(path) > LARGEST:
            raise ValueError("it is far larger than such files are")
        with open(path, "rb") as file:  # json tells UTF-8, with a mark or without, from UTF-16
            calibration = json.load(file)
        fine = all(type(calibration[name]) is float and low <= calibration[name] <= high for name, low, high in (
            ("squared_distance", 0, 4.001), ("cosine", -1.001, 1), ("far_asked", 0, 1), ("far_reached", 0, 1)))
        fine = fine and type(calibration["flip"]) is bool and type(calibration["checkpoint"]["fingerprint"]) is str
        fine = fine and abs(1 - calibration["squared_distance"] / 2 - calibration["cosine"]) < 1e-6
        if not fine or not calibration["sets"] or not all(type(one["name"]) is str and type(one["impostors"]) is int and
                                                          one["impostors"] > 0 for one in calibration["sets"]):
            raise ValueError("its values are not those of a threshold")
    except FileNotFoundError:
        raise Failure(f"{path} is missing: {how}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Failure(f"{path} is no calibration file ({' '.join(str(error).split())[:80]}): {how}") from error
    if network not in (None, calibration["checkpoint"]["fingerprint"]):
        raise Failure(f"{path} is of another network, whose distances mean something else: {how} for this one")
    return calibration


def threshold_of(recogniser, path=None):
    """Return the calibration of a recogniser's checkpoint, from a file or that beside the checkpoint; None where the
    latter is missing.
    """
    beside = default_path(recogniser.prefix, recogniser.epoch)
    if path is None and not os.path.exists(beside):
        return None
    found = read(path or beside, recogniser.fingerprint)
    if found["flip"] != recogniser.flip:
        one, other = ("with", "without") if found["flip"] else ("without", "with")
        raise Failure(f"{path or beside} was measured {one} mirror images, and this embeds {other}: give --no-flip to "
                      "both commands or to neither")
    return found


def how_to_calibrate(recogniser):
    """Return what to do where no threshold is known."""
    network = recogniser.network
    return (f"no threshold is known for {network.name}, so nothing is called the same or different: make one with "
            f"`python eval/verification.py --model {network.flag} "
            "--target lfw --calibrate 1e-3`, and where its folder cannot be written to, with --calibration FILE")
