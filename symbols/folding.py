"""Batch normalisation folded into the convolution or dense layer before it, for inference."""
import numpy as np

from runtime import mx

from .graph import rewrite
from .lowering import remove_dropout


def _flag(node, name, default):
    return node.get("attrs", {}).get(name, default).lower() in ("true", "1")


def _foldable(norm, layer, graph):
    """Whether `norm` acts on the channels of `layer`, and neither it nor its weights are used elsewhere."""
    number = norm["inputs"][0][0]
    attrs = layer.get("attrs", {})
    if layer["op"] == "Convolution":
        channels_first = attrs.get("layout", "None") in ("None", "NCW", "NCHW", "NCDHW")
    else:
        channels_first = layer["op"] == "FullyConnected" and _flag(layer, "flatten", "True")
    return (channels_first and norm.get("attrs", {}).get("axis", "1") == "1"
            and not _flag(norm, "output_mean_var", "False")
            and all(graph.uses[i] == 1 for i in [number, *(entry[0] for entry in layer["inputs"][1:])]))


def fold_batch_norm(symbol, arg_params, aux_params):
    """Return the network for inference, without the batch normalisations that the layers before them can absorb.

    Those whose input is a convolution or dense layer's alone are folded, which is exact up to rounding. Others, as
    those before a padded convolution, stay: there the border would change. Dropout falls away.

    Parameters
    ----------
    symbol : mxnet.symbol.Symbol
    arg_params, aux_params : dict
        {name: NDArray} as `mx.model.load_checkpoint` returns them; not changed.

    Returns
    -------
    symbol : mxnet.symbol.Symbol
        With the outputs' names as before. A folded layer has the name of its normalisation, the weight's name as
        before, and a bias named after the weight.
    arg_params, aux_params : dict
        What that symbol needs, without what fell away.
    """
    args, names = dict(arg_params), set(symbol.list_inputs())

    def fold(norm, graph):
        if norm["op"] != "BatchNorm":
            return None
        layer = graph.node(norm["inputs"][0])
        weight, *bias = [graph.node(entry)["name"] for entry in layer["inputs"][1:]] or [None]
        gamma, beta, mean, variance = (graph.node(entry)["name"] for entry in norm["inputs"][1:])
        scale_fixed = _flag(norm, "fix_gamma", "True")
        needed = [weight, *bias, beta] + ([] if scale_fixed else [gamma])
        if not (_foldable(norm, layer, graph) and all(name in args for name in needed)
                and mean in aux_params and variance in aux_params):
            return None

        def values(table, name):
            return table[name].asnumpy().astype(np.float64)

        eps = float(norm.get("attrs", {}).get("eps", 1e-3))
        scale = (1 if scale_fixed else values(args, gamma)) / np.sqrt(values(aux_params, variance) + eps)
        shift = values(args, beta) + scale * ((values(args, bias[0]) if bias else 0) - values(aux_params, mean))
        old, context, dtype = values(args, weight), args[weight].context, args[weight].dtype
        args[weight] = mx.nd.array(old * scale.reshape(-1, *[1] * (old.ndim - 1)), context, dtype)
        if bias:
            entry = layer["inputs"][2]
        else:
            bias = [f"{weight[:-len('_weight')] if weight.endswith('_weight') else weight}_bias"]
            while bias[0] in names:
                bias[0] += "_folded"
            names.add(bias[0])
            entry = graph.add("null", bias[0], [])
            graph.uses[entry[0]] = 1
        args[bias[0]] = mx.nd.array(shift, context, dtype)
        return graph.add(layer["op"], norm["name"], [*layer["inputs"][:2], entry],
                         {**layer["attrs"], "no_bias": "False"})

    folded = rewrite(symbol, [remove_dropout, fold])
    return (folded, {name: args[name] for name in folded.list_arguments() if name in args},
            {name: aux_params[name] for name in folded.list_auxiliary_states() if name in aux_params})
