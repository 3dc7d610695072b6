"""Which engine runs a network, and how many images it gets at a time: measured once, and kept in the user's cache."""
import argparse
import hashlib
import json
import os
import re
import statistics
import sys
import time

import numpy as np

from eval.networks.engines.by_mxnet import ByMXNet
from eval.networks.engines.by_onnxruntime import NO_PROVIDER, ByOnnxruntime, gpu_providers
from eval.networks.engines.by_openvino import ByOpenvino
from eval.networks.engines.engine import threads
from runtime import Failure, cards, mx
from runtime.devices import parse_context, usable_gpus
from runtime.environment import installed, processor
from runtime.files import user_cache, whole_file

AUTO = "auto"
ENGINES = (ByMXNet.name, ByOnnxruntime.name, ByOpenvino.name)
PACKAGES = {ByOnnxruntime.name: ("onnxruntime", "onnxruntime-gpu"), ByOpenvino.name: ("openvino",)}
SIZES = (4, 16, 32)  # on CPUs, larger ones only take more memory
FIRST, ON_GPUS = 16, 64
ROUNDS = 3
NONE = "no engine that runs it is installed: pip install -r requirements-engines.txt"


def device_of(text, engine=AUTO):
    """Return the device of a flag for an engine, before anything is loaded.

    Parameters
    ----------
    text : str or None
        `cpu`, `gpu:N`, or None for the first GPU that an engine can use, else the CPU.
    engine : str
        `auto` or one of `ENGINES`.

    Returns
    -------
    int or None
        The GPU's number; None for the CPU.

    Raises
    ------
    argparse.ArgumentTypeError
        The text does not name one device.
    Failure
        The engine, or every engine, cannot use that device.
    """
    match = re.fullmatch(r"gpu(?::([0-9]{1,4}))?", (text or "").strip())
    if match and engine in (AUTO, ByOnnxruntime.name) and gpu_providers():
        return int(match.group(1) or 0)
    if match and engine == ByOnnxruntime.name:
        raise Failure(f"{text}: {NO_PROVIDER}")
    if match and engine == ByOpenvino.name:
        raise Failure(f"{text}: the engine openvino runs on CPUs: use --ctx cpu, or another --engine")
    if not text and engine in (AUTO, ByOnnxruntime.name) and gpu_providers():
        found = next((index for index, card in enumerate(cards.visible()) if card.embeds), None)
        if found is not None:
            return found
    if text or engine in (AUTO, ByMXNet.name):
        contexts = parse_context(text)
        if text and len(contexts) > 1:
            raise argparse.ArgumentTypeError(f"{text}: embedding runs on one device")
        context = contexts[0]
        if context.device_type == "gpu":
            return context.device_id
    return None


def available(model, gpu=None):
    """Return the names of the engines that are installed and can run a model on a device."""
    found = []
    if model.parts is not None and (gpu is None or gpu in usable_gpus()):
        found.append(ByMXNet.name)
    if any(map(installed, PACKAGES[ByOnnxruntime.name])) and installed("onnx") and (gpu is None or gpu_providers()):
        found.append(ByOnnxruntime.name)
    if gpu is None and any(map(installed, PACKAGES[ByOpenvino.name])) and installed("onnx"):
        found.append(ByOpenvino.name)
    return found


def build(model, name, batch_size, gpu=None):
    """Return an engine with a model.

    Parameters
    ----------
    model : eval.networks.models.Checkpoint or eval.networks.models.Onnx
    name : str
        One of `ENGINES`.
    batch_size : int
    gpu : int, optional

    Raises
    ------
    Failure
        The engine is not installed or cannot run the model.
    """
    if name == ByMXNet.name:
        if model.parts is None:
            raise Failure(f"{model.prefix}: MXNet does not run ONNX files: leave out --engine mxnet, or give the "
                          "checkpoint as PREFIX,EPOCH")
        return ByMXNet(*model.parts, mx.cpu() if gpu is None else mx.gpu(gpu), batch_size, model.image_shape)
    if name == ByOnnxruntime.name:
        return ByOnnxruntime(model.onnx, batch_size, gpu)
    return ByOpenvino(model.onnx, batch_size)


def measure(engines, rounds=ROUNDS):
    """Return how many images a second each engine does: a list of floats.

    The engines take turns, so that whatever else the machine does meets all of them.
    """
    images = [np.random.RandomState(0).randint(0, 256, (engine.rows, *engine.image_shape)).astype(np.float32)
              for engine in engines]
    for engine, batch in zip(engines, images):
        engine.start(batch)()  # the first run prepares the weights
    seconds = [[] for _ in engines]
    for _ in range(rounds):
        for engine, batch, taken in zip(engines, images, seconds):
            begun = time.perf_counter()
            for _ in range(2):  # a stretch of work, as embedding is
                engine.start(batch)()
            taken.append((time.perf_counter() - begun) / 2)
    return [engine.rows / statistics.median(taken) for engine, taken in zip(engines, seconds)]


def choose(model, gpu=None, names=None):
    """Return the fastest engine for a model on this machine, and its batch size.

    The engines are measured with 16 images at a time, then the fastest one with 4 and 32. The answer is kept in the
    user's cache; where that cannot be written, it is found each time. Other weights of the same graph have the same
    answer.

    Parameters
    ----------
    model, gpu
        As for `build`.
    names : sequence of str, optional
        The engines to choose from; by default all that are `available`.

    Returns
    -------
    name : str
    batch_size : int

    Raises
    ------
    Failure
        No engine can run it. The reasons of each are in the message.
    """
    names = available(model, gpu) if names is None else list(names)
    if not names:
        raise Failure(f"{model.prefix}: {NONE}")
    path = user_cache("engines", _key(model, gpu, names) + ".json")
    found = _remembered(path, names)
    if found:
        return found
    if gpu is not None and len(names) == 1:
        return names[0], ON_GPUS
    if sys.stderr.isatty():
        print(f"finding, once, how this network embeds fastest here ({', '.join(names)})", file=sys.stderr)
    first = ON_GPUS if gpu is not None else FIRST
    built, refused = [], []
    for name in names:
        try:
            built.append(build(model, name, first, gpu))
        except Failure as failure:
            refused.append(str(failure))
    if not built:
        raise Failure("; ".join(refused))
    speeds = dict(zip([(engine.name, first) for engine in built], measure(built)))
    name, _ = max(speeds, key=speeds.get)
    if gpu is None:
        one = next(engine for engine in built if engine.name == name)
        others = [build(model, name, size, gpu) for size in SIZES if size != first and not one.fixed]
        if others:
            again = measure([one, *others])
            sizes = dict(zip([first, *(engine.rows for engine in others)], again))
            speeds.update({(name, size): speed for size, speed in sizes.items()})
            first = max(sizes, key=sizes.get)
    _remember(path, name, first, {f"{one}, {size}": round(speed, 1) for (one, size), speed in speeds.items()})
    return name, first


def first_available(model, gpu=None):
    """Return the name of an engine that can run a model; Failure where none is installed."""
    names = available(model, gpu)
    if not names:
        raise Failure(f"{model.prefix}: {NONE}")
    return names[0]


def remembered(model, gpu=None):
    """Return the (engine, batch size) that `choose` found before, or None."""
    names = available(model, gpu)
    return _remembered(user_cache("engines", _key(model, gpu, names) + ".json"), names)


def _key(model, gpu, names):
    versions = [installed(package) for name in names for package in PACKAGES.get(name, ())]
    facts = [model.facts, model.image_shape, processor() if gpu is None else gpu, threads(), mx.__version__, names,
             versions]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _remembered(path, names):
    """Return what a file of the cache says, or None where there is none that is one of ours."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        name, size = found["engine"], found["batch_size"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return (name, size) if name in names and size in (*SIZES, ON_GPUS) else None


def _remember(path, name, size, speeds):
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with whole_file(path, "w") as file:
            json.dump({"engine": name, "batch_size": size, "images a second": speeds}, file)
    except OSError:
        pass  # it is measured again next time
