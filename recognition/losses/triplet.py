"""Triplet losses: a margin between the anchor's distances to a positive and to a negative (Sec. 2.3). All in symbols.

A batch is three thirds, as `recognition.data.triplets` lays it out: anchors, positives and negatives, in one order.
"""
from recognition.losses import classification
from recognition.losses.margins import angle
from runtime import mx

ALONE = ("triplet", "atriplet")
"""Loss names that have no classifier."""


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


def training_symbol(embedding, num_classes, loss_name="atriplet", triplet_distance="angular", triplet_alpha=0.35,
                    triplet_weight=1.0, emb_size=None, **loss_settings):
    """Return the symbol that is trained.

    Parameters
    ----------
    embedding : mx.sym.Symbol
        Embeddings, shape (3T, D), in thirds.
    num_classes : int
    loss_name : str
        "triplet" or "atriplet" is the triplet loss alone; another is that loss of `classification`, with the
        triplet loss added.
    triplet_distance, triplet_alpha
        As `triplet_loss` takes them.
    triplet_weight : float
        What the triplet loss counts beside another one.
    emb_size, **loss_settings
        Those of `recognition.losses.classification.training_symbol`; of no use to the triplet loss alone.

    Returns
    -------
    mx.sym.Symbol
        Outputs, of the triplet loss alone: embedding (3T, D) with its gradient blocked; `label` (3T,), as it came in
        under `softmax_label`, since a module binds no label that leads nowhere; and `triplet_loss` (1,), whose gradient
        is the mean over the device's triplets. Beside another loss: the outputs of
        `classification.training_symbol`, then `triplet_loss`.

    Notes
    -----
    The paper gives ArcFace with the triplet loss no equation, weight or sampling. Here both are what each is alone:
    ArcFace's cross entropy over all images of the batch, plus the angular triplet loss in radians with weight 1, as
    Eq. 5 and 6 add their angular terms without a factor to be tuned. The batch is one of mined triplets, since at
    random hardly any triplet is semi-hard, and a second batch for ArcFace would double the cost of a step; so the
    classifier sees the people of semi-hard triplets more often, which is part of what the row compares.
    """
    loss = triplet_loss(embedding, triplet_distance, triplet_alpha)
    if loss_name in ALONE:
        label = mx.sym.BlockGrad(mx.sym.Variable("softmax_label"), name="label")
        return mx.sym.Group([mx.sym.BlockGrad(embedding, name="embedding"), label,
                             mx.sym.MakeLoss(loss, name="triplet_loss")])
    both = classification.training_symbol(embedding, num_classes, loss_name=loss_name, emb_size=emb_size,
                                          **loss_settings)
    return mx.sym.Group([both, mx.sym.MakeLoss(loss * triplet_weight, name="triplet_loss")])
