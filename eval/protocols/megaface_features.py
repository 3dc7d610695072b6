"""Writing MegaFace's feature files from images with a network, resumably, and the files of the refined protocol.

A file that is there and whole is skipped, so that the same command resumes after it was killed. `ALGORITHM.json` in the
folder of features says which network made them; features of two networks never mix.
"""
import contextlib
import json
import os

import numpy as np
from tqdm import tqdm

from datasets.formats import opencv_matrix
from datasets.formats.images import Unusable
from eval.protocols.megaface_files import feature_path
from runtime import Failure, shown
from runtime.files import write_json

BATCH = 256  # images in memory


def facts_of(network, flip):
    """Return what `ALGORITHM.json` says of the features that a network makes."""
    return {"epoch": network.epoch, "fingerprint": network.fingerprint, "flip": flip,
            "dimension": int(network.embedder.dimension), "normalised": True}


def claim(features, algorithm, facts, listed):
    """Make a folder of features this network's own.

    Parameters
    ----------
    features, algorithm : str
    facts : dict
        From `facts_of`.
    listed : dict of str to list of str
        The names of the images by kind. Only the first of each kind is looked for.

    Raises
    ------
    Failure
        The folder has features of another network, or of an unknown one, under the same algorithm.
    """
    path = os.path.join(features, f"{algorithm}.json")
    other = f"give another --algorithm or --features, or remove the features of {shown(algorithm)} there"
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        found = None
    except (OSError, ValueError, RecursionError):
        raise Failure(f"{shown(path)} does not say which network made the features beside it: {other}") from None
    if found is not None and found != facts:
        raise Failure(f"{shown(path)}: the features there are by another network, or another choice of mirror images: "
                      f"{other}")
    if found is None:
        for kind, names in listed.items():
            if names and os.path.lexists(feature_path(features, kind, names[0], algorithm)):
                raise Failure(f"{shown(features)} has features of {shown(algorithm)} already, and nothing there says "
                              f"by which network: {other}; without --model they are evaluated as they are")
        os.makedirs(features, exist_ok=True)
        write_json(path, facts)


def write_file(path, content):
    """Write a small file under its name when it is whole.

    A kill leaves no part of it. A million files are too many to wait for the disk after each; a file that a power cut
    leaves empty has another size and is written again.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.part")
    for attempt in (1, 2):
        try:
            with open(temporary, "wb") as file:
                file.write(content)
            break
        except FileNotFoundError:
            if attempt == 2:
                raise
            os.makedirs(folder, exist_ok=True)
    os.replace(temporary, path)


def _is_whole(path, dimension):
    """Whether a feature file of so many numbers is there."""
    start = opencv_matrix.head(dimension, 1)
    with contextlib.suppress(OSError):
        if os.path.getsize(path) == len(start) + 4 * dimension:
            with open(path, "rb") as file:
                return file.read(len(start)) == start
    return False


def write_missing(network, flip, read, features, kind, folder, paths, names, algorithm, progress=True):
    """Embed the images of a list whose feature files are not there yet.

    Parameters
    ----------
    network : eval.networks.flags.Network
    flip : bool
        Whether an embedding is the sum over the image and its mirror image, as in the original.
    read : datasets.faces.reader.Reader
    features : str
        The folder FEATURES.
    kind : {"facescrub", "megaface"}
    folder : str
        Of the images.
    paths, names : lists of str
        Of the images, as `eval.protocols.megaface_files.read_lst` gives them.
    algorithm : str
    progress : bool

    Returns
    -------
    int
        How many were written.

    Raises
    ------
    Failure
        Images cannot be used. All others have been written by then.
    """
    dimension = int(network.embedder.dimension)
    todo = {}
    for path, name in zip(paths, names):
        place = feature_path(features, kind, name, algorithm)
        if not _is_whole(place, dimension):
            todo.setdefault(place, (path, name))
    bad, written = [], 0

    def flush(held):
        vectors = network.embedder.embed(np.stack([face for _, face in held]), flip, f"{network.prefix}, "
                                         f"epoch {network.epoch}").astype(np.float64)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = np.divide(vectors, norms, out=vectors, where=norms > 0)
        for (place, _), vector in zip(held, vectors):
            write_file(place, opencv_matrix.vector_bytes(vector))
        return len(held)

    held = []
    for place, (path, name) in tqdm(todo.items(), desc=f"embedding {kind}", unit="image", leave=False,
                                    disable=None if progress else True):
        whole = os.path.join(folder, path)
        try:
            held.append((place, read(whole if os.path.lexists(whole) else os.path.join(folder, name), folder)))
        except Unusable as error:
            bad.append(str(error))
            continue
        if len(held) == BATCH:
            written, held = written + flush(held), []
    written += flush(held) if held else 0
    if bad:
        raise Failure(f"{len(bad)} of {len(names)} images of {shown(kind)} have no feature, the first one: {bad[0]}; "
                      "add these images, and the same command embeds them alone")
    return written


def write_refined(output, features_of, algorithm, progress=True):
    """Write the features of the refined protocol, as the original's script does.

    Parameters
    ----------
    output : str
        A folder like FEATURES, not the same one.
    features_of : dict of str to (list of str, float32 array)
        Names and features (N, D + 1) by kind.
    algorithm : str
    """
    for kind, (names, vectors) in features_of.items():
        for name, vector in zip(tqdm(names, desc=f"writing refined {kind}", leave=False,
                                     disable=None if progress else True), vectors):
            write_file(feature_path(output, kind, name, algorithm), opencv_matrix.vector_bytes(vector))
