"""The picture of Figure 8: CMC and ROC curves on logarithmic axes."""
import numpy as np

from datasets.formats.image_lists import quoted
from eval.reporting.plots import plt, save

STYLES = ("-", "--", "-.", ":")


def draw(curves, title=""):
    """Return a figure of curves.

    Parameters
    ----------
    curves : list of (str, array, array)
        A label, the CMC and the ROC, as `eval.protocols.megaface_files.read_result` gives them: ranks from 0 and rates;
        FAR and TAR.
    title : str
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), constrained_layout=True)
    for number, (label, cmc, roc) in enumerate(curves):
        label = quoted(label).replace("$", r"\$")
        look = {"color": f"C{number % 10}", "linestyle": STYLES[number % len(STYLES)]}
        left.plot(np.asarray(cmc[0]) + 1, 100 * np.asarray(cmc[1]), label=f"{label} ({100 * cmc[1][0]:.2f} %)", **look)
        order = np.argsort(roc[0], kind="stable")
        far, tar = np.asarray(roc[0])[order], 100 * np.asarray(roc[1])[order]
        right.plot(far[far > 0], tar[far > 0], marker="." if len(far) < 30 else "", label=label, **look)
    left.set(xscale="log", xlabel="rank", ylabel="identification rate (%)", title="CMC (rank 1 in brackets)")
    right.set(xscale="log", xlabel="false accept rate", ylabel="true accept rate (%)", title="ROC")
    for axes in (left, right):
        axes.grid(True, which="major", color="0.9")
        axes.legend(loc="lower right", fontsize=8)
    if title:
        figure.suptitle(quoted(title).replace("$", r"\$"), fontsize=10)
    return figure


def write(stem, curves, title=""):
    """Write that picture to `STEM.png` and `STEM.svg`; return their paths."""
    return save(draw(curves, title), stem)
