"""A network and its parameters as they run fastest on a CPU: lowered, and what is constant computed once."""
from runtime import mx

from .graph import rewrite
from .lowering import lower


def precompute(symbol, arg_params):
    """Return a network with every node that depends on parameters alone replaced by its value.

    Parameters
    ----------
    symbol : mxnet.symbol.Symbol
    arg_params : dict
        {name: NDArray}; not changed. Arguments that are not in it, as `data`, are inputs.

    Returns
    -------
    symbol : mxnet.symbol.Symbol
        Outputs by name and order as before. What replaces a node has its name, with `_value` behind it.
    arg_params : dict
        Of what that symbol needs: those that were given and the values.
    """
    constant = set()  # names of nodes
    outputs = symbol.get_internals()
    names = set(outputs.list_outputs())

    def value(node, graph):
        inputs = [graph.node(entry) for entry in node["inputs"]]
        if node["op"] == "null" or not inputs or f"{node['name']}_output" not in names:
            return None
        if not all(source["name"] in constant or source["name"] in arg_params for source in inputs):
            return None
        name = f"{node['name']}_value"
        constant.add(name)
        return graph.add("null", name, [])

    rewritten = rewrite(symbol, [value])
    kept = [name for name in rewritten.list_arguments() if name in constant]
    params = {name: arg_params[name] for name in rewritten.list_arguments() if name in arg_params}
    if kept:
        group = mx.sym.Group([outputs[f"{name[:-len('_value')]}_output"] for name in kept])
        needed = {name: arg_params[name].as_in_context(mx.cpu()) for name in group.list_arguments()}
        params.update(zip(kept, group.bind(mx.cpu(), needed).forward()))
    return rewritten, params


def for_inference(symbol, arg_params, shapes=None):
    """Return the lowered network and the parameters that it takes.

    `symbol` and `arg_params` as for `precompute`, `shapes` as for `symbols.lowering.lower`; auxiliary states are those
    of the network as it was.
    """
    return precompute(lower(symbol, training=False, shapes=shapes), arg_params)
