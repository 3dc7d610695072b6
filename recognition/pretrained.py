"""Starting from the weights of another checkpoint."""
import numpy as np

from eval import checkpoints
from eval.checkpoint_files import read_params
from runtime import Failure


def load(prefix, epoch, embedding):
    """Return the parameters of a checkpoint that fit an embedding network, and say what does not.

    Parameters
    ----------
    prefix : str
    epoch : int
        The checkpoint `<prefix>-NNNN.params`, of this project or a published one with older names; with or without
        a classifier, which is not taken.
    embedding : mx.sym.Symbol
        The network to be trained.

    Returns
    -------
    arg_params, aux_params : dict of str to mx.nd.NDArray

    Raises
    ------
    runtime.Failure
        The checkpoint cannot be read, or nothing in it fits.
    """
    path = checkpoints.params_path(prefix, epoch)
    arg_params, aux_params = read_params(path)
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
            elif not np.isfinite(value.asnumpy()).all():
                raise Failure(f"{path}: {name} holds values that are not finite; take an earlier epoch")
            else:
                kept[name] = value
    missing = [name for found, wanted in ((arg_params, wanted_arg), (aux_params, wanted_aux))
               for name in wanted if name not in found]
    total = len(wanted_arg) + len(wanted_aux)
    loaded = len(fitting[0]) + len(fitting[1])
    if not loaded:
        raise Failure(f"nothing in {path} fits this network: --network and --emb-size have to be "
                      "those it was trained with")
    print(f"pretrained: {loaded} of {total} arrays loaded from {path}")
    for title, names in (("missing, initialised anew", missing), ("of another shape, initialised anew", reshaped),
                         ("unused", unused)):
        if names:
            print(f"pretrained: {len(names)} {title}: {', '.join(names)}")
    return fitting
