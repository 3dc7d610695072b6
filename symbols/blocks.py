"""What the networks have in common, each once: the input's scaling, convolution, normalisation, activation, gating.

Names are those that published checkpoints use, so a block's `name` is part of what it is.
"""
from collections import namedtuple

from runtime import mx

# What a network gives to its output: a symbol (B, channels, size, size) and the number of groups in which an output's
# depthwise convolution works.
FeatureMap = namedtuple("FeatureMap", "symbol channels size groups")


def feature_map(symbol, channels, size, groups=None):
    """Return a `FeatureMap`. The original's depthwise outputs have 512 filters whatever the map's width (so that two
    channels share a filter at 1024); widths that 512 does not divide get a filter a channel.
    """
    return FeatureMap(symbol, channels, size, groups or (512 if channels % 512 == 0 else channels))


def width(channels, multiplier):
    """Return `channels` times a width multiplier, rounded down; ValueError where nothing is left."""
    scaled = int(channels * multiplier)
    if scaled < 1:
        raise ValueError(f"net_multiplier={multiplier} is too small: it leaves no channel of {channels}")
    return scaled


def scaled_image(copied=False):
    """Return the variable `data`, RGB in 0…255, brought to −1…1 (Sec. 3.1): minus 127.5, divided by 128.

    `copied` puts a copy of the input before that, a node that some networks' graphs have.
    """
    data = mx.sym.Variable("data")
    if copied:
        data = mx.sym.identity(data, name="id")
    return (data - 127.5) * 0.0078125


def convolution(data, name, filters, kernel, stride=1, pad=0, bias=False, **options):
    """Return a convolution with a square kernel; `options` are the operator's (num_group, workspace)."""
    return mx.sym.Convolution(data, name=name, num_filter=filters, kernel=(kernel, kernel), stride=(stride, stride),
                              pad=(pad, pad), no_bias=not bias, **options)


def batch_norm(data, name, momentum, fix_gamma=False, **options):
    """Return batch normalisation; `momentum` is the share that its running statistics keep at each step."""
    return mx.sym.BatchNorm(data, name=name, momentum=momentum, fix_gamma=fix_gamma, **options)


def activation(data, name, act_type):
    """Return PReLU with a slope a channel (`<name>_gamma`, from 0.25) for `prelu`, else the activation of that name."""
    if act_type == "prelu":
        return mx.sym.LeakyReLU(data, name=name, act_type="prelu")
    return mx.sym.Activation(data, name=name, act_type=act_type)


def squeeze_excitation(data, name, filters, act_type, reduction, act_name, **options):
    """Return `data` (B, filters, H, W) with each channel weighed by a gate that sees the means of all channels."""
    gate = mx.sym.Pooling(data, name=f"{name}_se_pool1", global_pool=True, kernel=(7, 7), pool_type="avg")
    gate = convolution(gate, f"{name}_se_conv1", filters // reduction, kernel=1, bias=True, **options)
    gate = activation(gate, f"{name}_se_{act_name}", act_type)
    gate = convolution(gate, f"{name}_se_conv2", filters, kernel=1, bias=True, **options)
    return mx.sym.broadcast_mul(data, mx.sym.Activation(gate, name=f"{name}_se_sigmoid", act_type="sigmoid"))


def mobile_conv(data, name, filters, bn_mom, act_type=None, kernel=1, stride=1, pad=None, groups=1, fix_gamma=False):
    """Return convolution, normalisation and, with an `act_type`, activation, named as the mobile networks do.

    Unless `pad` is given the kernel is padded by its half: then only the stride changes the map's size.
    """
    pad = kernel // 2 if pad is None else pad
    body = convolution(data, f"{name}_conv2d", filters, kernel, stride, pad, num_group=groups)
    body = batch_norm(body, f"{name}_batchnorm", bn_mom, fix_gamma)
    return activation(body, f"{name}_relu", act_type) if act_type else body


def gluon_activation(act_type):
    """Return the Gluon block for an activation; its PReLU has one slope for all channels (`alpha`, from 0.25)."""
    return mx.gluon.nn.PReLU() if act_type == "prelu" else mx.gluon.nn.Activation(act_type)
