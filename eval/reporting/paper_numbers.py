"""The numbers that the paper prints in its Tables 2 to 9."""
import functools
import json
import os

NUMBERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "paper_numbers.json")

SETS = {"lfw": "LFW", "cfp_fp": "CFP-FP", "agedb_30": "AgeDB-30", "calfw": "CALFW", "cplfw": "CPLFW"}
"""The columns in which the paper prints the accuracy on a verification set."""


@functools.cache
def _tables():
    with open(NUMBERS, encoding="utf-8") as file:
        return json.load(file)


def paper(table):
    """Return a table of the paper: `setting`, `columns` and `rows`, each with a value a column, None where it has none.

    Parameters
    ----------
    table : str
        "table2" to "table9".
    """
    return _tables()[table]


def of_set(name):
    """Return what the paper prints for a verification set, in %; None where it prints nothing.

    Parameters
    ----------
    name : str
        Such as lfw.

    Returns
    -------
    dict of str to dict, or None
        For each table with that set, from rows to accuracies: ``{"table4": {"CosFace": 99.73, …}, …}``.
    """
    found = {}
    for number, table in _tables().items():
        if SETS.get(name) in table["columns"]:
            place = table["columns"].index(SETS[name])
            found[number] = {row: values[place] for row, values in table["rows"].items() if values[place] is not None}
    return found or None
