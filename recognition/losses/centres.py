"""Losses of the angles to and between class centres, added to a classification loss (Sec. 2.3). All in symbols.

The centres are the rows of the classifier's weight, W (n, D). Features and centres are normalised here. Every function
takes `own`, the samples' own centres (B, D): whoever holds W gathers them once.
"""
import math

from recognition.losses.margins import angle
from runtime import mx


def _unit(vectors):
    return mx.sym.L2Normalization(vectors, mode="instance")


def _cosine(embedding, own):
    return mx.sym.sum(_unit(embedding) * _unit(own), axis=1)


def target_cosine(embedding, own, name=None):
    """Return cos θ_yi, each embedding's with the centre of its class, shape (B,).

    The cosine is for looking at: no gradient flows through it. It costs O(B·D), for both inputs are blocked. An
    unblocked `own` would add zeros as large as W to W's gradient.
    """
    return mx.sym.BlockGrad(_cosine(mx.sym.BlockGrad(embedding), mx.sym.BlockGrad(own)), name=name)


def intra(embedding, own):
    """Return the second term of Eq. 5, 1/(πN)·Σ θ_yi: the mean angle to the own centre, as a share of π; scalar."""
    return mx.sym.mean(angle(_cosine(embedding, own))) / math.pi


def inter(own, weight, label, num_classes):
    """Return the second term of Eq. 6, −1/(πN(n−1))·Σ_i Σ_{j≠yi} arccos(W_yi·W_j); scalar.

    Only the centres of the batch's classes are compared with all others. The time is O(B·n·D), that of the classifier
    itself, and the memory a few arrays (B, n); there is no n × n. With one class there is no other centre: 0.
    """
    between = angle(mx.sym.FullyConnected(_unit(own), _unit(weight), no_bias=True, num_hidden=num_classes))
    others = 1.0 - mx.sym.one_hot(label, depth=num_classes)
    return -mx.sym.mean(mx.sym.sum(between * others, axis=1)) / (math.pi * max(num_classes - 1, 1))
