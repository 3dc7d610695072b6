"""Matrices as OpenCV's tools write them: layout, and what is said of damaged ones."""
import numpy as np
import pytest

from datasets.formats import opencv_matrix
from runtime import Failure
from tests.miniatures.trillionpairs import write_features

VALUES = np.random.RandomState(0).normal(size=(30, 6)).astype(np.float32)


def test_a_vector_is_read_as_it_is_written():
    content = opencv_matrix.vector_bytes(VALUES[0])
    assert len(content) == 40 and np.frombuffer(content, "<i4", 4).tolist() == [6, 1, 4, 5]
    assert np.array_equal(opencv_matrix.vector("x", content), VALUES[0])


@pytest.mark.parametrize("content, said", [
    (b"", "less than the head"),
    (opencv_matrix.vector_bytes(VALUES[0])[:-1], "cut short"),
    (opencv_matrix.vector_bytes(VALUES[0]) + b"0000", "damaged"),
    (np.array([6, 2, 4, 5], "<i4").tobytes() + bytes(24), "begins with n, 1, 4, 5"),
    (opencv_matrix.vector_bytes([1, np.nan]), "not finite"),
    (np.array([-1, 1, 4, 5], "<i4").tobytes(), "begins with")])
def test_damaged_vectors(content, said):
    with pytest.raises(Failure, match=said):
        opencv_matrix.vector("x.bin", content)


def test_rows_of_a_matrix(tmp_path):
    write_features(tmp_path / "f.bin", VALUES)
    matrix = opencv_matrix.Matrix(tmp_path / "f.bin")
    assert len(matrix) == 30 and matrix.shape == (30, 6)
    assert np.array_equal(matrix[3:9], VALUES[3:9]) and np.array_equal(matrix[[5, 2, 5]], VALUES[[5, 2, 5]])
    for places in (np.arange(4, 20), np.array([9, 1, 1]), np.arange(0)):
        picked = opencv_matrix.Picked(matrix, places)
        assert len(picked) == len(places) and np.array_equal(picked[:], VALUES[places])
        assert np.array_equal(picked[1:3], VALUES[places][1:3])
        assert np.array_equal(picked[np.arange(len(places))[::-1]], VALUES[places][::-1])


@pytest.mark.parametrize("change, said", [
    (lambda content: content[:10], "a feature file has"), (lambda content: content[:-4], "cut short"),
    (lambda content: content + b"1", "damaged"), (lambda content: b"\x93NUMPY" + content, "a feature file has"),
    (lambda content: content[:8] + b"\x01" + content[9:], "a feature file has")])
def test_damaged_matrices(tmp_path, change, said):
    write_features(tmp_path / "f.bin", VALUES)
    content = (tmp_path / "f.bin").read_bytes()
    (tmp_path / "f.bin").write_bytes(change(content))
    with pytest.raises(Failure, match=said):
        opencv_matrix.Matrix(tmp_path / "f.bin")
    with pytest.raises(Failure, match="missing"):
        opencv_matrix.Matrix(tmp_path / "none.bin")


def test_numbers_that_are_not_finite(tmp_path):
    write_features(tmp_path / "f.bin", [[1, 2], [np.inf, 0]])
    matrix = opencv_matrix.Matrix(tmp_path / "f.bin")
    assert matrix[:1].tolist() == [[1, 2]]
    with pytest.raises(Failure, match="not finite"):
        matrix[:]
