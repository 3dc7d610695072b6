"""Text files as editors and tools on every system write them."""
import shutil

import numpy as np
import pytest

from datasets.checking.findings import Findings
from datasets.checking.record import check_record
from datasets.faces import landmarks
from datasets.formats import image_lists, pair_lists, records, text
from runtime import Failure

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]
BIG_ENDIAN = {"utf-16-be": b"\xfe\xff", "utf-32-be": b"\0\0\xfe\xff"}
LINES = ["1\ta é.jpg\t0", "1\t名.jpg\t1"]


@pytest.mark.parametrize("encoding", [*ENCODINGS, *BIG_ENDIAN])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", "\r\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_in_every_encoding(tmp_path, encoding, end, last):
    content = end.join(LINES) + (end if last else "")
    (tmp_path / "a").write_bytes(BIG_ENDIAN.get(encoding, b"") + content.encode(encoding))
    assert [line for _, line in text.lines(tmp_path / "a", strict=True)] == LINES
    assert text.content(tmp_path / "a").decode().split() == "\n".join(LINES).split()


def test_numbers_count_blank_lines(tmp_path):
    (tmp_path / "a").write_bytes(b"\n \na\r\n\r\nb")
    assert list(text.lines(tmp_path / "a")) == [(3, "a"), (5, "b")]


def test_marks_between_files_that_were_joined(tmp_path):
    (tmp_path / "a").write_bytes("\ufeff\ufeffone\n\ufefftwo\n".encode())
    assert [line for _, line in text.lines(tmp_path / "a")] == ["one", "two"]


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\n\n", b"\xff\xfe\n\0"])
def test_nothing(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert list(text.lines(tmp_path / "a")) == []
    assert text.content(tmp_path / "a").strip() == b""


def test_bytes_that_are_no_utf_8(tmp_path):
    (tmp_path / "a").write_bytes(b"fine\nM\xfcller\n")
    assert list(text.lines(tmp_path / "a")) == [(1, "fine"), (2, "M\udcfcller")]
    with pytest.raises(Failure, match="line 2 is not UTF-8"):
        list(text.lines(tmp_path / "a", strict=True))


@pytest.mark.parametrize(("content", "says"), [
    ("6,112,112\n".encode("utf-16-le"), "looks like UTF-16 without a byte-order mark: save it as UTF-8"),
    ("1\tp0/0.jpg\t0\n".encode("utf-16-be"), "looks like UTF-16 without"),
    ("6,112,112\n".encode("utf-32-le"), "looks like UTF-32 without"),
    ("\ufeff6,1".encode("utf-16-le")[:-1], "UTF-16 and does not go on so, or is cut short: save it as UTF-8"),
    (b"\xff\xfe\0\xd8x\0", "UTF-16 and does not go on so"), (b"a\nb\0c\n", "line 2 has a zero byte"),
    (b"a\n" + b"x" * 100_000, "line 2 does not end")])
def test_no_text(tmp_path, content, says):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(Failure, match=says) as caught:
        list(text.lines(tmp_path / "a"))
    assert str(tmp_path / "a") in str(caught.value) and len(str(caught.value)) < 400


def test_missing(tmp_path):
    for read in (lambda path, missing: list(text.lines(path, missing=missing)), text.content):
        with pytest.raises(Failure, match="none is missing: look elsewhere"):
            read(tmp_path / "none", missing="look elsewhere")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("content", ["6,112,112", "6,112,112\r\n", " 6 , 112 , 112 \n\n\n", "6,112,112\r",
                                     "\n6,112,112\n30\nshuffled\n2024-01-02 03:04:05.678901\n"])
def test_property(tmp_path, encoding, content):
    (tmp_path / "property").write_bytes(content.encode(encoding))
    assert records.read_property(tmp_path) == (6, 112, 112)


@pytest.mark.parametrize("content", [b"", b"6;112;112\n", b"30\n6,112,112\n", "6,112,112".encode("utf-16-le"),
                                     b"6,112,112" + b" " * 70_000, b"6" * 70_000, b"\0" * 40, b"6,112,112,1\n"])
def test_no_property(tmp_path, content):
    (tmp_path / "property").write_bytes(content)
    with pytest.raises(Failure, match="property.*it has to be one line, classes,height,width, such as 85742,112,112"):
        records.read_property(tmp_path)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_index(tmp_path, encoding, end):
    (tmp_path / "train.idx").write_bytes(end.join(["0\t0", "1\t40", "2\t88", ""]).encode(encoding))
    keys, offsets = records.read_index(str(tmp_path / "train.idx"), 100)
    np.testing.assert_array_equal(keys, [0, 1, 2])
    np.testing.assert_array_equal(offsets, [0, 40, 88])


def test_index_in_an_encoding_that_it_does_not_tell(tmp_path):
    (tmp_path / "train.idx").write_bytes("0\t0\n1\t40\n".encode("utf-16-le"))
    with pytest.raises(Failure, match="train.idx looks like UTF-16"):
        records.read_index(str(tmp_path / "train.idx"), 100)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_every_list(tmp_path, encoding, end):
    path = tmp_path / "a"

    def write(*lines):
        path.write_bytes((end.join(lines) + end).encode(encoding))
    write(*LINES)
    assert [(entry.path, entry.identity) for entry in image_lists.read_list(path)] == [("a é.jpg", 0), ("名.jpg", 1)]
    write("é.jpg,38,51,73,51,56,71,41,92,70,92")
    assert list(landmarks.read_landmarks(path)) == ["é.jpg"]
    write("a.jpg,é.jpg,1")
    assert pair_lists.read_pairs(path).pairs == [(("a.jpg",), ("é.jpg",))]
    write("1\t1", "Zoë 1 2", "Zoë 1 Bob 1")
    assert pair_lists.read_pairs(path).layout == "lfw"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_record_whose_text_was_saved_elsewhere(faces, tmp_path, encoding, capsys):
    folder = shutil.copytree(faces, tmp_path / "a")
    for name in ("train.idx", "property"):
        (folder / name).write_bytes((folder / name).read_text().replace("\n", "\r\n").encode(encoding))
    findings = Findings()
    check_record(folder, findings, 1)
    assert (findings.errors, capsys.readouterr().out) == (0, "")
    assert records.read_layout(folder).images == range(1, 25)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["shuffled_rec", "property_bom"])
def test_cases(shared, case, command):
    if not (shared / "cases" / case).is_dir():
        pytest.skip("the cases are not there")
    done = command("datasets/check.py", shared / "cases" / case)
    assert (done.returncode, done.stderr) == (0, "")
    assert "30 images of 6 identities, 112×112: 0 errors" in done.stdout
