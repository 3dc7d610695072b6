"""Pictures of verification results."""
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from datasets.files import whole_path
from eval import measures

GENUINE, IMPOSTOR = "#c0392b", "#2c6fbb"  # red and blue, as in the paper's Figures 6 and 7


def angles(dist):
    """Return the angles in degrees of squared distances d of unit vectors, for which cos θ = 1 − d / 2."""
    return np.degrees(np.arccos(np.clip(1 - np.asarray(dist) / 2, -1, 1)))


def draw_angles(axes, dist, issame, title):
    """Draw the distributions of genuine and impostor pairs' angles, (P,) each, as the paper's Figure 6 does."""
    bins = np.arange(0, 121, 2.5)
    for same, colour, label in ((True, GENUINE, "genuine pairs"), (False, IMPOSTOR, "impostor pairs")):
        axes.hist(angles(dist)[issame == same], bins, color=colour, alpha=0.6, label=label)
    axes.set(title=title, xlabel="angle between the two embeddings (degrees)", ylabel="pairs", xlim=(0, 120))
    axes.legend()


def draw_roc(axes, curves):
    """Draw ROC curves of (label, dist, issame), with the area under each in its label."""
    for label, dist, issame in curves:
        far, tar, _ = measures.roc(dist, issame)
        axes.plot(far, tar, label=f"{label} (area {measures.auc(dist, issame):.3f})")
    axes.plot([0, 1], [0, 1], color="0.8", linewidth=1, zorder=0)
    axes.set(title="people never seen in training", xlabel="false accept rate", ylabel="true accept rate",
             xlim=(0, 1), ylim=(0, 1.005))
    axes.legend(loc="lower right")


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
        draw_angles(place, dist, issame, name)
    with whole_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)
