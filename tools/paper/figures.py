"""The paper's Figures 4 to 7, drawn from the head's own symbols, from a run's angles and from embeddings.

Each function returns a matplotlib figure, for `eval.reporting.plots.save`. Lines differ in style as well as in
colour (the colours are Okabe and Ito's, which the colour-blind can tell apart), so that they can be told apart in grey.
"""
import numpy as np

from eval.measures import angles
from eval.networks import sources
from eval.reporting import plots, results
from recognition.config.losses import LOSSES
from recognition.losses import classification
from recognition.reporting.angle_trace import stages
from runtime import Failure, mx

plt = plots.plt

# Losses by their names in recognition/config/, in the order of the legend of Figure 4(b).
CURVES = [("nsoftmax", "Softmax", "#000000", "-"), ("sphereface", "SphereFace (1.35)", "#56b4e9", (0, (1, 1))),
          ("cosface", "CosFace (0.35)", "#009e73", "--"), ("arcface", "ArcFace (0.5)", "#d55e00", "-"),
          ("cm1", "CM1 (1, 0.3, 0.2)", "#cc79a7", "-."),
          ("cm2", "CM2 (0.9, 0.4, 0.15)", "#0072b2", (0, (5, 1, 1, 1, 1, 1)))]
BINARY = ["nsoftmax", "sphereface", "cosface", "arcface"]  # the panels of Figure 5


def target_logit(loss, degrees):
    """Return the target's logit, divided by s, that a loss gives at angles between feature and weight.

    The head's symbols are run on features in a plane with the target's weight.

    Parameters
    ----------
    loss : str
        A name in `recognition.config.losses.LOSSES`, of a loss with margins.
    degrees : array, shape (T,)

    Returns
    -------
    float32 array, shape (T,)
    """
    settings = {key: value for key, value in LOSSES[loss].settings.items()
                if key in ("loss_name", "loss_s", "loss_m1", "loss_m2", "loss_m3")}
    theta = np.radians(np.asarray(degrees, np.float64))
    head = classification.logits(mx.sym.Variable("embedding"), mx.sym.Variable("label"), 2, **settings)
    arrays = {"embedding": np.stack([np.cos(theta), np.sin(theta)], axis=1), "label": np.zeros(len(theta)),
              "fc7_weight": np.array([[1.0, 0.0], [0.0, 1.0]])}
    bound = head.bind(mx.cpu(), {name: mx.nd.array(values) for name, values in arrays.items()}, grad_req="null")
    return bound.forward()[0].asnumpy()[:, 0] / settings["loss_s"]


def figure4a(trace):
    """Draw the distributions of θ, the angle to the own class's W, at the start, middle and end of a run.

    `trace` is what `recognition.reporting.angle_trace.read` gives of a run with --trace-angles.
    """
    figure, axes = plt.subplots(figsize=(5.2, 3.6), constrained_layout=True)
    parts = stages(trace, samples=500)
    width = 1 if min(counts.sum() for *_, counts in parts) > 5000 else 3  # degrees; fewer in 1° are all noise
    centres = trace["edges"][:-1:width] + width / 2
    for (first, last, mean, counts), name, colour, style in zip(
            parts, ("start", "middle", "end"), ("#0072b2", "#009e73", "#d55e00"), ("-", "--", "-.")):
        counts = counts.reshape(-1, width).sum(1)
        steps = f"step {first}" if first == last else f"steps {first}–{last}"
        axes.plot(centres, 100 * counts / max(1, counts.sum()), style, color=colour, drawstyle="steps-mid",
                  label=f"{name}, {steps}: mean {mean:.1f}°")
        axes.axvline(mean, color=colour, linestyle=style, linewidth=0.8)
    axes.set(xlabel="θ between an embedding and its class's W (degrees)", ylabel=f"embeddings in {width}° (%)",
             xlim=(0, 130), ylim=(0, 1.35 * axes.get_ylim()[1]))  # room for the legend
    axes.legend(loc="upper left", fontsize=8)
    return figure


def figure4b():
    """Draw the target's logit over θ from 20° to 100° under each margin, from the head's own symbols."""
    figure, axes = plt.subplots(figsize=(5.2, 3.9), constrained_layout=True)
    degrees = np.linspace(20, 100, 161)
    for loss, label, colour, style in CURVES:
        axes.plot(degrees, target_logit(loss, degrees), color=colour, linestyle=style, linewidth=1.6, label=label)
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.set(xlabel="θ between the feature and the target's W (degrees)", ylabel="target logit / s", xlim=(20, 100))
    axes.legend(fontsize=8)
    return figure


def boundary(loss, degrees):
    """Return the largest angle θ₁ to W₁, in degrees, at which class 1 is chosen in training, for angles θ₂ to W₂.

    There the target's logit at θ₁ equals cos θ₂. Where even θ₁ = 0 is too far, NaN.
    """
    fine = np.linspace(0, 90, 9001)
    logit = target_logit(loss, fine).astype(np.float64)  # falls with θ₁
    return np.interp(-np.cos(np.radians(degrees)), -logit, fine, left=np.nan)


def figure5():
    """Draw the decision margins of the binary case: grey is where neither class is right in training."""
    figure, panels = plt.subplots(1, 4, figsize=(9.2, 2.75), sharey=True, constrained_layout=True)
    labels = {loss: label for loss, label, *_ in CURVES}
    second = np.linspace(0, 90, 721)
    for loss, axes in zip(BINARY, panels):
        if loss != "nsoftmax":
            margin = boundary(loss, second)
            inner = np.nan_to_num(margin, nan=0.0)
            axes.fill_betweenx(second, inner, second, color="0.75", linewidth=0)
            axes.fill_between(second, inner, second, color="0.75", linewidth=0)
            axes.plot(margin, second, color="black", linewidth=0.9)
            axes.plot(second, margin, color="black", linewidth=0.9)
        axes.plot([0, 90], [0, 90], "--", color="black", linewidth=1.2)
        axes.text(20, 76, "class 1", ha="center", fontsize=9)
        axes.text(72, 10, "class 2", ha="center", fontsize=9)
        axes.set(title=labels[loss], xlabel="θ₁ (degrees)", xlim=(0, 90), ylim=(0, 90), aspect="equal",
                 xticks=range(0, 91, 30), yticks=range(0, 91, 30))
    panels[0].set_ylabel("θ₂ (degrees)")
    return figure


def figure6(models, record, limit=500_000, seed=0, progress=False):
    """Draw the angles of a labelled test set's genuine pairs and of random impostor pairs, a panel a model.

    Parameters
    ----------
    models : list of (str, eval.networks.embedder.Embedder)
        Titles and networks.
    record : str
        The labelled record of people who were not trained on.
    limit, seed : int
        As for `eval.measures.angles.pair_angles`.
    """
    figure, panels = _angle_panels(len(models))
    for axes, (title, embedder) in zip(panels, models):
        embeddings, labels = zip(*sources.embedded(embedder, sources.Record(record), progress))
        pairs = angles.pair_angles(np.concatenate(embeddings), np.concatenate(labels), limit, seed)
        if not len(pairs[0]) or not len(pairs[1]):
            raise Failure(f"{record}: {'genuine' if not len(pairs[0]) else 'impostor'} pairs need "
                          "two images of one identity, and two identities; give a test set that has them with --data")
        plots.draw_angles(axes, *pairs, title)
    _same_limits(panels[:len(models)])
    return figure


def figure7(checkpoint, targets, flip=True, progress=False):
    """Draw the angles of the pairs of verification files, a panel each, with the accuracy in its title.

    Parameters
    ----------
    checkpoint : tools.paper.evaluated.Checkpoint
    targets : list of (str, str)
        Name and path of each.
    flip : bool
        As for `eval.protocols.pairs.verify`.
    """
    figure, panels = _angle_panels(len(targets))
    for axes, (name, path) in zip(panels, targets):
        evaluation, issame = checkpoint.verified(name, path, flip, fewer=True, progress=progress)
        degrees, accuracy = results.pair_angles(evaluation), evaluation["values"]["accuracy"]
        plots.draw_angles(axes, degrees[issame], degrees[~issame], f"{name} ({100 * accuracy:.2f} %)")
    _same_limits(panels[:len(targets)])
    return figure


def _angle_panels(count):
    """Return a figure with so many panels, three a row at most, and the panels."""
    columns = min(3, count)
    rows = -(-count // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(4.4 * columns, 3.3 * rows), constrained_layout=True,
                                  squeeze=False)
    for axes in panels.flat[count:]:
        axes.set_visible(False)
    return figure, panels.flat


def _same_limits(panels):
    """Give panels that are compared the same axes."""
    right, top = (max(axes.axis()[side] for axes in panels) for side in (1, 3))
    for axes in panels:
        axes.set(xlim=(0, right), ylim=(0, top))
