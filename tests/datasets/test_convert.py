"""Records to folders and back, and what im2rec writes, byte for byte."""
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets import convert
from datasets.formats import records
from datasets.identities import selection
from runtime import Failure, mx


def encoded(seed, suffix=".jpg", side=16):
    pixels = np.random.RandomState(seed).randint(0, 256, (side, side, 3)).astype(np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def image_only(path, entries, index=True):
    """Write (label, image) as im2rec does, by MXNet."""
    writer = mx.recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "w")
    for key, (label, image) in enumerate(entries):
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), image))
    writer.close()
    if not index:
        path.with_suffix(".idx").unlink()
    return path


def contents(folder):
    return {name: (folder / name).read_bytes() for name in ("train.rec", "train.idx", "property")}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=st.lists(st.lists(st.tuples(st.integers(0, 99), st.sampled_from([".jpg", ".png", ".bmp", ".tif"])),
                                min_size=1, max_size=3), min_size=1, max_size=4),
       extra=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=2))
def test_there_and_back(tmp_path_factory, people, extra):
    """Whatever the images' kinds, also where labels have several numbers."""
    tmp_path = tmp_path_factory.mktemp("set")
    records.write(tmp_path / "a", [([label, *extra] if extra else label, encoded(*image), "x")
                                   for label, own in enumerate(people) for image in own], 16, 16)
    number = convert.unpack(tmp_path / "a", tmp_path / "files")
    assert number == sum(map(len, people)) == len(list((tmp_path / "files").glob("*/*")))
    assert convert.pack(tmp_path / "files", tmp_path / "b") == (number, len(people))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def header_last(folder, other):
    """Copy a record so that its header comes after everything else."""
    other.mkdir()
    layout = records.read_layout(folder)
    reader = mx.recordio.MXIndexedRecordIO(str(folder / "train.idx"), str(folder / "train.rec"), "r")
    writer = mx.recordio.MXIndexedRecordIO(str(other / "train.idx"), str(other / "train.rec"), "w")
    for key in [*layout.keys[1:].tolist(), 0]:
        writer.write_idx(key, reader.read_idx(key))
    writer.close()
    (other / "property").write_bytes((folder / "property").read_bytes())
    return other


def test_header_last_is_as_the_usual_layout(tmp_path):
    """For unpacking, completing, labels and selections, and so for embedding, joining and overlaps."""
    images = [(label, encoded(10 * label + number)) for label in range(3) for number in range(4)]
    records.write(tmp_path / "a", [(*one, "x") for one in images], 16, 16)
    other = header_last(tmp_path / "a", tmp_path / "b")
    assert convert.unpack(other, tmp_path / "files") == 12
    for key, (label, image) in enumerate(images, 1):
        assert (tmp_path / "files" / f"{label:08d}" / f"{key:02d}.jpg").read_bytes() == image
    assert len(list((tmp_path / "files").glob("*/*"))) == 12
    assert convert.complete(other, tmp_path / "completed") == (12, 3)
    assert contents(tmp_path / "completed") == contents(tmp_path / "a")
    layout = records.read_layout(other)
    labels = selection.image_labels(layout)
    assert labels.tolist() == [label for label, _ in images]
    assert selection.write_selection(tmp_path / "selected", [layout], [labels], progress=False) == (12, 3)
    assert contents(tmp_path / "selected") == contents(tmp_path / "a")


def test_header_last_of_the_case(shared, tmp_path):
    assert convert.unpack(shared / "cases" / "header_last", tmp_path / "files") == 30
    sizes = [path.stat().st_size for path in (tmp_path / "files").glob("*/*")]
    assert len(sizes) == 30 and min(sizes) > 7000


def test_labels_with_gaps_are_renumbered(shared, tmp_path):
    assert convert.complete(shared / "cases" / "labels_gap", tmp_path / "out") == (30, 6)
    assert (tmp_path / "out" / "property").read_text() == "6,112,112\n"
    assert (tmp_path / "out" / "identities.txt").read_text() == "".join(f"{new}\t5\t{10 * new}\n" for new in range(6))


def test_files_are_the_images(tmp_path):
    records.write(tmp_path / "a", [(0, encoded(1), "x"), (1, encoded(2, ".png"), "y")], 16, 16)
    convert.unpack(tmp_path / "a" / "train.rec", tmp_path / "files")
    assert (tmp_path / "files" / "00000000" / "1.jpg").read_bytes() == encoded(1)
    assert (tmp_path / "files" / "00000001" / "2.png").read_bytes() == encoded(2, ".png")
    assert (tmp_path / "files" / "images.lst").read_text() == "1\t0\t00000000/1.jpg\n2\t1\t00000001/2.png\n"
    assert sorted(os.listdir(tmp_path)) == ["a", "files"]


@pytest.mark.parametrize("index", [True, False])
def test_images_alone_gain_the_layout(tmp_path, index):
    """im2rec's order is shuffled, and classes are missing."""
    labels = [7, 3, 7, 12, 3, 7]
    entries = [(float(label), encoded(row)) for row, label in enumerate(labels)]
    path = image_only(tmp_path / "images.rec", entries, index)
    assert convert.complete(path, tmp_path / "out") == (6, 3)
    out = tmp_path / "out"
    reader = mx.recordio.MXIndexedRecordIO(str(out / "train.idx"), str(out / "train.rec"), "r")
    read = [mx.recordio.unpack(reader.read_idx(key)) for key in range(10)]
    assert [np.ravel(header.label).tolist() for header, _ in read] == [
        [7, 10], [0], [0], [1], [1], [1], [2], [1, 3], [3, 6], [6, 7]]
    assert [content for _, content in read[1:7]] == [encoded(row) for row in (1, 4, 0, 2, 5, 3)]
    assert (tmp_path / "out" / "property").read_text() == "3,16,16\n"
    assert (tmp_path / "out" / "identities.txt").read_text() == "0\t2\t3\n1\t3\t7\n2\t1\t12\n"


def test_a_whole_record_stays_itself(faces, tmp_path):
    convert.complete(faces, tmp_path / "out")
    assert contents(faces) == contents(tmp_path / "out")
    with pytest.raises(Failure, match="another folder"):
        convert.complete(faces, faces)


@pytest.mark.parametrize("suffix", [".webp", ".ppm"])
def test_pictures_that_mxnet_lacks_become_png(tmp_path, suffix):
    """Their pixels stay, and so do the bytes of the other images."""
    entries = [(0.0, encoded(0)), (1.0, encoded(1, suffix)), (0.0, encoded(2, suffix)), (1.0, encoded(3, ".png"))]
    path = image_only(tmp_path / "images.rec", entries)
    assert convert.unpack(path, tmp_path / "files") == 4
    assert sum(name.suffix == suffix for name in (tmp_path / "files").glob("*/*")) == 2
    assert convert.complete(path, tmp_path / "a") == convert.pack(tmp_path / "files", tmp_path / "b") == (4, 2)
    for folder in ("a", "b"):
        written = [image for _, _, image in records.iterate(tmp_path / folder)]
        assert [written[0], written[3]] == [entries[0][1], entries[3][1]]
        for image, source in (written[1], entries[2][1]), (written[2], entries[1][1]):
            np.testing.assert_array_equal(mx.image.imdecode(image).asnumpy()[:, :, ::-1],
                                          cv2.imdecode(np.frombuffer(source, np.uint8), cv2.IMREAD_COLOR))


def test_pictures_that_nobody_reads(tmp_path):
    path = image_only(tmp_path / "images.rec", [(0.0, encoded(1)), (0.0, b"GIF89a" + bytes(50))])
    with pytest.raises(Failure, match="image 1 is a GIF picture"):
        convert.complete(path, tmp_path / "out")
    assert not (tmp_path / "out" / "train.rec").exists()


@pytest.mark.parametrize("label", [-1.0, 0.5, np.nan, np.inf, 1e30])
def test_labels_that_are_no_classes(tmp_path, label):
    path = image_only(tmp_path / "images.rec", [(0.0, encoded(1)), (label, encoded(2))])
    for work in (convert.unpack, convert.complete):
        with pytest.raises(Failure, match="image 1 has the label"):
            work(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_images_of_several_sizes_or_none(tmp_path):
    for image, words in [(encoded(2, side=20), "20×20"), (b"nothing", "is not a JPEG"), (b"", "is empty")]:
        path = image_only(tmp_path / "images.rec", [(0.0, encoded(1)), (0.0, image)])
        with pytest.raises(Failure, match=f"image 1 {words}|image 1 is {words}"):
            convert.complete(path, tmp_path / "out")
        if image:
            convert.unpack(path, tmp_path / words)  # files can be anything, but not empty
        else:
            with pytest.raises(Failure, match="record 1 holds no image"):
                convert.unpack(path, tmp_path / words)
            assert not (tmp_path / words).exists()
            continue
        assert len(list((tmp_path / words).glob("00000000/*"))) == 2
        with pytest.raises(Failure, match=words):
            convert.pack(tmp_path / words, tmp_path / "out")


def test_strangers_lists(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "secret").write_bytes(encoded(1))
    for name in ("../secret", str(tmp_path / "secret"), "none.jpg"):
        (tmp_path / "files" / "images.lst").write_text(f"1\t0\t{name}\n")
        with pytest.raises(Failure, match="leads out|no such file"):
            convert.pack(tmp_path / "files", tmp_path / "out")
    (tmp_path / "files" / "images.lst").unlink()
    with pytest.raises(Failure, match=r"images\.lst is missing"):
        convert.pack(tmp_path / "files", tmp_path / "out")


def test_a_killed_run_goes_on(faces, tmp_path, monkeypatch):
    convert.unpack(faces, tmp_path / "whole")
    written = []

    def write(path, content, own=convert._write):
        written.append(path)
        if len(written) == 6:
            with open(path, "wb") as file:
                file.write(content[:10])
            raise KeyboardInterrupt
        own(path, content)

    monkeypatch.setattr(convert, "_write", write)
    with pytest.raises(KeyboardInterrupt):
        convert.unpack(faces, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    convert.unpack(faces, tmp_path / "out")
    whole = tmp_path / "whole"
    for path in whole.rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "out" / path.relative_to(whole)).read_bytes()
    with pytest.raises(Failure, match="there already"):
        convert.unpack(faces, tmp_path / "out")


@pytest.mark.slow
def test_command(faces, tmp_path, root):
    run = [sys.executable, str(root / "datasets" / "convert.py")]
    for arguments in (["unpack", faces, tmp_path / "files"], ["pack", tmp_path / "files", tmp_path / "back"]):
        done = subprocess.run([*run, *map(str, arguments)], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert "24 images" in done.stdout
    assert contents(faces) == contents(tmp_path / "back")
    path = image_only(tmp_path / "images.rec", [(0.0, encoded(1, ".webp")), (0.0, encoded(2, ".webp"))])
    done = subprocess.run([*run, "complete", str(path), str(tmp_path / "c")], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 WebP pictures became PNG, for MXNet's decoder lacks WebP\n" in done.stdout
    done = subprocess.run([*run, "unpack", str(tmp_path / "none"), str(tmp_path / "x")], capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_no_space(faces, tmp_path, root):
    limited = (f"import resource; from datasets import convert; from runtime import run_command\n"
               f"resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
               f"run_command(lambda: convert.unpack({str(faces)!r}, {str(tmp_path / 'out')!r}))")
    done = subprocess.run([sys.executable, "-c", limited], cwd=root, capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
