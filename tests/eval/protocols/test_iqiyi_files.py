"""Ground truths, submissions and clips of iQIYI-VID."""
import pytest

from eval.protocols import iqiyi_files
from runtime import Failure


@pytest.mark.parametrize("content", ["1 a.mp4 b.mp4 \n3 c.mp4 \n", "1 a.mp4 b.mp4\r\n3 c.mp4\r\n\r\n",
                                     "\ufeff1  a.mp4\tb.mp4 a.mp4\n\n3 c.mp4"])
def test_a_ground_truth_is_read_with_any_line_ends(tmp_path, content):
    (tmp_path / "gt.txt").write_bytes(content.encode())
    assert iqiyi_files.read_truth(tmp_path / "gt.txt") == {1: ["a.mp4", "b.mp4"], 3: ["c.mp4"]}


def test_an_identity_may_have_very_many_clips_or_none(tmp_path):
    names = [f"IQIYI_VID_TEST_{number:07}.mp4" for number in range(5000)]
    (tmp_path / "gt.txt").write_text(f"1 {' '.join(names)} \n2 \n")
    assert iqiyi_files.read_truth(tmp_path / "gt.txt") == {1: names, 2: []}


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "is empty"), (b"\n \n", "is empty"), (b"1 a\nb c\n", "line 2 begins with b"), (b"-1 a\n", "line 1"),
    (b"1 a\n2 b\n1 c\n", "line 3 is a second line of identity 1"), (b"1 a\0b\n", "line 1 has a zero byte"),
    (b"\x89PNG\r\n\x1a\n", "line 1"), (b"9999999999 a\n", "line 1")])
def test_another_form_is_refused(tmp_path, content, reason):
    (tmp_path / "gt.txt").write_bytes(content)
    with pytest.raises(Failure, match=reason):
        iqiyi_files.read_truth(tmp_path / "gt.txt")


def test_a_missing_ground_truth(tmp_path):
    with pytest.raises(Failure, match="gt.txt is missing: each line has"):
        iqiyi_files.read_truth(tmp_path / "gt.txt")


def test_a_submission_has_the_form_of_the_ground_truth(tmp_path, shared):
    path = shared / "reference" / "protocols" / "iqiyi" / "test_gt.txt"
    iqiyi_files.write_submission(tmp_path / "out.txt", iqiyi_files.read_truth(path))
    assert (tmp_path / "out.txt").read_bytes() == path.read_bytes()


def test_clips_are_folders_or_video_files(tmp_path):
    for name in ("IQIYI_VID_TRAIN/a", "IQIYI_VID_TEST/b.mp4", "clips/empty", "c"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("IQIYI_VID_TRAIN/a/1.jpg", "IQIYI_VID_TEST/b.mp4/0.jpg", "IQIYI_VID_TEST/d.mp4", "c/2.png",
                 "IQIYI_VID_TEST/e.avi", "test_gt.txt"):
        (tmp_path / name).touch()
    found = iqiyi_files.clips_in(str(tmp_path), ["a.mp4", "b.mp4", "e.mp4"])
    assert {name: len(paths) for name, paths in found.items()} == dict.fromkeys(
        ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4"], 1)
    with pytest.raises(Failure, match="has no clips"):
        iqiyi_files.clips_in(str(tmp_path / "clips"), [])


def test_a_name_of_odd_bytes_is_submitted_as_it_is_in_the_ground_truth(tmp_path):
    (tmp_path / "gt.txt").write_bytes(b"1 a\xff.mp4 b.mp4 \n")
    iqiyi_files.write_submission(tmp_path / "sub.txt", iqiyi_files.read_truth(tmp_path / "gt.txt"))
    assert (tmp_path / "sub.txt").read_bytes() == b"1 a\xff.mp4 b.mp4 \n"
