import numpy as np
import pytest

from eval.protocols import ready_made
from runtime import Failure


@pytest.fixture
def rows(tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "e.npy", values)
    return tmp_path / "e.npy", values


def test_reads_rows_and_halves(rows, tmp_path):
    path, values = rows
    np.save(tmp_path / "m.npy", values + 1)
    for arguments, plain, mirrored in (
            ((None, False, False), values, None), ((str(tmp_path / "m.npy"), False, True), values, values + 1),
            ((None, True, True), values[:, :2], values[:, 2:]), ((None, True, False), values[:, :2], None)):
        found, others = ready_made.read(str(path), *arguments, 3, "list.txt")
        np.testing.assert_array_equal(found, plain)
        assert (others is None) == (mirrored is None)
        if mirrored is not None:
            np.testing.assert_array_equal(others, mirrored)


@pytest.mark.parametrize(("content", "message"), [
    (np.zeros((4, 2), np.float32), "has 4 rows and list.txt has 3"), (np.zeros(3), r"shape \(3,\)"),
    (np.zeros((3, 2), int), "of int64"), (np.zeros((3, 0)), r"shape \(3, 0\)"),
])
def test_refuses_other_arrays(tmp_path, content, message):
    np.save(tmp_path / "e.npy", content)
    with pytest.raises(Failure, match=f"e.npy .*{message}"):
        ready_made.open_rows(tmp_path / "e.npy", 3, "list.txt")


def test_refuses_other_files(rows, tmp_path):
    path, _ = rows
    whole = path.read_bytes()
    for content in (b"", whole[:50], whole[:-1], b"x" * 200, whole.replace(b"(3, 4)", b"(3, 9)"),
                    whole.replace(b"<f4", b"|O8"), whole.replace(b"{'descr", b"{{{{{{{")):
        path.write_bytes(content)
        with pytest.raises(Failure, match="e.npy is damaged or no .npy file"):
            ready_made.open_rows(path, 3, "list.txt")
    np.savez(tmp_path / "a.npz", embeddings=np.zeros((3, 2)))
    with pytest.raises(Failure, match="is an archive"):
        ready_made.open_rows(tmp_path / "a.npz", 3, "list.txt")
    with pytest.raises(Failure, match=r"no.npy is missing: it should be an .npy file with an embedding for each row"):
        ready_made.open_rows(tmp_path / "no.npy", 3, "list.txt")


def test_refuses_what_does_not_fit(rows, tmp_path):
    path, values = rows
    np.save(tmp_path / "m.npy", values[:, :3])
    with pytest.raises(Failure, match="3 numbers a row and .*e.npy has 4"):
        ready_made.read(path, tmp_path / "m.npy", False, True, 3, "list.txt")
    with pytest.raises(Failure, match="m.npy has 3 numbers a row, which are no two halves"):
        ready_made.read(tmp_path / "m.npy", None, True, True, 3, "list.txt")
