"""Parameters and floating point operations of a graph, counted layer by layer."""
import json
from collections import namedtuple

import numpy as np

from .graph import known_shapes

Layer = namedtuple("Layer", "name op output parameters flops")
COUNTED = ("Convolution", "FullyConnected")


def operations(attrs, weight, output):
    """Return the floating point operations of a convolution or dense layer, a whole number.

    An element of the output sums n products: n multiplications, n − 1 additions, and one more for a bias. Of a
    convolution in groups, the original counts that for all channels and divides by the groups.

    Parameters
    ----------
    attrs : dict of str to str
        The layer's attributes in MXNet's graph.
    weight, output : tuple
        Shapes: (channels out, channels in of a group, kernel…) and the output's, its batch included.
    """
    groups = int(attrs.get("num_group", 1))
    biased = attrs.get("no_bias", "False") not in ("True", "1")
    products = groups * int(np.prod(weight[1:]))
    return (2 * products - (not biased)) * int(np.prod(output)) // groups


def count(symbol, shapes):
    """Count each layer's parameters and operations.

    Parameters
    ----------
    symbol : mxnet.symbol.Symbol
    shapes : dict of str to tuple
        Shapes of the inputs, such as {"data": (1, 3, 112, 112)}; every other argument is a parameter.

    Returns
    -------
    list of Layer
        One for each node that has parameters, in the order in which they run. `output` is its shape; `parameters`
        are those that no earlier layer has, without running statistics; `flops` are those of `operations` for a
        convolution or dense layer, 0 for others.

    Raises
    ------
    ValueError
        A layer's shapes do not follow from those of the inputs.
    """
    found = known_shapes(symbol, shapes)
    uncounted = set(symbol.list_arguments()) - set(shapes)
    nodes = json.loads(symbol.tojson())["nodes"]
    layers = []
    for node in nodes:
        names = [nodes[number]["name"] for number, *_ in node["inputs"] if nodes[number]["op"] == "null"]
        own = [name for name in names if name in uncounted]
        if not own and node["op"] not in COUNTED:
            continue
        uncounted.difference_update(own)
        output = found.get(f"{node['name']}_output") or found.get(f"{node['name']}_output0")
        if output is None or any(name not in found for name in own):
            raise ValueError(f"the shapes of layer {node['name']} do not follow from the inputs'")
        flops = 0
        if node["op"] in COUNTED:
            flops = operations(node["attrs"], found[nodes[node["inputs"][1][0]]["name"]], output)
        layers.append(Layer(node["name"], node["op"], output, sum(int(np.prod(found[name])) for name in own), flops))
    return layers
