"""ResNet for faces (He et al. 2016; the paper's Sec. 3.1): a stem at full size, four stages that halve it, 7×7 at last.

Names read `stage2_unit3_conv1_weight`. `net_unit` 3 is the improved residual unit of the paper's experiments.
"""
from .blocks import activation, batch_norm, convolution, feature_map, scaled_image, squeeze_excitation

# Units in each of the four stages; no depth of this family uses bottlenecks.
UNITS = {
    18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 49: (3, 4, 14, 3), 50: (3, 4, 14, 3), 74: (3, 6, 24, 3), 90: (3, 8, 30, 3),
    98: (3, 4, 38, 3), 99: (3, 8, 35, 3), 100: (3, 13, 30, 3), 101: (3, 4, 23, 3), 124: (3, 13, 40, 5),
    134: (3, 10, 50, 3), 136: (3, 13, 48, 3), 140: (3, 15, 48, 3), 152: (3, 8, 36, 3), 160: (3, 24, 49, 3),
    200: (3, 24, 36, 3), 269: (3, 30, 48, 8),
}
FILTERS = (64, 128, 256, 512)
EPS = 2e-5


def features(num_layers, net_unit, net_input, net_act, net_se, bn_mom, workspace):
    """Return the feature map, 512 channels of 7×7 (4×4 with `net_input` 0)."""
    if num_layers not in UNITS:
        raise ValueError(f"num_layers={num_layers} is no depth of fresnet: one of {', '.join(map(str, UNITS))}")

    def conv(data, name, filters, kernel, stride=1):
        return convolution(data, name, filters, kernel, stride, pad=kernel // 2, workspace=workspace)

    def norm(data, name):
        return batch_norm(data, name, bn_mom, eps=EPS)

    def act(data, name):
        return activation(data, name, net_act)

    def gate(data, name, filters):
        if not net_se:
            return data
        return squeeze_excitation(data, name, filters, net_act, reduction=16, act_name="relu1", workspace=workspace)

    def shortcut(data, name, filters, stride):
        if stride == 1:
            return data
        return norm(conv(data, f"{name}_conv1sc", filters, 1, stride), f"{name}_sc")

    def unit_1(data, name, filters, stride):
        """Conv-BN-act-conv-BN, added, act: the original residual unit. It halves in its second convolution, so that
        the first still sees the full map; after a stem that has halved already (`net_input` 0), in its first.
        """
        first, second = (stride, 1) if net_input == 0 else (1, stride)
        body = act(norm(conv(data, f"{name}_conv1", filters, 3, first), f"{name}_bn1"), f"{name}_relu1")
        body = norm(conv(body, f"{name}_conv2", filters, 3, second), f"{name}_bn2")
        return act(gate(body, name, filters) + shortcut(data, name, filters, stride), f"{name}_relu3")

    def unit_2(data, name, filters, stride):
        """BN-act-conv-BN-act-conv, added: pre-activation, whose shortcut starts after the first activation."""
        start = act(norm(data, f"{name}_bn1"), f"{name}_relu1")
        body = conv(start, f"{name}_conv1", filters, 3, stride)
        body = conv(act(norm(body, f"{name}_bn2"), f"{name}_relu2"), f"{name}_conv2", filters, 3)
        return gate(body, name, filters) + (data if stride == 1 else conv(start, f"{name}_sc", filters, 1, stride))

    def unit_3(data, name, filters, stride):
        """BN-conv-BN-act-conv-BN, added: the paper's improved unit (Sec. 3.1)."""
        body = conv(norm(data, f"{name}_bn1"), f"{name}_conv1", filters, 3)
        body = conv(act(norm(body, f"{name}_bn2"), f"{name}_relu1"), f"{name}_conv2", filters, 3, stride)
        return gate(norm(body, f"{name}_bn3"), name, filters) + shortcut(data, name, filters, stride)

    unit = {1: unit_1, 2: unit_2, 3: unit_3}[net_unit]
    kernel, stride, size = (7, 2, 4) if net_input == 0 else (3, 1, 7)
    body = act(norm(conv(scaled_image(copied=True), "conv0", FILTERS[0], kernel, stride), "bn0"), "relu0")
    for stage, (units, filters) in enumerate(zip(UNITS[num_layers], FILTERS), 1):
        for number in range(1, units + 1):
            body = unit(body, f"stage{stage}_unit{number}", filters, stride=2 if number == 1 else 1)
    return feature_map(body, FILTERS[-1], size)
