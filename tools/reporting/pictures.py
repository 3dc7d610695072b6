"""Pictures of the page, as data that stands in the page itself."""
import base64
import io

from datasets.formats import images
from eval.reporting import plots
from eval.reporting.plots import plt

WIDTH = 7.0  # inches; the page shows them as wide as there is room


def embedded(content, kind):
    """Return bytes of a picture as a data URI; `kind` is "png" or "jpeg"."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def of_figure(figure):
    """Return a figure as a data URI, and close it."""
    file = io.BytesIO()
    figure.savefig(file, dpi=110, format="png", metadata={"Software": None})
    plt.close(figure)
    return embedded(file.getvalue(), "png")


def loss(course):
    """Draw the loss and, where the log has it, the accuracy of the margin logits by step."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.2), constrained_layout=True)
    axes.plot(list(course.loss), list(course.loss.values()), color=plots.GENUINE, label="loss")
    axes.set(xlabel="step", ylabel="loss", ylim=(0, None))
    handles = axes.get_lines()
    if course.accuracy:
        other = axes.twinx()
        other.plot(list(course.accuracy), list(course.accuracy.values()), color=plots.IMPOSTOR, linestyle="--",
                   label="accuracy of the margin logits")
        other.set(ylabel="accuracy of the margin logits", ylim=(0, 1.02))
        handles = [*handles, *other.get_lines()]
    for step in course.rates:
        axes.axvline(step, color="0.6", linewidth=1, linestyle=":")
    axes.legend(handles=handles, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=2)
    return of_figure(figure)


def verified(course):
    """Draw the accuracy on each verification set by step."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.2), constrained_layout=True)
    for name, points in course.verified.items():
        axes.errorbar(list(points), [100 * mean for mean, _ in points.values()],
                      [100 * deviation for _, deviation in points.values()], marker="o", markersize=3, capsize=2,
                      label=plots.quoted(name).replace("$", r"\$"))
    axes.set(xlabel="step", ylabel="accuracy (%)")
    axes.legend(fontsize=8)
    return of_figure(figure)


def mean_angles(trace):
    """Draw the mean angle between embeddings and the centres of their classes by step (Figure 4a's θ)."""
    figure, axes = plt.subplots(figsize=(WIDTH, 2.8), constrained_layout=True)
    axes.plot(trace["steps"].mean(axis=1), trace["means"], color=plots.GENUINE)
    axes.set(xlabel="step", ylabel="mean θ (degrees)", ylim=(0, None))
    return of_figure(figure)


def roc(curves):
    """Draw ROC curves (`eval.reporting.plots.roc_figure`)."""
    return of_figure(plots.roc_figure(curves))


def histogram(angles, issame, title):
    """Draw the distributions of genuine and impostor pairs' angles, as Figure 6 does."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.2), constrained_layout=True)
    plots.draw_angles(axes, angles[issame], angles[~issame], title)
    return of_figure(figure)


def face(pixels):
    """Return an RGB image, uint8 (height, width, 3), as a data URI."""
    return embedded(images.encode(pixels, 90), "jpeg")
