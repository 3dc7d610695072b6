"""Tables 6 and 8 and Figure 8 from results: of `eval/megaface.py` and `eval/trillionpairs.py` beside the checkpoint."""
from eval.protocols.megaface_files import read_result
from eval.reporting import cmc_roc, results
from eval.reporting.paper_numbers import paper
from tools.paper.paper_tables import markdown, protocol_text, shown

COMMANDS = {"table6": "eval/megaface.py --root DIR --features DIR --algorithm NAME",
            "table8": "eval/trillionpairs.py --features FILE --labels FILE --images DIR --list FILE"}
BENCHMARKS = {"table6": "megaface", "table8": "trillionpairs"}


def _rate(found, *keys):
    """Return a rate of an evaluation in %, or None where it is not there."""
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return 100 * found if type(found) in (int, float) and 0 <= found <= 1 else None


def _megaface(evaluation):
    """Yield (what the row is, values of the columns) of the largest set of distractors."""
    sets = evaluation["values"]["by_distractors"]
    number = max((key for key in sets if key.isdigit()), key=int)
    refined = evaluation["protocol"].get("refined") is True
    about = (f"{int(number):,} distractors, {evaluation['protocol'].get('protocol') or 'small or large not known'}"
             + (", R" if refined else ""))
    return about, [_rate(sets[number], "rank", "1"), _rate(sets[number], "tar_strict", "1e-06")]


def _trillionpairs(evaluation):
    data = evaluation["data"]
    return (f"{data['probes']:,} probes, {data['gallery']:,} in the gallery",
            [_rate(evaluation["values"], "identification", "1e-03"), _rate(evaluation["values"], "tpr", "1e-09")])


def rows(table, prefix, fingerprint, flip):
    """Return the rows of a network's evaluations that lie beside its checkpoint.

    Parameters
    ----------
    table : {"table6", "table8"}
    prefix, fingerprint : str
    flip : bool

    Returns
    -------
    list of (str, list of float or None)
        What the row is, and its values in %. Of several of a kind the newest that lacks the fewest values.
    """
    found = {}
    for one in results.read(results.place(prefix, BENCHMARKS[table])):
        try:
            if one["checkpoint"]["fingerprint"] == fingerprint and one["flip"] is flip:
                about, values = (_megaface if table == "table6" else _trillionpairs)(one)
                if values.count(None) <= found.get(about, values).count(None):  # one of other rates replaces none
                    found[about] = values
        except (KeyError, TypeError, ValueError, AttributeError):  # not as these commands write it
            continue
    return sorted(found.items())


def text(table, title, own, flip):
    """Return Table 6 or 8 as Markdown: the paper's rows, ours, and what is missing.

    Parameters
    ----------
    table : {"table6", "table8"}
    title : str
        What the rows call the network.
    own : list
        As from `rows`.
    flip : bool
    """
    of_paper = paper(table)
    lines = [[row, *(shown(value if value is None else f"{value:g}") for value in values)]
             for row, values in of_paper["rows"].items()]
    lines += [[f"**here: {title}, {about}**", *(map(shown, values))] for about, values in own]
    lines += [] if own else [[f"**here: {title}**", *["needs data"] * len(of_paper["columns"])]]
    made = [markdown(["", *of_paper["columns"]], lines), f"Paper: {of_paper['setting']}."]
    if own:
        made.append(f"Here: {protocol_text(flip)}.")
    else:
        command = f"python {COMMANDS[table]} --model PREFIX,EPOCH{'' if flip else ' --no-flip'}"
        made += [f"{column} needs the results of `{command}`, which lie beside the checkpoint."
                 for column in of_paper["columns"]]
    if table == "table8":
        made.append("Identification is this project's reading of the benchmark; no document defines it.")
    return "\n".join(made) + "\n"


def figure8(paths):
    """Return the figure of the devkit's result files, which `eval/megaface.py --results` writes too.

    Raises
    ------
    Failure
        One is missing or something else.
    """
    curves = []
    for path in paths:
        name = str(path).replace("\\", "/").split("/")[-1]
        label = name[len("cmc_facescrub_megaface_"):] if name.startswith("cmc_facescrub_megaface_") else name
        curves.append((label[:-len(".json")] if label.endswith(".json") else label, *read_result(path)))
    return cmc_roc.draw(curves)
