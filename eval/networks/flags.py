"""Flags that several of these commands share."""
import argparse
from typing import NamedTuple

from eval.networks import checkpoints
from eval.networks.embedder import Embedder
from runtime.devices import parse_context
from runtime.flags import positive


def one_checkpoint(model):
    """Read `PREFIX,EPOCH`, or `PREFIX` of which there is one epoch. Serves as the `type` of an argparse flag.

    Returns
    -------
    (str, int)
        Prefix and epoch.

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


class Network(NamedTuple):
    """A network as the evaluations use it."""

    embedder: Embedder
    prefix: str
    epoch: int
    fingerprint: str
    engine: str = "mxnet"

    @property
    def checkpoint(self):
        """What results say of it."""
        return {"prefix": self.prefix, "epoch": self.epoch, "fingerprint": self.fingerprint}


def add_network_flags(parser, required=False):
    """Add the flags of a network and of how it runs to a command's parser."""
    parser.add_argument("--model", type=one_checkpoint, required=required, metavar="PREFIX,EPOCH",
                        help="the checkpoint")
    parser.add_argument("--ctx", help="cpu or gpu:N (default: the first visible GPU, else the CPU)")
    parser.add_argument("--batch-size", type=positive, help="images that the network gets at a time")


def network_of(options):
    """Return the `Network` that the flags name."""
    prefix, epoch = options.model
    symbol, arg_params, aux_params = checkpoints.load(prefix, epoch)
    embedder = Embedder(symbol, arg_params, aux_params, parse_context(options.ctx)[0], options.batch_size)
    return Network(embedder, prefix, epoch, checkpoints.fingerprint(arg_params, aux_params))
