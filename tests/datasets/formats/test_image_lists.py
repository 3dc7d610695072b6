"""Lists and landmark files in every form that is read."""
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.faces import landmarks
from datasets.formats import image_lists
from datasets.formats.image_lists import Entry
from runtime import Failure

FACE = np.array([(38.5, 51.5), (73.5, 51.25), (56, 71.75), (41.5, 92.5), (70.75, 92)])


def numbers(points, order):
    return [f"{number:g}" for number in (points.ravel() if order == "pairs" else points.T.ravel())]


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters()))
def test_any_name_is_one_field_of_one_line(name):
    field = image_lists.quoted(name)
    assert field.isprintable()
    assert "\t" not in field
    field.encode()
    assert image_lists.unquoted(field) == name


def test_ordinary_names_stay_as_they_are():
    for name in ("a/b.jpg", "José María/1 (2).jpg", "李 小龙/照片.png", "50%/x.jpg", "back\\slash.jpg"):
        assert image_lists.quoted(name) == name


def test_the_originals_list(tmp_path):
    path = tmp_path / "a.lst"
    path.write_text("1\tm.0/1.jpg\t7\n0\t/data/é b.jpg\t3\t1\t2\t3\t4\n0\tc.jpg\t7\t1\t2\t3\t4\t"
                    + "\t".join(numbers(FACE, "axes")) + '\r\n\n1\t"t\\tab.jpg"\t0\n')
    entries = landmarks.read_list(path)
    assert [entry[:3] for entry in entries] == [("m.0/1.jpg", 7, True), ("/data/é b.jpg", 3, False),
                                                ("c.jpg", 7, False), ("t\tab.jpg", 0, True)]
    assert [entry.points is None for entry in entries] == [True, True, False, True]
    np.testing.assert_array_equal(entries[2].points, FACE)


def test_im2recs_list(tmp_path):
    path = tmp_path / "a.lst"
    path.write_text("0\t5.000000\tx/1.jpg\n7\t2\t0.5\ty/2.jpg\n")
    assert image_lists.read_list(path) == [Entry("x/1.jpg", 5, None), Entry("y/2.jpg", 2, None, None, [2.0, 0.5])]


@pytest.mark.parametrize(("text", "words"), [
    ("", "empty"), ("a b c\n", "line 1"), ("1\ta.jpg\n", "line 1"), ("1\ta.jpg\tx\n", "line 1"),
    ("1\ta.jpg\t-1\n", "line 1"), ("1\ta.jpg\t0.5\n", "line 1"), ("1\ta.jpg\tnan\n", "line 1"),
    ("1\ta.jpg\tinf\n", "line 1"), ("1\ta.jpg\t0\n2\tb.jpg\t0\n", "line 2"), ("1\ta.jpg\t0\n0\t1\tb.jpg\n", "line 2"),
    ("0\t1\ta.jpg\n1\t1\n", "line 2"), ("x" * 70000, "does not end"), ("\0\1\2", "line 1"),
    ("0\tc.jpg\t7\t1\t2\t3\t4" + "\tx" * 10, "points")])
def test_no_list(tmp_path, text, words):
    (tmp_path / "a.lst").write_text(text)
    with pytest.raises(Failure, match=words) as caught:
        image_lists.read_list(tmp_path / "a.lst")
    assert "a.lst" in str(caught.value)


@pytest.mark.parametrize("order", ["pairs", "axes"])
@pytest.mark.parametrize(("heading", "line"), [
    ("", "{}\t" + "\t".join(["{}"] * 10)), ("path,x1,y1\n", "{}," + ",".join(["{}"] * 10)),
    ("2\nlefteye_x lefteye_y\n", "{}  " + " ".join(["{}"] * 10) + " 0.99"), ("\ufeff", '"{}",' + ",".join(["{}"] * 10)),
    ("", "0\t{}\t7\t1\t2\t3\t4\t" + "\t".join(["{}"] * 10))])
def test_landmarks(tmp_path, order, heading, line):
    """In every form; that of the numbers is found by itself."""
    path = tmp_path / "points"
    faces = {"a/1.jpg": FACE, "a/b.jpg": FACE[::, ::] * 2 + 30}
    path.write_text(heading + "".join(line.format(name, *numbers(points, order)) + "\n"
                                      for name, points in faces.items()))
    read = landmarks.read_landmarks(path)
    assert list(read) == list(faces)
    for name, points in faces.items():
        np.testing.assert_allclose(read[name], points)


@pytest.mark.parametrize("text", ["", "a b\n", "x,1,2,3\ny,1,2,3\nz,1,2,3\n", "a.jpg 1 2 3 4 5 6 7 8 9 10\nb.jpg 1\n",
                                  "a.jpg" + " nan" * 10 + "\n\n\nb.jpg" + " 1e999" * 10])
def test_no_landmarks(tmp_path, text):
    (tmp_path / "points").write_text(text)
    with pytest.raises(Failure, match="points"):
        landmarks.read_landmarks(tmp_path / "points")


def test_missing(tmp_path):
    for read in (image_lists.read_list, landmarks.read_landmarks):
        with pytest.raises(Failure, match="missing"):
            read(tmp_path / "none")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=80), st.lists(st.sampled_from(
    ["0", "1", "\t", "\t", "a.jpg", "\n", "-1", "nan", "1e400", ",", '"', "\\", "\x85", "é", " "]), max_size=40)
    .map(lambda parts: "".join(parts).encode())))
def test_hostile_files(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    for read in (image_lists.read_list, landmarks.read_landmarks):
        try:
            assert read(tmp_path / "a")
        except Failure as failure:
            assert "\n" not in str(failure)


def placed(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


@pytest.mark.parametrize(("name", "path"), [
    ("p0\\0.jpg", "p0/0.jpg"), (".\\p0\\0.jpg", "p0/0.jpg"), ("p1\\..\\p0\\0.jpg", "p0/0.jpg"),
    ("p0/0.jpg", "p0/0.jpg"),
    ("C:\\faces\\p0\\0.jpg", "p0/0.jpg"), ("c:/faces/p0/0.jpg", "p0/0.jpg"), ("p0\\0.jpg\\", "p0/0.jpg"),
    ("\\\\server\\share\\faces\\p0\\0.jpg", "p0/0.jpg"), ("\\faces\\p0\\0.jpg", "p0/0.jpg"),
    ("C:\\p0\\0.jpg", "p0/0.jpg"),
    ("real\\one.jpg", "real\\one.jpg"), ("p0\\none.jpg", "p0\\none.jpg"),
    ("C:\\faces\\none.jpg", "C:\\faces\\none.jpg"),
    ("C:\\..\\p0\\0.jpg", "p0/0.jpg"), ("none.jpg", "none.jpg"), ("C:\\", "C:\\"), ("\\", "\\"), ("a\\\0b", "a\\\0b")])
def test_names_that_windows_wrote(tmp_path, name, path):
    placed(tmp_path, "p0/0.jpg", "real\\one.jpg", "real/one.jpg")
    assert image_lists.finder(tmp_path)(name) == path


def test_names_on_a_drive_never_mean_one_file(tmp_path):
    placed(tmp_path, "p0/0.jpg", "0.jpg")
    find = image_lists.finder(tmp_path)
    assert [find(f"C:\\Faces\\{name}") for name in ("p0\\0.jpg", "p1\\0.jpg", "0.jpg")] == [
        "p0/0.jpg", "C:\\Faces\\p1\\0.jpg", "0.jpg"]
    assert find("c:\\faces\\p0\\0.jpg") == "p0/0.jpg"  # as Windows compares names


def test_landmarks_that_windows_wrote(tmp_path):
    placed(tmp_path, "p0/0.jpg", "p0/1.jpg")
    (tmp_path / "points").write_text("".join("\t".join([name, *numbers(FACE, "pairs")]) + "\r\n" for name in (
        "p0\\0.jpg", "D:\\all\\p0\\1.jpg", "p0\\2.jpg")))
    assert list(landmarks.read_landmarks(tmp_path / "points", tmp_path)) == ["p0/0.jpg", "p0/1.jpg", "p0\\2.jpg"]
