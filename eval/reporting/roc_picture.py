"""Pictures of ROC curves over rates that span decades: FAR from 1e-6 on, as in the paper's Figure 9."""
from datasets.formats.image_lists import quoted
from eval.reporting.plots import plt
from runtime.files import whole_path


def draw_roc(axes, title, curves):
    """Draw ROC curves with a logarithmic FAR.

    Parameters
    ----------
    axes : matplotlib's Axes
    title : str
    curves : list of (str, dict)
        A label, and `far` and `tar`, lists of numbers; None instead of a dict is passed over.
    """
    for label, curve in curves:
        if curve:
            # A label with $…$ would be read as a formula.
            axes.plot(curve["far"], curve["tar"], label=quoted(label).replace("$", r"\$"))
    axes.set(title=quoted(title).replace("$", r"\$"), xlabel="false accept rate", ylabel="true accept rate",
             xscale="log", xlim=(1e-6, 1), ylim=(0, 1.005))
    axes.grid(True, which="major", color="0.9")
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="lower right")


def write(path, title, curves):
    """Write a picture of ROC curves, whole or not at all; parameters as for `draw_roc`. The file is a PNG."""
    figure, axes = plt.subplots(figsize=(5.5, 4.5), constrained_layout=True)
    draw_roc(axes, title, curves)
    with whole_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
    plt.close(figure)
