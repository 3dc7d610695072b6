"""Trillion-Pairs: verification and identification of probes against a large gallery (Sec. 3.3, Table 8).

Verification: genuine pairs are the unordered pairs of two probes of one identity. Every probe with every gallery image
is an impostor pair. TPR at an FPR is the share of genuine pairs above the highest threshold that at most FPR of the
impostor pairs exceed.

Identification is this project's reading, for no document defines it: for each ordered genuine pair, the mate is nearer
than the whole gallery, and its score is above the threshold that at most ⌊FPR × probes⌋ of the probes' best gallery
scores exceed.

Scores are cosines. Equal scores count against a genuine pair.
"""
import numpy as np
from tqdm import tqdm

from datasets.formats import text
from datasets.formats.opencv_matrix import Picked
from datasets.identities.scores import CHUNK, Cosine
from datasets.identities.tails import scan
from eval.measures import tails
from eval.measures.rates import rate_key
from runtime import Failure, shown

VERIFICATION, IDENTIFICATION = 1e-9, 1e-3  # the FPRs of Table 8
GALLERY = -1


def read_labels(path, rows):
    """Read the identity of each row of a feature file.

    Parameters
    ----------
    path : str
        A whole number a line: the identity, from 0, or −1 for the gallery.
    rows : int
        Of the feature file.

    Returns
    -------
    int64 array, shape (rows,)

    Raises
    ------
    Failure
        The file is missing, has a line that is no such number, or another number of lines.
    """
    form = "labels have a line for each row of the features: an identity's number from 0, or -1 for the gallery"
    found = []
    for number, line in text.lines(path, missing=form):
        value = line.strip()
        if not (value == "-1" or (value.isascii() and value.isdigit() and len(value) < 18)):
            raise Failure(f"{shown(path)}: line {number} is {shown(value)[:50]}: {form}")
        found.append(int(value))
    if len(found) != rows:
        raise Failure(f"{shown(path)} has {len(found)} lines, and the features have {rows} rows: {form}")
    labels = np.array(found, np.int64)
    if not (labels == GALLERY).any() or (labels == GALLERY).all():
        raise Failure(f"{shown(path)} has no {'gallery' if (labels >= 0).all() else 'probes'}: {form}")
    return labels


def _genuine(probes, labels, best, thresholds, identification, progress):
    """Count genuine pairs that are accepted.

    Parameters
    ----------
    probes : float32 array, shape (P, D)
    labels : int64 array, shape (P,)
    best : float64 array, shape (P,)
        Each probe's best gallery score.
    thresholds, identification : float arrays
        Of verification, and of identification.

    Returns
    -------
    pairs : int
        Unordered.
    above : int array, shape (len(thresholds),)
    found : int array, shape (len(identification),)
        Of the ordered pairs, those nearer than the gallery and above each threshold.
    nearer : int
        Those nearer than the gallery.
    """
    pairs, nearer = 0, 0
    above, found = np.zeros(len(thresholds), np.int64), np.zeros(len(identification), np.int64)
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.append(True, labels[order][1:] != labels[order][:-1]))
    for own in tqdm(np.split(order, starts[1:]), desc="genuine pairs", unit="identity", leave=False,
                    disable=None if progress else True):
        for place in range(len(own) - 1):
            for begin in range(place + 1, len(own), CHUNK):
                others = own[begin:begin + CHUNK]
                scores = Cosine.of_pairs(np.broadcast_to(probes[own[place]], (len(others), probes.shape[1])),
                                         probes[others])
                pairs += len(scores)
                above += [np.count_nonzero(scores > threshold) for threshold in thresholds]
                for limits in (best[own[place]], best[others]):
                    near = scores[scores > limits]
                    nearer += len(near)
                    found += [np.count_nonzero(near > threshold) for threshold in identification]
    return pairs, above, found, nearer


def evaluate(features, labels, fprs=(VERIFICATION,), identification=(IDENTIFICATION,), progress=None):
    """Judge the embeddings of probes and gallery.

    Parameters
    ----------
    features : datasets.formats.opencv_matrix.Matrix, or float32 array, shape (N, D)
        The gallery is read a block at a time. The probes are in memory.
    labels : int64 array, shape (N,)
        As from `read_labels`.
    fprs, identification : sequences of float
        The false positive rates of verification, of all impostor pairs, and of identification, of probes.
    progress : str, optional
        What a bar on stderr is called.

    Returns
    -------
    dict
        `tpr` and `identification` by FPR, and `thresholds`, `identification_thresholds`, `rank1`, `genuine_pairs`,
        `impostor_pairs`, `probes`, `gallery`.

    Raises
    ------
    Failure
        No identity has two probes, or a rate is too high for bounded memory.
    """
    rows, columns = np.flatnonzero(labels != GALLERY), np.flatnonzero(labels == GALLERY)
    own = labels[rows]
    if len(np.unique(own)) == len(own):
        raise Failure("no identity has two probes: there is no genuine pair to find")
    probes = Picked(features, rows)[:]
    total = len(rows) * len(columns)
    counts = tails.counts_for(total, fprs)
    found = scan(Cosine(probes, Picked(features, columns)), 1, set(counts), progress)
    best = found.best[:, 0]
    thresholds = [found.kth[count] for count in counts]
    ordered = np.append(np.sort(best)[::-1], -np.inf)
    limits = [float(ordered[count - 1]) for count in tails.counts_for(len(rows), identification)]
    pairs, above, accepted, nearer = _genuine(probes, own, best, thresholds, limits, bool(progress))
    return {"tpr": {rate_key(fpr): int(count) / pairs for fpr, count in zip(fprs, above)},
            "identification": {rate_key(fpr): int(count) / (2 * pairs) for fpr, count in zip(identification, accepted)},
            "thresholds": {rate_key(fpr): one for fpr, one in zip(fprs, thresholds)},
            "identification_thresholds": {rate_key(fpr): one for fpr, one in zip(identification, limits)},
            "rank1": nearer / (2 * pairs), "genuine_pairs": pairs, "impostor_pairs": total, "probes": len(rows),
            "gallery": len(columns)}
