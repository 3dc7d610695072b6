"""MnasNet (Tan et al. 2019), made of Gluon blocks: inverted residuals found by search, 1024 channels of 7×7 at last.

Names read `mnasnet0_stage4_1_expandedconv2_dwise_conv0_weight`. Its PReLUs have one slope each (`alpha`).
"""
from runtime import mx

from .blocks import feature_map, gluon_activation, scaled_image, width

nn = mx.gluon.nn

# Name, expansion, channels, blocks, first block's stride and kernel; the kernel of the others is 3.
STAGES = [("stage2_", 3, 24, 3, 2, 3), ("stage3_", 3, 40, 3, 2, 5), ("stage4_1_", 6, 80, 3, 2, 5),
          ("stage4_2_", 6, 96, 2, 1, 3), ("stage5_1_", 6, 192, 4, 2, 5), ("stage5_2_", 6, 320, 1, 1, 3)]
# Gluon numbers networks in the order in which a process makes them; the published numbering had these second and third.
NUMBERS = {0.5: 1, 0.25: 2}


class Conv(nn.HybridSequential):
    """Convolution, normalisation and, with an `act_type`, activation."""

    def __init__(self, filters, kernel, bn_mom, act_type=None, stride=1, groups=1, prefix=None):
        super().__init__(prefix=prefix)
        with self.name_scope():
            self.add(nn.Conv2D(filters, kernel, stride, kernel // 2, groups=groups, use_bias=False),
                     nn.BatchNorm(momentum=bn_mom))
            if act_type:
                self.add(gluon_activation(act_type))


class SeparableConv(nn.HybridSequential):
    """Depthwise 3×3, then pointwise, each normalised and activated."""

    def __init__(self, channels, filters, bn_mom, act_type, prefix):
        super().__init__(prefix=prefix)
        with self.name_scope():
            for conv in (nn.Conv2D(channels, 3, 1, 1, groups=channels, use_bias=False, in_channels=channels),
                         nn.Conv2D(filters, 1, use_bias=False, in_channels=channels)):
                self.add(conv, nn.BatchNorm(momentum=bn_mom), gluon_activation(act_type))


class ExpandedConv(nn.HybridBlock):
    """Inverted residual: expand, depthwise, project; the input is added where the block keeps its shape."""

    def __init__(self, channels, expansion, filters, bn_mom, act_type, stride, kernel, residual):
        super().__init__()
        wide = channels * expansion
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            self.body.add(Conv(wide, 1, bn_mom, act_type, prefix="expand_"),
                          Conv(wide, kernel, bn_mom, act_type, stride, groups=wide, prefix="dwise_"),
                          Conv(filters, 1, bn_mom, prefix="linear_"))
        self.residual = residual

    def hybrid_forward(self, F, x):
        out = self.body(x)
        return F.elemwise_add(out, x) if self.residual else out


def features(net_multiplier, net_act, bn_mom):
    """Return the feature map, 7×7."""
    net = nn.HybridSequential(prefix=f"mnasnet{NUMBERS.get(net_multiplier, 0)}_")
    with net.name_scope():
        channels, filters = width(32, net_multiplier), width(16, net_multiplier)
        net.add(Conv(channels, 3, bn_mom, net_act, prefix="stage1_conv0_"),
                SeparableConv(channels, filters, bn_mom, net_act, prefix="stage1_sepconv0_"))
        for name, expansion, base, blocks, stride, kernel in STAGES:
            stage = nn.HybridSequential(prefix=name)
            with stage.name_scope():
                for block in range(blocks):
                    channels, filters = filters, width(base, net_multiplier)
                    first = block == 0
                    stage.add(ExpandedConv(channels, expansion, filters, bn_mom, net_act, stride if first else 1,
                                           kernel if first else 3, residual=not first))
            net.add(stage)
        last = width(1024, net_multiplier)
        net.add(Conv(last, 1, bn_mom, net_act, prefix="stage5_3_"))
    return feature_map(net(scaled_image()), last, 7, groups=last)
