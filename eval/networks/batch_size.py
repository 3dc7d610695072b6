"""How many images a network should get at a time here: measured once, and remembered in the user's cache."""
import hashlib
import json
import os
import statistics
import sys
import time

import numpy as np

from eval.networks.embedder import Embedder
from runtime import cores, mx
from runtime.environment import processor
from runtime.files import user_cache, whole_file

CANDIDATES = (4, 16, 32)  # on CPUs, larger ones only take more memory
ON_GPUS = 64


def measure(symbol, arg_params, aux_params, image_shape=(3, 112, 112), rounds=2):
    """Return {batch size: images a second} for `CANDIDATES` on the CPU.

    The sizes take turns, so that whatever else the machine does meets all of them.
    """
    channels, height, width = image_shape
    taken = {}
    for size in CANDIDATES:
        embedder = Embedder(symbol, arg_params, aux_params, batch_size=size, image_shape=image_shape)
        images = np.zeros((size, height, width, channels), np.uint8)
        embedder(images)  # the first run prepares the weights
        taken[size] = (embedder, images, [])
    for _ in range(rounds):
        for embedder, images, seconds in taken.values():
            begun = time.perf_counter()
            embedder(images)
            seconds.append(time.perf_counter() - begun)
    return {size: size / statistics.median(seconds) for size, (_, _, seconds) in taken.items()}


def _remembered(path):
    """Return the size in a file of the cache, or None where there is none that is one of ours."""
    try:
        with open(path, encoding="utf-8") as file:
            size = json.load(file)["batch_size"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return size if size in CANDIDATES else None


def best_batch_size(symbol, arg_params, aux_params, ctx=None, image_shape=(3, 112, 112)):
    """Return the number of images at a time that a network embeds fastest with on this machine.

    Measured when a network, whatever its weights, is first met on a processor and a number of threads; kept in the
    user's cache. Where nothing can be written there it is measured each time.

    Parameters
    ----------
    symbol, arg_params, aux_params
        As `eval.networks.checkpoints.load` gives them.
    ctx : mx.Context
        The CPU by default; for GPUs the answer is 64.
    image_shape : tuple
        (channels, height, width).
    """
    if ctx is not None and ctx.device_type != "cpu":
        return ON_GPUS
    facts = [symbol.tojson(), image_shape, processor(), cores(), os.environ.get("OMP_NUM_THREADS"), mx.__version__]
    path = user_cache("batch-sizes", hashlib.sha256(repr(facts).encode()).hexdigest()[:16] + ".json")
    size = _remembered(path)
    if size is None:
        if sys.stderr.isatty():
            print("finding how many images at a time this network embeds fastest here, once", file=sys.stderr)
        speeds = measure(symbol, arg_params, aux_params, image_shape)
        size = max(speeds, key=speeds.get)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with whole_file(path, "w") as file:
                json.dump({"batch_size": size, "images a second": speeds}, file)
        except OSError:
            pass  # it is measured again next time
    return size
