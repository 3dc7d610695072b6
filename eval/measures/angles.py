"""Angles between embeddings, their centres and the classifier's weights: the statistics of Table 3, and pairs.

Angles are in degrees. A *centre* is the mean of an identity's normalised embeddings: the features live on the
hypersphere (Sec. 2.1), so their norms do not weigh.
"""
import tempfile

import numpy as np
from easydict import EasyDict
from sklearn.preprocessing import normalize

from datasets.identities import similarity
from eval.measures.finite import check_finite
from runtime import Failure

BLOCK = 2048  # rows in memory at a time: 8 MB in float64 at 512-D


def between(first, second):
    """Return the angles between vectors, row by row.

    Parameters
    ----------
    first, second : array, shape (N, D)
        Of any norm. A zero vector is at 90° to every other, as in the heads, whose cosine is 0 there.

    Returns
    -------
    float64 array, shape (N,)
        0 to 180 degrees.
    """
    first, second = (normalize(np.asarray(rows, np.float64)) for rows in (first, second))
    # arccos of a product loses half the digits near 0° and 180°; this form does not.
    return 2 * np.degrees(np.arctan2(np.linalg.norm(first - second, axis=1), np.linalg.norm(first + second, axis=1)))


def _between_rows(first, rows, second, others):
    """Return the angles between chosen rows of two arrays, a block in memory at a time."""
    return np.concatenate([np.zeros(0)] + [
        between(first[rows[begin:begin + BLOCK]], second[others[begin:begin + BLOCK]])
        for begin in range(0, len(rows), BLOCK)])


def nearest(vectors, block=similarity.BLOCK):
    """Return the angle from each vector to the nearest other one.

    Which is nearest is found with float32 products of blocks (`datasets.identities.similarity`). The angle to it is
    computed in float64. Memory beyond the vectors: a normalised float32 copy (85,742 × 512: 176 MB) and a few blocks.

    Parameters
    ----------
    vectors : array, shape (N, D)
        Of any norm.
    block : int
        Rows normalised and compared at a time.

    Returns
    -------
    float64 array, shape (N,)
        Degrees; NaN where there is but one vector.
    """
    count = len(vectors)
    if count < 2:
        return np.full(count, np.nan)
    unit = np.empty(np.shape(vectors), np.float32)
    for begin in range(0, count, block):
        unit[begin:begin + block] = normalize(np.asarray(vectors[begin:begin + block], np.float64))
    places, _ = similarity.nearest(unit, block=block)
    return _between_rows(vectors, np.arange(count), vectors, places)


def _store(file, batches):
    """Write normalised embeddings to a file, float32; return their labels (N,) and their length D."""
    owners, width = [np.zeros(0, np.int64)], None
    for embeddings, labels in batches:
        check_finite(embeddings)
        width = embeddings.shape[1]
        file.write(normalize(embeddings).astype(np.float32).tobytes())
        owners.append(np.asarray(labels, np.int64))
    return np.concatenate(owners), width


def _blocks(file, count, width):
    """Yield (slice of the images, their embeddings) of what `_store` wrote."""
    file.seek(0)
    for begin in range(0, count, BLOCK):
        part = slice(begin, min(begin + BLOCK, count))
        content = file.read((part.stop - begin) * width * 4)
        yield part, np.frombuffer(content, np.float32).reshape(-1, width)


def _add(sums, embeddings, owners):
    """Add each embedding to its owner's row of the sums."""
    order = np.argsort(owners, kind="stable")
    rows, starts = np.unique(owners[order], return_index=True)
    sums[rows] += np.add.reduceat(embeddings[order].astype(np.float64), starts, axis=0)


def statistics(batches, weight=None, folder=None):
    """Return the angle statistics of Table 3 for labelled embeddings, in degrees.

    The embeddings are streamed through a temporary file (2 KB an image at 512-D), since their angles are to centres
    that are known only at the end. In memory are the sums of each identity (float64: 85,742 × 512 take 351 MB) and
    what `nearest` needs.

    Parameters
    ----------
    batches : iterable of (array (B, D), array of int (B,))
        Embeddings of any norm, and the identity of each.
    weight : array, shape (C, D), optional
        The classifier's W, row j of which belongs to identity j.
    folder : str, optional
        Where the temporary file goes (default: the system's place for such).

    Returns
    -------
    EasyDict
        ``w_ec``: mean angle between W_j and the centre of identity j, over the identities with images.
        ``w_inter``: mean over j of the smallest angle between W_j and another W_k.
        ``intra``: mean angle between an image and its identity's centre, over the images. An identity's only image
        is its own centre, at 0° whatever the network, and is left out.
        ``intra_all``: the same with those images at 0°.
        ``inter``: mean over the identities of the smallest angle to another's centre; identities with one image
        count, their image being the centre.
        ``images``, ``identities``, and ``single``, the number of identities with one image.
        What cannot be computed is None: `w_ec` and `w_inter` without `weight`, `inter` of one identity, `intra`
        where every identity has one image.

    Raises
    ------
    Failure
        There are no images, embeddings are not finite, or W does not fit them.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        labels, width = _store(file, batches)
        if not len(labels):
            raise Failure("there are no images to take the angles of")
        names, owners, counts = np.unique(labels, return_inverse=True, return_counts=True)
        if weight is not None and (weight.shape[1] != width or not 0 <= names[0] <= names[-1] < len(weight)):
            raise Failure(f"the classifier has the shape {weight.shape}, where the embeddings have {width} numbers and "
                          f"the identities are {names[0]} to {names[-1]}; it does not belong to them")
        centres = np.zeros((len(names), width))
        for part, embeddings in _blocks(file, len(labels), width):
            _add(centres, embeddings, owners[part])
        total = several = 0.0
        for part, embeddings in _blocks(file, len(labels), width):
            own = between(embeddings, centres[owners[part]])
            total += own.sum()
            several += own[counts[owners[part]] > 1].sum()
    images, single = len(owners), int(np.sum(counts == 1))
    return EasyDict(
        w_ec=None if weight is None else float(np.mean(_between_rows(weight, names, centres, np.arange(len(names))))),
        w_inter=None if weight is None or len(weight) < 2 else float(np.mean(nearest(weight))),
        intra=several / (images - single) if images > single else None, intra_all=total / images,
        inter=float(np.mean(nearest(centres))) if len(names) > 1 else None,
        images=images, identities=len(names), single=single)


def pair_angles(embeddings, labels, limit=500_000, seed=0):
    """Return the angles of all genuine pairs, and of impostor pairs drawn at random (Figure 6).

    Parameters
    ----------
    embeddings : array, shape (N, D)
    labels : array of int, shape (N,)
    limit : int
        The most impostor pairs; where there are fewer, all are taken, and none twice.
    seed : int
        Draws them.

    Returns
    -------
    genuine, impostor : float64 arrays, shape (G,), (I,)
        Degrees.
    """
    labels, draw = np.asarray(labels), np.random.RandomState(seed)
    own = [np.flatnonzero(labels == name) for name in np.unique(labels)]
    genuine = [rows[np.stack(np.triu_indices(len(rows), 1))] for rows in own]
    count, there = len(labels), (len(labels)**2 - sum(len(rows)**2 for rows in own)) // 2
    if there <= limit:
        first, second = (np.concatenate(side) if own[1:] else np.zeros(0, int) for side in zip(*[
            (np.full(np.sum(later), row), np.flatnonzero(later)) for row in range(count)
            for later in [(labels != labels[row]) & (np.arange(count) > row)]]))
    else:
        pairs = np.zeros(0, np.int64)
        while len(pairs) < limit:
            first, second = np.sort(draw.randint(0, count, (2, limit)), axis=0).astype(np.int64)
            apart = labels[first] != labels[second]
            pairs = np.unique(np.concatenate([pairs, (first * count + second)[apart]]))
        first, second = np.divmod(draw.permutation(pairs)[:limit], count)

    left, right = np.concatenate(genuine, axis=1)
    return _between_rows(embeddings, left, embeddings, right), _between_rows(embeddings, first, embeddings, second)
