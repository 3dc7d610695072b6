"""Flags that several of these commands share."""
import argparse

from eval import checkpoints
from runtime import Failure


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
        prefix, epochs = checkpoints.parse(model)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if len(epochs) != 1:
        raise Failure(f"{model} names several checkpoints: give one as {prefix},EPOCH "
                      f"(epochs: {', '.join(map(str, epochs))})")
    return prefix, epochs[0]
