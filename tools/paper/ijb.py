"""Table 7 and Figure 9 from the results of `eval/ijb.py`, which lie beside the checkpoints."""
from eval.networks import checkpoints
from eval.reporting import results
from eval.reporting.paper_numbers import paper
from eval.reporting.plots import plt
from eval.reporting.roc_picture import draw_roc
from runtime import Failure
from tools.paper.paper_tables import NONE, markdown, name_of

COLUMNS = {"IJB-B": "IJBB", "IJB-C": "IJBC"}
KEY = "1e-04"  # of the FAR of Table 7
SETTINGS = tuple(f"N{n}D{d}F{f}" for n in (0, 1) for d in (0, 1) for f in (0, 1))
HOW = "python eval/ijb.py --root DIR --target {} --model PREFIX,EPOCH"


def kept(prefix, epoch, setting):
    """Return the newest evaluations of a network that are kept beside its checkpoint.

    Parameters
    ----------
    prefix : str
    epoch : int
    setting : str
        Of the switches, such as "N0D0F0".

    Returns
    -------
    dict of str to dict
        By target, "IJBB" and "IJBC"; what is not there, or of other weights, is missing.
    """
    fingerprint, found = checkpoints.fingerprint(*checkpoints.load(prefix, epoch)[1:]), {}
    for target in COLUMNS.values():
        for one in results.read(results.place(prefix, target.lower())):
            if _usable(one, fingerprint, setting):
                found[target] = one
    return found


def _usable(evaluation, fingerprint, setting):
    """Whether an evaluation is of this network and setting, and has what is taken from it."""
    try:
        values = evaluation["values"]
        rates = [values["tar"][KEY], values["tar_strict"][KEY], *values["roc"]["far"], *values["roc"]["tar"]]
        return (evaluation["checkpoint"]["fingerprint"] == fingerprint
                and evaluation["protocol"]["setting"] == setting
                and len(values["roc"]["far"]) == len(values["roc"]["tar"])
                and all(type(rate) is float and 0 <= rate <= 1 for rate in rates)
                and type(evaluation["data"]["path"]) is str)
    except (KeyError, TypeError):
        return False


def table7(models, setting):
    """Return Table 7 with a row for each model: its text as Markdown, and the values.

    Parameters
    ----------
    models : list of (str, int)
        Prefixes and epochs.
    setting : str

    Returns
    -------
    text : str
    values : list of dict
        For each model `model`, `epoch`, and by column `tar` and `tar_strict` at a FAR of 1e-4 and the `data`.
    """
    of_paper, made = paper("table7"), []
    # The paper's figures have as many digits as it prints.
    rows = [[row, *(NONE if value is None else f"{value:.3f}" for value in values)]
            for row, values in of_paper["rows"].items()]
    for prefix, epoch in models:
        found = kept(prefix, epoch, setting)
        columns = {column: {"tar": found[target]["values"]["tar"][KEY],
                            "tar_strict": found[target]["values"]["tar_strict"][KEY],
                            "data": found[target]["data"]["path"]}
                   for column, target in COLUMNS.items() if target in found}
        made.append({"model": prefix, "epoch": epoch, "columns": columns})
        name = f"{name_of(prefix)}, epoch {epoch}"
        for key, reading in (("tar", ""), ("tar_strict", ", FAR at most 1e-4")):
            rows.append([f"**here: {name}{reading}**",
                         *(f"{columns[column][key]:.3f}" if column in columns else "needs data"
                           for column in of_paper["columns"])])
    lines = [markdown(["", *of_paper["columns"]], rows), f"Paper: {of_paper['setting']}. Here: setting {setting}; TAR "
             "is read at the nearest point of the ROC curve, as the original's scripts do, and in the second row at a "
             "FAR of at most 1e-4."]
    data = sorted({column["data"] for one in made for column in one["columns"].values()})
    lines += [f"Data: {', '.join(data)}."] if data else []
    lines += [f"{column} needs the results of `{HOW.format(target)}`." for column, target in COLUMNS.items()
              if not made or any(column not in one["columns"] for one in made)]
    return "\n".join(lines) + "\n", made


def figure9(models, setting):
    """Return the picture of ROC curves: a panel for each of IJB-B and IJB-C that has results, a curve for each model.

    Raises
    ------
    Failure
        No model has results.
    """
    found = [(f"{name_of(prefix)}, epoch {epoch}", kept(prefix, epoch, setting)) for prefix, epoch in models]
    panels = [(column, target) for column, target in COLUMNS.items() if any(target in one for _, one in found)]
    if not panels:
        raise Failure(f"there are no results of IJB-B or IJB-C with the setting {setting} beside these checkpoints: "
                      f"run `{HOW.format('IJBC')}`")
    figure, places = plt.subplots(1, len(panels), figsize=(5.5 * len(panels), 4.5), constrained_layout=True,
                                  squeeze=False)
    for axes, (column, target) in zip(places[0], panels):
        draw_roc(axes, column, [(name, one[target]["values"]["roc"]) for name, one in found if target in one])
    return figure
