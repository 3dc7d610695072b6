"""Pictures of verification results."""
import os
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from datasets.formats.image_lists import quoted
from eval.measures import pairs as measures
from runtime import shown
from runtime.files import whole_path

GENUINE, IMPOSTOR = "#c0392b", "#2c6fbb"  # red and blue, as in the paper's Figures 6 and 7


def angles(dist):
    """Return the angles in degrees of squared distances d of unit vectors, for which cos θ = 1 − d / 2."""
    return np.degrees(np.arccos(np.clip(1 - np.asarray(dist) / 2, -1, 1)))


def draw_angles(axes, genuine, impostor, title):
    """Draw the distributions of genuine and impostor pairs' angles in degrees, as the paper's Figure 6 does.

    Each kind's bars add up to 100 %, for there are often many more pairs of one. One is filled and the other hatched,
    so that they differ in print as well. The title may have the name of a file, of any bytes and signs.
    """
    width = 1 if min(len(genuine), len(impostor)) > 5000 else 2.5
    last = max(120, np.ceil(max(np.max(genuine, initial=0), np.max(impostor, initial=0)) / 10) * 10)
    for angles_, colour, label, style in (
            (genuine, GENUINE, "genuine", {"alpha": 0.75}),
            (impostor, IMPOSTOR, "impostor", {"facecolor": "none", "edgecolor": IMPOSTOR, "hatch": "/////"})):
        axes.hist(angles_, np.arange(0, last + width, width), weights=np.full(len(angles_), 100 / max(1, len(angles_))),
                  histtype="stepfilled", color=colour, label=f"{label} ({len(angles_):,} pairs)", **style)
    title = quoted(title).replace("$", r"\$")  # matplotlib cannot write surrogates, and reads $…$ as a formula
    axes.set(title=title, xlabel="angle between the two embeddings (degrees)", ylabel="pairs of the kind (%)",
             xlim=(0, last))
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper left", fontsize=9)


def draw_roc(axes, curves):
    """Draw ROC curves of (label, dist, issame), with the area under each in its label."""
    for label, dist, issame in curves:
        far, tar, _ = measures.roc(dist, issame)
        axes.plot(far, tar, label=f"{label} (area {measures.auc(dist, issame):.3f})")
    axes.plot([0, 1], [0, 1], color="0.8", linewidth=1, zorder=0)
    axes.set(title="people never seen in training", xlabel="false accept rate", ylabel="true accept rate",
             xlim=(0, 1), ylim=(0, 1.005))
    axes.legend(loc="lower right")


def roc_figure(curves):
    """Return a figure of ROC curves: the whole range on the left, small false accept rates on the right.

    The right panel begins at the rate of one impostor pair in the largest set; below it nothing can be measured.

    Parameters
    ----------
    curves : list of (str, array (N,), array of bool (N,))
        A label, which may have the name of a file, the distances of the pairs, and which of them are genuine. Angles
        serve as distances. Each set has pairs of both kinds.
    """
    figure, (whole, small) = plt.subplots(1, 2, figsize=(10, 4.4), constrained_layout=True)
    least = 1 / max(np.sum(~np.asarray(issame)) for _, _, issame in curves)
    for label, dist, issame in curves:
        far, tar, _ = measures.roc(dist, issame)
        label = f"{quoted(label)} (AUC {measures.auc(dist, issame):.4f})".replace("$", r"\$")
        whole.plot(far, tar, label=label)
        small.plot(np.maximum(far, least / 2), tar, label=label)
    whole.plot([0, 1], [1, 0], color="0.8", linewidth=1, zorder=0)  # the equal error rate lies on it
    whole.set(xlim=(0, 1), ylim=(0, 1.005), xlabel="false accept rate", ylabel="true accept rate")
    small.set(xscale="log", xlim=(min(least, 0.1), 1), ylim=(0, 1.005), xlabel="false accept rate")
    small.grid(color="0.9")
    whole.legend(loc="lower right", fontsize=8)
    return figure


def roc_picture(path, curves):
    """Write a picture of ROC curves (`roc_figure`), whole or not at all; `path` ends in .png or .svg.

    Sets with one kind of pair are left out. Where all are such, a note on stderr says so, and there is no picture.
    """
    curves = [curve for curve in curves if curve[2].any() and not curve[2].all()]
    if not curves:
        print(f"note: {shown(path)} is not written: a ROC curve needs genuine and impostor pairs", file=sys.stderr,
              flush=True)
        return
    figure = roc_figure(curves)
    with whole_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    plt.close(figure)


def save(figure, stem):
    """Write a figure to `STEM.png` and `STEM.svg`, each whole or not at all, and close it; return the two paths.

    The same figure gives the same bytes each time.
    """
    os.makedirs(os.path.dirname(os.path.abspath(stem)), exist_ok=True)
    paths = [f"{stem}.png", f"{stem}.svg"]
    with plt.rc_context({"svg.hashsalt": "arcface"}):
        for path, kind, metadata in zip(paths, ("png", "svg"), ({}, {"Date": None})):
            with whole_path(path) as temporary:
                figure.savefig(temporary, dpi=200, format=kind, metadata=metadata)
    plt.close(figure)
    return paths


def verification_picture(path, results, issame):
    """Write a picture: the ROC curves, then each network's distributions of angles.

    Parameters
    ----------
    path : str
        PNG file to write.
    results : list of (str, ndarray)
        A name and the squared distances (P,) of the pairs' normalised embeddings, for each network.
    issame : ndarray of bool, shape (P,)
    """
    figure, axes = plt.subplots(1, 1 + len(results), figsize=(5 * (1 + len(results)), 4.2), constrained_layout=True)
    draw_roc(axes[0], [(name, dist, issame) for name, dist in results])
    for place, (name, dist) in zip(axes[1:], results):
        draw_angles(place, angles(dist[issame]), angles(dist[~issame]), name)
    with whole_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)
