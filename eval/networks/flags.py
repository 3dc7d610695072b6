"""Flags that several of these commands share."""
import argparse

from eval.networks import checkpoints


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
