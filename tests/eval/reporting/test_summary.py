"""The lines after the original's."""
from easydict import EasyDict

from eval.measures.uncertainty import Interval
from eval.reporting import summary


def evaluation(accuracy, epoch=1, interval=(0.99, 0.999)):
    return {"checkpoint": {"epoch": epoch}, "values": {
        "accuracy": accuracy, "eer": 0.01, "tar": None, "tar_strict": None, "auc": 0.998,
        "intervals": {"accuracy": interval and list(interval)}}}


def test_the_table_has_the_papers_values():
    rows = summary.table_lines([("lfw", evaluation(0.9953)), ("calfw", evaluation(0.9, interval=None)),
                                ("own", evaluation(0.5))])
    assert [row.split() for row in rows[:4]] == [
        ["%", "accuracy", "95%", "interval", "EER", "TAR@1e-3", "AUC", *"Table 2 Table 4 Table 5".split()],
        ["lfw", "99.53", "99.00-99.90", "1.00", "-", "99.80", "99.53", "99.83", "99.82"],
        ["calfw", "90.00", "-", "1.00", "-", "99.80", "-", "-", "95.45"],
        ["own", "50.00", "99.00-99.90", "1.00", "-", "99.80", "-", "-", "-"]]
    assert len({len(row) for row in rows[:4]}) == 1 and rows[4].startswith("the paper's ArcFace: ")


def test_no_table_of_one_file_that_the_paper_has_not():
    assert summary.table_lines([("own", evaluation(0.5))]) == []
    assert [row.split()[0] for row in summary.table_lines(
        [("own", evaluation(0.5)), ("own", evaluation(0.5, epoch=2))])[1:3]] == ["own,1", "own,2"]


def test_lines_on_intervals():
    result = EasyDict(eer=0.005, no_auc="")
    found = {"accuracy": Interval(0.9, 0.95, "identity"), "eer": Interval(0.001, 0.01, "identity")}
    assert summary.uncertainty_lines("lfw", result, found) == [
        "[lfw]EER: 0.00500 (95% 0.00100 to 0.01000)",
        "[lfw]Accuracy interval: 95% 0.90000 to 0.95000 (bootstrap over identities)"]
    found = {"accuracy": Interval(0.8, 1.0, "pair", "exact"), "eer": Interval(None, None, "pair", reason="none")}
    assert summary.uncertainty_lines("x", EasyDict(eer=0.0, no_auc=""), found) == [
        "[x]EER: 0.00000 (95% -)", "[x]Accuracy interval: 95% 0.80000 to 1.00000 (exact binomial, since no draw would "
        "differ; trials are pairs)"]
    found["accuracy"] = Interval(None, None, "pair", reason="fewer than two pairs")
    assert summary.uncertainty_lines("x", EasyDict(eer=0.0, no_auc="no pairs"), found) == [
        "[x]EER: cannot be computed: no pairs", "[x]Accuracy interval: 95% - (fewer than two pairs)"]
