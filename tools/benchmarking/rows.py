"""What the benchmark measures: each function yields rows, ratios of what took turns within one run."""
import contextlib
import importlib.util
import statistics
import tempfile
import time
from collections import namedtuple

import numpy as np

from eval.measures import pairs as measures
from recognition.config.build import build
from recognition.config.losses import LOSSES
from recognition.config.networks import network_settings
from runtime import Failure
from symbols import get_symbol, operations
from symbols.lowering import FACES
from tools.benchmarking import synthetic, verification_loops
from tools.benchmarking.contenders import Contender, take_turns

IN_PYTORCH = ("r50", "r100", "y1", "y2")
CLASSES = 1000
PAPER_MS = {"r50": 8.9, "r100": 15.4}  # Sec. 3.1: a face on a GPU

TRAIN_PLAIN = ("plain", "tools.benchmarking.mxnet_steps:train_plain", {})
# For inference MXNet fuses operators when it binds a graph, unless told not to.
EMBED_PLAIN = ("plain", "tools.benchmarking.mxnet_steps:embed_plain", {"MXNET_SUBGRAPH_BACKEND": "NONE"})
EMBED_FUSED = ("plain, fused", "tools.benchmarking.mxnet_steps:embed_plain", {"MXNET_SUBGRAPH_BACKEND": "MKLDNN"})
PYTORCH = ("PyTorch", "PyTorch, compiled")
# PyTorch's threads wait as they do by default, spinning for less than a millisecond before they sleep.
WAITING = {"GOMP_SPINCOUNT": "300000"}

HEAD_BATCH, HEAD_CLASSES = 64, (10_000, 100_000)
PAIRS = 7000
READING_IMAGES, READING_BATCH = 3000, 100
EMORE = (5_822_653, 85_742)  # images, identities

Row = namedtuple("Row", "section label left right left_value right_value unit ratio lowest highest facts note",
                 defaults=(None, None, {}, ""))
Row.__doc__ = """A ratio, `left` ÷ `right`, of two values in `unit`; `right_value` and `ratio` may be None.

Where nothing is compared, `right` is None as well, and `left_value` alone is the measurement.

`lowest` and `highest` are the ratio's in single rounds. `facts` are plain values (network, batch, …); `note` is what
else there is to say.
"""


def flops_of(network):
    """Return the floating point operations of embedding one face, two a multiply-add, by direct convolution."""
    config = build(network, "arcface", "emore", {})
    symbol = get_symbol(config.net_name, **network_settings(config))
    return sum(layer.flops for layer in operations.count(symbol, FACES))


def usual_batch(network):
    """Return how many images a batch of the benchmark has, fewer for large networks."""
    return 8 if flops_of(network) > 4e9 else 16


def _without_torch():
    """Return why PyTorch cannot be compared with; an empty text where it can."""
    return "" if importlib.util.find_spec("torch") else "torch not installed"


def race(specifications, threads, rounds):
    """Start contenders, let them take turns, and end them.

    Parameters
    ----------
    specifications : list of (name, str, dict, dict)
        Name, step, environment and settings of each, as `Contender` takes them. PyTorch's may fail to start.
    threads : int, or dict of name to int
    rounds : int

    Returns
    -------
    seconds, results : dicts
        As `take_turns` gives them.
    failed : str
        What PyTorch said where it did not start.
    """
    failed = ""
    with contextlib.ExitStack() as stack:
        contenders = {}
        for name, step, environment, settings in specifications:
            own = threads[name] if isinstance(threads, dict) else threads
            contenders[name] = stack.enter_context(Contender(step, own, environment, **settings))
        for name in [name for name in contenders if name in PYTORCH]:
            try:
                contenders[name].wait()
            except Failure as failure:
                failed = str(failure)
                del contenders[name]
        return (*take_turns(contenders, rounds), failed)


def compared(section, label, left, right, seconds, work, unit, facts, note=""):
    """Return the row of two contenders that do the same work: `work` in `unit`·seconds a turn, more is better."""
    ratios = [theirs / ours for ours, theirs in zip(seconds[left], seconds[right])]
    ours, theirs = (statistics.median(seconds[name]) for name in (left, right))
    return Row(section, label, left, right, work / ours, work / theirs, unit, theirs / ours, min(ratios), max(ratios),
               facts, note)


def share_of_peak(section, label, seconds, peak, operations, facts):
    """Return the row of the arithmetic that ours does in a second, beside the best of SGEMM's turns."""
    reached = [operations / taken / peak for taken in seconds["ours"]]
    share = statistics.median(reached)
    return Row(section, label, "ours", "SGEMM peak", share * peak / 1e9, peak / 1e9, "GFLOP/s", share, min(reached),
               max(reached), facts)


def _differing(results, name):
    """Return a note where a contender's embedding of the first image is not ours."""
    ours, theirs = (np.array(results[which][-1], float) for which in ("ours", name))
    difference = np.abs(ours - theirs).max() / np.abs(ours).max()
    return "" if difference < 1e-3 else f"embeddings differ by {difference:.1g}"


def network_rows(section, network, batch, threads, rounds):
    """Yield the rows of training (`section` "train") or embedding ("embed") with one network.

    PyTorch's network is compared with where there is one, and the share of the SGEMM peak counts three times the
    arithmetic of embedding for training.
    """
    training = section == "train"
    label, facts = f"{section} {network}, batch {batch}", {"network": network, "batch": batch}
    settings = {"network": network, "batch": batch, **({"classes": CLASSES} if training else {})}
    plain = [TRAIN_PLAIN] if training else [EMBED_PLAIN, EMBED_FUSED]
    specifications = [("ours", f"tools.benchmarking.mxnet_steps:{section}_ours", {}, settings),
                      *((*contender, settings) for contender in plain),
                      ("SGEMM peak", "tools.benchmarking.contenders:sgemm", {}, {})]
    absent = _without_torch()
    pytorch = PYTORCH[:2 if training else 1] if network in IN_PYTORCH else ()
    if network in IN_PYTORCH and not absent:
        specifications += [(name, f"tools.benchmarking.torch_networks:{section}", WAITING,
                            {**settings, **({"compiled": True} if name != "PyTorch" else {})}) for name in pytorch]
    seconds, results, failed = race(specifications, threads, rounds)
    for name in [*(name for name, *_ in plain), *pytorch]:
        if name in seconds:
            yield compared(section, label, "ours", name, seconds, batch, "images/s", facts,
                           "" if training else _differing(results, name))
        else:
            yield Row(section, label, "ours", name, batch / statistics.median(seconds["ours"]), None, "images/s", None,
                      facts=facts, note=absent or failed)
    work = flops_of(network) * batch * (3 if training else 1)
    yield share_of_peak(section, label, seconds, max(results["SGEMM peak"]), work, facts)


def batch1_rows(network, threads, rounds):
    """Yield the rows of embedding one face at a time: beside the paper's time on a GPU, and plain MXNet's here."""
    settings, facts = {"network": network, "batch": 1}, {"network": network, "batch": 1}
    ours = ("ours", "tools.benchmarking.mxnet_steps:embed_ours", {}, settings)
    seconds, results, _ = race([ours, (*EMBED_FUSED, settings)], threads, rounds)
    label = f"a face at a time, {network}"
    ours, plain = (1000 * statistics.median(seconds[name]) for name in ("ours", "plain, fused"))
    paper = PAPER_MS.get(network)
    if paper:
        yield Row("batch1", label, "ours", "paper's GPU", ours, paper, "ms", ours / paper, facts=facts)
    yield Row("batch1", label, "ours", "plain, fused", ours, plain, "ms", ours / plain, facts=facts,
              note=_differing(results, "plain, fused"))


def drawn_pairs(pairs, seed=0):
    """Return distances, float32 (P,), and labels (P,) of drawn pairs, as a good network might give them."""
    random = np.random.RandomState(seed)
    issame = random.rand(pairs) < 0.5
    dist = np.where(issame, random.normal(1.0, 0.25, pairs), random.normal(1.9, 0.2, pairs))
    return np.clip(dist, 0, 4).astype(np.float32), issame


def verification_rows(rounds):
    """Yield the row of 10-fold accuracy and TAR of 7,000 pairs, by loops over thresholds and by `eval.measures.pairs`.

    Raises AssertionError where their results are not equal.
    """
    dist, issame = drawn_pairs(PAIRS)
    ways = {"loops": (verification_loops.accuracy, verification_loops.tar),
            "ours": (measures.kfold_accuracy, measures.kfold_tar)}
    seconds, found = {name: [] for name in ways}, {}
    for _ in range(min(rounds, 3)):
        for name, (accuracy, tar) in ways.items():
            begun = time.perf_counter()
            found[name] = np.concatenate([*accuracy(dist, issame), tar(dist, issame)])
            seconds[name].append(time.perf_counter() - begun)
    if not np.array_equal(found["loops"], found["ours"]):
        raise AssertionError(f"eval.measures.pairs gives {found['ours']}, loops give {found['loops']}")
    loops, ours = (1000 * statistics.median(seconds[name]) for name in ("loops", "ours"))
    ratios = [slow / fast for slow, fast in zip(seconds["loops"], seconds["ours"])]
    yield Row("verification", f"10 folds and TAR of {PAIRS:,} pairs", "loops", "ours", loops, ours, "ms", loops / ours,
              min(ratios), max(ratios), {"pairs": PAIRS}, "results equal")


def distinct_losses():
    """Return the losses of the table without triplets, of those that compute the same with other numbers the first."""
    found = {}
    for name, loss in LOSSES.items():
        margins = tuple(loss.settings.get(key, neutral) != neutral
                        for key, neutral in (("loss_m1", 1.0), ("loss_m2", 0.0), ("loss_m3", 0.0),
                                             ("intra_weight", 0.0), ("inter_weight", 0.0)))
        if not loss.needs_triplets:
            found.setdefault((loss.settings["loss_name"], *margins), name)
    return list(found.values())


def head_rows(classes, threads, rounds):
    """Yield the rows of each loss's head beside softmax's: forward and backward of 64 embeddings of 512 numbers."""
    with Contender("tools.benchmarking.mxnet_steps:heads_alone", threads, span=0, batch=HEAD_BATCH, emb_size=512,
                   classes=classes, rounds=rounds) as contender:
        for loss in distinct_losses():
            if loss == "softmax":
                continue
            _, seconds = contender.turn(loss)
            ratios = [head / softmax for head, softmax in zip(seconds["loss"], seconds["softmax"])]
            head, softmax = (statistics.median(seconds[name]) for name in ("loss", "softmax"))
            yield Row("head", f"head of {loss}, {classes:,} classes", "loss", "softmax", 1000 * head, 1000 * softmax,
                      "ms", head / softmax, min(ratios), max(ratios),
                      {"loss": loss, "classes": classes, "batch": HEAD_BATCH})


def thread_counts(most):
    """Return 1, 2, 4, … and the most."""
    return sorted({min(2 ** power, most) for power in range(most.bit_length() + 1)})


def reading_rows(threads, rounds, images=READING_IMAGES):
    """Yield the rows of reading drawn images of 112×112: our iterator, by its threads, beside a loop in Python."""
    with tempfile.TemporaryDirectory() as folder:
        synthetic.write_record(folder, images)
        settings = {"folder": folder, "batch": READING_BATCH}
        ours = {f"{count} thread{'s' * (count > 1)}": count for count in thread_counts(threads)}
        seconds, _, _ = race([(name, "tools.benchmarking.mxnet_steps:read_ours", {}, {**settings, "num_workers": count})
                              for name, count in ours.items()]
                             + [("loop in Python", "tools.benchmarking.mxnet_steps:read_loop", {}, settings)],
                             threads, min(rounds, 3))
    for name, count in ours.items():
        yield compared("reading", f"reading {images:,} images, {name}", name, "loop in Python", seconds,
                       images, "images/s", {"threads": count, "batch": READING_BATCH}
                       )._replace(left="ours")


def index_rows(threads, images=EMORE[0], identities=EMORE[1]):
    """Yield the rows of what training's start does with a record's index, for one of emore's size: time and memory."""
    with tempfile.TemporaryDirectory() as folder:
        synthetic.write_sparse_record(folder, images, identities)
        with Contender("tools.benchmarking.mxnet_steps:index", threads, span=0, folder=folder) as contender:
            seconds, result = contender.turn()
    label, facts = f"index of {images:,} images", {"images": images, "identities": identities, **result}
    yield Row("index", label, "ours", None, seconds, None, "s", None, facts=facts,
              note=f"reading {result['read']:.1f}, writing {result['write']:.1f}")
    if result["peak_bytes"]:
        yield Row("index", label, "ours", None, result["peak_bytes"] / 1e9, None, "GB", None, facts=facts,
                  note="the process's peak")
