"""MobileNet (Howard et al. 2017): depthwise and pointwise convolutions in turn, 1024 channels of 7×7 at last.

Names read `conv_9_dw_conv2d_weight`. Its normalisation has no scale of its own (`fix_gamma`).
"""
from .blocks import feature_map, mobile_conv, scaled_image, width

# Of the blocks conv_2 … conv_14: width in units of the stem's, stride.
BLOCKS = [(2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), (16, 1), (16, 1), (16, 1), (16, 1), (16, 1), (32, 2),
          (32, 1)]


def features(net_multiplier, net_input, net_act, bn_mom):
    """Return the feature map, 7×7 (4×4 with `net_input` 0, whose stem halves)."""

    def conv(data, name, filters, **options):
        return mobile_conv(data, name, filters, bn_mom, net_act, fix_gamma=True, **options)

    stem = channels = width(32, net_multiplier)
    body = conv(scaled_image(), "conv_1", stem, kernel=3, stride=2 if net_input == 0 else 1)
    for number, (factor, stride) in enumerate(BLOCKS, 2):
        body = conv(body, f"conv_{number}_dw", channels, kernel=3, stride=stride, groups=channels)
        channels = stem * factor
        body = conv(body, f"conv_{number}", channels)
    return feature_map(body, channels, 4 if net_input == 0 else 7)
