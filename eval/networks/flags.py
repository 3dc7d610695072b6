"""Flags that several of these commands share: which network, and what runs it."""
import argparse

from eval.networks import checkpoints
from eval.networks.engines.choice import AUTO, ENGINES
from eval.networks.onnx_files import SCALES
from eval.networks.trained import Trained
from runtime.flags import positive


def one_checkpoint(model):
    """Read `PREFIX,EPOCH`, `PREFIX` of which there is one epoch, or `FILE.onnx`. A `type` of argparse flags.

    Returns
    -------
    (str, int)
        Prefix and epoch; of an ONNX file its path and 0.

    Raises
    ------
    argparse.ArgumentTypeError
        The text names no checkpoint.
    Failure
        There is none of that name, or there are several.
    """
    try:
        return checkpoints.one(model)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_engine_flags(parser):
    """Add the flags of what runs a network to a command's parser."""
    parser.add_argument("--engine", choices=(AUTO, *ENGINES), default=AUTO, help="what runs the network (default: the "
                        "fastest that is installed, which is found once and remembered)")
    parser.add_argument("--input-scale", choices=SCALES, help="what pixels an ONNX file takes, where its graph does "
                        "not tell: 0..255, or -1..1 for (x - 127.5) / 127.5")


def add_network_flags(parser, required=False):
    """Add the flags of a network and of what runs it to a command's parser; `network_of` takes them."""
    parser.add_argument("--model", type=one_checkpoint, required=required, metavar="PREFIX,EPOCH|FILE.onnx",
                        help="the network: a checkpoint, or an ONNX file")
    parser.add_argument("--ctx", help="cpu or gpu:N (default: the first GPU that can be used, else the CPU)")
    parser.add_argument("--batch-size", type=positive, help="images at a time (default: the fastest here)")
    add_engine_flags(parser)


def network_of(options, few=False):
    """Return the `eval.networks.trained.Trained` network of parsed flags; raises as that does."""
    return Trained(*options.model, options.ctx, options.batch_size, options.engine, options.input_scale, few)
