"""A graph's form for the processor that it runs on. What is saved for others is the plain form.

On a CPU, `LeakyReLU(act_type="prelu")` runs element by element, and its backward takes most of a small network's
training step. The same function as two depthwise 1×1 convolutions goes to the convolution library instead.

It also has the right gradient for the slopes, which MXNet 1.9.1's operator has not wherever the memory of its two
gradients is shared: there the one by the input overwrites what the one by the slopes is still computed from.
"""
from .graph import rewrite

FACES = {"data": (1, 3, 112, 112)}


def lower_prelu(node, graph):
    """Rule: PReLU of (B,C,H,W), with a slope g a channel or one for all, becomes g·x + (1−g)·relu(x)."""
    if node["op"] != "LeakyReLU" or node.get("attrs", {}).get("act_type") != "prelu":
        return None
    data, slope = node["inputs"]
    shape, slope_shape = graph.shape(data), graph.shape(slope)
    if len(shape) != 4 or shape[1] < 1 or slope_shape not in ((1,), (shape[1],)):
        return None
    channels = str(shape[1])
    inherited = {key: value for key, value in node["attrs"].items() if key.startswith("__")}  # a device group's name

    def add(op, suffix, inputs, **attrs):
        return graph.add(op, node["name"] + suffix, inputs, {**inherited, **attrs})

    def scaled(entry, weight, suffix):
        return add("Convolution", suffix, [entry, weight], kernel="(1, 1)", num_filter=channels, num_group=channels,
                   no_bias="True")

    variable = graph.node(slope)
    if variable["op"] == "null":  # the weight's shape does not lead back to the slope's
        variable["attrs"] = {**variable.get("attrs", {}), "__shape__": str(slope_shape)}
    weight = add("Reshape", "_slope", [slope], shape=f"({slope_shape[0]}, 1, 1, 1)")
    if slope_shape != (shape[1],):
        weight = add("broadcast_to", "_slopes", [weight], shape=f"({channels}, 1, 1, 1)")
    rest = add("_rminus_scalar", "_rest", [weight], scalar="1")
    positive = add("Activation", "_positive", [data], act_type="relu")
    return add("elemwise_add", "", [scaled(data, weight, "_linear"), scaled(positive, rest, "_rectified")])


def remove_dropout(node, graph):
    """Rule for inference: Dropout that only acts in training is its input."""
    if node["op"] == "Dropout" and node.get("attrs", {}).get("mode", "training") == "training":
        return node["inputs"][0]
    return None


def lower(symbol, training, shapes=None):
    """Return a graph that computes the same and runs faster on a CPU.

    Parameters
    ----------
    symbol : mxnet.symbol.Symbol
        Any graph: one built here, one loaded from a file, one with losses behind the embedding.
    training : bool
        Whether it will be trained. If not, what acts in training alone is left out as well.
    shapes : dict, optional
        Shapes of inputs, {name: tuple}; `data` (1, 3, 112, 112) unless given. The number of images makes no
        difference. Nodes whose shapes do not follow from these stay as they are.

    Returns
    -------
    mxnet.symbol.Symbol
        The same arguments, auxiliary states and outputs, by name and order. Arguments whose shapes could not be
        inferred any more have them stated.
    """
    rules = [lower_prelu] if training else [remove_dropout, lower_prelu]
    return rewrite(symbol, rules, FACES if shapes is None else shapes)
