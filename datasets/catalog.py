"""The datasets of the paper's Table 1, and those that training knows besides: what they are, where they come from.

    python datasets/catalog.py
    python datasets/catalog.py --json

Numbers are the paper's. The folders are those of recognition/config/datasets.py, and for test sets this project's
choice. What is here is looked at without decoding an image: `python datasets/check.py` reads a file whole.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse
import json

from datasets.published.table import DATASETS, ZOO_PAGE
from runtime import ROOT, run_command

FOLDER = os.path.join(ROOT, "datasets")


def rows(root=FOLDER):
    """Return the table, with what is found under a folder.

    Parameters
    ----------
    root : str
        Where the datasets' folders are.

    Returns
    -------
    list of dict
        The fields of `Dataset` less `how`, and ``here``, ``whole`` (None where there is nothing, or nothing to tell
        it by) and ``state``, a few words.
    """
    from datasets.published.installed import look  # which needs MXNet; the table does not
    table = []
    for entry in DATASETS:
        row = entry._asdict()
        del row["how"]
        table.append({**row, "files": list(entry.files), **look(entry, root)})
    return table


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default=FOLDER, help="where the datasets' folders are (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print all fields as JSON")
    options = parser.parse_args(arguments)
    table = rows(options.data_dir)
    if options.json:
        print(json.dumps(table, indent=1))
        return
    columns = ("name", "identities", "images", "purpose", "licence", "folder", "state")
    widths = [max(len(column), *(len(row[column]) for row in table)) for column in columns]
    for cells in [dict(zip(columns, columns)), *table]:
        print("  ".join(cells[column].ljust(width) for column, width in zip(columns, widths)).rstrip())
    print(f"\nWhere they come from (the dataset zoo is {ZOO_PAGE}):")
    for row in table:
        print(f"  {row['name']}: {row['source']}" + ("" if row["in_table1"] else " (not in Table 1)"))


if __name__ == "__main__":
    run_command(main)
