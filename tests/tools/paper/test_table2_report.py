"""The report of Table 2: means, deviations, and which findings of the paper they show."""
import json
import os
import sys

import pytest

from recognition.config.losses import LOSSES
from runtime import ROOT
from tools.paper import paper_tables, table2_report


def test_every_row_has_a_loss_and_every_loss_a_row():
    rows = [loss.table2 for loss in LOSSES.values() if loss.table2]
    assert sorted(rows) == sorted(paper_tables.paper("table2")["rows"])
    assert all(bool(loss.table2) != bool(loss.note) for loss in LOSSES.values())
    named = {row for _, _, pairs in table2_report.FINDINGS for pair in pairs for row in pair}
    assert named <= set(rows)


class Done:
    """A run with a given accuracy, in %."""

    def __init__(self, loss, seed, accuracy, failure=None):
        self.loss, self.seed, self.accuracy, self.failure = loss, seed, accuracy, failure
        self.settings = {"start": None, "batch_size": None, "per_batch_size": 50, "lr": 0.1}

    def result(self):
        return self.accuracy and {"seed": self.seed, "sets": {"orl": {"accuracy": self.accuracy / 100}}}


def report(accuracies, seeds=3):
    runs = [Done(loss, seed, value) for loss, values in accuracies.items() for seed, value in enumerate(values)
            ] + [Done(loss, 0, None) for loss, values in accuracies.items() if not values]
    about = {"command": "c", "versions": {}, "dataset": "orl", "network": "y1", "max_steps": 5}
    return table2_report.summary(runs, list(accuracies), list(range(seeds)), ["orl"], True, about)


def verdicts(table):
    return {one["finding"]: one["verdict"] for one in table["findings"]}


def test_means_and_deviations():
    table = report({"softmax": [90, 91, 95], "nsoftmax": [80, None, None]})
    rows = {row["loss"]: row["sets"]["orl"] for row in table["rows"]}
    assert rows["softmax"]["mean"] == pytest.approx(92) and rows["softmax"]["std"] == pytest.approx(7**0.5)
    assert rows["nsoftmax"]["std"] is None and rows["nsoftmax"]["values"] == [80]
    text = table2_report.text(table)
    assert "| Softmax `softmax` | 99.08 | 94.39 | 92.33 | 92.00 ± 2.65 | 3 |" in text
    assert "| ArcFace (0.4) | 99.53 | 95.41 | 94.98 | – | not run |" in text


def test_the_pooled_deviation_is_that_of_an_analysis_of_variance():
    """The root of the mean square within groups, from the textbook's definition; a lone value tells nothing."""
    groups = [[90, 91, 95], [80, 82.5], [70]]
    table = report({"softmax": groups[0], "nsoftmax": groups[1], "arcface": groups[2]})
    within = sum((value - sum(group) / len(group))**2 for group in groups for value in group)
    assert table["deviation"] == pytest.approx((within / (6 - 3))**0.5)
    [pair] = table["findings"][0]["pairs"]
    assert pair["error"] == pytest.approx(table["deviation"] * (1 / 3 + 1 / 2)**0.5)
    assert f"{table['deviation']:.2f} points" in table2_report.text(table)
    assert report({"softmax": [90], "nsoftmax": [80]})["deviation"] is None


@pytest.mark.parametrize("softmax, nsoftmax, wanted", [  # the error is √(2/3) where each row's deviation is 1
    ([90, 91, 92], [80, 81, 82], "seen"), ([90, 91, 92], [88.3, 89.3, 90.3], "seen"),
    ([90, 91, 92], [88.4, 89.4, 90.4], "cannot be told"), ([88.4, 89.4, 90.4], [90, 91, 92], "cannot be told"),
    ([80, 81, 82], [90, 91, 92], "not seen"), ([90], [89.9], "seen in one seed"), ([90], [90], "not seen in one seed"),
    ([90], [], "not run")])
def test_verdict(softmax, nsoftmax, wanted):
    assert verdicts(report({"softmax": softmax, "nsoftmax": nsoftmax}))["Norm-Softmax is below Softmax"] == wanted


def test_nothing_is_added_unless_more_than_two_standard_errors():
    title = "Intra, Inter and Triplet add nothing to ArcFace"
    added = {"arcface-intra": [91, 92, 93], "arcface-inter": [92.6, 93.6, 94.6], "arcface-intra-inter": [80, 81, 82],
             "arcface-triplet": [90, 91, 92]}
    assert verdicts(report({"arcface": [91, 92, 93], **added}))[title] == "seen"
    assert verdicts(report({"arcface": [90.9, 91.9, 92.9], **added}))[title] == "not seen"


def test_a_finding_is_worth_its_worst_comparison():
    title = "ArcFace is above CosFace, and CosFace above SphereFace"
    rows = {"arcface": [90, 91], "cosface": [80, 81], "sphereface": [80, 81]}
    assert verdicts(report(rows))[title] == "cannot be told"
    assert verdicts(report({**rows, "sphereface": [89, 90]}))[title] == "not seen"
    assert verdicts(report({**rows, "sphereface": []}))[title] == "not run"


def test_the_papers_own_numbers_show_its_findings():
    """The mean over its three sets; two rows quote one set alone, and CM1 is a little behind CosFace in it."""
    entries = [pair | {"kind": one["kind"]} if sys.version_info >= (3, 9) else {**pair, "kind": one["kind"]}
               for one in report({"softmax": [90]})["findings"] for pair in one["pairs"]]
    against = [(pair["first"], pair["second"]) for pair in entries if pair["paper"] is not None
               and (pair["paper"] <= 0) == (pair["kind"] == "above")]
    assert against == [("CM1 (1, 0.3, 0.2)", "CosFace (0.35)")]


# ---- what lies under docs/results

def test_committed_tables_are_what_their_values_print():
    folder = os.path.join(ROOT, "docs", "results")

    def read(name):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return file.read()
    second, third = (json.loads(read(f"table{number}-orl.json")) for number in (2, 3))
    assert read("table2-orl.md") == table2_report.text(second)
    assert second["findings"] == [table2_report.finding(*one, second) for one in table2_report.FINDINGS]
    assert len(second["rows"]) == 20 and all(row["seeds"] and not row["failures"] for row in second["rows"])
    columns = {name: third["columns"][name] for name in paper_tables.COLUMNS}  # the paper's order
    assert read("table3-orl.md") == paper_tables.table3_text(columns, third["data"], third["held_out"])
