"""IJB's files: read in any whitespace, refused in one line that names file and line."""
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.protocols import ijb_files
from runtime import Failure
from tests.miniatures import ijb as miniature


@pytest.fixture
def root(tmp_path):
    images = np.random.RandomState(0).randint(0, 256, (12, 112, 112, 3)).astype(np.uint8)
    miniature.build(tmp_path / "set", images, np.repeat([5, 7, 9], 4))
    return tmp_path / "set"


def change(path, old, new, count=1):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, count))


def test_reads_what_was_written(root):
    paths = ijb_files.layout(root, "IJBC")
    images = ijb_files.read_images(paths)
    assert images.names == [f"{number}.jpg" for number in range(1, 13)]
    assert images.templates.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert images.medias.tolist() == [101, 102, 103, 103, 104, 105, 106, 106, 107, 108, 109, 109]
    line = Path(paths.images).read_text().split()[:12]
    np.testing.assert_array_equal(images.points[0].ravel(), [float(one) for one in line[1:11]])
    assert images.scores.dtype == np.float32 and images.scores[0] == np.float32(line[11])
    pairs = ijb_files.read_pairs(paths.pairs, np.unique(images.templates))
    assert pairs.first.tolist() == [0, 0, 0, 2, 2, 2, 4, 4, 4] and pairs.second.tolist() == [1, 3, 5] * 3
    assert pairs.issame.tolist() == [True, False, False, False, True, False, False, False, True]
    gallery = ijb_files.read_subjects(paths.galleries[0], np.unique(images.templates))
    assert (gallery.templates.tolist(), gallery.subjects.tolist()) == ([1, 5], [5, 9])
    assert ijb_files.places_of([6, 1, 77, -3], np.array([1, 5, 6])).tolist() == [2, 0, -1, -1]
    assert ijb_files.places_of([6, 1, 77], np.array([-1, 1, 6, 10**17])).tolist() == [2, 1, -1]


@pytest.mark.parametrize("chunk", [64, 1 << 20])
@pytest.mark.parametrize(("begin", "space", "end"), [
    (b"", b" ", b"\r\n"), (b"", b"\t", b"\n"), (b"  ", b" \t  ", b" \n"), (b"\xef\xbb\xbf", b" ", b"\n"),
    (b"", b" ", b"\n\n \n"), (b"", b" ", b"\r")])
def test_any_whitespace(tmp_path, chunk, begin, space, end):
    random = np.random.RandomState(1)
    rows = np.column_stack([random.choice([3, 40, 500], (100, 2)), random.randint(0, 2, 100)])
    path = tmp_path / "pairs.txt"
    for tail in (b"", end, end + end):  # no end, one, and an empty line
        path.write_bytes(begin + end.join(space.join(b"%d" % one for one in row) for row in rows) + tail)
        pairs = ijb_files.read_pairs(path, np.array([3, 40, 500]), chunk)
        np.testing.assert_array_equal(np.array([3, 40, 500])[pairs.first], rows[:, 0])
        np.testing.assert_array_equal(np.array([3, 40, 500])[pairs.second], rows[:, 1])
        np.testing.assert_array_equal(pairs.issame, rows[:, 2] == 1)


@pytest.mark.parametrize("line", [b"1 2", b"1 2 1 4", b"1 2 1 4 5", b"1 2 1 4 5 6", b"x 2 1", b"1 2 2", b"1 2 1.0",
                                  b"1 2 True", b"1 2 -1", b"99999999999999999999 2 1", b"1,2,1", b"1 2 \xff", b"1 - 1",
                                  b"1 2 1\x00", b'"1" 2 1', b"1 2-1 1", b"1 2 '1'", b"NA 2 1"])
@pytest.mark.parametrize("chunk", [40, 1 << 20])
def test_malformed_pairs_name_their_line(tmp_path, line, chunk):
    path = tmp_path / "pairs.txt"
    path.write_bytes(b"1 2 1\n\n2 1 0\n" * 20 + line + b"\n1 2 0\n" * 20)
    with pytest.raises(Failure, match=f"^{re.escape(str(path))}: line 61 is malformed .*template template 0[|]1$"):
        ijb_files.read_pairs(path, np.array([1, 2]), chunk)


@pytest.mark.filterwarnings("error")
def test_columns_too_many_in_every_line(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_bytes(b"1 2 1 0 0\n2 1 0 0 0\n")
    with pytest.raises(Failure, match="line 1 is malformed"):
        ijb_files.read_pairs(path, np.array([1, 2]))


@given(st.binary(max_size=60), st.integers(1, 40))
@settings(deadline=None, max_examples=200)
def test_any_bytes_are_pairs_or_one_line(tmp_path_factory, content, chunk):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(content)
    try:
        ijb_files.read_pairs(path, np.array([1, 2]), chunk)
    except Failure as failure:
        assert "\n" not in str(failure) and "any.txt" in str(failure)


def test_unknown_templates(root):
    paths = ijb_files.layout(root, "IJBC")
    with pytest.raises(Failure, match="label.txt: line 3 has the template 6, which no image has"):
        ijb_files.read_pairs(paths.pairs, np.arange(1, 6))
    with pytest.raises(Failure, match="G1.csv: line 4 has the template 5, which no image has"):
        ijb_files.read_subjects(paths.galleries[0], np.array([1, 2, 3, 4, 6]))


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\r\n"])
def test_empty_pairs(tmp_path, content):
    path = tmp_path / "pairs.txt"
    path.write_bytes(content)
    with pytest.raises(Failure, match="pairs.txt is empty"):
        ijb_files.read_pairs(path, np.array([1, 2]))


def test_utf16_and_endless_lines(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("1 2 1\n", encoding="utf-16")
    with pytest.raises(Failure, match="UTF-16: save it as UTF-8"):
        ijb_files.read_pairs(path, np.array([1, 2]))
    path.write_bytes(b"1 2 1\n" + b"1" * 100_000)
    with pytest.raises(Failure, match="line 2 does not end"):
        ijb_files.read_pairs(path, np.array([1, 2]), 1 << 12)


@pytest.mark.parametrize(("file", "old", "new", "message"), [
    ("images", b"3.jpg ", b"33.jpg ", "face_tid_mid.txt: line 3 names 3.jpg, where line 3 of .*names 33.jpg"),
    ("medias", b"12.jpg 6 109\n", b"", "has 11 rows and .* has 12"),
    ("medias", b"3.jpg 2 103", b"3.jpg 2", "line 3 has 2 columns, not 3"),
    ("medias", b"3.jpg 2 103", b"3.jpg 2 x", "line 3 has a column that is no whole number"),
    ("images", b"2.jpg ", b"2.jpg 1 ", "score.txt: line 2 has 13 columns, not 12"),
    ("images", b"2.jpg ", b"my 2.jpg ", "score.txt: line 2 has 13 columns"),
    ("images", b"0.", b"x.", "score.txt: line 1 has a column that is no number"),
    ("images", b"0.", b"inf 0.", "score.txt: line 1 has 13 columns"),
])
def test_image_files_that_do_not_fit(root, file, old, new, message):
    paths = ijb_files.layout(root, "IJBC")
    change(root / "meta" / getattr(paths, file).split("/")[-1], old, new)
    with pytest.raises(Failure, match=message):
        ijb_files.read_images(paths)


@pytest.mark.parametrize("number", ["nan", "inf", "1e999", "--1", "1e39"])
def test_numbers_have_to_be_finite(root, number):
    paths = ijb_files.layout(root, "IJBC")
    lines = Path(paths.images).read_text().splitlines()
    lines[4] = lines[4].rsplit(" ", 1)[0] + " " + number
    Path(paths.images).write_text("\r\n".join(lines) + "\r\n\r\n")
    with pytest.raises(Failure, match="line 5 has a column that is no number"):
        ijb_files.read_images(paths)


@pytest.mark.parametrize(("old", "new", "message"), [
    (miniature.HEADER.encode() + b"\n", b"", "line 1 is no header"),
    (b"1,5,", b"x,5,", "line 2 is malformed"), (b"1,5,", b"1;5;", "line 2 is malformed"),
    (b"1,5,img/1.jpg,1,0,0,112,112", b"1", "line 2 is malformed"),
])
def test_malformed_galleries(root, old, new, message):
    paths = ijb_files.layout(root, "IJBC")
    change(root / "meta" / "ijbc_1N_gallery_G1.csv", old, new)
    with pytest.raises(Failure, match=f"G1.csv: {message}"):
        ijb_files.read_subjects(paths.galleries[0], np.arange(1, 7))


def test_a_gallery_needs_templates(root):
    paths = ijb_files.layout(root, "IJBC")
    for content in ("", miniature.HEADER + "\n", "\n\n"):
        Path(paths.probes).write_text(content)
        with pytest.raises(Failure, match="names no template"):
            ijb_files.read_subjects(paths.probes, np.arange(1, 7))


def test_a_template_listed_twice_takes_its_first_subject(root):
    paths = ijb_files.layout(root, "IJBC")
    Path(paths.probes).write_text(f"{miniature.HEADER}\r\n4, 8,a.jpg\r\n2,9,b.jpg\r\n4,7,c.jpg\r\n\r\n")
    found = ijb_files.read_subjects(paths.probes, np.arange(1, 7))
    assert (found.templates.tolist(), found.subjects.tolist()) == ([2, 4], [9, 8])


def test_missing_files_tell_the_layout(root, tmp_path):
    with pytest.raises(Failure, match=r"is missing: --root has to hold meta/ with ijbb_name_5pts_score.txt, .*_S1.csv"):
        ijb_files.layout(root, "IJBB")
    (root / "meta" / "ijbc_1N_gallery_G2.csv").unlink()
    with pytest.raises(Failure, match=r"ijbc_1N_gallery_G2.csv is missing"):
        ijb_files.layout(root, "IJBC")
