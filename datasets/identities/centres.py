"""Centres of identities, and the images that are near them or far from them.

The centre of an identity is the mean of its images' unit embeddings, made a unit vector (the feature centre of
Sec. 3.1). Memory: the sums (C, D) in float32, 176 MB for 85,742 identities of 512 numbers, as much again for the
centres, and blocks of some tens of megabytes; never all embeddings, nor all similarities
(`datasets.identities.similarity`).
"""
import numpy as np
from tqdm import tqdm

from datasets.identities.similarity import nearest


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
        bar = tqdm(total=len(self.of_row), desc=embeddings.path, leave=False, disable=None if progress else True)
        for first, block in embeddings.blocks():
            bar.update(len(block))
            places = self.of_row[first:first + len(block)]
            order = np.argsort(places, kind="stable")
            places, starts = np.unique(places[order], return_index=True)
            self.sums[places] += np.add.reduceat(block[order], starts, axis=0)
        bar.close()
        norms = np.linalg.norm(self.sums, axis=1, keepdims=True)
        self.centres = np.divide(self.sums, norms, out=np.zeros_like(self.sums), where=norms > 1e-6)


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
