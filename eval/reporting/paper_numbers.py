"""The numbers that the paper prints in its Tables 2 to 9."""
import functools
import json
import os

NUMBERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "paper_numbers.json")

SETS = {"lfw": "LFW", "cfp_fp": "CFP-FP", "agedb_30": "AgeDB-30", "calfw": "CALFW", "cplfw": "CPLFW"}
"""The columns in which the paper prints the accuracy on a verification set."""

COLUMNS = {**{name: (column,) for name, column in SETS.items()}, "ytf": ("YTF",), "megaface": ("Id", "Ver"),
           "ijbb": ("IJB-B",), "ijbc": ("IJB-C",), "trillionpairs": ("Id at FPR 1e-3", "Ver at FPR 1e-9"),
           "iqiyi": ("MAP",)}
"""The columns in which the paper prints what is measured on a benchmark."""


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


def of_benchmark(name):
    """Return what the paper prints for a benchmark, as it is printed; None where it prints nothing.

    Tables 2, 4 to 6, 8 and 9 are in %, Table 7 is in shares of 1.

    Parameters
    ----------
    name : str
        A verification set such as "lfw", or "ytf", "megaface", "ijbb", "ijbc", "trillionpairs" or "iqiyi".

    Returns
    -------
    dict of str to dict, or None
        For each table with that benchmark, from rows to values: ``{"table4": {"CosFace": 97.6, …}}``. Where the table
        has several columns for it, a row is a dict: ``{"table6": {"CosFace (large)": {"Id": 82.72, "Ver": 96.65}}}``.
        What the paper leaves open is missing.
    """
    found = {}
    for number, table in _tables().items():
        columns = [column for column in table["columns"] if column in COLUMNS.get(name, ())]
        places = [table["columns"].index(column) for column in columns]
        rows = {row: {column: values[place] for column, place in zip(columns, places) if values[place] is not None}
                for row, values in table["rows"].items()}
        if columns:
            found[number] = {row: values if len(columns) > 1 else values[columns[0]]
                             for row, values in rows.items() if values}
    return found or None
