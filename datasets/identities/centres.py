"""Centres of identities and what is near them, computed block by block.

The centre of an identity is the mean of its images' unit embeddings, made a unit vector (the feature centre of
Sec. 3.1). Memory: the sums (C, D) in float32, 176 MB for 85,742 identities of 512 numbers, as much again for the
centres, and blocks of some tens of megabytes; never all embeddings, nor all similarities.
"""
import numpy as np
from tqdm import tqdm

from runtime import Failure

BLOCK = 2048  # rows and columns of a block of similarities: 16 MB
MOST_PAIRS = 100_000


def _bar(steps, total, name, progress):
    return tqdm(steps, total=total, desc=name, leave=False, disable=None if progress else True)


class Identities:
    """The identities of a file of embeddings, with the sums of their images' unit embeddings. Reads the file once.

    Parameters
    ----------
    embeddings : datasets.formats.embeddings.Embeddings
    progress : bool
        Whether to show progress and the time left on stderr, where that is a terminal.

    Attributes
    ----------
    labels : int64 array, shape (C,)
        Ascending.
    of_row : int64 array, shape (N,)
        The place of each image's identity among `labels`.
    counts : int64 array, shape (C,)
        Images of each.
    sums, centres : float32 arrays, shape (C, D)
        A centre is zero, and so near nothing, where an identity's images cancel out.
    """

    def __init__(self, embeddings, progress=False):
        self.labels, self.of_row, self.counts = np.unique(embeddings.labels, return_inverse=True, return_counts=True)
        self.sums = np.zeros((len(self.labels), embeddings.dimension), np.float32)
        bar = _bar(None, len(self.of_row), embeddings.path, progress)
        for first, block in embeddings.blocks():
            bar.update(len(block))
            places = self.of_row[first:first + len(block)]
            order = np.argsort(places, kind="stable")
            places, starts = np.unique(places[order], return_index=True)
            self.sums[places] += np.add.reduceat(block[order], starts, axis=0)
        bar.close()
        norms = np.linalg.norm(self.sums, axis=1, keepdims=True)
        self.centres = np.divide(self.sums, norms, out=np.zeros_like(self.sums), where=norms > 1e-6)


def pairs_above(first, second, threshold, most=MOST_PAIRS, progress=False):
    """Find all pairs of unit vectors whose cosine similarity is at least a threshold.

    Parameters
    ----------
    first : float32 array, shape (A, D)
    second : float32 array, shape (B, D), or None
        None compares `first` with itself, each pair once.
    threshold : float
    most : int
        More pairs than that are a Failure: such a threshold means nothing.
    progress : bool
        As for `Identities`.

    Returns
    -------
    rows, columns : int64 arrays, shape (P,)
        Most similar first.
    cosines : float32 array, shape (P,)
    """
    itself = second is None
    second = first if itself else second
    found, total = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))], 0
    for top in _bar(range(0, len(first), BLOCK), None, "comparing identities", progress):
        for left in range(top if itself else 0, len(second), BLOCK):
            cosines = first[top:top + BLOCK] @ second[left:left + BLOCK].T
            if itself and left == top:
                cosines[np.tril_indices(len(cosines))] = -np.inf
            rows, columns = np.nonzero(cosines >= threshold)
            total += len(rows)
            if total > most:
                raise Failure(f"more than {most} pairs of identities have a cosine of {threshold:g} or more: give a "
                              "higher --threshold; if the network is not yet trained, it tells nobody apart")
            found.append((rows + top, columns + left, cosines[rows, columns]))
    rows, columns, cosines = map(np.concatenate, zip(*found))
    order = np.argsort(-cosines, kind="stable")
    return rows[order], columns[order], cosines[order]


def nearest(vectors, centres, own=None):
    """Find the centre most similar to each vector.

    Parameters
    ----------
    vectors : float32 array, shape (Q, D)
    centres : float32 array, shape (C, D)
    own : int array, shape (Q,), or None
        A centre for each vector that does not count.

    Returns
    -------
    places : int64 array, shape (Q,)
        The first of equals; −1 where there is none.
    cosines : float32 array, shape (Q,)
    """
    places, best = np.full(len(vectors), -1, np.int64), np.full(len(vectors), -np.inf, np.float32)
    for top in range(0, len(vectors), BLOCK):
        rows = slice(top, top + BLOCK)
        for left in range(0, len(centres), BLOCK):
            cosines = vectors[rows] @ centres[left:left + BLOCK].T
            if own is not None:
                mine = own[rows] - left
                here = np.flatnonzero((mine >= 0) & (mine < cosines.shape[1]))
                cosines[here, mine[here]] = -np.inf
            column = cosines.argmax(axis=1)
            value = cosines[np.arange(len(cosines)), column]
            better = value > best[rows]
            places[rows][better], best[rows][better] = column[better] + left, value[better]
    return places, best


def closest_images(embeddings, identities, own, vectors):
    """Find, for pairs of an identity and a vector, the identity's image most similar to the vector.

    Reads the file once.

    Parameters
    ----------
    embeddings : datasets.formats.embeddings.Embeddings
    identities : Identities
        Of that file.
    own : int array, shape (P,)
        Places among the identities.
    vectors : float32 array, shape (P, D)

    Returns
    -------
    rows : int64 array, shape (P,)
        The image's row in the file.
    cosines : float32 array, shape (P,)
    """
    found, best = np.full(len(own), -1, np.int64), np.full(len(own), -np.inf, np.float32)
    order = np.argsort(own, kind="stable")
    sorted_own = np.asarray(own)[order]
    for first, block in embeddings.blocks():
        places = identities.of_row[first:first + len(block)]
        for place in np.intersect1d(places, sorted_own):
            rows = np.flatnonzero(places == place)
            pairs = order[slice(*np.searchsorted(sorted_own, [place, place + 1]))]
            cosines = block[rows] @ vectors[pairs].T
            row = cosines.argmax(axis=0)
            value = cosines[row, np.arange(len(pairs))]
            better = value > best[pairs]
            found[pairs[better]], best[pairs[better]] = first + rows[row[better]], value[better]
    return found, best


def far_images(embeddings, identities, threshold):
    """Find images whose cosine with the centre of their identity's *other* images is below a threshold.

    Leaving the image itself out matters: in an identity of two, each image is half of the centre. Images that are
    alone in their identity are not judged. Reads the file once.

    Returns
    -------
    rows : int64 array, shape (F,)
        In the order of the file.
    cosines : float32 array, shape (F,)
        With the centre of the identity's other images.
    others : int64 array, shape (F,)
        The place of the other identity whose centre is nearest; −1 where there is none.
    other_cosines : float32 array, shape (F,)
    """
    found = [(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64), np.empty(0, np.float32))]
    for first, block in embeddings.blocks():
        places = identities.of_row[first:first + len(block)]
        rest = identities.sums[places] - block
        norms = np.linalg.norm(rest, axis=1)
        dots = np.einsum("nd,nd->n", rest, block)
        cosines = np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 1e-6)
        rows = np.flatnonzero((cosines < threshold) & (identities.counts[places] > 1))
        others, other_cosines = nearest(block[rows], identities.centres, places[rows])
        found.append((first + rows, cosines[rows], others, other_cosines))
    return tuple(map(np.concatenate, zip(*found)))
