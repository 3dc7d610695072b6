"""Files of frames' embeddings: what is read, and the one line for what is wrong."""
import numpy as np
import pytest

from datasets.formats.frame_embeddings import FrameEmbeddings
from runtime import Failure


def write(path, **changes):
    arrays = {"embeddings": np.arange(1, 13, dtype=np.float32).reshape(6, 2), "counts": np.array([2, 0, 4]),
              "videos": np.array(["a/0", "a/1", "b/0"]), **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_a_file_is_read_by_blocks(tmp_path):
    file = FrameEmbeddings(write(tmp_path / "frames.npz"))
    assert file.names.tolist() == ["a/0", "a/1", "b/0"] and file.counts.tolist() == [2, 0, 4]
    assert (file.frames, file.dimension) == (6, 2)
    blocks = list(file.blocks(4))
    assert [len(block) for block in blocks] == [4, 2]
    assert np.concatenate(blocks).tolist() == np.arange(1, 13).reshape(6, 2).tolist()
    assert [file.frame(row) for row in (1, 2)] == ["frame 2 of a/0", "frame 1 of b/0"]


def test_compressed_files_and_names_of_bytes_are_read(tmp_path):
    np.savez_compressed(tmp_path / "frames.npz", embeddings=np.ones((2, 3)), names=np.array([b"a", b"b\xff"]))
    file = FrameEmbeddings(tmp_path / "frames.npz", "names", one_each=True)
    assert file.names.tolist() == ["a", "b\udcff"] and file.counts.tolist() == [1, 1]
    assert np.concatenate(list(file.blocks())).tolist() == np.ones((2, 3)).tolist()


@pytest.mark.parametrize(("changes", "reason"), [
    ({"counts": np.array([2, 0, 3])}, "its counts sum to 5, and there are 6"),
    ({"counts": np.array([2, -1, 5])}, "the count of a/1 is -1"),
    ({"counts": np.array([2, 4])}, "2 counts for 3 videos"),
    ({"counts": np.array([2.0, 0, 4])}, "its counts are float64"),
    ({"counts": None}, "no array 'counts'"),
    ({"videos": None}, "no array 'videos'"),
    ({"videos": np.array([1, 2, 3])}, "its videos are int64"),
    ({"videos": np.array(["a", "b", "\ud800"])}, "one of its videos is no text"),
    ({"videos": np.array([97, 98, 0x110000], np.uint32).view("U1")}, "one of its videos is no text"),
    ({"embeddings": np.asfortranarray(np.ones((6, 2), np.float32))}, "in the order of Fortran"),
    ({"videos": np.array(["a", None, {}], dtype=object)}, "its videos are object"),
    ({"embeddings": np.zeros((0, 2), np.float32), "counts": np.array([0, 0, 0])}, "0 embeddings"),
    ({"embeddings": np.ones((6, 2), np.int32)}, "its embeddings are int32"),
    ({"embeddings": np.ones(6, np.float32)}, "its embeddings are float32 of shape"),
])
def test_what_does_not_fit_is_refused(tmp_path, changes, reason):
    with pytest.raises(Failure, match=reason):
        FrameEmbeddings(write(tmp_path / "frames.npz", **changes))


def test_missing_and_truncated_files_are_refused(tmp_path):
    with pytest.raises(Failure, match="is missing"):
        FrameEmbeddings(tmp_path / "frames.npz")
    path = write(tmp_path / "frames.npz")
    content = path.read_bytes()
    for size in range(0, len(content), 97):
        path.write_bytes(content[:size])
        with pytest.raises(Failure, match="damaged"):
            FrameEmbeddings(path)


def test_damaged_rows_are_refused(tmp_path):
    path = write(tmp_path / "frames.npz")
    content = bytearray(path.read_bytes())
    place = content.index(np.float32([5, 6]).tobytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(Failure, match="damaged"):
        list(FrameEmbeddings(path).blocks())
