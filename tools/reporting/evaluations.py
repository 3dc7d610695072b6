"""Evaluations as the page shows them: figures in the order of reading, the paper's beside them, pictures, pairs."""
import math
import os
import re

import numpy as np

from datasets.formats import verification_file
from eval.reporting import paper_numbers, results
from eval.reporting.worst_pairs import worst_pairs
from runtime import Failure
from tools.reporting import pictures

TITLES = {"lfw": "LFW", "cfp_fp": "CFP-FP", "agedb_30": "AgeDB-30", "calfw": "CALFW", "cplfw": "CPLFW", "ytf": "YTF",
          "megaface": "MegaFace", "ijbb": "IJB-B", "ijbc": "IJB-C", "trillionpairs": "Trillion-Pairs",
          "iqiyi": "iQIYI-VID"}
"""The paper's benchmarks."""
NAMES = {"accuracy": "accuracy", "std": "deviation over the folds", "auc": "AUC", "eer": "equal error rate (EER)",
         "tar": "TAR", "tar_std": "deviation of TAR over the folds", "far": "FAR that came with TAR",
         "xnorm": "mean norm of the embeddings", "tar_strict": "TAR, strict", "rank": "rank", "rank_strict":
         "rank, ties against the probe", "tpir": "TPIR", "map": "MAP", "tpr": "TPR",
         "identification": "identification", "one_gallery": "one gallery", "mean_of_two": "mean of two galleries",
         "by_distractors": "distractors"}
APART = ("intervals", "subgroups", "comparison")
"""Values that have a place of their own on the page."""
ARCFACE = re.compile("ArcFace")
HARDEST = 8  # pairs of either kind


def _is_number(value):
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def shown_value(value, name=""):
    """Return a value as text: shares in %, other numbers as they are, a dash for what cannot be computed."""
    if value is None:
        return "–"
    if not _is_number(value):
        return str(value)[:200]
    if name != "xnorm" and 0 <= value <= 1 and isinstance(value, float):
        return f"{100 * value:.2f} %"
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}"[:200]


def _place(item):
    """Return what puts values into the order of `NAMES`, numbers into their own, and others after."""
    name, number = item[0], re.fullmatch(r"[0-9]{1,12}(?:e[-+][0-9]{1,2})?", item[0])
    return (list(NAMES).index(name) if name in NAMES else len(NAMES), float(name) if number else math.inf, name)


def rows_of(values, reasons, before=()):
    """Return an evaluation's values as rows of text: (what, value, why there is none).

    Objects within values become rows of their own, such as ``("TAR at 1e-04", "95.60 %", "")``. The file has its keys
    in alphabetical order; here accuracy comes first.
    """
    rows = []
    for name, value in sorted(values.items(), key=_place):
        if not before and name in APART:
            continue
        path = (*before, NAMES.get(name, name))
        if isinstance(value, dict):
            rows += rows_of(value, reasons, path)
        else:
            what = path[0] + "".join(f" at {part}" if re.fullmatch(r"[0-9]e[-+][0-9]+", part) else f", {part}"
                                     for part in path[1:])
            rows.append((what, shown_value(value, name), str(reasons.get(name, ""))[:300] if value is None else ""))
    return rows


def paper_of(name):
    """Return what the paper prints for a benchmark: for each table a title, its columns, and rows of text, in %.

    A row is (method, values, whether it is ArcFace's).
    """
    def percent(value, table):
        shares = table == "table7"  # the only one that is not in %
        return "–" if value is None else f"{100 * value:.1f}" if shares else f"{value:g}"
    tables = []
    for table, rows in (paper_numbers.of_benchmark(name) or {}).items():
        columns = [column for column in paper_numbers.paper(table)["columns"]
                   if column in paper_numbers.COLUMNS[name]]
        filled = [(row, [values] if len(columns) == 1 else [values.get(column) for column in columns])
                  for row, values in rows.items()]
        setting = paper_numbers.paper(table)["setting"] + ", %" * (table == "table7")
        tables.append({"title": f"Table {table[len('table'):]}", "setting": setting, "columns": columns,
                       "rows": [(row, [percent(value, table) for value in values],
                                 bool(ARCFACE.search(row))) for row, values in filled]})
    return tables


class Pairs:
    """The pairs of an evaluation of a verification file, as far as they are known.

    Attributes
    ----------
    angles : float64 array, shape (N,)
    issame : array of bool, shape (N,), or None
        None where neither the evaluation nor the file tells the kinds.
    images : list of bytes, or None
        Of the verification file, where it is there and unchanged.
    reason : str
        Why there are no images or kinds.
    """

    def __init__(self, evaluation, faces):
        self.angles, self.issame = results.pair_angles(evaluation), results.pair_kinds(evaluation)
        self.images, self.reason, self.path = None, "", evaluation["data"]["path"]
        if faces or self.issame is None:
            self._read(evaluation["data"], faces)

    def _read(self, data, faces):
        """Read the verification file, if it is still the one that was evaluated."""
        try:
            if not os.path.isfile(self.path):
                raise Failure("it is not there any more")
            if results.data_of(self.path, data["pairs"])["sha256"] != data["sha256"]:
                raise Failure("it is another file now")
            images, issame = verification_file.read(self.path)
            self.issame = np.asarray(issame, bool)
            if len(self.issame) != len(self.angles):
                raise Failure("it has other pairs")
            self.images = images if faces else None
        except (Failure, OSError) as error:
            self.reason = f"{self.path}: {error}"

    def hardest(self):
        """Return the genuine pairs of the largest angles and the impostors of the smallest: two lists of dicts with
        `number`, `angle` and `faces`, two data URIs or none.
        """
        return [[{"number": int(pair), "angle": f"{self.angles[pair]:.1f}°", "faces": self._faces(pair)}
                 for pair in kind] for kind in worst_pairs(self.issame, self.angles, HARDEST)]

    def _faces(self, pair):
        if self.images is None:
            return []
        both = verification_file.decode(self.images[2 * pair:2 * pair + 2], name=self.path, first=2 * pair)
        return [pictures.face(image) for image in both]


def _between(interval):
    return "–" if interval is None else f"{shown_value(interval[0])} to {shown_value(interval[1])}"


def _subgroups(values):
    """Return the rows of the table of subgroups."""
    return [(group, shown_value(one["accuracy"]), _between(one["interval"]), shown_value(one["pairs"]),
             shown_value(one["genuine"]), shown_value(one["tar"]), shown_value(one["far"]))
            for group, one in values.get("subgroups", {}).items()]


def _comparison(values):
    """Return the sentences on the comparison with another checkpoint, or None."""
    found = values.get("comparison")
    if not found:
        return None
    p = "" if found["p_bootstrap"] is None else f", p = {found['p_bootstrap']:.3g}"
    return (f"Against {found['checkpoint']['prefix']}, epoch {found['checkpoint']['epoch']}: accuracy "
            f"{100 * found['difference']:+.2f} points (95 % interval by paired bootstrap, {found['unit']}: "
            + ("–" if found["interval"] is None else
               f"{100 * found['interval'][0]:+.2f} to {100 * found['interval'][1]:+.2f}")
            + f"{p}). McNemar's exact test: {found['only_here']} pairs are right here alone, {found['only_there']} "
            f"there alone, p = {found['p_mcnemar']:.3g}.")


def _intervals(values):
    """Return the sentence on the intervals, or None."""
    found = values.get("intervals")
    if not found:
        return None
    how = {"bootstrap": "percentile bootstrap, drawn by", "exact": "exact binomial, by"}[found["method"]]
    return (f"95 % intervals: accuracy {_between(found['accuracy'])}, EER {_between(found['eer'])} "
            f"({how} {found['unit']}).")


def view(name, evaluation, faces=False):
    """Return one evaluation as the page shows it.

    Parameters
    ----------
    name : str
        The benchmark.
    evaluation : dict
        From a file of results, which may have been written by anyone.
    faces : bool
        Whether the hardest pairs are shown as faces.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError, IndexError
        It is not of the form that `eval.reporting.results` describes.
    """
    checkpoint, values = evaluation["checkpoint"], evaluation["values"]
    found = {
        "network": "ready-made embeddings" if checkpoint is None else
                   f"{os.path.basename(checkpoint['prefix'])}, epoch {checkpoint['epoch']}",
        "fingerprint": None if checkpoint is None else str(checkpoint["fingerprint"])[:12],
        "flip": {True: "image and mirror image, summed", False: "single crop"}.get(evaluation["flip"]),
        "engine": evaluation.get("engine"), "protocol": ", ".join(
            f"{key} {value}" if key != "name" else str(value) for key, value in evaluation["protocol"].items()),
        "note": evaluation.get("note"), "made": str(evaluation.get("made", ""))[:25],
        "data": os.path.basename(str(evaluation["data"]["path"])), "pairs": evaluation["data"].get("pairs"),
        "rows": rows_of(values, evaluation.get("reasons") or {}), "intervals": _intervals(values),
        "subgroups": _subgroups(values), "comparison": _comparison(values),
        "histogram": None, "hardest": None, "no_pairs": "", "curve": None}
    if "pair_angles" in evaluation:
        pairs = Pairs(evaluation, faces)
        found["no_pairs"] = pairs.reason
        if pairs.issame is not None:
            found["histogram"] = pictures.histogram(pairs.angles, pairs.issame, f"{name}, {found['network']}")
            found["hardest"] = pairs.hardest()
            if pairs.issame.any() and not pairs.issame.all():
                found["curve"] = (f"{name}, {found['network']}", pairs.angles, pairs.issame)
    return found
