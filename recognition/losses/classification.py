"""From an embedding to class logits, with a margin at the target (Algorithm 1).

ArcFace: Additive Angular Margin Loss for Deep Face Recognition, CVPR 2019, Sections 2.1 to 2.3.
"""
from recognition.losses import margins
from runtime import mx

STEP = "step"
"""Name of the input with the number of batches done before, (B,), of losses that change with it."""
EPSILON = 1e-10  # what L2Normalization adds to the squared norm


def _weight(num_classes, emb_size, lr_mult, wd_mult):
    """Return the classifier's weight, one row a class; its shape is stated where it is known."""
    shape = None if emb_size is None else (num_classes, emb_size)
    return mx.sym.Variable("fc7_weight", shape=shape, lr_mult=lr_mult, wd_mult=wd_mult, init=mx.init.Normal(0.01))


def _softmax_logits(embedding, weight, num_classes):
    """Return W·x + b, the logits of Eq. 1; the bias learns at twice the rate and without decay."""
    bias = mx.sym.Variable("fc7_bias", lr_mult=2.0, wd_mult=0.0, init=mx.init.Zero())
    return mx.sym.FullyConnected(data=embedding, weight=weight, bias=bias, num_hidden=num_classes, name="fc7")


def _algorithm_1(embedding, label, weight, num_classes, margin):
    """Return logits of normalised features and weights with `margin(cosine)` at the target, before scaling."""
    x = mx.sym.L2Normalization(embedding, mode="instance", name="fc1n")  # line 1
    w = mx.sym.L2Normalization(weight, mode="instance")  # line 2
    fc7 = mx.sym.FullyConnected(data=x, weight=w, no_bias=True, num_hidden=num_classes, name="fc7")  # line 3
    if margin is None:
        return fc7
    original = mx.sym.pick(fc7, label, axis=1)  # line 4
    marginal = margin(original)  # lines 5 and 6
    one_hot = mx.sym.one_hot(label, depth=num_classes, on_value=1.0, off_value=0.0)  # line 7
    return fc7 + mx.sym.broadcast_mul(one_hot, mx.sym.expand_dims(marginal - original, 1))  # line 8


def _norm(embedding):
    """Return ‖x‖, (B, 1), with a finite gradient at zero too."""
    return mx.sym.sqrt(mx.sym.sum(mx.sym.square(embedding), axis=1, keepdims=True) + EPSILON)


def logits(embedding, label, num_classes, loss_name="margin_softmax", loss_s=64.0, loss_m1=1.0, loss_m2=0.0,
           loss_m3=0.0, sphere_lambda_min=5.0, sphere_lambda_start=1000.0, sphere_lambda_decay=0.1,
           fc7_lr_mult=1.0, fc7_wd_mult=1.0, emb_size=None):
    """Return the classifier's scaled logits as a symbol.

    Parameters
    ----------
    embedding : mx.sym.Symbol
        Embeddings, shape (B, D).
    label : mx.sym.Symbol
        Class of each sample as float, shape (B,), values 0 … num_classes − 1. A label outside of these has no target
        here, and its row gets no margin. So one block of a larger classifier, whose classes begin at `first`, is
        `logits(embedding, label − first, its number of classes)`.
    num_classes : int
        Number of identities n, or of classes of the block.
    loss_name : {"softmax", "margin_softmax", "sphereface"}
        "softmax" is Eq. 1, W·x + b. "margin_softmax" normalises features and weights and puts
        s·(cos(m1·θ + m2) − m3) at the target (Eq. 4): normalised softmax with no margins (Eq. 2), ArcFace
        with m2 (Eq. 3), SphereFace's multiplicative margin with m1, CosFace with m3. "sphereface" is SphereFace as
        its authors train it: weights are normalised, features are not, and the target's logit is
        ‖x‖·(λ·cos θ + ψ(θ)) / (1 + λ), whose λ falls with the step (`recognition.losses.margins`).
    loss_s : float
        Feature scale s; not of "softmax" and "sphereface".
    loss_m1, loss_m2, loss_m3 : float
        Multiplicative angular, additive angular (radians) and additive cosine margin. "sphereface" has m1 alone, a
        whole number from 1.
    sphere_lambda_min, sphere_lambda_start, sphere_lambda_decay : float
        Of "sphereface": λ = max(min, start / (1 + decay·step)).
    fc7_lr_mult, fc7_wd_mult : float
        Multipliers of the rate and the weight decay for the classifier's weight.
    emb_size : int, optional
        D. Needed where the weight's shape is to be inferred; not when arrays are bound.

    Returns
    -------
    mx.sym.Symbol
        Logits, shape (B, n). The weight is `fc7_weight`, (n, D); softmax adds `fc7_bias`, (n,). "sphereface" has one
        more input, `step` (B,): the number of batches done before, the same for each sample.

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
        values = float(loss_m1), float(loss_m2), float(loss_m3)
        margin = None if values == (1.0, 0.0, 0.0) else lambda cosine: margins.combined(cosine, *values)
        return _algorithm_1(embedding, label, weight, num_classes, margin) * float(loss_s)  # line 9
    if loss_name == "sphereface":
        if loss_m1 < 1 or loss_m1 != int(loss_m1):
            raise ValueError(f"loss_m1 is {loss_m1}: the original SphereFace takes a whole number from 1")
        fc7 = _algorithm_1(embedding, label, weight, num_classes, lambda cosine: margins.annealed(
            cosine, int(loss_m1), mx.sym.Variable(STEP), float(sphere_lambda_min), float(sphere_lambda_start),
            float(sphere_lambda_decay)))
        return mx.sym.broadcast_mul(fc7, _norm(embedding))  # the feature's own norm in place of s
    raise ValueError(f"unknown loss_name {loss_name!r}: softmax, margin_softmax, sphereface")


def parameter_shapes(symbol, num_classes, emb_size):
    """Return {name: shape} of the classifier's parameters that a training symbol has; none for triplets alone."""
    shapes = {"fc7_weight": (num_classes, emb_size), "fc7_bias": (num_classes,)}
    return {name: shapes[name] for name in symbol.list_arguments() if name in shapes}
