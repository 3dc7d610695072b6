"""Table 2 as JSON and Markdown: our runs beside the paper, and whether its findings are seen."""
import math
import os
import shlex
import sys

import numpy as np

from recognition.config.losses import row_of
from runtime import ROOT
from runtime.files import whole_file, write_json
from tools.paper.paper_tables import NONE, deviation, markdown, paper, protocol_text, shown

ARCFACE, COSFACE, SPHEREFACE = "ArcFace (0.5)", "CosFace (0.35)", "SphereFace (1.35)"
SOFTMAX, NS, TRIPLET = "Softmax", "Norm-Softmax (NS)", "Triplet (0.35)"
CM1, CM2 = "CM1 (1, 0.3, 0.2)", "CM2 (0.9, 0.4, 0.15)"
MARGINS = ["ArcFace (0.4)", "ArcFace (0.45)", ARCFACE, "ArcFace (0.55)", "SphereFace [15]", SPHEREFACE, "CosFace [35]",
           COSFACE, CM1, CM2]

# What Sec. 3.2 finds in Table 2: pairs of rows of which the first is above the second, or adds nothing to it.
FINDINGS = [
    ("Norm-Softmax is below Softmax", "above", [(SOFTMAX, NS)]),
    ("Every margin is above none", "above", [(row, NS) for row in MARGINS]),
    ("ArcFace is above CosFace, and CosFace above SphereFace", "above", [(ARCFACE, COSFACE), (COSFACE, SPHEREFACE)]),
    ("The combined margins lie between ArcFace and the other two", "above",
     [pair for row in (CM1, CM2) for pair in ((ARCFACE, row), (row, COSFACE), (row, SPHEREFACE))]),
    ("Intra and Inter help Norm-Softmax", "above", [("NS+Intra", NS), ("NS+Inter", NS), ("NS+Intra+Inter", NS)]),
    ("Intra, Inter and Triplet add nothing to ArcFace", "adds nothing",
     [(f"ArcFace+{what}", ARCFACE) for what in ("Intra", "Inter", "Intra+Inter", "Triplet")]),
    ("Triplet is behind ArcFace", "above", [(ARCFACE, TRIPLET)]),
]
WORST_FIRST = ["not seen", "not seen in one seed", "not run", "cannot be told", "seen in one seed", "seen"]


def command():
    """Return the command line of this process, as typed from the repository's root."""
    return shlex.join(["python", os.path.relpath(sys.argv[0], ROOT), *sys.argv[1:]])


def summary(planned, losses, seeds, sets, flip, about):
    """Return the whole table as plain values.

    Parameters
    ----------
    planned : list of tools.paper.table2.Run
    losses : list of str
    seeds : list of int
    sets : list of str
        Names of the verification sets.
    flip : bool
    about : dict
        What else belongs to it: the command, versions, the network, …
    """
    titles = {loss: row_of(loss) for loss in losses}
    rows = []
    for loss in losses:
        runs = [run for run in planned if run.loss == loss]
        results = [run.result() for run in runs]
        done = [result for result in results if result]
        rows.append({
            "row": titles[loss], "loss": loss, "paper": paper("table2")["rows"].get(titles[loss]),
            "seeds": [result["seed"] for result in done], "start": runs[0].settings["start"],
            "sets": {name: _statistics([100 * result["sets"][name]["accuracy"] for result in done]) for name in sets},
            "mean_of_sets": _statistics([100 * float(np.mean([result["sets"][name]["accuracy"] for name in sets]))
                                         for result in done]),
            "failures": {str(run.seed): run.failure for run in runs if run.failure},
            "settings": runs[0].settings})
    table = {**about, "seeds": seeds, "sets": sets, "flip": flip, "rows": rows, "deviation": pooled_deviation(rows)}
    table["findings"] = [finding(*one, table) for one in FINDINGS]
    return table


def _statistics(values):
    return {"values": values, "mean": float(np.mean(values)) if values else None, "std": deviation(values)}


def pooled_deviation(rows):
    """Return the deviation over seeds that the rows have together, in points; None where each has one seed at most.

    A row's own, of two or three runs, would be too poor an estimate to judge a difference by.
    """
    values = [row["mean_of_sets"]["values"] for row in rows]
    freedom = sum(len(one) - 1 for one in values if one)
    squares = sum(float(np.var(one)) * len(one) for one in values if one)
    return math.sqrt(squares / freedom) if freedom else None


def finding(title, kind, pairs, table):
    """Return whether a finding is seen, by the mean over the sets: pair by pair, and in all.

    A difference counts where it exceeds two of its standard errors, s·√(1/n₁ + 1/n₂) with s the pooled deviation and
    n the rows' numbers of seeds.
    """
    here = {row["row"]: row["mean_of_sets"] for row in table["rows"]}
    published = paper("table2")["rows"]
    compared = []
    for first, second in pairs:
        one, other = here.get(first, _statistics([])), here.get(second, _statistics([]))
        of_paper = [published[row] for row in (first, second) if None not in published[row]]
        entry = {"first": first, "second": second, "difference": None, "error": None, "verdict": "not run",
                 "paper": float(np.mean(of_paper[0]) - np.mean(of_paper[1])) if len(of_paper) == 2 else None}
        if one["mean"] is not None and other["mean"] is not None:
            entry["difference"] = one["mean"] - other["mean"]
            if table["deviation"] is not None:
                entry["error"] = table["deviation"] * math.sqrt(1 / len(one["values"]) + 1 / len(other["values"]))
            entry["verdict"] = _verdict(kind, entry["difference"], entry["error"])
        compared.append(entry)
    verdicts = {entry["verdict"] for entry in compared}
    return {"finding": title, "kind": kind, "verdict": next(one for one in WORST_FIRST if one in verdicts),
            "pairs": compared}


def _verdict(kind, difference, error):
    """Return whether a difference, of the first row less the second, is what the paper finds."""
    if error is None:
        as_found = difference > 0 if kind == "above" else difference <= 0
        return f"{'seen' if as_found else 'not seen'} in one seed"
    if kind == "adds nothing":
        return "not seen" if difference > 2 * error else "seen"
    if abs(difference) <= 2 * error:
        return "cannot be told"
    return "seen" if difference > 0 else "not seen"


def _cell(found):
    if found["mean"] is None:
        return "not yet"
    return shown(found["mean"]) + (f" ± {found['std']:.2f}" if found["std"] is not None else "")


def text(table):
    """Return the table as Markdown."""
    columns = paper("table2")["columns"]
    head = ["loss", *(f"paper: {column}" for column in columns), *(f"here: {name}" for name in table["sets"]), "seeds"]
    published = paper("table2")["rows"]
    ours = {row["row"]: row for row in table["rows"]}
    rows = []
    for name in [*published, *(row for row in ours if row not in published)]:
        row, figures = ours.get(name), [shown(value) for value in published.get(name, [None] * len(columns))]
        if row is None:
            rows.append([name, *figures, *([NONE] * len(table["sets"])), "not run"])
            continue
        failed = f" (failed: {'; '.join(row['failures'].values())})" if row["failures"] else ""
        rows.append([f"{name} `{row['loss']}`", *figures, *(_cell(row["sets"][one]) for one in table["sets"]),
                     f"{len(row['seeds'])}{failed}"])
    budgets = {}
    for row in table["rows"]:
        settings = row["settings"]
        batch = settings["batch_size"] or f"{settings['per_batch_size']} a device"
        budgets.setdefault(f"batch {batch}, rate {settings['lr']:g}", []).append(row["loss"])
    usual = max(budgets, key=lambda budget: len(budgets[budget]))
    other = "".join(f"; {', '.join(losses)}: {budget}" for budget, losses in budgets.items() if budget != usual)
    started = [f"`{row['loss']}` starts from the network that `{row['start']}` gave with the same seed, after "
               "as many steps again." for row in table["rows"] if row["start"]]
    lines = [
        f"# Table 2 on {table['dataset']}, {table['network']}", "",
        markdown(head, rows),
        f"Paper: {paper('table2')['setting']}. Here: accuracy in % of the network after the last of "
        f"{table['max_steps']:,} steps ({usual}{other}), mean over ten folds, {protocol_text(table['flip'])}; mean ± "
        f"sample deviation over the seeds {', '.join(map(str, table['seeds']))}, as far as they are done.", *started,
        "", "## What was seen", "",
        markdown(["finding of Sec. 3.2", "here"], [[one["finding"], f"**{one['verdict']}**"]
                                                   for one in table["findings"]]),
        f"By the mean over {', '.join(table['sets'])}. {_judged(table['deviation'])} A finding of several comparisons "
        "is worth its worst one.", "",
        markdown(["comparison", "paper", "here", "standard error", ""], [
            [f"{pair['first']} {'above' if one['kind'] == 'above' else 'adds nothing to'} {pair['second']}",
             _signed(pair["paper"]), _signed(pair["difference"]), shown(pair["error"]), pair["verdict"]]
            for one in table["findings"] for pair in one["pairs"]]),
        "Differences are of the first row less the second, in points of accuracy; in the paper, of the mean of its "
        "three sets.", "",
        "## Made by", "", f"    {table['command']}", "",
        ", ".join(f"{name} {value}" for name, value in sorted(table["versions"].items()) if value) + "."]
    return "\n".join(lines) + "\n"


def _judged(deviation):
    """Return by what rule the findings of a table are judged."""
    if deviation is None:
        return "With one seed no deviation is known: what is seen may be chance."
    return (f"“Seen” and “not seen” are differences beyond two standard errors, from the deviation over seeds of all "
            f"rows together, {deviation:.2f} points; “cannot be told” are those within. “Adds nothing” is seen unless "
            "more than that is gained. The errors are of training; other people to verify would add theirs.")


def _signed(value):
    return NONE if value is None else f"{value:+.2f}"


def write(table, out):
    """Write `OUT.json` and `OUT.md`, each whole or not at all."""
    os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
    write_json(f"{out}.json", table)
    with whole_file(f"{out}.md", "w") as file:
        file.write(text(table))
