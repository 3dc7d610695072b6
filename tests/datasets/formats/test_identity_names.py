"""identities.txt through the commands that renumber: names, sources and old labels, against what was put in."""
import os
import re

import cv2
import numpy as np
import pytest

from datasets import convert, merge, overlap
from datasets.formats import embeddings, identity_names, records

SIZE = 16


def encoded(person, number):
    pixels = np.random.RandomState(10 * person + number).randint(0, 256, (SIZE, SIZE, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture
def made(tmp_path):
    """Write a record of people, two images each, with their names, and embeddings that are each person's direction."""
    means = np.random.RandomState(0).normal(size=(20, 64))

    def make(name, people, names=None):
        folder = tmp_path / name
        records.write(folder, [(label, encoded(person, number), "x") for label, person in enumerate(people)
                               for number in range(2)], SIZE, SIZE)
        if names is not None:
            (folder / "identities.txt").write_text("".join(f"{label}\t2\t{one}\n" for label, one in enumerate(names)))
        rows = np.repeat(means[people], 2, axis=0) + 0.05 * np.random.RandomState(1).normal(size=(2 * len(people), 64))
        embeddings.write(tmp_path / f"{name}.npz", [rows], np.repeat(np.arange(len(people)), 2))
        return folder, tmp_path / f"{name}.npz"
    return make


def lines(path):
    return [line.split("\t") for line in path.read_text().splitlines()]


def test_overlap_carries_names(made, tmp_path, run):
    record, train = made("train", [0, 1, 2, 3], ["Ann", "Bob", '"C\\td"', "李 小龙"])
    _, test = made("test", [7, 1])
    said = run(overlap, train, test, "--record", record, "--output", tmp_path / "out", "--list", tmp_path / "l.tsv")
    assert "identity 1 Bob (" in said
    assert lines(tmp_path / "out" / "identities.txt") == [
        ["0", "2", "Ann", str(record), "0"], ["1", "2", '"C\\td"', str(record), "2"],
        ["2", "2", "李 小龙", str(record), "3"]]
    head, row = lines(tmp_path / "l.tsv")
    assert head == ["cosine", "identity", "image", "image_cosine", "test", "other", "other_image", "other_cosine",
                    "name", "other_name"]
    assert (row[1], row[5], row[8], row[9]) == ("1", "1", "Bob", "")
    # What was written is read again, and its origin is the record that was read.
    names, note = identity_names.read(identity_names.beside(tmp_path / "out" / "train.rec"))
    assert (names, note) == ({0: "Ann", 1: "C\td", 2: "李 小龙"}, "")


def test_without_names_old_labels_are_kept(made, tmp_path, run):
    record, train = made("train", [0, 1, 2, 3])
    _, test = made("test", [7, 1])
    said = run(overlap, train, test, "--record", record, "--output", tmp_path / "out", "--list", tmp_path / "l.tsv")
    assert "note" not in said
    assert lines(tmp_path / "out" / "identities.txt") == [
        [str(new), "2", str(old), str(record), str(old)] for new, old in enumerate([0, 2, 3])]
    assert lines(tmp_path / "l.tsv")[0][-1] == "other_cosine"


def test_names_in_the_embeddings(made, tmp_path, run):
    """As tools/embed.py puts them there, for the training set and for the test set."""
    for name, known in (("train", {0: "Ann", 1: "Bob"}), ("test", {1: "Robert", 0: "x\ty"})):
        _, path = made(name, [0, 1] if name == "train" else [7, 1])
        with np.load(path) as file:
            embeddings.write(path, [file["embeddings"]], file["labels"], **embeddings.identity_arrays(known))
        assert embeddings.Embeddings(path).identity_names == known
    said = run(overlap, tmp_path / "train.npz", tmp_path / "test.npz", "--list", tmp_path / "l.tsv")
    assert "identity 1 Bob (" in said and " and 1 Robert (" in said
    assert lines(tmp_path / "l.tsv")[1][8:] == ["Bob", "Robert"]
    run(overlap, tmp_path / "train.npz", "--noise", tmp_path / "n.tsv", "--noise-threshold", 1)
    head, *rows = lines(tmp_path / "n.tsv")
    assert head[-2:] == ["name", "nearest_name"]
    assert {tuple(row[column] for column in (1, 3, 5, 6)) for row in rows} == {
        ("0", "1", "Ann", "Bob"), ("1", "0", "Bob", "Ann")}


@pytest.mark.parametrize(("same", "expected"), [
    ("merge", [[("a", 0, "Ann")], [("a", 1, "Bob"), ("b", 0, "Bobby"), ("c", 1, "1")], [("b", 1, "Cy")],
               [("c", 0, "0")]]),
    ("drop", [[("a", 0, "Ann")], [("a", 1, "Bob")], [("b", 1, "Cy")], [("c", 0, "0")]]),
    ("keep", [[("a", 0, "Ann")], [("a", 1, "Bob")], [("b", 0, "Bobby")], [("b", 1, "Cy")], [("c", 0, "0")],
              [("c", 1, "1")]])])
def test_merge_carries_names(made, tmp_path, run, same, expected):
    parts = [made("a", [0, 1], ["Ann", "Bob"]), made("b", [1, 2], ["Bobby", "Cy"]), made("c", [3, 1])]
    run(merge, *[record for record, _ in parts], "--output", tmp_path / "out", "--same", same, "--list",
        tmp_path / "l.tsv", "--embeddings", *[file for _, file in parts])
    assert lines(tmp_path / "out" / "identities.txt") == [
        [str(label), str(2 * len(own)), *(field for source, old, name in own
                                          for field in (name, str(tmp_path / source), str(old)))]
        for label, own in enumerate(expected)]
    head, *rows = lines(tmp_path / "l.tsv")
    assert head[-2:] == ["name", "earlier_name"]
    assert [row[-2:] for row in rows] == [["Bobby", "Bob"], ["", "Bob"]]


def test_merge_without_embeddings(made, tmp_path, run):
    first, second = made("a", [0, 1], ["Ann", "Bob"])[0], made("b", [1], ["Bob"])[0]
    run(merge, first, second, "--output", tmp_path / "out")
    assert lines(tmp_path / "out" / "identities.txt") == [
        ["0", "2", "Ann", str(first), "0"], ["1", "2", "Bob", str(first), "1"], ["2", "2", "Bob", str(second), "0"]]


def test_convert_carries_names(made, tmp_path):
    record, _ = made("train", [0, 1, 2], ["Ann", "Bob", "Cy"])
    convert.unpack(record, tmp_path / "files")
    listed = (tmp_path / "files" / "images.lst").read_text().splitlines()
    (tmp_path / "files" / "images.lst").write_text("\n".join(line for line in listed if "\t1\t" not in line) + "\n")
    convert.pack(tmp_path / "files", tmp_path / "packed")
    assert lines(tmp_path / "packed" / "identities.txt") == [
        ["0", "2", "Ann", str(tmp_path / "files"), "0"], ["1", "2", "Cy", str(tmp_path / "files"), "2"]]
    convert.complete(tmp_path / "packed", tmp_path / "again")
    assert [line[2:] for line in lines(tmp_path / "again" / "identities.txt")] == [
        ["Ann", str(tmp_path / "packed"), "0"], ["Cy", str(tmp_path / "packed"), "1"]]


@pytest.mark.parametrize(("content", "names", "note"), [
    (b"0\t2\tAnn\n1\t2\tBob\n", {0: "Ann", 1: "Bob"}, ""), (b"", {}, ""), (b"0\t2\t7\n1\t2\t9\n", {0: "7", 1: "9"}, ""),
    ("0\t2\tAnn\r\n1\t2\tBob\r\n".encode("utf-16"), {0: "Ann", 1: "Bob"}, ""),
    (b"1\t2\tM\xfcller\n", {1: "M\udcfcller"}, ""), (b'0\t2\t"a\\nb"\n', {0: "a\nb"}, ""),
    (b"0\t2\tAnn\nrubbish\n1\t2\tBob\nx\n", {0: "Ann", 1: "Bob"}, "line 2 is not .* 1 more"),
    (b"0\t2\tAnn\n0\t2\tBob\n", {0: "Ann"}, "line 2 is not"), (b"-1\t2\tAnn\n", {}, "line 1"),
    (b"0\t2\n1\t2\t\n2\tAnn\n", {}, "line 1"), (b"0\t2\t" + b"x" * 2000 + b"\n", {}, "line 1"),
    (b"0\t2\tAnn\n\0\n", {0: "Ann"}, "zero byte"), ("0\t2\tAnn".encode("utf-16-le"), {}, "looks like UTF-16"),
    (b"9" * 5000 + b"\t2\tAnn\n", {}, "line 1"), (b"0\t5\tAnn\n", {0: "Ann"}, "label 0 has 5 images.* has 2"),
    (b"8\t2\tAnn\n", {8: "Ann"}, "label 8 has 2 images.* has 0")])
def test_reading(made, tmp_path, run, content, names, note):
    """A damaged file is a note of one line, and the command writes its record."""
    record, train = made("train", [0, 1])
    (record / "identities.txt").write_bytes(content)
    found, said = identity_names.read(record / "identities.txt", np.array([0, 0, 1, 1]))
    assert found == names
    assert bool(said) == bool(note) and "\n" not in said
    _, test = made("test", [7, 0])
    printed = run(overlap, train, test, "--record", record, "--output", tmp_path / "out")
    assert [line for line in printed.splitlines() if line.startswith("note: ")] == ([f"note: {said}"] if note else [])
    assert len(lines(tmp_path / "out" / "identities.txt")) == 1
    assert re.search(note, said)


def test_what_is_no_file(made, tmp_path, run):
    record, _ = made("train", [0, 1])
    os.mkfifo(record / "identities.txt")
    assert "is not a file" in identity_names.read(record / "identities.txt")[1]
    convert.unpack(record, tmp_path / "files")


def test_another_records_names_are_not_taken(made):
    record, _ = made("train", [0, 1], ["Ann", "Bob"])
    (record / "other.rec").write_bytes((record / "train.rec").read_bytes())
    assert identity_names.beside(record / "other.rec") is None
    assert identity_names.beside(record / "train.rec") == str(record / "identities.txt")
