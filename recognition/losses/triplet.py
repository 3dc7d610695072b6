"""Triplet losses: a margin between the anchor's distances to a positive and to a negative (Sec. 2.3). All in symbols.

A batch is three thirds, as `recognition.data.triplets` lays it out: anchors, positives and negatives, in one order.
"""
from recognition.losses.margins import angle
from runtime import mx


def _squared(first, second):
    return mx.sym.sum(mx.sym.square(first - second), axis=1)


def _angle(first, second):
    return angle(mx.sym.sum(first * second, axis=1))


DISTANCES = {"euclidean": _squared, "angular": _angle}


def triplet_loss(embedding, distance, alpha):
    """Return the mean over a batch's triplets of max(0, d(a, p) − d(a, n) + alpha), a scalar symbol.

    Parameters
    ----------
    embedding : mx.sym.Symbol
        Embeddings, shape (3T, D): T anchors, T positives, T negatives. They are normalised here.
    distance : {"euclidean", "angular"}
        d is the squared Euclidean distance, as in FaceNet, or the angle in radians, as in the paper: its
        arccos(x_pos·x) + m ≤ arccos(x_neg·x).
    alpha : float
        The margin.

    Raises
    ------
    ValueError
        For an unknown distance.

    Notes
    -----
    Cosines are bounded before arccos as everywhere here (`recognition.losses.margins.angle`): a positive that is the
    anchor's equal or opposite has no gradient by its angle, never an infinite one.
    """
    if distance not in DISTANCES:
        raise ValueError(f"unknown distance {distance!r}: {', '.join(DISTANCES)}")
    unit = mx.sym.L2Normalization(embedding, mode="instance", name="fc1t")
    anchor, positive, negative = mx.sym.split(unit, axis=0, num_outputs=3)
    between = DISTANCES[distance]
    return mx.sym.mean(mx.sym.relu(between(anchor, positive) - between(anchor, negative) + alpha))
