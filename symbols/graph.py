"""Rewriting a symbol's graph node by node, through its JSON.

`rewrite` walks the nodes in the order in which they run and offers each to the rules. A rule is a function
`rule(node, graph)` that adds nodes to the new graph and returns the entry that stands for `node`, or None to leave it.
"""
import json
from collections import Counter

from runtime import mx


def known_shapes(symbol, shapes):
    """Return {output name: shape} of everything inside `symbol` that follows from `shapes`, {input name: shape}.

    A shape that an input states itself wins. Sizes that do not follow are 0; an output of which nothing follows, or
    whose name another has too, is left out.
    """
    stated = symbol.attr_dict()
    given = {name: shapes[name] for name in symbol.list_inputs()
             if name in shapes and "__shape__" not in stated.get(name, {})}
    internals = symbol.get_internals()
    try:
        _, found, _ = internals.infer_shape_partial(**given)
    except mx.base.MXNetError:  # the shapes contradict the graph, so they say nothing of it
        return {}
    names = internals.list_outputs()
    count = Counter(names)
    return {name: shape for name, shape in zip(names, found or ()) if shape and count[name] == 1}


class Graph:
    """The new graph while it is built: nodes as in MXNet's JSON; an entry is [node's number, output, version].

    Attributes
    ----------
    nodes : list of dict
    uses : dict
        How often the outputs of the node with this number are used, outputs of the whole graph included.
    consumers : list of (str, int, tuple)
        Of the node that a rule is asked about: the operators that take its outputs, at which place among their inputs,
        and the shape of their weight, () where that is not known. An output of the whole graph is ("output", 0, ()).
    """

    def __init__(self, shapes):
        self.nodes = []
        self.uses = {}
        self.consumers = []
        self.known = shapes

    def add(self, op, name, inputs, attrs=None):
        """Append a node and return the entry of its first output."""
        self.nodes.append({"op": op, "name": name, "attrs": dict(attrs or {}), "inputs": inputs})
        return [len(self.nodes) - 1, 0, 0]

    def node(self, entry):
        """Return the node that makes `entry`."""
        return self.nodes[entry[0]]

    def shape(self, entry):
        """Return the shape of `entry` as it was in the old graph, () where nothing is known of it."""
        node, output = self.nodes[entry[0]], entry[1]
        if node["op"] == "null":
            return self.known.get(node["name"], ())
        name = f"{node['name']}_output"
        return self.known.get(f"{name}{output}") or (self.known.get(name, ()) if output == 0 else ())


def rewrite(symbol, rules, shapes=None):
    """Return `symbol` with each node replaced by what the first rule that takes it makes of it.

    Parameters
    ----------
    symbol : mxnet.symbol.Symbol
        Any graph, with any number of outputs.
    rules : sequence of callable
        `rule(node, graph)`; the node's inputs are entries of the new `Graph` already. The entry that it returns has
        the value of the node's first output, the only one that is used of the nodes that rules replace.
    shapes : dict, optional
        Shapes of inputs, from which `Graph.shape` answers.

    Returns
    -------
    mxnet.symbol.Symbol
        Outputs keep their order and names. Nodes that nothing uses any more are gone.
    """
    old = json.loads(symbol.tojson())
    uses = Counter(number for node in old["nodes"] for number, _, _ in node["inputs"])
    outputs = Counter(number for number, _, _ in old["heads"])
    graph = Graph(known_shapes(symbol, shapes or {}))
    entries = []  # of each old node's first output

    def moved(entry):
        number, output, version = entry
        return [entries[number][0], entries[number][1] + output, version]

    consumers = [[("output", 0, ())] * outputs[number] for number in range(len(old["nodes"]))]
    for node in old["nodes"]:
        weight = old["nodes"][node["inputs"][1][0]]["name"] if len(node["inputs"]) > 1 else None
        for place, (number, _, _) in enumerate(node["inputs"]):
            consumers[number].append((node["op"], place, graph.known.get(weight, ())))

    for number, node in enumerate(old["nodes"]):
        node = {**node, "inputs": [moved(entry) for entry in node["inputs"]]}
        graph.consumers = consumers[number]
        entry = next(filter(None, (rule(node, graph) for rule in rules)), None)
        if entry is None:
            graph.nodes.append(node)
            entry = [len(graph.nodes) - 1, 0, 0]
        elif number in outputs and graph.node(entry)["name"] != node["name"]:
            entry = graph.add("_copy", node["name"], [entry])
        # An entry that was there before also keeps the uses it had, but for that by the node which is gone.
        graph.uses[entry[0]] = graph.uses.get(entry[0], 1) - 1 + uses[number] + outputs[number]
        entries.append(entry)
    return _loaded(graph.nodes, [moved(entry) for entry in old["heads"]], old.get("attrs", {}))


def _loaded(nodes, heads, attrs):
    arguments = [number for number, node in enumerate(nodes) if node["op"] == "null"]
    return mx.sym.load_json(json.dumps({"nodes": nodes, "arg_nodes": arguments, "heads": heads, "attrs": attrs,
                                        "node_row_ptr": list(range(len(nodes) + 1))}))
