"""Writing the feature file of Trillion-Pairs, which is also its submission, from images with a network.

Rows are written as they are made, to `FILE.partial`. If the command is killed, the same command resumes from the rows
that are there. `FILE` appears when all are. `FILE.json` says of which network and list the rows are.
"""
import contextlib
import hashlib
import json
import os
from typing import NamedTuple, Optional

import numpy as np
from tqdm import tqdm

from datasets.faces.align import align
from datasets.faces.landmarks import five_points
from datasets.formats import images, opencv_matrix, text
from datasets.formats.image_lists import numbers
from runtime import Failure, shown
from runtime.files import write_json
from runtime.locks import alone_with

BATCH = 256  # images in memory


class Images(NamedTuple):
    """The images of a submission, in the order of its rows.

    Attributes
    ----------
    path : str
        Of the list.
    names : list of str
        Paths from the folder of images.
    points : float64 array, shape (N, 5, 2), or None
        Where the faces are; None of aligned faces.
    digest : str
        Tells this list from others.
    """

    path: str
    names: list
    points: Optional[np.ndarray]
    digest: str


def read_list(path):
    """Read a list: a path a line, or a path and ten numbers, the five points of the face in the whole picture.

    Raises
    ------
    Failure
        The file is missing, empty, or some lines have points and some do not.
    """
    names, points, digest = [], [], hashlib.sha256()
    for number, line in text.lines(path, missing="a list has a path a line, in the order of the rows"):
        fields = line.strip().rsplit(None, 10)
        own = numbers(fields[1:]) if len(fields) == 11 else None
        names.append(fields[0] if own else line.strip())
        points += [own] if own else []
        if len(points) not in (0, len(names)):
            raise Failure(f"{shown(path)}: line {number}: some lines have a path and ten numbers, and some do not")
        digest.update(line.strip().encode("utf-8", "surrogateescape") + b"\n")
    if not names:
        raise Failure(f"{shown(path)} is empty: a list has a path a line, in the order of the rows")
    return Images(os.fspath(path), names, five_points(points) if points else None, digest.hexdigest())


def _face(folder, listed, place, size):
    """Return the face of an image: RGB uint8 (size, size, 3)."""
    path = os.path.join(folder, listed.names[place])
    try:
        pixels = images.decode(images.read(path, folder), images.PHOTOGRAPH)
        if listed.points is not None:
            return align(pixels, listed.points[place], size)
        if pixels.shape[:2] != (size, size):
            raise images.Unusable(f"is {pixels.shape[1]}×{pixels.shape[0]}, and an aligned face {size}×{size}: give a "
                                  "list with the five points of each face")
    except images.Unusable as error:
        raise Failure(f"{shown(listed.path)}: image {place + 1}: {shown(path)} {error}; the rows before it are kept, "
                      "and the same command resumes") from None
    return pixels


def _other(path):
    return Failure(f"{shown(path)} is there already, by another network, list or choice of mirror images: remove it, "
                   "or name another file with --features")


def _begin(path, facts):
    """Return how many rows are there already, and make the partial file ready for more."""
    partial, about = f"{path}.partial", f"{path}.json"
    start, row, found = opencv_matrix.head(facts["rows"], facts["dimension"]), 4 * facts["dimension"], None
    with contextlib.suppress(OSError, ValueError, RecursionError), open(about, encoding="utf-8") as file:
        found = json.load(file)
    there = path if os.path.lexists(path) else partial
    if not os.path.lexists(there):
        write_json(about, facts)
        with open(partial, "wb") as file:
            file.write(start)
        return 0
    if found != facts:
        raise _other(there)
    with open(there, "rb") as file:
        if file.read(len(start)) != start:
            raise _other(there)
    rows = min((os.path.getsize(there) - len(start)) // row, facts["rows"])
    if there == partial:
        rows -= rows % BATCH  # a network's last bits depend on what is in a batch with an image
        with open(partial, "rb+") as file:
            file.truncate(len(start) + row * rows)
    elif rows != facts["rows"]:
        raise _other(there)
    return rows


def write(path, network, flip, listed, folder, progress=True):
    """Write the features of a list of images.

    Parameters
    ----------
    path : str
        The feature file.
    network : eval.networks.flags.Network
    flip : bool
        Whether an embedding is the sum over the image and its mirror image.
    listed : Images
    folder : str
        Of the images.
    progress : bool

    Raises
    ------
    Failure
        An image cannot be used, or a partial file of something else is there.
    """
    facts = {"epoch": network.epoch, "fingerprint": network.fingerprint, "flip": flip, "list": listed.digest,
             "rows": len(listed.names), "dimension": int(network.embedder.dimension)}
    size = network.embedder.image_shape[1]
    with alone_with(path, "name another file with --features"):
        done = _begin(path, facts)
        if os.path.lexists(path):
            return
        with open(f"{path}.partial", "ab") as file, tqdm(
                total=len(listed.names), initial=done, desc=os.path.basename(path), unit="image", leave=False,
                disable=None if progress else True) as bar:
            for first in range(done, len(listed.names), BATCH):
                last = min(first + BATCH, len(listed.names))
                faces = []
                for place in range(first, last):
                    faces.append(_face(folder, listed, place, size))
                    bar.update()
                vectors = network.embedder.embed(np.stack(faces), flip, f"{network.prefix}, epoch {network.epoch}")
                norms = np.linalg.norm(vectors, axis=1, keepdims=True)
                file.write((vectors / np.where(norms > 0, norms, 1)).astype("<f4").tobytes())
                file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.partial", path)
