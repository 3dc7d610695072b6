"""Count an embedding network's parameters, floating point operations and bytes on disk.

    python tools/flops.py --network r100
    python tools/flops.py --model models/y1-arcface-orl/model,1 --layers
    python tools/flops.py --network y1 --json y1.json

Operations are those of the convolutions and dense layers for one face of 112×112, two for a multiply-add, as the
original counts them: halve the figure to compare with papers that count multiply-adds.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import argparse
import json

from eval.networks import checkpoints
from eval.networks.checkpoint_files import saved_size
from eval.networks.flags import one_checkpoint
from recognition.config.build import build
from recognition.config.networks import NETWORKS, network_settings
from runtime import mx, run_command
from runtime.files import write_json
from symbols import get_symbol
from symbols.lowering import FACES
from symbols.operations import count

PAPER = "the paper: ResNet50 160 MB, ResNet100 250 MB"  # Sec. 3.1


def network_of(name):
    """Return symbol, arg_params and aux_params of a network of the table; the parameters hold no values."""
    config = build(name, "arcface", "emore", {})  # loss and dataset make no difference
    symbol = get_symbol(config.net_name, **network_settings(config))
    arg_shapes, _, aux_shapes = symbol.infer_shape(**FACES)
    args = {key: mx.nd.empty(shape) for key, shape in zip(symbol.list_arguments(), arg_shapes) if key not in FACES}
    return symbol, args, {key: mx.nd.empty(shape) for key, shape in zip(symbol.list_auxiliary_states(), aux_shapes)}


def summary(name, symbol, arg_params, aux_params):
    """Return the counts of an embedding network as a dict of plain values, `layers` with its `Layer`s among them."""
    layers = count(symbol, FACES)
    arrays = {**{f"arg:{key}": value for key, value in arg_params.items()},
              **{f"aux:{key}": value for key, value in aux_params.items()}}
    return {"network": name, "parameters": sum(layer.parameters for layer in layers),
            "running_statistics": sum(value.size for value in aux_params.values()),
            "flops": sum(layer.flops for layer in layers), "flops_per_multiply_add": 2,
            "image": list(FACES["data"][1:]), "file_bytes": saved_size(arrays), "layers": layers}


def readable(flops):
    """Return a number of operations as text, such as `24.2 GFLOP`."""
    return f"{flops / 1e9:.4g} GFLOP" if flops >= 1e9 else f"{flops / 1e6:.4g} MFLOP"


def show(result, layers):
    """Print a summary, after a table of its layers where asked for."""
    if layers:
        width = max(len(layer.name) for layer in result["layers"])
        print(f"{'layer':{width}}  {'operator':14} {'output':>14} {'parameters':>12} {'FLOP':>14}")
        for layer in result["layers"]:
            output = "×".join(map(str, layer.output[1:]))
            print(f"{layer.name:{width}}  {layer.op:14} {output:>14} {layer.parameters:12,} {layer.flops:14,}")
    print(f"{result['network']}: the embedding network alone, for one face of 112×112")
    print(f"  parameters  {result['parameters']:,} (and {result['running_statistics']:,} running statistics)")
    print(f"  operations  {readable(result['flops'])} (two for a multiply-add; convolutions and dense layers)")
    print(f"  file        {result['file_bytes'] / 2 ** 20:.1f} MB of 2^20 bytes as .params ({PAPER})")


def main(arguments=None):
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = flags.add_mutually_exclusive_group(required=True)
    which.add_argument("--network", help=f"one of {', '.join(NETWORKS)}")
    which.add_argument("--model", type=one_checkpoint, metavar="PREFIX,EPOCH",
                       help="a checkpoint, of which the part up to the embedding counts")
    flags.add_argument("--layers", action="store_true", help="print a table of the layers, too")
    flags.add_argument("--json", nargs="?", const="-", metavar="OUT",
                       help="write all counts to this file, too; without a name, print them as JSON alone")
    arguments = flags.parse_args(arguments)
    if arguments.model:
        name, network = "{},{}".format(*arguments.model), checkpoints.load(*arguments.model)
    else:
        name, network = arguments.network, network_of(arguments.network)
    result = summary(name, *network)
    plain = {**result, "layers": [layer._asdict() for layer in result["layers"]]}
    if arguments.json == "-":
        print(json.dumps(plain, indent=2))
        return
    show(result, arguments.layers)
    if arguments.json:
        write_json(arguments.json, plain)


if __name__ == "__main__":
    run_command(main)
