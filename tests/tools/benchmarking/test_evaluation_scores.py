"""The benchmark's rows of MegaFace and Trillion-Pairs, at small sizes."""
import numpy as np
import pytest

from datasets.formats.opencv_matrix import Matrix
from tools.benchmarking import evaluation, evaluation_scores


def test_embeddings_are_drawn_the_same_each_time(tmp_path):
    drawn = evaluation_scores.filled(9000, 20, 1)
    assert np.linalg.norm(drawn, axis=1) == pytest.approx(np.ones(9000), abs=1e-5)
    evaluation_scores.write_features(tmp_path / "f.bin", 1000, 50)
    features = Matrix(tmp_path / "f.bin")
    assert len(features) == 1050 and np.array_equal(features[:1000], evaluation_scores.filled(1000, 21, 1))


@pytest.mark.slow
def test_rows():
    rows = list(evaluation_scores.megaface_rows(1, 1, 40, 600))
    assert [row.right for row in rows] == ["SGEMM", "faiss", None]
    assert all("differ" not in row.note for row in rows)
    rows = list(evaluation_scores.trillionpairs_rows(1, 1, 30, 5000, 300))
    assert [row.right for row in rows] == ["SGEMM", None] and "computed from" in rows[0].note


def test_the_parts_are_registered():
    labels = [label for label, _, _ in evaluation.pieces(1, 1)]
    assert {"evaluation, MegaFace", "evaluation, Trillion-Pairs"} <= set(labels)
