"""DenseNet-BC (Huang et al. 2017), made of Gluon blocks: each layer's result joins all earlier ones, 7×7 at last.

Names read `densenet0_stage2_conv11_weight`. Its PReLUs have one slope each (`alpha`).
"""
from runtime import mx

from .blocks import feature_map, gluon_activation, scaled_image

nn = mx.gluon.nn

# Channels of the stem, growth a layer, layers of the four stages.
DEPTHS = {121: (64, 32, (6, 12, 24, 16)), 161: (96, 48, (6, 12, 36, 24)), 169: (64, 32, (6, 12, 32, 32)),
          201: (64, 32, (6, 12, 48, 32))}
BOTTLENECK = 4  # width of a layer's 1×1 convolution, in units of its growth
# Gluon numbers networks in the order in which a process makes them; the published numbering had this one second.
NUMBERS = {201: 1}


class DenseLayer(nn.HybridSequential):
    """BN-act-conv 1×1-BN-act-conv 3×3, whose result is appended to its input's channels."""

    def hybrid_forward(self, F, x):
        return F.concat(x, super().hybrid_forward(F, x), dim=1)


def features(num_layers, net_act, densenet_dropout, bn_mom):
    """Return the feature map, 7×7."""
    if num_layers not in DEPTHS:
        raise ValueError(f"num_layers={num_layers} is no depth of fdensenet: one of {', '.join(map(str, DEPTHS))}")
    channels, growth, stages = DEPTHS[num_layers]

    def conv(filters, kernel):
        return nn.Conv2D(filters, kernel, padding=kernel // 2, use_bias=False)

    def norm_act():
        return nn.BatchNorm(momentum=bn_mom), gluon_activation(net_act)

    def layer():
        block = DenseLayer(prefix="")  # its parts are numbered through the stage
        block.add(*norm_act(), conv(BOTTLENECK * growth, 1), *norm_act(), conv(growth, 3))
        if densenet_dropout:
            block.add(nn.Dropout(densenet_dropout))
        return block

    net = nn.HybridSequential(prefix=f"densenet{NUMBERS.get(num_layers, 0)}_")
    with net.name_scope():
        net.add(conv(channels, 3), nn.BatchNorm(momentum=bn_mom), nn.Activation("relu"), nn.MaxPool2D(3, 2, 1))
        for number, layers in enumerate(stages, 1):
            if number > 1:  # a transition halves channels and size
                channels //= 2
                net.add(*norm_act(), conv(channels, 1), nn.AvgPool2D(2, 2))
            stage = nn.HybridSequential(prefix=f"stage{number}_")
            with stage.name_scope():
                stage.add(*(layer() for _ in range(layers)))
            net.add(stage)
            channels += layers * growth
        net.add(nn.BatchNorm(momentum=bn_mom), nn.Activation("relu"))
    return feature_map(net(scaled_image()), channels, 7)
