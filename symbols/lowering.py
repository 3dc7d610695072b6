"""A graph's form for the processor that it runs on. What is saved for others is the plain form.

Rules for `symbols.graph.rewrite`, and `lower`, which applies those that fit the purpose. On a CPU,
`LeakyReLU(act_type="prelu")` runs element by element, and its backward takes most of a small network's training step.
The same function as two depthwise 1×1 convolutions goes to the convolution library instead.

It also has the right gradient for the slopes, which MXNet 1.9.1's operator has not wherever the memory of its two
gradients is shared: there the one by the input overwrites what the one by the slopes is still computed from.
"""
from functools import partial
from math import prod

from .graph import rewrite

FACES = {"data": (1, 3, 112, 112)}


class _Prelu:
    """What the forms of a PReLU of (B,C,H,W), with a slope a channel or one for all, are made of."""

    def __init__(self, node, graph):
        self.node, self.graph, (self.data, self.slope) = node, graph, node["inputs"]
        self.shape, self.slope_shape = graph.shape(self.data), graph.shape(self.slope)
        self.inherited = {key: value for key, value in node["attrs"].items() if key.startswith("__")}  # a device group

    @classmethod
    def of(cls, node, graph):
        """Return those of a node, or None where it is something else or its shape does not follow."""
        if node["op"] != "LeakyReLU" or node.get("attrs", {}).get("act_type") != "prelu":
            return None
        prelu = cls(node, graph)
        known = len(prelu.shape) == 4 and prelu.shape[1] > 0 and prelu.slope_shape in ((1,), (prelu.shape[1],))
        return prelu if known else None

    def add(self, op, suffix, inputs, **attrs):
        """Add a node named after the PReLU."""
        return self.graph.add(op, self.node["name"] + suffix, inputs, {**self.inherited, **attrs})

    def weight(self):
        """Add the slopes as the weight of a depthwise 1×1 convolution, (C, 1, 1, 1)."""
        variable = self.graph.node(self.slope)
        if variable["op"] == "null":  # the weight's shape does not lead back to the slope's
            variable["attrs"] = {**variable.get("attrs", {}), "__shape__": str(self.slope_shape)}
        weight = self.add("Reshape", "_slope", [self.slope], shape=f"({self.slope_shape[0]}, 1, 1, 1)")
        if self.slope_shape != (self.shape[1],):
            weight = self.add("broadcast_to", "_slopes", [weight], shape=f"({self.shape[1]}, 1, 1, 1)")
        return weight

    def scaled(self, entry, weight, suffix):
        """Add the depthwise 1×1 convolution of an entry with a weight."""
        channels = str(self.shape[1])
        return self.add("Convolution", suffix, [entry, weight], kernel="(1, 1)", num_filter=channels,
                        num_group=channels, no_bias="True")

    def positive(self, entry, weight, training):
        """Add the positive part of an entry.

        For inference MXNet fuses relu into the convolution before it, and 1.9.1 does so even where that has other
        uses, which then all get relu's output. So relu follows a depthwise convolution of its own, with ones.
        """
        if not training:
            entry = self.scaled(entry, self.add("ones_like", "_ones", [weight]), "_same")
        return self.add("Activation", "_positive", [entry], act_type="relu")


def lower_prelu(node, graph, training):
    """Rule: PReLU with slope g becomes g·x + (1−g)·relu(x)."""
    prelu = _Prelu.of(node, graph)
    if prelu is None:
        return None
    weight = prelu.weight()
    rest = prelu.add("_rminus_scalar", "_rest", [weight], scalar="1")
    positive = prelu.positive(prelu.data, weight, training)
    return prelu.add("elemwise_add", "", [prelu.scaled(prelu.data, weight, "_linear"),
                                          prelu.scaled(positive, rest, "_rectified")])


def lower_normalised_prelu(node, graph, training):
    """Rule: PReLU of a batch normalisation z, on its way to convolutions, is made with its sign turned.

    The normalisation gives −z where its scale and shift are negated, and −y = −z + (g−1)·relu(−z) takes one depthwise
    convolution where g·z + (1−g)·relu(z) takes two. The convolutions then take −y with their weights negated, which
    pays in training while these are smaller than the maps; for inference it is done once (`symbols.inference`).
    """
    prelu = _Prelu.of(node, graph)
    if prelu is None:
        return None
    norm = graph.node(prelu.data)
    settings = norm.get("attrs", {})
    if (norm["op"] != "BatchNorm" or graph.uses.get(prelu.data[0]) != 1 or settings.get("axis", "1") != "1"
            or settings.get("fix_gamma", "True") not in ("False", "0")
            or (training and prelu.slope_shape != (prelu.shape[1],))):
        return None
    if not all(op == "Convolution" and place == 0 and weight
               and not (training and 2 * prod(weight) >= prod(prelu.shape))
               for op, place, weight in graph.consumers):
        return None
    weight = prelu.weight()
    values, *factors = norm["inputs"]
    turned = [prelu.add("negative", suffix, [entry]) for suffix, entry in zip(("_scale", "_shift"), factors)]
    minus_z = graph.add("BatchNorm", f"{norm['name']}_minus", [values, *turned, *factors[2:]], settings)
    rest = prelu.add("_minus_scalar", "_rest", [weight], scalar="1")
    rectified = prelu.scaled(prelu.positive(minus_z, weight, training), rest, "_rectified")
    return prelu.add("negative", "", [prelu.add("elemwise_add", "_minus", [minus_z, rectified])])


def lower_convolution_of_negative(node, graph):
    """Rule: a convolution of −x with weight w is that of x with weight −w."""
    if node["op"] != "Convolution" or graph.node(node["inputs"][0])["op"] != "negative":
        return None
    data, weight, *bias = node["inputs"]
    turned = graph.add("negative", f"{node['name']}_turned", [weight])
    return graph.add("Convolution", node["name"], [graph.node(data)["inputs"][0], turned, *bias], node["attrs"])


def lower_margin(node, graph):
    """Rule for training: logits + one_hot(label)·δ, for δ of (B,), becomes logits with the targets' values replaced.

    The product's backward, a sum over all classes for each sample, takes more time than all else about a margin.
    """
    if node["op"] not in ("elemwise_add", "_plus"):
        return None
    logits, product = node["inputs"]
    if graph.node(product)["op"] != "broadcast_mul":
        return None
    one_hot, column = (graph.node(entry) for entry in graph.node(product)["inputs"])
    attrs = one_hot.get("attrs", {})
    if (one_hot["op"] != "one_hot" or column["op"] != "expand_dims" or column["attrs"].get("axis") != "1"
            or float(attrs.get("on_value", 1)) != 1 or float(attrs.get("off_value", 0)) != 0
            or len(graph.shape(column["inputs"][0])) != 1):
        return None
    label, delta, classes = one_hot["inputs"][0], column["inputs"][0], int(attrs["depth"])

    def add(op, suffix, inputs, **attrs):
        return graph.add(op, node["name"] + suffix, inputs, attrs)

    # A label that is no class has a row of zeros in one_hot: the class next to it is written as it was.
    known = add("clip", "_known", [label], a_min="0", a_max=str(classes - 1))
    added = add("elemwise_mul", "_added", [delta, add("_equal", "_inside", [label, known])])
    target = add("elemwise_add", "_target", [add("pick", "_picked", [logits, known], axis="1"), added])
    row = add("Cast", "_row", [add("_contrib_arange_like", "_rows", [label])], dtype="int64")
    place = add("elemwise_add", "_place", [add("_mul_scalar", "_begin", [row], scalar=str(classes)),
                                           add("Cast", "_column", [known], dtype="int64")])
    written = add("_contrib_index_copy", "_written", [
        add("Reshape", "_flat", [logits], shape="(-1, 1)"), place, add("expand_dims", "_values", [target], axis="1")])
    return graph.add("reshape_like", node["name"], [written, logits])


def flatten_before_dense(node, graph):
    """Rule for inference: a dense layer over maps gets them flattened by a node of its own.

    On processors with AVX-512, convolutions store the channels of their maps in blocks. MXNet 1.9.1's dense layer takes
    such maps of 1×1 in its first run, and fails in its second ("can't generate TBlob for MKLDNN data").
    """
    if node["op"] != "FullyConnected" or node.get("attrs", {}).get("flatten", "True") not in ("True", "1"):
        return None
    data, *params = node["inputs"]
    if len(graph.shape(data)) < 3:
        return None
    return graph.add("FullyConnected", node["name"],
                     [graph.add("Flatten", f"{node['name']}_flat", [data]), *params], node["attrs"])


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
    rules = [partial(lower_normalised_prelu, training=training), lower_convolution_of_negative,
             partial(lower_prelu, training=training), *([lower_margin] if training else
                                                        [flatten_before_dense, remove_dropout])]
    return rewrite(symbol, rules, FACES if shapes is None else shapes)
