"""How throughput changes with threads, batch and the number of classes: measured, and drawn."""
import os
import statistics
import sys

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from eval.reporting import plots
from tools.benchmarking.rows import CLASSES, race, thread_counts, usual_batch

CLASS_COUNTS = (1000, 10_000, 100_000)
ROUNDS = 3
SECONDS = 370  # on two cores, for the two networks that are drawn by default
STYLES = {"train": ("o", "-"), "embed": ("s", "--")}  # told apart in grey as well
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#000000")


def _rates(work, network, batch, panel, values, threads):
    """Return images a second at each of a panel's values, which take turns."""
    specifications, batches, own = [], {}, {}
    for value in values:
        settings = {"network": network, "batch": batch, **({"classes": CLASSES} if work == "train" else {})}
        own[value] = value if panel == "threads" else threads
        if panel != "threads":
            settings[panel] = value
        batches[value] = settings["batch"]
        specifications.append((value, f"tools.benchmarking.mxnet_steps:{work}_ours", {}, settings))
    seconds, _, _ = race(specifications, own, ROUNDS)
    return [batches[value] / statistics.median(taken) for value, taken in seconds.items()]


def measure(networks, threads):
    """Measure what the picture shows.

    Parameters
    ----------
    networks : list of str
    threads : int
        The most threads.

    Returns
    -------
    list of dict
        One for each line: `panel` (threads, batch or classes), `network`, `batch` (where it is not the panel's),
        `work` (train or embed), `x`, and `images_per_second` at each.
    """
    curves = []
    for network in networks:
        batch = usual_batch(network)
        panels = {"threads": thread_counts(threads), "batch": [1, 4, 16, 64] if batch == 16 else [1, 4, 16],
                  "classes": CLASS_COUNTS}
        for panel, values in panels.items():
            for work in ("train",) if panel == "classes" else ("train", "embed"):
                print(f"[{work} {network} by {panel}]", file=sys.stderr, flush=True)
                rates = _rates(work, network, batch, panel, values, threads)
                curves.append({"panel": panel, "network": network, "work": work, "batch": batch, "x": list(values),
                               "images_per_second": rates})
    return curves


def draw(path, curves):
    """Draw curves as `measure` gives them, and write them beside each other as PNG and SVG; return the two paths."""
    fixed = ", ".join(f"{network} {batch}" for network, batch in
                      {curve["network"]: curve["batch"] for curve in curves}.items())
    labels = {"threads": f"threads (images a batch: {fixed})", "batch": "images a batch",
              "classes": f"classes (images a batch: {fixed})"}
    colours = dict(zip(dict.fromkeys(curve["network"] for curve in curves), COLOURS * len(curves)))
    figure, places = plots.plt.subplots(1, len(labels), figsize=(10, 3.6), sharey=True, constrained_layout=True)
    for axes, (panel, label) in zip(places, labels.items()):
        ticks = set()
        for curve in (curve for curve in curves if curve["panel"] == panel):
            marker, line = STYLES[curve["work"]]
            axes.plot(curve["x"], curve["images_per_second"], marker=marker, linestyle=line,
                      color=colours[curve["network"]], label=f"{curve['work']} {curve['network']}")
            ticks.update(curve["x"])
        axes.set(xscale="log", yscale="log", xlabel=label)
        axes.xaxis.set_major_locator(FixedLocator(sorted(ticks)))
        axes.xaxis.set_minor_locator(NullLocator())
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.15g}"))
        axes.grid(True, which="major", color="0.88")
    places[0].set_ylabel("images a second")
    figure.legend(*places[0].get_legend_handles_labels(), loc="outside upper center", ncol=4, frameon=False)
    return plots.save(figure, os.path.splitext(path)[0])
