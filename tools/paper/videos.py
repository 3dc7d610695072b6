"""What `eval/ytf.py` and `eval/iqiyi.py` have measured, as Tables 4 and 9 show it."""
import sys

from eval.reporting import results
from eval.reporting.paper_numbers import paper
from runtime import shown
from tools.paper.paper_tables import NONE, markdown
from tools.paper.paper_tables import shown as cell

STAGES = {"map": "MS1MV2+Asian, R100, ArcFace", "map_mlp": "+ MLP", "map_ensemble": "+ Ensemble",
          "map_context": "+ Context"}  # values of an evaluation, and the rows of Table 9


def newest(checkpoint, benchmark, value):
    """Return the newest evaluation of a network that has a value, or None.

    Parameters
    ----------
    checkpoint : tools.paper.evaluated.Checkpoint or None
    benchmark : str
        "ytf" or "iqiyi".
    value : str
        The value that has to be there as a share of 1, such as "accuracy".
    """
    if checkpoint is None:
        return None
    path = results.place(checkpoint.prefix, benchmark)
    for one in reversed(results.read(path)):
        values, by = one.get("values"), one.get("checkpoint")
        whole = all(isinstance(part, dict) for part in (values, by, one.get("protocol"), one.get("data")))
        if whole and by.get("fingerprint") == checkpoint.fingerprint and _is_share(values.get(value)):
            print(f"{benchmark}: from {shown(path)}", file=sys.stderr, flush=True)
            return one
    return None


def _is_share(value):
    return isinstance(value, float) and 0 <= value <= 1


def add_ytf(found, needs, checkpoint):
    """Fill Table 4's column YTF with the newest evaluation, where there is one.

    Parameters
    ----------
    found, needs : dict
        From `tools.paper.paper_tables.verified`; changed.
    checkpoint : tools.paper.evaluated.Checkpoint or None

    Returns
    -------
    str
        A line for below the table, empty where nothing was filled.
    """
    evaluation = newest(checkpoint, "ytf", "accuracy")
    if evaluation is None:
        needs["YTF"] += ": eval/ytf.py evaluates them"
        return ""
    values, data = evaluation["values"], evaluation.get("data") or {}
    found["YTF"] = {"accuracy": 100 * values["accuracy"], "path": str(data.get("path")),
                    "std": 100 * values["std"] if _is_share(values.get("std")) else None}
    del needs["YTF"]
    return (f"Here, YTF: single crops, folds by the list {shown(data.get('list'))}; the paper does not say which list "
            "it read.\n")


def table9(title, checkpoint):
    """Return Table 9 as Markdown with a column of ours, and our values in %; None where there is no evaluation.

    Parameters
    ----------
    title : str
        What the column calls the network.
    checkpoint : tools.paper.evaluated.Checkpoint or None
    """
    # The newest that got farthest: a quick run without classifiers does not hide one with them.
    evaluation = next(filter(None, (newest(checkpoint, "iqiyi", stage) for stage in reversed(STAGES))), None)
    if evaluation is None:
        return None
    values = {row: 100 * evaluation["values"][name] if _is_share(evaluation["values"].get(name)) else None
              for name, row in STAGES.items()}
    of_paper, protocol = paper("table9"), evaluation.get("protocol") or {}
    classifiers = (f"classifiers: {shown(protocol['networks'])}, trained for {shown(protocol.get('epochs'))} epochs"
                   if protocol.get("networks") else "no classifier was trained")
    rows = [[row, f"{map_[0]:g}", cell(values.get(row))] for row, map_ in of_paper["rows"].items()]
    lines = [markdown(["", *of_paper["columns"], f"**here: {title}**"], rows), f"Paper: {of_paper['setting']}.",
             f"Here: {classifiers}; ground truth "
             f"{shown((evaluation.get('data') or {}).get('path'))}."]
    if None in values.values():
        lines.append(f"{NONE}: eval/iqiyi.py measures it with --networks 2 or more, and --context.")
    return "\n".join(lines) + "\n", values
