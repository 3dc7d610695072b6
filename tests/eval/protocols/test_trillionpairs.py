"""Trillion-Pairs: the numbers that belong to the miniature, and brute force with ties."""
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.formats.opencv_matrix import Matrix
from eval.protocols import trillionpairs
from runtime import Failure


def test_every_number_of_the_miniature(shared):
    root = shared / "reference" / "protocols"
    expected = json.loads((root / "expected" / "trillionpairs.json").read_text())["brute force in float64"]
    features = Matrix(root / "trillionpairs" / "features.bin")
    labels = trillionpairs.read_labels(root / "trillionpairs" / "labels.txt", len(features))
    rates = [float(rate) for rate in expected["verification_tpr_strict"]]
    found = trillionpairs.evaluate(features, labels, rates, [float(rate) for rate in expected["identification"]])
    assert found["genuine_pairs"] == expected["genuine_unordered_pairs"]
    assert (found["impostor_pairs"], found["probes"], found["gallery"]) == (
        expected["impostor_pairs"], expected["probes"], expected["gallery"])
    assert found["rank1"] == expected["rank1_without_threshold"]
    for rate, tpr in expected["verification_tpr_strict"].items():
        assert found["tpr"][f"{float(rate):.0e}"] == tpr
        assert found["thresholds"][f"{float(rate):.0e}"] == pytest.approx(expected["verification_threshold"][rate],
                                                                          abs=1e-12)
    for rate, one in expected["identification"].items():
        assert found["identification"][f"{float(rate):.0e}"] == one["rank1_and_above"]
        assert found["identification_thresholds"][f"{float(rate):.0e}"] == pytest.approx(one["threshold"], abs=1e-12)


UNITS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], np.float32)  # so that cosines are exact, with many ties


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 2)), min_size=4, max_size=30))
def test_against_brute_force_with_ties(rows):
    features, labels = UNITS[[row for row, _ in rows]], np.array([label for _, label in rows])
    probes, gallery = features[labels >= 0], features[labels < 0]
    own = labels[labels >= 0]
    genuine = [(one, two) for one in range(len(own)) for two in range(len(own)) if one != two and own[one] == own[two]]
    if not genuine or not len(gallery):
        return
    found = trillionpairs.evaluate(features, labels, (0.5, 0.1), (0.5, 0.1))
    scores = probes @ gallery.T
    best = scores.max(axis=1)
    for rate in (0.5, 0.1):
        highest = np.append(np.sort(scores.ravel())[::-1], -np.inf)[int(rate * scores.size)]
        limit = np.append(np.sort(best)[::-1], -np.inf)[int(rate * len(best))]
        values = [(float(probes[one] @ probes[two]), best[one]) for one, two in genuine]
        assert found["tpr"][f"{rate:.0e}"] == np.mean([score > highest for score, _ in values])
        assert found["identification"][f"{rate:.0e}"] == np.mean([score > max(limit, near) for score, near in values])


@pytest.mark.parametrize("content, said", [
    ("0\n0\n-1\n", "3 lines, and the features have 4 rows"), ("0\n0\nx\n-1\n", "line 3 is x"),
    ("0\n0\n-2\n-1\n", "line 3 is -2"), ("0\n0\n1\n1\n", "no gallery"), ("-1\n-1\n-1\n-1\n", "no probes"),
    ("", "0 lines")])
def test_wrong_labels(tmp_path, content, said):
    (tmp_path / "l.txt").write_text(content)
    with pytest.raises(Failure, match=said):
        trillionpairs.read_labels(tmp_path / "l.txt", 4)


def test_labels_of_windows_with_empty_lines_at_the_end(tmp_path):
    (tmp_path / "l.txt").write_bytes(b"0\r\n0\r\n-1\r\n\r\n\r\n")
    assert trillionpairs.read_labels(tmp_path / "l.txt", 3).tolist() == [0, 0, -1]


def test_nobody_has_two_probes():
    with pytest.raises(Failure, match="no identity has two probes"):
        trillionpairs.evaluate(UNITS, np.array([0, 1, -1, -1]))
