"""Checkpoints of embedding networks: finding, reading and writing them, and saying what is wrong with them.

A checkpoint is `PREFIX-symbol.json` (the graph) and `PREFIX-NNNN.params` (the parameters of epoch NNNN), as
`mx.model.save_checkpoint` writes them; of the graph, the part that ends in `fc1_output`, the embedding, is used.
"""
import hashlib
import os
import re

import numpy as np

from eval.networks.checkpoint_files import last_line, read_params, read_symbol, save_arrays
from runtime import Failure, mx
from runtime.files import whole_file

OLDER_NAMES = {"pre_fc1_weight": "fc1_weight", "pre_fc1_bias": "fc1_bias"}  # ours: that of older checkpoints


def symbol_path(prefix):
    """Return the name of a checkpoint's graph file."""
    return f"{prefix}-symbol.json"


def params_path(prefix, epoch):
    """Return the name of a checkpoint's parameter file."""
    return f"{prefix}-{epoch:04d}.params"


def epochs(prefix):
    """Return the epochs for which there is a parameter file, ascending."""
    folder, name = os.path.split(os.fspath(prefix))
    if not os.path.isdir(folder or "."):
        return []
    found = (re.fullmatch(re.escape(name) + r"-([0-9]{4,9})\.params", file) for file in os.listdir(folder or "."))
    return sorted(int(match.group(1)) for match in found
                  if match and params_path(name, int(match.group(1))) == match.group(0))


def parse(model):
    """Read the original's forms of --model: `PREFIX,EPOCH`, `PREFIX,1|2|3`, or `PREFIX` for all epochs found.

    Blanks around an epoch do not count, as in `PREFIX, 0`. An ONNX file is its own prefix, and its epoch is 0.

    Returns
    -------
    prefix : str
    epochs : list of int
        In the order given, or ascending where found.

    Raises
    ------
    ValueError
        What follows the comma is not epochs, or nothing precedes it.
    Failure
        `PREFIX` alone, and no epoch of it is there.
    """
    model = os.fspath(model)
    if is_onnx(model):
        return model, [0]
    found = epochs(model)
    prefix, comma, listed = model.rpartition(",")
    if comma and not found:
        if not prefix.strip() or not re.fullmatch(r"\s*[0-9]{1,9}\s*(\|\s*[0-9]{1,9}\s*)*", listed, re.ASCII):
            quote = "" if listed.strip() else " (PREFIX, EPOCH with a blank takes quotation marks)"
            raise ValueError(f"{model!r} is not PREFIX, PREFIX,EPOCH or PREFIX,1|2|3{quote}")
        return _without_blanks(prefix), [int(epoch) for epoch in listed.split("|")]
    if not found:
        file = re.fullmatch(r"(.+)-([0-9]{4,9})\.params", model, re.DOTALL)
        meant = f"; perhaps you mean {file.group(1)},{int(file.group(2))}" if file and os.path.isfile(model) else ""
        raise Failure(f"{model}: there is no {os.path.basename(model)}-NNNN.params; give a checkpoint as PREFIX,EPOCH, "
                      "its files being PREFIX-symbol.json and PREFIX-NNNN.params (NNNN the epoch in four digits)"
                      f"{meant}")
    return model, found


def _without_blanks(prefix):
    """Return a prefix without the blanks around it, unless there are files of that very prefix."""
    return prefix if epochs(prefix) else prefix.strip()


def one(model, default=None):
    """Read `PREFIX,EPOCH`, or `PREFIX` of which there is one epoch or whose epoch has a default.

    Parameters
    ----------
    model : str
    default : int, optional
        The epoch that `PREFIX` alone means, whether it is there or not.

    Returns
    -------
    prefix : str
    epoch : int

    Raises
    ------
    ValueError
        As `parse`.
    Failure
        No epoch of `PREFIX` alone is there, or there are several, or several are given.
    """
    if default is not None and "," not in model and not is_onnx(model):
        return _without_blanks(model), default
    prefix, found = parse(model)
    if default is not None and prefix == model:  # a prefix with a comma in it
        return prefix, default
    if len(found) != 1:
        raise Failure(f"{model} names several checkpoints: give one as {prefix},EPOCH "
                      f"(epochs: {', '.join(map(str, found))})")
    return prefix, found[0]


def is_onnx(model):
    """Whether a `--model` names an ONNX file."""
    return os.fspath(model).lower().endswith(".onnx")


def require(prefix, epoch):
    """Raise Failure where the parameter file of an epoch is missing; the message names the epochs that are there."""
    if is_onnx(prefix):
        raise Failure(f"{prefix}: this takes a checkpoint, PREFIX,EPOCH, and not an ONNX file")
    there = epochs(prefix)
    if epoch not in there:
        known = f"the epochs there are {_some(there)}" if there else f"there is no {prefix}-NNNN.params at all"
        raise Failure(f"{params_path(prefix, epoch)} is missing; {known}")


def _some(numbers, most=20):
    """Return numbers as text, the last of very many."""
    left = f"(and {len(numbers) - most} lower ones) " if len(numbers) > most else ""
    return left + ", ".join(map(str, numbers[-most:]))


def newest(models_root):
    """Return (prefix, epoch) of the checkpoint written last anywhere under a folder.

    Parameter files without a graph beside them, such as a classifier's, are no checkpoints.

    Raises
    ------
    Failure
        There is none.
    """
    found = []
    for folder, _, names in os.walk(models_root):
        for graph in (name for name in names if name.endswith("-symbol.json")):
            prefix = os.path.join(folder, graph[:-len("-symbol.json")])
            found += [(os.stat(params_path(prefix, epoch)).st_mtime_ns, epoch, prefix) for epoch in epochs(prefix)]
    if not found:
        raise Failure(f"{models_root}: no checkpoint under it; train one with recognition/train.py, or name one with "
                      "--model PREFIX,EPOCH")
    _, epoch, prefix = max(found)
    return prefix, epoch


def rename_legacy(params, wanted):
    """Give parameters of older checkpoints the names they have now. The one place that knows these names.

    Parameters
    ----------
    params : dict of str to array
        Arguments or states.
    wanted : dict of str to tuple
        The network's parameter names with their shapes.

    Returns
    -------
    dict
        A copy in which an older name stands for a wanted one that was absent, where the shapes are equal
        (the published MobileFaceNet has `fc1_weight` for `pre_fc1_weight`), or in which only the number in a Gluon
        network's prefix differs: it counts the networks that a process had built before.
    """
    params = dict(params)
    numbered = {_unnumbered(name): name for name in params}
    for name in wanted:
        older = OLDER_NAMES.get(name, numbered.get(_unnumbered(name)))
        if name not in params and older in params and older not in wanted \
                and tuple(params[older].shape) == tuple(wanted[name]):
            params[name] = params.pop(older)
    return params


def _unnumbered(name):
    """Return a parameter's name without the number that Gluon gave its network, as in mnasnet1_conv0_weight."""
    return re.sub(r"^(mnasnet|densenet)[0-9]+_", r"\1_", name)


def wanted_shapes(symbol, image_shape=(3, 112, 112)):
    """Return the shapes a network's parameters must have for one image: two dicts, of arguments and of states.

    Raises
    ------
    mx.base.MXNetError
        The graph cannot take such images.
    """
    # infer_shape prints to stdout before it raises; its partial twin does not.
    arguments, outputs, states = symbol.infer_shape_partial(data=(1, *image_shape))
    if not outputs or any(0 in shape or len(shape) == 0 for shape in outputs):
        raise mx.base.MXNetError("the shape of its output does not follow from its input")
    wanted = dict(zip(symbol.list_arguments(), arguments))
    del wanted["data"]
    return wanted, dict(zip(symbol.list_auxiliary_states(), states))


def _fit(path, params, wanted, what):
    """Return the wanted ones of the parameters, or say which are missing, of another shape, or not finite."""
    missing = [name for name in wanted if name not in params]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise Failure(f"{path}: lacks {what} of its graph: {', '.join(missing[:3])}{more}; the two files do not belong "
                      "together")
    for name, shape in wanted.items():
        if tuple(params[name].shape) != tuple(shape):
            raise Failure(f"{path}: {name} has the shape {tuple(params[name].shape)}, and its graph takes "
                          f"{tuple(shape)}; the two files do not belong together")
        if not np.isfinite(params[name].asnumpy()).all():
            raise Failure(f"{path}: {name} holds values that are not finite: the training that wrote it had diverged; "
                          "take an earlier epoch")
    return {name: params[name] for name in wanted}


def load(prefix, epoch, image_shape=(3, 112, 112)):
    """Load the embedding network of a checkpoint.

    Parameters
    ----------
    prefix : str
        Its files are `PREFIX-symbol.json` and `PREFIX-NNNN.params`.
    epoch : int
    image_shape : tuple
        (channels, height, width) of the images it will get.

    Returns
    -------
    symbol : mx.Symbol
        Cut at `fc1_output`.
    arg_params, aux_params : dict of str to mx.nd.NDArray
        Exactly the parameters and states of that symbol.

    Raises
    ------
    Failure
        A file is missing or damaged, or the two do not belong together.
    """
    weights, graph = params_path(prefix, epoch), symbol_path(prefix)
    require(prefix, epoch)
    arg_params, aux_params = read_params(weights)
    symbol = read_symbol(graph)
    try:
        wanted_args, wanted_auxs = wanted_shapes(symbol, image_shape)
    except mx.base.MXNetError as error:
        raise Failure(f"{graph}: does not take images of shape {tuple(image_shape)} ({last_line(error)})") from error
    arg_params = rename_legacy(arg_params, wanted_args)
    return (symbol, _fit(weights, arg_params, wanted_args, "parameters"),
            _fit(weights, aux_params, wanted_auxs, "states"))


def fingerprint(arg_params, aux_params):
    """Return what tells one trained network from another: the SHA-256 of its parameters, by name, in hexadecimal."""
    digest = hashlib.sha256()
    for kind, params in (("arg", arg_params), ("aux", aux_params)):
        for name in sorted(params):
            values = params[name].asnumpy()
            digest.update(f"{kind}:{name} {values.dtype} {values.shape}\n".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def save(prefix, epoch, symbol, arg_params, aux_params):
    """Write `<prefix>-symbol.json` and `<prefix>-NNNN.params` of an embedding network.

    `arg_params` and `aux_params` may hold more than the symbol's own; only those are written.
    """
    arrays = {f"arg:{name}": arg_params[name].as_in_context(mx.cpu())
              for name in symbol.list_arguments() if name in arg_params}
    arrays.update({f"aux:{name}": aux_params[name].as_in_context(mx.cpu())
                   for name in symbol.list_auxiliary_states()})
    with whole_file(symbol_path(prefix), "w") as file:  # MXNet's own writer does not notice a full disk
        file.write(symbol.tojson())
    save_arrays(params_path(prefix, epoch), arrays)


def save_classifier(folder, epoch, params):
    """Write a classifier's parameters to `<folder>/fc7-NNNN.params`, if there are any."""
    if params:
        save_arrays(params_path(os.path.join(folder, "fc7"), epoch),
                    {f"arg:{name}": value.as_in_context(mx.cpu()) for name, value in params.items()})
