"""Lists of pairs and folders of frames of YouTube Faces."""
import numpy as np
import pytest

from eval.protocols import ytf_files
from runtime import Failure
from tests.miniatures import ytf as miniature

PAIRS = [(1, "a/0", "a/1", True), (1, "a/0", "b/0", False), (2, "b/0", "b/1", True), (2, "b/1", "a/1", False)]


@pytest.mark.parametrize(("header", "end"), [(miniature.HEADER, "\n"), (miniature.HEADER, "\r\n"), (None, "\n"),
                                             ("\ufeff" + miniature.HEADER, "\r\n"), (miniature.HEADER, "\n\n")])
def test_a_list_is_read_with_any_line_ends_and_without_its_header(tmp_path, header, end):
    miniature.write_list(tmp_path / "splits.txt", PAIRS, header, end)
    found = ytf_files.read_splits(tmp_path / "splits.txt")
    assert [*zip(found.split.tolist(), found.first, found.second, found.issame.tolist())] == PAIRS
    assert found.videos == ["a/0", "a/1", "b/0", "b/1"]


@pytest.mark.parametrize("line", [
    "1, 2, a/0, b/0, 0", "1, 2, a/0, b/0, 0, 0, 0", "1, 2, a/0, b/0, 0, 2", "x, 2, a/0, b/0, 0, 0", "1 2 a/0 b/0 0 0",
    "1, 2, ../x, b/0, 0, 0", "1, 2, a/.., b/0, 0, 0", "1, 2, /etc/passwd, b/0, 0, 0", "1, 2, a, b/0, 0, 0"])
def test_a_line_of_another_form_is_refused_with_its_number(tmp_path, line):
    miniature.write_list(tmp_path / "splits.txt", PAIRS)
    with open(tmp_path / "splits.txt", "a") as file:
        file.write(line + "\n")
    with pytest.raises(Failure, match="splits.txt: line 6 "):
        ytf_files.read_splits(tmp_path / "splits.txt")


@pytest.mark.parametrize("content", ["", miniature.HEADER + "\n", "1, 1, a/0, a/1, 1, 1\n"])
def test_a_list_of_fewer_than_two_splits_is_refused(tmp_path, content):
    (tmp_path / "splits.txt").write_text(content)
    with pytest.raises(Failure, match="at least two splits"):
        ytf_files.read_splits(tmp_path / "splits.txt")


def test_which_list_is_taken(tmp_path):
    with pytest.raises(Failure, match=r"has no splits.txt or splits_corrected.txt"):
        ytf_files.find_list(None, str(tmp_path))
    (tmp_path / "splits_corrected.txt").touch()
    assert ytf_files.find_list(None, str(tmp_path)) == str(tmp_path / "splits_corrected.txt")
    (tmp_path / "splits.txt").touch()
    assert ytf_files.find_list(None, str(tmp_path)) == str(tmp_path / "splits.txt")
    assert ytf_files.find_list("splits_corrected.txt", str(tmp_path)) == str(tmp_path / "splits_corrected.txt")
    with pytest.raises(Failure, match="other.txt is missing"):
        ytf_files.find_list("other.txt", str(tmp_path))


def splits_of(numbers):
    return ytf_files.Splits("", np.array(numbers), [], [], np.array([]))


@pytest.mark.parametrize(("numbers", "consecutive"), [
    ([1, 1, 2, 2], True), ([2, 2, 1, 1], True), ([1, 1, 1, 2, 2], True), ([1, 1, 2, 2, 2], False),
    ([1, 2, 1, 2], False), ([1, 1, 2, 1], False)])
def test_whether_splits_are_consecutive_parts(numbers, consecutive):
    assert splits_of(numbers).consecutive is consecutive


def test_frames_come_in_the_order_of_their_numbers(tmp_path):
    for name in ("0.10.jpg", "aligned_detect_0.9.jpg", "0.100.PNG", "._0.1.jpg", "Thumbs.db", "cover.jpg", "0.2.txt"):
        (tmp_path / name).touch()
    names = [path.rsplit("/", 1)[1] for path in ytf_files.frames_of(tmp_path)]
    assert names == ["aligned_detect_0.9.jpg", "0.10.jpg", "0.100.PNG"]
    assert ytf_files.frames_of(tmp_path / "missing") == []


def test_either_folder_of_frames_is_found(tmp_path):
    with pytest.raises(Failure, match="neither aligned_images_DB nor frame_images_DB"):
        ytf_files.frames_folder(str(tmp_path), False)
    with pytest.raises(Failure, match="is no folder"):
        ytf_files.frames_folder(str(tmp_path / "missing"), False)
    (tmp_path / "frame_images_DB").mkdir()
    assert ytf_files.frames_folder(str(tmp_path), False).endswith("frame_images_DB")
    with pytest.raises(Failure, match="has no frames"):
        ytf_files.videos_in(str(tmp_path / "frame_images_DB"))
    (tmp_path / "aligned_images_DB").mkdir()
    assert ytf_files.frames_folder(str(tmp_path), False).endswith("aligned_images_DB")
    assert ytf_files.frames_folder(str(tmp_path), True).endswith("frame_images_DB")
    inside = str(tmp_path / "frame_images_DB")
    assert ytf_files.frames_folder(inside, False) == inside
