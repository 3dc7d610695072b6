"""Whether the disk has room for what a run will keep, as known before its first step."""
import math
import os
import re
import shutil
from types import SimpleNamespace

import numpy as np

from eval.networks.checkpoint_files import saved_size
from recognition.training.state import KEPT, WRITING
from recognition.training.state import states as states_of
from runtime import Failure

SLACK = 1 << 20  # bytes for all the small files: the graph, the configuration, progress


def parameter_shapes(symbol, inputs):
    """Return the shapes of a training symbol's parameters: two dicts, of arguments and of states.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    inputs : dict of str to tuple of int
        The shapes of its inputs, of data and of labels.
    """
    arguments, _, states = symbol.infer_shape_partial(
        **{name: shape for name, shape in inputs.items() if name in symbol.list_arguments()})
    wanted = dict(zip(symbol.list_arguments(), arguments))
    return ({name: shape for name, shape in wanted.items() if name not in inputs},
            dict(zip(symbol.list_auxiliary_states(), states)))


def sizes(arguments, states, momentum=True):
    """Return the bytes of a checkpoint, with its classifier, and of a state to resume from.

    Parameters
    ----------
    arguments, states : dict of str to tuple of int
        Shapes, as from `parameter_shapes`; all are float32.
    momentum : bool
        Whether the state holds the momentum as well.
    """
    body = {f"arg:{name}": _array(shape) for name, shape in arguments.items()}
    body.update({f"aux:{name}": _array(shape) for name, shape in states.items()})
    momenta = saved_size({name: _array(shape) for name, shape in arguments.items()}) if momentum else 0
    return saved_size(body), saved_size(body) + momenta


def _array(shape):
    """Return what `saved_size` asks an array for."""
    return SimpleNamespace(shape=shape, size=math.prod(shape), dtype=np.float32)


def needed(folder, checkpoint, state, writes):
    """Return how many bytes more than now a run will take at its fullest moment.

    Parameters
    ----------
    folder : str
        The run's, which may hold files of an earlier run or of the part that is resumed: what they take is free again
        once they are replaced.
    checkpoint, state : int
        Bytes of a checkpoint, 0 where none is kept, and of a state.
    writes : int
        How many states the run will write.

    Notes
    -----
    A new state is written before the oldest is dropped: for a moment there is one more than `KEPT`.
    """
    there = [_size(path) for path in states_of(folder)]
    kept = sum(there)
    fullest, held = 0, list(there)
    for _ in range(min(writes, KEPT + 1)):
        held.append(state)
        fullest = max(fullest, sum(held) - kept)
        held = held[-KEPT:]
    # A killed process left these behind; they go, or are taken over, when the next of their name is written.
    left = _size(os.path.join(folder, "state", WRITING))
    replaced = 0
    for entry in os.scandir(folder):
        if entry.name in ("model-0001.params", "fc7-0001.params") or re.match(r"\..+\.part\d*\.", entry.name):
            replaced += _size(entry.path)
    return max(0, checkpoint - replaced) + max(0, fullest - left)


def _size(path):
    """Return the bytes of a file, or of the files in a folder; 0 where there is none."""
    if not os.path.isdir(path):
        return os.path.getsize(path) if os.path.isfile(path) else 0
    return sum(_size(os.path.join(path, name)) for name in os.listdir(path))


def check_room(config, folder, symbol, inputs):
    """Fail where the disk lacks the room for the run's checkpoint and states, or the states cannot be written.

    Parameters
    ----------
    config : EasyDict
        `ckpt mom save_every max_steps resume`.
    folder : str
        The run's, which is there.
    symbol, inputs
        As for `parameter_shapes`.

    Raises
    ------
    runtime.Failure
    """
    states = os.path.join(folder, "state")
    if os.path.lexists(states) and not (os.path.isdir(states) and os.access(states, os.W_OK | os.X_OK)):
        raise Failure(f"{states} cannot be written: make it a folder that can, or name another folder with "
                      "--models-root")
    usage = shutil.disk_usage(folder)
    if not usage.total:  # some network filesystems do not say
        return
    checkpoint, state = sizes(*parameter_shapes(symbol, inputs), momentum=config.mom > 0)
    writes = _writes(config, _step(folder) if config.resume else 0)
    wanted = needed(folder, checkpoint if config.ckpt else 0, state, writes)
    if writes and usage.free < wanted + SLACK:
        fewer = ", or keep fewer states with --save-every 0" if config.save_every and writes > 1 else ""
        raise Failure(f"{folder} has too little room: the checkpoint and the states that are kept take "
                      f"{wanted + SLACK:,} bytes more, and {usage.free:,} are free; free some space, name a folder on "
                      f"another disk with --models-root{fewer}")


def _step(folder):
    """Return the step of the newest state, which its name tells; 0 where there is none."""
    found = states_of(folder)
    return int(os.path.basename(found[-1]).split("-")[1]) if found else 0


def _writes(config, step):
    """Return how many states a run writes from a step on; for a run without end, as many as make a difference."""
    if not config.max_steps:
        return KEPT + 1 if config.save_every else 1
    if not config.save_every:
        return int(step < config.max_steps)
    between = config.max_steps // config.save_every - step // config.save_every
    return max(0, between + (config.max_steps % config.save_every > 0)) if step < config.max_steps else 0
