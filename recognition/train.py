"""Train a face embedding network.

    python recognition/train.py --network r100 --loss arcface --dataset emore
    python recognition/train.py --network y1 --loss arcface --dataset orl
    python recognition/train.py --network y1 --loss arcface --dataset orl --max-steps 400 --resume
    python recognition/train.py --network r50 --loss arcface --dataset emore --loss-m2 0.45 --ctx gpu:0,gpu:1
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import argparse

from eval.networks import checkpoints
from recognition.config.build import build
from recognition.config.losses import LOSSES
from recognition.config.settings import BY_NAME, add_flags
from recognition.training.run import train
from runtime import run_command
from runtime.devices import parse_context


def read_pretrained(flags):
    """Put prefix and epoch of --pretrained, which has the form `PREFIX,EPOCH` or `PREFIX`, into the flags.

    Raises ValueError where it has another form or its epoch is not that of --pretrained-epoch.
    """
    given, epoch = flags["pretrained"], flags["pretrained_epoch"]
    if not given:
        return
    default = BY_NAME["pretrained_epoch"].default if epoch is None else epoch
    flags["pretrained"], flags["pretrained_epoch"] = checkpoints.one(given, default)
    if epoch not in (None, flags["pretrained_epoch"]):
        raise ValueError(f"{given!r} and --pretrained-epoch {epoch} name two epochs: give one of them")


def epilog():
    """Return the losses with their rows of the paper's Table 2."""
    width = max(map(len, LOSSES))
    rows = {name: loss.table2 or f"({loss.note})" for name, loss in LOSSES.items()}
    lines = [f"  {name:{width}}  {row}" for name, row in rows.items()]
    return "\n".join(["losses, with the rows of the paper's Table 2 that they stand for:", *lines, "",
                      "What is (dataset) or (loss) comes from its table in recognition/config/."])


def parser():
    """Return the parser of the command's flags."""
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0], formatter_class=argparse.RawTextHelpFormatter,
                                    epilog=epilog())
    add_flags(flags)
    return flags


def main(arguments=None):
    """Build the configuration from the flags, and train."""
    usage = parser()
    flags = vars(usage.parse_args(arguments))
    try:
        parse_context(flags["ctx"])
    except argparse.ArgumentTypeError as error:
        usage.error(f"--ctx {error}")
    try:
        read_pretrained(flags)
    except ValueError as error:
        usage.error(f"--pretrained {error}")
    train(build(flags["network"], flags["loss"], flags["dataset"], flags))


if __name__ == "__main__":
    run_command(main)
