"""A graph's form for the processor that it runs on. What is saved for others is the plain form.

On a CPU, `LeakyReLU(act_type="prelu")` runs element by element, and its backward takes most of a small network's
training step. The same function as two depthwise 1×1 convolutions goes to the convolution library instead.

It also has the right gradient for the slopes, which MXNet 1.9.1's operator has not wherever the memory of its two
gradients is shared: there the one by the input overwrites what the one by the slopes is still computed from.
"""
from math import prod

from .graph import rewrite

FACES = {"data": (1, 3, 112, 112)}


def _prelu_nodes(node, graph, slope, shape):
    """Return what both forms of PReLU are made of: a function that adds a node, one that adds the depthwise 1×1
    convolution of an entry with a weight, and the weight of slopes, (C, 1, 1, 1).
    """
    channels, slope_shape = str(shape[1]), graph.shape(slope)
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
    return add, scaled, weight


def lower_prelu(node, graph):
    """Rule: PReLU of (B,C,H,W), with a slope g a channel or one for all, becomes g·x + (1−g)·relu(x)."""
    if node["op"] != "LeakyReLU" or node.get("attrs", {}).get("act_type") != "prelu":
        return None
    data, slope = node["inputs"]
    shape, slope_shape = graph.shape(data), graph.shape(slope)
    if len(shape) != 4 or shape[1] < 1 or slope_shape not in ((1,), (shape[1],)):
        return None
    add, scaled, weight = _prelu_nodes(node, graph, slope, shape)
    rest = add("_rminus_scalar", "_rest", [weight], scalar="1")
    positive = add("Activation", "_positive", [data], act_type="relu")
    return add("elemwise_add", "", [scaled(data, weight, "_linear"), scaled(positive, rest, "_rectified")])


def lower_normalised_prelu(node, graph):
    """Rule for training: PReLU of a batch normalisation z, on its way to convolutions, is made with its sign turned.

    The normalisation gives −z where its scale and shift are negated, and −y = −z + (g−1)·relu(−z) takes one depthwise
    convolution where g·z + (1−g)·relu(z) takes two. The convolutions then take −y with their weights negated, which
    pays while these are smaller than the maps.
    """
    if node["op"] != "LeakyReLU" or node.get("attrs", {}).get("act_type") != "prelu":
        return None
    data, slope = node["inputs"]
    norm, shape = graph.node(data), graph.shape(data)
    settings = norm.get("attrs", {})
    if (norm["op"] != "BatchNorm" or graph.uses.get(data[0]) != 1 or settings.get("axis", "1") != "1"
            or settings.get("fix_gamma", "True") not in ("False", "0") or len(shape) != 4 or shape[1] < 1
            or graph.shape(slope) != (shape[1],)):
        return None
    if not all(op == "Convolution" and place == 0 and weight and 2 * prod(weight) < prod(shape)
               for op, place, weight in graph.consumers):
        return None
    add, scaled, weight = _prelu_nodes(node, graph, slope, shape)
    values, *factors = norm["inputs"]
    turned = [add("negative", suffix, [entry]) for suffix, entry in zip(("_scale", "_shift"), factors)]
    minus_z = graph.add("BatchNorm", f"{norm['name']}_minus", [values, *turned, *factors[2:]], settings)
    positive = add("Activation", "_positive", [minus_z], act_type="relu")
    rest = add("_minus_scalar", "_rest", [weight], scalar="1")
    minus_y = add("elemwise_add", "_minus", [minus_z, scaled(positive, rest, "_rectified")])
    return add("negative", "", [minus_y])


def lower_convolution_of_negative(node, graph):
    """Rule: a convolution of −x with weight w is that of x with weight −w."""
    if node["op"] != "Convolution" or graph.node(node["inputs"][0])["op"] != "negative":
        return None
    data, weight, *bias = node["inputs"]
    turned = graph.add("negative", f"{node['name']}_turned", [weight])
    return graph.add("Convolution", node["name"], [graph.node(data)["inputs"][0], turned, *bias], node["attrs"])


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
    rules = ([lower_normalised_prelu, lower_convolution_of_negative, lower_prelu] if training
             else [remove_dropout, lower_prelu])
    return rewrite(symbol, rules, FACES if shapes is None else shapes)
