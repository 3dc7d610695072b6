"""Writing checkpoints and the states that a run resumes from.

    models/r100-arcface-emore/model-symbol.json   the embedding network
                              model-0001.params   its weights, loadable by mx.model.load_checkpoint anywhere
                              fc7-0001.params     the classifier's weights
                              config.json         the configuration of the run
                              state/step-00002000 all that resuming needs; the last two are kept

Each file, and each state's folder, appears under its name only when it is whole.
"""
import errno
import json
import os
import re
import shutil

from runtime import Failure, mx
from runtime.files import plain_name, whole_file, whole_path

STATES_KEPT = 2
WRITING = ".writing"
_STATE = re.compile(r"step-\d{8,}(-\d+)?$")


def saved_size(arrays):
    """Return the number of bytes of an MXNet parameter file with these NDArrays."""
    body = sum(24 + 8 * len(array.shape) + array.size * array.dtype().itemsize for array in arrays.values())
    return 24 + body + 8 + sum(8 + len(name.encode()) for name in arrays)


def save_arrays(path, arrays):
    """Write NDArrays by name as an MXNet parameter file, whole or not at all.

    Raises OSError where the disk is full, which MXNet itself does not notice for the file's last few kilobytes.
    """
    path = os.fspath(path)
    with whole_path(path) as temporary:
        try:
            with plain_name(temporary, "rb+") as name:
                mx.nd.save(name, arrays)
            complete = os.path.getsize(temporary) == saved_size(arrays)
        except mx.base.MXNetError as error:
            if "FileStream" not in str(error):
                raise
            complete = False
        if not complete:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def save_network(prefix, epoch, symbol, arg_params, aux_params):
    """Write `<prefix>-symbol.json` and `<prefix>-NNNN.params` of an embedding network.

    `arg_params` and `aux_params` may hold more than the symbol's own; only those are written.
    """
    arrays = {f"arg:{name}": arg_params[name].as_in_context(mx.cpu())
              for name in symbol.list_arguments() if name in arg_params}
    arrays.update({f"aux:{name}": aux_params[name].as_in_context(mx.cpu())
                   for name in symbol.list_auxiliary_states()})
    with whole_file(f"{prefix}-symbol.json", "w") as file:  # MXNet's own writer does not notice a full disk
        file.write(symbol.tojson())
    save_arrays(f"{prefix}-{epoch:04d}.params", arrays)


def save_classifier(folder, epoch, arg_params):
    """Write the classifier's weights, the parameters named fc7_…, to `<folder>/fc7-NNNN.params`, if there are any."""
    arrays = {f"arg:{name}": value.as_in_context(mx.cpu())
              for name, value in arg_params.items() if name.startswith("fc7_")}
    if arrays:
        save_arrays(os.path.join(folder, f"fc7-{epoch:04d}.params"), arrays)


def write_json(path, value):
    """Write a value as indented JSON, whole or not at all."""
    with whole_file(path, "w") as file:
        json.dump(value, file, indent=2, sort_keys=True)
        file.write("\n")


def states(folder):
    """Return the paths of the states under `<folder>/state`, the oldest first."""
    root = os.path.join(folder, "state")
    names = [name for name in os.listdir(root) if _STATE.match(name)] if os.path.isdir(root) else []
    return sorted((os.path.join(root, name) for name in names), key=lambda path: (os.path.getmtime(path), path))


def save_state(folder, step, arrays, progress):
    """Write what resuming needs, and drop all but the last two states.

    Parameters
    ----------
    folder : str
        The run's folder; the state goes to `<folder>/state/step-NNNNNNNN`.
    step : int
        Batches done.
    arrays : dict of str to mx.nd.NDArray
        `arg:`, `aux:` and `mom:` (momentum) arrays by name.
    progress : dict
        Plain values: position in the data, the best accuracies, the configuration.

    Returns
    -------
    str
        The folder of the state.
    """
    root = os.path.join(folder, "state")
    temporary = os.path.join(root, WRITING)
    shutil.rmtree(temporary, ignore_errors=True)
    os.makedirs(temporary)
    try:
        save_arrays(os.path.join(temporary, "arrays.params"), arrays)
        write_progress(temporary, step, progress)
    except OSError:  # a disk that is full gets the room back
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    final = os.path.join(root, f"step-{step:08d}")
    again = 0
    while os.path.exists(final):  # of an earlier run; it goes when two newer ones are whole
        again += 1
        final = os.path.join(root, f"step-{step:08d}-{again}")
    os.rename(temporary, final)
    for old in states(folder)[:-STATES_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def write_progress(state, step, progress):
    """Write the plain values of a state into its folder `state`, in place of those that are there."""
    write_json(os.path.join(state, "progress.json"), dict(progress, step=step))


def load_state(folder):
    """Return (arrays, progress) of the newest state, as `save_state` took them.

    Raises runtime.Failure where there is none or its files cannot be read.
    """
    found = states(folder)
    if not found:
        raise Failure(f"nothing to resume in {folder}: no state/step-… there; start without --resume")
    newest = found[-1]
    try:
        with open(os.path.join(newest, "progress.json"), encoding="utf-8") as file:
            progress = json.load(file)
        with plain_name(os.path.join(newest, "arrays.params")) as name:
            arrays = mx.nd.load(name)
    except (OSError, ValueError, mx.base.MXNetError) as error:
        others = "remove it to resume from the one before" if len(found) > 1 else "start without --resume"
        raise Failure(f"{newest} cannot be read ({' '.join(str(error).split())[-100:]}): {others}") from error
    return arrays, progress
