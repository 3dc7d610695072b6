"""What is minimised: the outputs and gradients of a training symbol, for every loss of Table 2.

The logits come from `classification`, the centre terms from `centres` and the triplet loss from `triplet`. This file
puts them together; it knows no margin.
"""
from recognition.losses import centres, classification
from recognition.losses.triplet import triplet_loss
from runtime import mx

TRIPLETS_ALONE = ("triplet", "atriplet")
"""Loss names that have no classifier."""


def cross_entropy(scores, label):
    """Return the batch's mean cross entropy of logits `scores` (B, n) and `label` (B,), shape (1,).

    It goes through log-softmax. The log of a softmax would be −∞ where a probability underflows to zero.
    """
    return mx.sym.mean(-mx.sym.pick(mx.sym.log_softmax(scores, axis=1), label, axis=1))


def _centre_terms(embedding, weight, label, num_classes, intra_weight, inter_weight, trace_angles):
    """Return the outputs of Eq. 5, Eq. 6 and the traced cosine, as far as they are asked for."""
    if not (intra_weight or inter_weight or trace_angles):
        return []
    own, outputs = mx.sym.take(weight, label), []
    if intra_weight:
        outputs.append(mx.sym.MakeLoss(centres.intra(embedding, own) * intra_weight, name="intra_loss"))
    if inter_weight:
        term = centres.inter(own, weight, label, num_classes)
        outputs.append(mx.sym.MakeLoss(term * inter_weight, name="inter_loss"))
    if trace_angles:
        outputs.append(centres.target_cosine(embedding, own, name="target_cosine"))
    return outputs


def training_symbol(embedding, num_classes, loss_name="margin_softmax", intra_weight=0.0, inter_weight=0.0,
                    trace_angles=False, triplet_distance=None, triplet_alpha=0.35, triplet_weight=1.0,
                    **logits_settings):
    """Return the symbol that is trained.

    Parameters
    ----------
    embedding : mx.sym.Symbol
        Embeddings, shape (B, D). With triplets B is 3T: T anchors, T positives, T negatives.
    num_classes : int
        Number of identities n.
    loss_name : str
        "triplet" and "atriplet" are the triplet loss alone. Any other is a loss of `classification.logits`.
    intra_weight, inter_weight : float
        The weights of the terms of Eq. 5 and Eq. 6. 1 is the equation as it stands; 0 leaves the term out.
    trace_angles : bool
        Whether the cosine of each sample with its centre is an output too.
    triplet_distance : {"euclidean", "angular"}, optional
        Adds the triplet loss with this distance; None adds none.
    triplet_alpha : float
        The margin of the triplet loss.
    triplet_weight : float
        The weight of the triplet loss beside a classification loss.
    **logits_settings
        Those of `classification.logits`. The triplet loss alone uses none of them.

    Returns
    -------
    mx.sym.Symbol
        Outputs are taken by name. With a classifier they begin in the original's order: `embedding` (B, D) with its
        gradient blocked; `softmax` (B, n), whose gradient is the batch's mean; `ce_loss` (1,), blocked. Then follow,
        as asked, `intra_loss` and `inter_loss`, whose gradients add to softmax's; `target_cosine` (B,), blocked; and
        `triplet_loss` (1,), whose gradient is the mean over the device's triplets. The triplet loss alone has
        `embedding` and `triplet_loss`. Inputs are those of `embedding`; with a classifier also `softmax_label` (B,);
        for some losses `step` (see `classification.logits`).

    Notes
    -----
    The paper gives the sums with ArcFace no equation. Here Eq. 5 and 6 have L3 in place of L2 and the same weights.
    Their θ is the angle itself, without the margin, so the terms are what they are for normalised softmax and the rows
    of Table 2 differ in one thing. (With the margin inside, the mean would move by a constant and no gradient change.)

    The paper gives ArcFace with the triplet loss no equation, weight or sampling either. Here both are what each is
    alone: ArcFace's cross entropy over all images of the batch, plus the angular triplet loss in radians with weight
    1. The batch is one of mined triplets: at random, hardly any triplet is semi-hard, and a second batch for ArcFace
    would double the cost of a step. So the classifier sees the people of semi-hard triplets more often.
    """
    outputs = [mx.sym.BlockGrad(embedding, name="embedding")]
    if loss_name in TRIPLETS_ALONE:
        loss = triplet_loss(embedding, triplet_distance, triplet_alpha)
        return mx.sym.Group([*outputs, mx.sym.MakeLoss(loss, name="triplet_loss")])
    label = mx.sym.Variable("softmax_label")
    scores = classification.logits(embedding, label, num_classes, loss_name=loss_name, **logits_settings)
    weight = scores.get_internals()["fc7_weight"]
    outputs += [mx.sym.SoftmaxOutput(data=scores, label=label, name="softmax", normalization="valid"),
                mx.sym.BlockGrad(cross_entropy(scores, label), name="ce_loss"),
                *_centre_terms(embedding, weight, label, num_classes, intra_weight, inter_weight, trace_angles)]
    if triplet_distance is not None:
        loss = triplet_loss(embedding, triplet_distance, triplet_alpha)
        outputs.append(mx.sym.MakeLoss(loss * triplet_weight, name="triplet_loss"))
    return mx.sym.Group(outputs)
