"""From a network's feature map to the embedding `fc1` (Table 2 of the paper compares E with others).

All but F, G and H end in batch normalisation with its scale fixed at 1, so that an embedding's elements have one scale.
"""
from runtime import mx

from .blocks import activation, batch_norm, convolution, mobile_conv

DROPOUT = 0.4  # Sec. 3.1


def _dense(data, emb_size, bn_mom):
    return _normed(mx.sym.FullyConnected(data, name="pre_fc1", num_hidden=emb_size), bn_mom)


def _normed(data, bn_mom):
    return batch_norm(data, "fc1", bn_mom, fix_gamma=True, eps=2e-5)


def _bn1(features, bn_mom):
    return batch_norm(features.symbol, "bn1", bn_mom, eps=2e-5)


def output_e(features, emb_size, act_type, bn_mom):
    """BN-Dropout-FC-BN, the paper's choice (Sec. 3.1)."""
    return _dense(mx.sym.Dropout(_bn1(features, bn_mom), p=DROPOUT), emb_size, bn_mom)


def output_f(features, emb_size, act_type, bn_mom):
    """BN-Dropout-FC."""
    dropped = mx.sym.Dropout(_bn1(features, bn_mom), p=DROPOUT)
    return mx.sym.FullyConnected(dropped, name="fc1", num_hidden=emb_size)


def output_g(features, emb_size, act_type, bn_mom):
    """BN-FC."""
    return mx.sym.FullyConnected(_bn1(features, bn_mom), name="fc1", num_hidden=emb_size)


def output_h(features, emb_size, act_type, bn_mom):
    """FC."""
    return mx.sym.FullyConnected(features.symbol, name="fc1", num_hidden=emb_size)


def output_i(features, emb_size, act_type, bn_mom):
    """BN-FC-BN; FC is another name for it."""
    return _dense(_bn1(features, bn_mom), emb_size, bn_mom)


def output_j(features, emb_size, act_type, bn_mom):
    """FC-BN."""
    return _dense(features.symbol, emb_size, bn_mom)


def output_sfc(features, emb_size, act_type, bn_mom):
    """BN, depthwise convolution to half the size, pointwise convolution, FC-BN: a small dense layer."""
    body = convolution(_bn1(features, bn_mom), "convf", features.groups, kernel=3, stride=2, pad=1,
                       num_group=features.groups)
    body = activation(batch_norm(body, "bnf", bn_mom, eps=2e-5), "reluf", act_type)
    body = convolution(body, "convf2", features.groups, kernel=1, bias=True)
    body = activation(batch_norm(body, "bnf2", bn_mom, eps=2e-5), "reluf2", act_type)
    return _dense(body, emb_size, bn_mom)


def output_gap(features, emb_size, act_type, bn_mom):
    """BN, activation, global average pooling, FC-BN."""
    body = activation(_bn1(features, bn_mom), "relu1", act_type)
    body = mx.sym.Pooling(body, name="pool1", global_pool=True, kernel=(7, 7), pool_type="avg")
    return _dense(mx.sym.Flatten(body), emb_size, bn_mom)


def output_gnap(features, emb_size, act_type, bn_mom):
    """Global average pooling after every position's features were scaled to the mean norm of all positions.

    The map is first widened where it is narrower than the embedding; where it is wider, a dense layer follows.
    """
    body, channels = features.symbol, features.channels
    if emb_size > channels:
        body = batch_norm(convolution(body, "convx", emb_size, kernel=1), "convx_bn", bn_mom, eps=2e-5)
        body, channels = activation(body, "convx_relu", act_type), emb_size
    body = batch_norm(body, "bn6f", bn_mom, fix_gamma=True, eps=2e-5)
    norm = mx.sym.sqrt(mx.sym.sum(body * body, axis=1, keepdims=True))
    scale = mx.sym.broadcast_div(mx.sym.mean(norm), norm)
    body = body * mx.sym.tile(scale, reps=(1, channels, 1, 1))
    body = mx.sym.Pooling(body, global_pool=True, kernel=(7, 7), pool_type="avg")
    if emb_size < channels:
        return _dense(batch_norm(body, "bn6w", bn_mom, fix_gamma=True, eps=2e-5), emb_size, bn_mom)
    return _normed(mx.sym.Flatten(body), bn_mom)


def output_gdc(features, emb_size, act_type, bn_mom):
    """Global depthwise convolution (MobileFaceNet), FC-BN."""
    body = mobile_conv(features.symbol, "conv_6dw7_7", features.groups, bn_mom, kernel=features.size, pad=0,
                       groups=features.groups)
    return _dense(body, emb_size, bn_mom)


OUTPUTS = {"E": output_e, "F": output_f, "G": output_g, "H": output_h, "I": output_i, "J": output_j, "FC": output_i,
           "SFC": output_sfc, "GAP": output_gap, "GNAP": output_gnap, "GDC": output_gdc}
