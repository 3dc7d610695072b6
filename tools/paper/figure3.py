"""The paper's Figure 3: two-dimensional embeddings of eight identities under softmax and ArcFace (Sec. 2.1)."""
import numpy as np
from sklearn.preprocessing import normalize

from datasets.formats import records
from eval.networks import sources
from eval.networks.embedder import Embedder
from eval.networks.engines.by_mxnet import ByMXNet
from eval.reporting.plots import plt
from recognition.config.build import build, settle
from recognition.config.losses import loss_settings
from recognition.config.networks import network_settings
from recognition.data.batches import open_batches
from recognition.data.check import check_dataset
from recognition.losses.objective import training_symbol
from recognition.reporting.progress import TimeLeft
from recognition.training.health import FiniteLoss
from recognition.training.loop import loop
from recognition.training.replicated import ReplicatedLearner
from runtime import Failure, mx
from runtime.devices import parse_context
from symbols import get_symbol

IDENTITIES = 8
# Eight directions in a plane are at most 45° apart. There the s of 64 drives all embeddings and W into one direction,
# from which nothing leads out: the loss stayed at 10 (ORL); with 16 it did not.
SCALE = 16.0
LOSSES = [("softmax", "(a) Softmax"), ("arcface", "(b) ArcFace")]
COLOURS = ["#000000", "#e69f00", "#56b4e9", "#009e73", "#bfa500", "#0072b2", "#d55e00", "#cc79a7"]
MARKERS = "osD^vP*X"


def write_subset(record, folder, most=1500):
    """Write a record of the eight identities with the most images, the first ones on a tie.

    Parameters
    ----------
    record : str
        Any labelled record whose identities' images follow each other.
    folder : str
    most : int
        Images taken of each identity, the first ones.

    Returns
    -------
    int, int
        The fewest and the most images of an identity.

    Raises
    ------
    Failure
        There are fewer than eight identities.
    """
    layout = records.read_layout(record)
    counts = {}
    for key, label, _ in records.iterate(layout):
        name = sources.label_of(label, f"{layout.record}: image {key}", layout.classes)
        counts[name] = counts.get(name, 0) + 1
    if len(counts) < IDENTITIES:
        raise Failure(f"{layout.record} has {len(counts)} identities: Figure 3 shows {IDENTITIES}")
    chosen = sorted(sorted(counts, key=lambda name: (-counts[name], name))[:IDENTITIES])
    images = {name: [] for name in chosen}
    for key, label, image in records.iterate(layout):
        name = sources.label_of(label, layout.record)
        if name in images and len(images[name]) < most:
            images[name].append((image, str(key)))
    records.write(folder, [(row, image, key) for row, name in enumerate(chosen) for image, key in images[name]])
    return min(map(len, images.values())), max(map(len, images.values()))


def train(config, start=None):
    """Train a network with two-dimensional embeddings; keep nothing but its parameters.

    In a plane the classifier's weights as they are drawn for 512-D have lengths near 0.01, and a first step throws
    them so far that under ArcFace they hardly turn afterwards. So they begin at length 1.

    Parameters
    ----------
    config : EasyDict
        From `recognition.config.build.build`.
    start : (dict, dict), optional
        Arguments and states to begin with, such as this function returns.

    Returns
    -------
    arg_params, aux_params : dict of str to mx.nd.NDArray
        Of the network and, as `fc7_weight` (8, 2), of the classifier.
    """
    contexts = parse_context(config.ctx)
    settle(config, len(contexts))
    config.num_classes = check_dataset(config)
    symbol = get_symbol(config.net_name, **network_settings(config))
    objective = training_symbol(symbol, config.num_classes, **loss_settings(config))
    learner = ReplicatedLearner(symbol, objective, config, contexts, config.batch_size, "device")
    learner.initialise(*start or ())
    if not start:
        weight = learner.classifier()["fc7_weight"]
        learner.replace({"fc7_weight": mx.nd.L2Normalization(weight)})
    reporters = [FiniteLoss(f"{config.loss} needs a lower rate, as -- --lr 0.01"),
                 TimeLeft(config.batch_size, config.max_steps, config.frequent)]
    loop(learner, open_batches(config, len(contexts)), 0, 0, 0,
         lambda step: frozenset({"end"} if step == config.max_steps else ()), reporters)
    arg_params, aux_params = learner.embedding()
    return {**arg_params, **learner.classifier()}, aux_params


def nets(network, dataset, subset, flags):
    """Train under softmax, and on from there under each loss, as many steps again at a tenth of the rate.

    The panels so differ in the loss alone. The rate is lower since ArcFace's gradient goes with s over the embedding's
    length, which is √2 in a plane.

    Parameters
    ----------
    network, dataset : str
        Names in `recognition.config`; the schedule and augmentation are the dataset's.
    subset : str
        A record of eight identities.
    flags : dict
        As for `recognition.config.build.build`.

    Returns
    -------
    list of (str, array (N, 2), array of int (N,), array (8, 2))
        What `draw` takes.
    """
    def trained(loss, start=None):
        scale = {"loss_s": flags.get("loss_s") or SCALE} if loss != "softmax" else {}
        config = build(network, loss, dataset, {**flags, **scale, "dataset_path": subset, "emb_size": 2})
        if not config.max_steps:
            raise Failure(f"the dataset {dataset} has no last step of its own: give --max-steps")
        print(f"== {loss}: {network} with two-dimensional embeddings{', going on' if start else ''}", flush=True)
        if start:
            config.lr *= 0.1
        return config, train(config, start)

    start, drawn = trained("softmax")[1], []
    for loss, title in LOSSES:
        config, params = trained(loss, start)
        embedder = Embedder(ByMXNet(get_symbol(config.net_name, **network_settings(config)), *params))
        embeddings, labels = zip(*sources.embedded(embedder, sources.Record(subset)))
        drawn.append((title, np.concatenate(embeddings), np.concatenate(labels), params[0]["fc7_weight"].asnumpy()))
    return drawn


def draw(nets, caption):
    """Draw normalised embeddings on the circle and each identity's W as a line from its middle.

    Parameters
    ----------
    nets : list of (str, array (N, 2), array of int (N,), array (8, 2))
        A title, embeddings, identities and W, a panel each.
    caption : str
        What stands below.
    """
    figure, panels = plt.subplots(1, len(nets), figsize=(3.9 * len(nets), 4.6), constrained_layout=True)
    for axes, (title, embeddings, labels, weight) in zip(np.ravel(panels), nets):
        axes.add_patch(plt.Circle((0, 0), 1, fill=False, color="0.85", linewidth=0.8, zorder=0))
        for name, (colour, marker) in enumerate(zip(COLOURS, MARKERS)):
            points, centre = normalize(embeddings[labels == name]), normalize(weight[name:name + 1])[0]
            axes.plot([0, centre[0]], [0, centre[1]], color=colour, linewidth=1.2)
            axes.plot(*(0.93 * centre), marker, color=colour, markersize=4)
            # One ring outside the other, so that identities that meet can be told apart.
            rings = points * (1.03 + 0.05 * name)
            axes.plot(*rings.T, marker, color=colour, markersize=4, alpha=0.7, markeredgewidth=0)
        axes.set(title=title, aspect="equal", xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), xticks=[], yticks=[])
    figure.supxlabel(caption, fontsize=8)
    return figure
