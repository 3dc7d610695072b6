"""MobileFaceNet (Chen et al. 2018): inverted residuals after a stem that halves, 512 channels of 7×7 at last.

Names read `res_4_block2_conv_dw_conv2d_weight`. `net_blocks` counts the residual blocks of the four stages.
"""
from .blocks import feature_map, mobile_conv, scaled_image


def features(net_blocks, net_act, bn_mom):
    """Return the feature map, 512 channels of 7×7."""

    def conv(data, name, filters, **options):
        return mobile_conv(data, name, filters, bn_mom, net_act, **options)

    def bottleneck(data, name, expanded, filters, stride):
        body = conv(data, f"{name}_conv_sep", expanded)
        body = conv(body, f"{name}_conv_dw", expanded, kernel=3, stride=stride, groups=expanded)
        return mobile_conv(body, f"{name}_conv_proj", filters, bn_mom)

    def residuals(data, name, count, expanded, filters):
        for number in range(count):
            data = bottleneck(data, f"{name}_block{number}", expanded, filters, stride=1) + data
        return data

    body = conv(scaled_image(), "conv_1", 64, kernel=3, stride=2)
    if net_blocks[0] == 1:
        body = conv(body, "conv_2_dw", 64, kernel=3, groups=64)
    else:
        body = residuals(body, "res_2", net_blocks[0], 64, 64)
    body = bottleneck(body, "dconv_23", 128, 64, stride=2)
    body = residuals(body, "res_3", net_blocks[1], 128, 64)
    body = bottleneck(body, "dconv_34", 256, 128, stride=2)
    body = residuals(body, "res_4", net_blocks[2], 256, 128)
    body = bottleneck(body, "dconv_45", 512, 128, stride=2)
    body = residuals(body, "res_5", net_blocks[3], 256, 128)
    return feature_map(conv(body, "conv_6sep", 512), 512, 7)
