"""VarGFaceNet (Yan et al. 2019): convolutions in groups of eight channels, each followed by a pointwise one.

Names read `vargface_stage_3_unit_2_sep1_data_conv2d_depthwise_weight`. It ends in an embedding block of its own, from
7×7 to 1×1, after which the output makes the embedding.
"""
from .blocks import activation, batch_norm, convolution, feature_map, scaled_image, squeeze_excitation, width

GROUP = 8  # channels a group
HEAD, STAGES = 32, ((2, 3, 64), (3, 7, 128), (4, 4, 256))  # channels; number, units and channels of each stage
LAST = 1024


def features(net_multiplier, net_act, net_se, bn_mom, workspace):
    """Return the feature map, 512 channels of 1×1."""

    def conv(data, name, filters, kernel=1, stride=1, pad=0, groups=1):
        return convolution(data, name, filters, kernel, stride, pad, num_group=groups, workspace=workspace)

    def norm(data, name):
        return batch_norm(data, name, bn_mom, eps=2e-5)

    def act(data, name):
        return activation(data, name, net_act)

    def channels_of(base):
        channels = width(base, net_multiplier)
        if channels % GROUP:
            raise ValueError(f"net_multiplier={net_multiplier}: vargfacenet works in groups of {GROUP} channels, "
                             "so it must be a multiple of 0.25")
        return channels

    def separable(data, name, channels, filters, factor, stride=1):
        """Grouped 3×3 to `factor` times the channels, then pointwise to `filters`; not yet activated."""
        body = conv(data, f"{name}_conv2d_depthwise", channels * factor, 3, stride, 1, channels // GROUP)
        body = act(norm(body, f"{name}_conv2d_depthwise_bn"), f"{name}_conv2d_depthwise_act")
        return norm(conv(body, f"{name}_conv2d_pointwise", filters), f"{name}_conv2d_pointwise_bn")

    def unit(data, name, channels, factor=2, stride=1):
        """Two separable convolutions and a shortcut, itself one where the unit halves."""
        shortcut = data if stride == 1 else separable(data, f"{name}_shortcut", channels, channels, factor, stride)
        body = separable(data, f"{name}_sep1_data", channels, channels, factor, stride)
        body = act(body, f"{name}_sep1_data_conv2d_pointwise_act")
        body = separable(body, f"{name}_sep2_data", channels, channels, factor)
        if net_se:
            body = squeeze_excitation(body, name, channels, net_act, reduction=4, act_name="act1")
        return act(body + shortcut, f"{name}_out_data_act")

    def merging_unit(data, name, channels, filters):
        """A stage's first unit, which halves: two branches summed, a separable convolution, a shortcut."""
        shortcut = separable(data, f"{name}_shortcut", channels, filters, 2, stride=2)
        branches = [separable(data, f"{name}_sep{i}_data_branch", channels, filters, 2, stride=2) for i in (1, 2)]
        body = act(branches[0] + branches[1], f"{name}_sep1_data_act")
        return act(separable(body, f"{name}_sep2_data", filters, filters, 2) + shortcut, f"{name}_out_data_act")

    channels = channels_of(HEAD)
    body = conv(scaled_image(copied=True), "vargface_head_conv1", channels, 3, 1, 1)
    body = act(norm(body, "vargface_head_conv1_bn"), "vargface_head_conv1_act")
    body = unit(body, "vargface_head_head_pooling", channels, factor=1, stride=2)
    for stage, units, base in STAGES:
        filters = channels_of(base)
        body = merging_unit(body, f"vargface_stage_{stage}_unit_1", channels, filters)
        for number in range(2, units + 1):
            body = unit(body, f"vargface_stage_{stage}_unit_{number}", filters)
        channels = filters

    body = act(norm(conv(body, "embed_convx", LAST), "embed_convx_bn"), "embed_convx_act")
    body = norm(conv(body, "embed_convx_depthwise", LAST, 7, groups=LAST // GROUP), "embed_convx_depthwise_bn")
    body = norm(conv(body, "embed_convx_pointwise", LAST // 2), "embed_convx_pointwise_bn")
    return feature_map(act(body, "embed_convx_pointwise_act"), LAST // 2, 1)
