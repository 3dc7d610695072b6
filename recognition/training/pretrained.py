"""Starting from the weights of another checkpoint."""
import numpy as np

from datasets.formats.image_lists import quoted
from eval.networks import checkpoints
from eval.networks.checkpoint_files import read_params
from runtime import Failure

SAME_NETWORK = 0.75
"""The share of arrays that fit from which on a checkpoint is one of this network.

It is a share of all arrays that the two have. It counts arrays, not numbers: another length of the embedding, a usual
start, changes 6 of the 173 to 1213 arrays that a network here has, yet up to a third of the numbers. The same
network thus has a share of 0.96 at least. Two different networks have 0.69 at most (r50 and r50v1). Small arrays fit by
accident, as 4 of y1's do in m1. A shallow network fits a deeper one as far as it goes, as all of r50's arrays in r100.
"""
NAMED = 5  # arrays of which a line gives the names
LONGEST = 80  # characters of a name


def load(prefix, epoch, embedding, classifier=None, partial=False):
    """Return the parameters of a checkpoint that fit the network to be trained, and say what does not.

    Parameters
    ----------
    prefix : str
    epoch : int
        The checkpoint `<prefix>-NNNN.params`, of this project or a published one with older names.
    embedding : mx.sym.Symbol
        The embedding network to be trained.
    classifier : dict of str to tuple, optional
        The shapes of the classifier's parameters, `fc7_weight` (num_classes, emb_size) and, for softmax, `fc7_bias`
        (num_classes,). Where the file has `fc7_weight` of that shape, the classifier is taken as well. Empty for a loss
        without a classifier.
    partial : bool
        Whether a checkpoint of another network will do, of which less than `SAME_NETWORK` fits.

    Returns
    -------
    arg_params, aux_params : dict of str to mx.nd.NDArray

    Raises
    ------
    runtime.Failure
        The checkpoint cannot be read, is of another network, or nothing in it fits.
    """
    path = checkpoints.params_path(prefix, epoch)
    checkpoints.require(prefix, epoch)
    arg_params, aux_params = read_params(path)
    heads = {name: arg_params.pop(name) for name in list(arg_params) if name.startswith("fc7_")}
    wanted_arg, wanted_aux = checkpoints.wanted_shapes(embedding)
    arg_params = checkpoints.rename_legacy(arg_params, wanted_arg)
    aux_params = checkpoints.rename_legacy(aux_params, wanted_aux)

    fitting, unused, reshaped = ({}, {}), [], []
    for found, wanted, kept in ((arg_params, wanted_arg, fitting[0]), (aux_params, wanted_aux, fitting[1])):
        for name, value in found.items():
            if name not in wanted:
                unused.append(name)
            elif value.shape != wanted[name]:
                reshaped.append(f"{name} {value.shape} for {wanted[name]}")
            else:
                kept[name] = _finite(path, name, value)
    missing = [name for found, wanted in ((arg_params, wanted_arg), (aux_params, wanted_aux))
               for name in wanted if name not in found]
    total = len(wanted_arg) + len(wanted_aux)
    loaded = len(fitting[0]) + len(fitting[1])
    _check_network(path, loaded, total, len(unused), partial)
    print(f"pretrained: {loaded} of {total} arrays loaded from {path}")
    for title, names in (("missing, initialised anew", missing), ("of another shape, initialised anew", reshaped),
                         ("unused", unused)):
        if names:
            print(f"pretrained: {len(names)} {title}: {_some(names)}")
    fitting[0].update(_classifier(path, heads, classifier or {}))
    return fitting


def _check_network(path, loaded, total, unused, partial):
    """Raise Failure where what fits is too little for a checkpoint of this network."""
    if not loaded:
        raise Failure(f"nothing in {path} fits this network: --network and --emb-size have to be "
                      "those it was trained with")
    if loaded < SAME_NETWORK * (total + unused) and not partial:
        others = f", and {unused} of its arrays have no place in it" if unused else ""
        raise Failure(f"{path} is of another network: it fits {loaded} of this network's {total} arrays{others}; give "
                      "the --network that it was trained with, or --pretrained-partial to start from what fits")


def _classifier(path, found, wanted):
    """Return the classifier of a checkpoint, where it has the wanted shapes, and say what becomes of it."""
    weight = found.get("fc7_weight")
    if not wanted or weight is None or weight.shape != wanted["fc7_weight"]:
        if found:
            shapes = _some([f"{name} {value.shape}" for name, value in found.items()])
            reason = f"this run's fc7_weight is {wanted['fc7_weight']}" if wanted else "this loss has no classifier"
            print(f"pretrained: the classifier is left out ({shapes}): {reason}")
        return {}
    taken = {name: _finite(path, name, found[name]) for name, shape in wanted.items()
             if name in found and found[name].shape == shape}
    left = [f"{name} {value.shape}" for name, value in found.items() if name not in taken]
    print(f"pretrained: the classifier is taken: {', '.join(f'{name} {taken[name].shape}' for name in taken)}"
          + (f"; left out: {_some(left)}" if left else ""))
    return taken


def _finite(path, name, value):
    """Return an array, or raise Failure where it holds values that are not finite."""
    if not np.isfinite(value.asnumpy()).all():
        raise Failure(f"{path}: {name} holds values that are not finite; take an earlier epoch")
    return value


def _some(names):
    """Return the first of many names as one short text, with the count of the others."""
    shown = ", ".join(quoted(name)[:LONGEST] for name in names[:NAMED])
    return shown + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
