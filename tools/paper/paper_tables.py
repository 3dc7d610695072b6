"""Tables in Markdown that show the paper's numbers beside ours."""
import json
import os

import numpy as np

from eval.measures import angles
from eval.networks import checkpoints, sources
from eval.networks.checkpoint_files import read_params
from eval.networks.embedder import Embedder
from eval.networks.engines.by_mxnet import ByMXNet
from eval.reporting.paper_numbers import paper
from runtime import Failure

NONE = "–"

STATISTICS = {"W-EC": "w_ec", "W-Inter": "w_inter", "Intra1": "intra", "Inter1": "inter"}  # by `eval.measures.angles`
COLUMNS = {"nsoftmax": "NS", "arcface": "ArcFace", "ns-intra": "IntraL", "ns-inter": "InterL", "atriplet": "TripletL"}
"""The losses of Table 3's columns."""

EVALUATIONS = {"table4": {"LFW": "lfw"}, "table5": {"LFW": "lfw", "CALFW": "calfw", "CPLFW": "cplfw"}}
"""Columns that a verification file gives, with its name."""

NEEDS = {
    "table4": {"YTF": "the frames of YouTube Faces and their protocol"},
    "table7": {"IJB-B": "the images and templates of IJB-B", "IJB-C": "the images and templates of IJB-C"},
    "table9": {"MAP": "the clips of iQIYI-VID: eval/iqiyi.py evaluates them"},
}
"""What columns need for which there is no evaluation here."""


def shown(value, digits=2):
    """Return a cell: a number with its digits, text as it is, and a dash for None."""
    if value is None:
        return NONE
    return value if isinstance(value, str) else f"{value:.{digits}f}"


def markdown(head, rows):
    """Return a Markdown table, with all but the first column to the right; cells are text."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def classifier(prefix, epoch):
    """Return the weights (C, D) of the classifier that lies beside a checkpoint, or None where there is none."""
    path = checkpoints.params_path(os.path.join(os.path.dirname(prefix), "fc7"), epoch)
    weight = read_params(path)[0].get("fc7_weight") if os.path.exists(path) else None
    if weight is not None and weight.ndim != 2:
        raise Failure(f"{path}: fc7_weight has the shape {weight.shape}, not one row a class; copy it again")
    return None if weight is None else weight.asnumpy()


def run_of(prefix):
    """Return what the run's `config.json` beside a checkpoint says, or an empty dict."""
    try:
        with open(os.path.join(os.path.dirname(prefix), "config.json"), encoding="utf-8") as file:
            found = json.load(file)
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def name_of(prefix):
    """Return what a column or panel calls a checkpoint: its run's loss, or its file's name where that is not known."""
    return str(run_of(prefix).get("loss") or os.path.basename(prefix))


def table3(models, data, held_out=None, context=None, folder=None, progress=False):
    """Compute the angle statistics of Table 3.

    Parameters
    ----------
    models : list of (str, int)
        Prefixes and epochs.
    data, held_out : str
        The labelled record that they were trained on, and one of people that they were not (None: left out).
    context : mx.Context
    folder : str, optional
        For temporary files (`eval.measures.angles.statistics`).

    Returns
    -------
    dict of str to dict
        For each model's name, the statistics by their names in the paper, None where they do not exist, and the
        counts of images and identities under `data` and `held_out`.
    """
    columns = {}
    for prefix, epoch in models:
        name = name_of(prefix)
        if name in columns:
            name = f"{prefix},{epoch}"
        embedder = Embedder(ByMXNet(*checkpoints.load(prefix, epoch), context))
        found = angles.statistics(sources.embedded(embedder, sources.Record(data), progress),
                                  classifier(prefix, epoch), folder)
        column = {row: found[key] for row, key in STATISTICS.items()}
        column.update(Intra2=None, Inter2=None, data=_counts(found))
        if held_out:
            found = angles.statistics(sources.embedded(embedder, sources.Record(held_out), progress), folder=folder)
            column.update(Intra2=found.intra, Inter2=found.inter, held_out=_counts(found))
        columns[name] = column
    return columns


def _counts(found):
    return {key: found[key] for key in ("images", "identities", "single", "intra_all")}


def table3_text(columns, data, held_out):
    """Return Table 3 as Markdown: the paper's columns, ours, and how identities with one image count."""
    table = paper("table3")
    head = ["degrees", *(f"paper: {column}" for column in table["columns"]),
            *(f"here: {COLUMNS.get(name, name)}" for name in columns)]
    rows = [[row, *map(shown, values), *(shown(column[row]) for column in columns.values())]
            for row, values in table["rows"].items()]
    lines = [markdown(head, rows), f"Paper: {table['setting']}. “1” is the training set, here {data}; “2” is LFW, here "
             f"{held_out or 'not given'}. Embeddings are of single crops, centres means of normalised embeddings. An "
             "identity's only image is its own centre: it counts in Inter and is left out of Intra.", ""]
    for part, digit in (("data", 1), ("held_out", 2)):
        found = [column[part] for column in columns.values() if part in column]
        if found:
            counts, left_out = found[0], ", ".join(f"{one['intra_all']:.2f}" for one in found)
            lines.append(f"Intra{digit}, Inter{digit}: {counts['images']:,} images of {counts['identities']:,} "
                         f"identities, {counts['single']:,} of which have one image"
                         + (f"; with those at 0°, Intra{digit} is {left_out}." if counts["single"] else "."))
    if any(column["W-EC"] is None for column in columns.values()):
        lines.append(f"{NONE}: there is no classifier (fc7-NNNN.params) beside that checkpoint.")
    return "\n".join(lines) + "\n"


def verified(table, checkpoint, find, flip):
    """Return how a model does on the files that a table has columns for.

    Parameters
    ----------
    table : str
        A name in `EVALUATIONS`.
    checkpoint : tools.paper.evaluated.Checkpoint or None
    find : callable
        From a name, such as lfw, to the path of its file, or None.
    flip : bool

    Returns
    -------
    results : dict of str to dict
        For each column that could be filled, the accuracy in % and the file.
    needs : dict of str to str
        For the others, what is missing.
    """
    results, needs = {}, dict(NEEDS.get(table, {}))
    for column, name in EVALUATIONS.get(table, {}).items():
        path = find(name)
        if path is None:
            needs[column] = f"{name}.bin"
        elif checkpoint is None:
            needs[column] = "a model (--model PREFIX,EPOCH)"
        else:
            values = checkpoint.verified(name, path, flip, progress=True)[0]["values"]
            results[column] = {"accuracy": 100 * values["accuracy"], "std": 100 * values["std"], "path": path}
    return results, needs


def table_text(table, title, results, needs, flip):
    """Return one of Tables 4 to 9 as Markdown: the paper's rows, ours, and what the empty columns need."""
    of_paper = paper(table)
    images = {"training images": NONE}
    ours = [shown(results[column]["accuracy"]) if column in results else images.get(column) or "needs data"
            for column in of_paper["columns"]]
    # The paper's figures have as many digits as it prints.
    rows = [[row, *(shown(value if value is None or isinstance(value, str) else f"{value:g}") for value in values)]
            for row, values in of_paper["rows"].items()]
    lines = [markdown(["", *of_paper["columns"]], [*rows, [f"**here: {title}**", *ours]]),
             f"Paper: {of_paper['setting']}."]
    paths = [found["path"] for column, found in results.items() if column in EVALUATIONS.get(table, {})]
    if paths:  # of verification files; other benchmarks have lines of their own
        lines.append(f"Here: mean over ten folds, {protocol_text(flip)}; files {', '.join(paths)}.")
    lines += [f"{column} needs {what}." for column, what in needs.items()]
    return "\n".join(lines) + "\n"


def protocol_text(flip):
    """Return in words which embedding of an image is compared."""
    return ("each image embedded as the sum of itself and its mirror image, as in the original's scripts" if flip else
            "a single crop of each image, as the paper says")


def deviation(values):
    """Return the sample deviation (N − 1) of a list of numbers; None of one alone."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
