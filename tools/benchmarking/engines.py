"""Embedding by the engine that `auto` takes beside each engine alone: many faces, and a face at a time."""
import os
import statistics
import tempfile

from eval.networks import checkpoints
from eval.networks.engines import choice
from eval.networks.trained import Trained
from tools.benchmarking.contenders import drawn_images
from tools.benchmarking.rows import PAPER_MS, Row, compared, race

NETWORKS = ("y1", "r50", "r100", "vargfacenet")
IMAGES = 32  # a multiple of every batch size that is tried


def embed(network, engine, batch=None):
    """Return a function that embeds drawn images with a network of drawn weights: uint8 (N, H, W, 3) → (N, D).

    Parameters
    ----------
    network : str
    engine : str
        `auto` or the name of an engine.
    batch : int, optional
        How many images at a time; by default what is fastest for that engine.
    """
    from tools.benchmarking.mxnet_steps import filled
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, network)
        checkpoints.save(prefix, 0, *filled(network))
        trained = Trained(prefix, 0, "cpu", batch, engine)
    images = drawn_images(batch or IMAGES)
    return lambda: trained.embedder(images)


def installed():
    """Return the names of the engines that are installed here."""
    return [name for name in choice.ENGINES if name == "mxnet" or
            any(map(choice.installed, choice.PACKAGES[name]))]


def _race(network, threads, rounds, batch=None):
    """Return ({name: seconds of each turn of a step}, results) of `auto` and every engine."""
    settings = {"network": network, **({"batch": batch} if batch else {})}
    seconds, results, _ = race([(name, "tools.benchmarking.engines:embed", {}, {**settings, "engine": name})
                                for name in (choice.AUTO, *installed())], threads, rounds)
    return seconds, results


def rows(network, threads, rounds):
    """Yield the rows of one network: `auto` beside each engine, MXNet beside the others, and a face at a time."""
    names, facts, label = installed(), {"network": network}, f"embed {network}, engines"
    seconds, _ = _race(network, threads, rounds)
    for name in names:
        hours = 1e6 * statistics.median(seconds[choice.AUTO]) / IMAGES / 3600
        yield compared("embed", label, choice.AUTO, name, seconds, IMAGES, "images/s", facts,
                       f"{hours:.2g} h for a million faces" if name == names[0] else "")
    for name in names[1:]:
        yield compared("embed", label, names[0], name, seconds, IMAGES, "images/s", facts)
    seconds, _ = _race(network, threads, rounds, batch=1)
    milliseconds = {name: 1000 * statistics.median(taken) for name, taken in seconds.items()}
    paper = PAPER_MS.get(network)
    for name in names:
        yield Row("embed", f"a face at a time, {network}", name, "paper's GPU" if paper else None, milliseconds[name],
                  paper, "ms", milliseconds[name] / paper if paper else None, facts=facts)
