"""Loss heads: from an embedding to class logits (Algorithm 1) and on to the training outputs.

ArcFace: Additive Angular Margin Loss for Deep Face Recognition, CVPR 2019, Sections 2.1 and 2.2.
"""
from runtime import mx

# arccos has no finite gradient at ±1 and gives NaN beyond, where float32 dot products of normalised
# vectors do arrive; this far inside, its gradient is at most 2048.
COSINE_BOUND = 1e-7


def _weight(num_classes, emb_size, lr_mult, wd_mult):
    """Return the classifier's weight, one row a class; its shape is stated where it is known."""
    shape = None if emb_size is None else (num_classes, emb_size)
    return mx.sym.Variable("fc7_weight", shape=shape, lr_mult=lr_mult, wd_mult=wd_mult, init=mx.init.Normal(0.01))


def _softmax_logits(embedding, weight, num_classes):
    """Return W·x + b, the logits of Eq. 1; the bias learns at twice the rate and without decay."""
    bias = mx.sym.Variable("fc7_bias", lr_mult=2.0, wd_mult=0.0, init=mx.init.Zero())
    return mx.sym.FullyConnected(data=embedding, weight=weight, bias=bias, num_hidden=num_classes, name="fc7")


def _marginal(cosine, m1, m2, m3):
    """Return the target's logit with its margins, cos(m1·θ + m2) − m3, of Eq. 4, before scaling.

    Without an angular margin this is cosine − m3, and no arccos is needed.
    """
    if m1 == 1.0 and m2 == 0.0:
        return cosine - m3
    bounded = mx.sym.clip(cosine, a_min=-1.0 + COSINE_BOUND, a_max=1.0 - COSINE_BOUND)
    theta = mx.sym.arccos(bounded)  # line 5
    if m1 != 1.0:
        theta = theta * m1
    if m2 != 0.0:
        theta = theta + m2
    marginal = mx.sym.cos(theta)  # line 6
    return marginal - m3 if m3 != 0.0 else marginal


def _margin_logits(embedding, label, weight, num_classes, s, m1, m2, m3):
    """Return the scaled logits of Eq. 4, in the order of Algorithm 1."""
    x = mx.sym.L2Normalization(embedding, mode="instance", name="fc1n")  # line 1
    w = mx.sym.L2Normalization(weight, mode="instance")  # line 2
    fc7 = mx.sym.FullyConnected(data=x, weight=w, no_bias=True, num_hidden=num_classes, name="fc7")  # line 3
    if (m1, m2, m3) != (1.0, 0.0, 0.0):
        original = mx.sym.pick(fc7, label, axis=1)  # line 4
        marginal = _marginal(original, m1, m2, m3)  # lines 5 and 6
        one_hot = mx.sym.one_hot(label, depth=num_classes, on_value=1.0, off_value=0.0)  # line 7
        fc7 = fc7 + mx.sym.broadcast_mul(one_hot, mx.sym.expand_dims(marginal - original, 1))  # line 8
    return fc7 * s  # line 9


def logits(embedding, label, num_classes, loss_name="margin_softmax", loss_s=64.0, loss_m1=1.0, loss_m2=0.0,
           loss_m3=0.0, fc7_lr_mult=1.0, fc7_wd_mult=1.0, emb_size=None):
    """Return the classifier's scaled logits as a symbol.

    Parameters
    ----------
    embedding : mx.sym.Symbol
        Embeddings, shape (B, D).
    label : mx.sym.Symbol
        Class of each sample as float, shape (B,), values 0 … num_classes − 1.
    num_classes : int
        Number of identities n.
    loss_name : {"softmax", "margin_softmax"}
        "softmax" is Eq. 1, W·x + b. "margin_softmax" normalises features and weights and puts
        s·(cos(m1·θ + m2) − m3) at the target (Eq. 4): normalised softmax with no margins (Eq. 2), ArcFace
        with m2 (Eq. 3), SphereFace's multiplicative margin with m1, CosFace with m3.
    loss_s : float
        Feature scale s.
    loss_m1, loss_m2, loss_m3 : float
        Multiplicative angular, additive angular (radians) and additive cosine margin.
    fc7_lr_mult, fc7_wd_mult : float
        Multipliers of the rate and the weight decay for the classifier's weight.
    emb_size : int, optional
        D. Needed where the weight's shape is to be inferred; not when arrays are bound.

    Returns
    -------
    mx.sym.Symbol
        Logits, shape (B, n). The weight is `fc7_weight`, (n, D); softmax adds `fc7_bias`, (n,).

    Raises
    ------
    ValueError
        If `loss_name` is unknown or a number is out of its range.

    Notes
    -----
    The only departure from Algorithm 1: before arccos, the target's cosine is bounded to
    [−1 + 1e-7, 1 − 1e-7], nowhere else. Beyond the bound the gradient through the margin's term is that of
    the bounded formula, zero, so that logits and gradients are finite for any embedding and weight.
    Zero vectors stay zero when normalised (L2Normalization adds 1e-10 under the root): their cosines are 0.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}: at least one class is needed")
    weight = _weight(num_classes, emb_size, fc7_lr_mult, fc7_wd_mult)
    if loss_name == "softmax":
        return _softmax_logits(embedding, weight, num_classes)
    if loss_name == "margin_softmax":
        if loss_s <= 0:
            raise ValueError(f"loss_s is {loss_s}: the feature scale must be positive")
        return _margin_logits(embedding, label, weight, num_classes, float(loss_s), float(loss_m1), float(loss_m2),
                              float(loss_m3))
    raise ValueError(f"unknown loss_name {loss_name!r}: softmax, margin_softmax")


def cross_entropy(scores, label):
    """Return the batch's mean cross entropy of logits `scores` (B, n) and `label` (B,), shape (1,).

    Through log-softmax, not the log of a softmax that may have underflowed to zero.
    """
    return mx.sym.mean(-mx.sym.pick(mx.sym.log_softmax(scores, axis=1), label, axis=1))


def training_symbol(embedding, num_classes, **loss_settings):
    """Return the symbol that is trained.

    Its outputs, in the original's order: embedding (B, D) with its gradient blocked, softmax (B, n), whose
    gradient is the batch's mean, and the cross entropy (1,), blocked too. Inputs are those of `embedding` and
    `softmax_label` (B,). `loss_settings` are those of `logits`.
    """
    label = mx.sym.Variable("softmax_label")
    scores = logits(embedding, label, num_classes, **loss_settings)
    softmax = mx.sym.SoftmaxOutput(data=scores, label=label, name="softmax", normalization="valid")
    return mx.sym.Group([mx.sym.BlockGrad(embedding, name="embedding"), softmax,
                         mx.sym.BlockGrad(cross_entropy(scores, label), name="ce_loss")])
