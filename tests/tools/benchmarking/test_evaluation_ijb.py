"""The rows of IJB-C, on sizes that take a moment."""
import numpy as np

from eval.protocols import ijb_files
from tools.benchmarking import evaluation, evaluation_ijb

SMALL = {"galleries": (12, 11), "probes": 90}


def test_the_file_of_pairs(tmp_path):
    numbers, vectors, owners = evaluation_ijb.drawn(**SMALL)
    assert vectors.shape == (113, 512) and np.allclose(np.linalg.norm(vectors, axis=1), 1)
    path = str(tmp_path / "pairs.txt")
    written = evaluation_ijb.write_pairs(path, owners, 23, pairs=1000, genuine=60)
    pairs = ijb_files.read_pairs(path, numbers)
    assert written == len(pairs.issame) and 1000 <= written < 1100
    np.testing.assert_array_equal(owners[pairs.first] == owners[pairs.second], pairs.issame)
    assert 30 < pairs.issame.sum() <= 90 and pairs.first.max() < 23 <= pairs.second.min()


def test_rows():
    rows = [*evaluation_ijb.verification_rows(1, 1, **SMALL, pairs=1000, genuine=60),
            *evaluation_ijb.identification_rows(1, 1, **SMALL)]
    assert [row.unit for row in rows] == ["s", "GB", "s", "GB"]
    assert all(row.section == "evaluation" and row.left_value > 0 and row.ratio is None for row in rows)
    assert rows[0].facts["templates"] == 113 and rows[2].facts == {"probes": 90, "galleries": [12, 11]}


def test_the_section_has_them():
    assert {"evaluation, IJB-C 1:1", "evaluation, IJB-C 1:N"} <= {label for label, *_ in evaluation.pieces(2, 1)}
