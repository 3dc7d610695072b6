"""Losses of the angles to and between class centres, added to a classification loss (Sec. 2.3). All in symbols.

The centres are the rows of the classifier's weight, W (n, D). Features and centres are normalised here.
"""
import math

from recognition.losses.margins import angle
from runtime import mx


def _unit(vectors):
    return mx.sym.L2Normalization(vectors, mode="instance")


def _target_cosine(embedding, centre):
    return mx.sym.sum(_unit(embedding) * _unit(centre), axis=1)


def target_cosine(embedding, weight, label, name=None):
    """Return cos θ_yi, each embedding's with the centre of its class, shape (B,), for looking at: it has no gradient.

    Costs O(B·D): blocked where it is taken from the weight, or zeros as large as that would be made and added.
    """
    embedding, centre = mx.sym.BlockGrad(embedding), mx.sym.BlockGrad(mx.sym.take(weight, label))
    return mx.sym.BlockGrad(_target_cosine(embedding, centre), name=name)


def intra(embedding, weight, label):
    """Return the second term of Eq. 5, 1/(πN)·Σ θ_yi: the mean angle to the own centre, as a share of π; scalar."""
    return mx.sym.mean(angle(_target_cosine(embedding, mx.sym.take(weight, label)))) / math.pi


def inter(weight, label, num_classes):
    """Return the second term of Eq. 6, −1/(πN(n−1))·Σ_i Σ_{j≠yi} arccos(W_yi·W_j); scalar.

    Only the centres of the batch's classes are compared with all others: time O(B·n·D), that of the classifier
    itself, and a few arrays (B, n) of memory; there is no n × n. With one class there is no other centre: 0.
    """
    own = _unit(mx.sym.take(weight, label))
    between = angle(mx.sym.FullyConnected(own, _unit(weight), no_bias=True, num_hidden=num_classes))
    others = 1.0 - mx.sym.one_hot(label, depth=num_classes)
    return -mx.sym.mean(mx.sym.sum(between * others, axis=1)) / (math.pi * max(num_classes - 1, 1))
