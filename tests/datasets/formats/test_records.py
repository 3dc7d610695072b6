"""The record layout, against MXNet's own reader and writer used as the original uses them."""
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.formats import records
from runtime import Failure, mx

MAGIC = struct.pack("<I", 0xCED7230A)
FILES = ["property", "train.idx", "train.lst", "train.rec"]
PEOPLE = [3, 1, 2]
IMAGES = [(label, f"image {label} {number}".encode() + b"!" * number, f"p{label}/{number}.jpg")
          for label, count in enumerate(PEOPLE) for number in range(count)]


@pytest.fixture
def folder(tmp_path):
    assert records.write(tmp_path / "set", iter(IMAGES)) == (6, 3)
    return tmp_path / "set"


def image_only(path, images, index=True, first=0):
    """Write records without a header, as im2rec does."""
    writer = mx.recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "w")
    for key, (label, image) in enumerate(images, first):
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), image))
    writer.close()
    if not index:
        path.with_suffix(".idx").unlink()
    return path


@pytest.mark.parametrize(("image", "name"), [
    (b"RIFF\x50\0\0\0WEBPVP8 " + bytes(64), "WebP"), (b"P6\n2 1\n255\n" + bytes(6), "PPM"),
    (b"P5 2 1 255\n" + bytes(2), "PGM"), (b"GIF89a" + bytes(30), "GIF")])
def test_pictures_that_mxnet_lacks_are_not_written(tmp_path, image, name):
    with pytest.raises(Failure, match=f"1.x is a {name} picture, .* PNG"):
        records.write(tmp_path, [*IMAGES[:2], (0, image, "1.x")])
    assert os.listdir(tmp_path) == []


def test_reads_as_the_original_reads(folder):
    reader = mx.recordio.MXIndexedRecordIO(str(folder / "train.idx"), str(folder / "train.rec"), "r")
    header, content = mx.recordio.unpack(reader.read_idx(0))
    assert header.flag == 2
    assert header.label.tolist() == [7, 10]
    assert content == b""
    for key, (label, image, _) in enumerate(IMAGES, 1):
        header, content = mx.recordio.unpack(reader.read_idx(key))
        assert (header.flag, header.label, header.id, content) == (0, label, key, image)
    ranges = [mx.recordio.unpack(reader.read_idx(key)) for key in range(7, 10)]
    assert [header.label.tolist() for header, _ in ranges] == [[1, 4], [4, 5], [5, 7]]
    assert all(header.flag == 2 and content == b"" for header, content in ranges)
    assert sorted(reader.keys) == list(range(10))
    reader.close()


def test_bytes_are_those_of_mxnet(folder, tmp_path):
    writer = mx.recordio.MXIndexedRecordIO(str(tmp_path / "idx"), str(tmp_path / "rec"), "w")
    contents = [((7, 10), b""), *((label, image) for label, image, _ in IMAGES),
                *((ends, b"") for ends in [(1, 4), (4, 5), (5, 7)])]
    for key, (label, image) in enumerate(contents):
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), image))
    writer.close()
    assert (tmp_path / "rec").read_bytes() == (folder / "train.rec").read_bytes()
    assert (tmp_path / "idx").read_bytes() == (folder / "train.idx").read_bytes()


def test_other_files(folder):
    assert sorted(os.listdir(folder)) == FILES
    assert (folder / "property").read_text() == "3,112,112\n"
    assert (folder / "train.lst").read_text() == "".join(f"1\t{path}\t{label}\n" for label, _, path in IMAGES)


def test_layout(folder):
    for path in (folder, folder / "train.rec"):
        layout = records.read_layout(path)
        assert (layout.images, layout.identities) == (range(1, 7), range(7, 10))
        assert (layout.classes, layout.height, layout.width, layout.label_width) == (3, 112, 112, 1)
        assert records.read_identities(layout).tolist() == [[1, 4], [4, 5], [5, 7]]
    assert [(label, image) for _, label, image in records.iterate(folder)] == [entry[:2] for entry in IMAGES]


def test_a_record_alone_needs_no_property(folder):
    (folder / "property").unlink()
    assert records.read_layout(folder / "train.rec").classes is None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.lists(st.sampled_from([MAGIC, MAGIC[:2], b"abcd", b"\x00", b"\xff\xd8"]), min_size=1,
                                  max_size=6).map(b"".join), min_size=1, max_size=4), min_size=1, max_size=5),
       st.integers(0, 3))
def test_round_trip(tmp_path, people, extra):
    """Whatever the images' bytes, also RecordIO's magic number, and the labels' width."""
    images = [(label if not extra else [label, *np.linspace(-1, 1, extra)], image, "a")
              for label, person in enumerate(people) for image in person]
    records.write(tmp_path, images)
    layout = records.read_layout(tmp_path)
    assert layout.label_width == 1 + extra
    assert np.diff(records.read_identities(layout)).ravel().tolist() == [len(person) for person in people]
    for (label, image, _), (_, read, content) in zip(images, records.iterate(layout)):
        np.testing.assert_array_equal(np.float32(label), read)
        assert content == image
    np.testing.assert_array_equal(records.scan(layout.record), layout.offsets)


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_images_alone(tmp_path, index, first, width):
    images = [(5.0 if width == 1 else [5.0] * width, b"one"), (7.0 if width == 1 else [7.0] * width, b"another")]
    path = image_only(tmp_path / "images.rec", images, index, first)
    layout = records.read_layout(path)
    assert layout.label_width == width
    assert len(layout.identities) == 0
    assert records.read_identities(layout).shape == (0, 2)
    assert [(np.ravel(label)[0], image) for _, label, image in records.iterate(path)] == [(5, b"one"), (7, b"another")]


def test_index_in_another_order_and_with_spaces(folder):
    lines = (folder / "train.idx").read_text().split("\n")[:-1]
    (folder / "train.idx").write_text("\r\n".join(line.replace("\t", "  ") for line in reversed(lines)))
    assert [image for _, _, image in records.iterate(folder)] == [image for _, image, _ in IMAGES]


def fails(path, words):
    """Assert that reading everything ends in one line with these words."""
    with pytest.raises(Failure, match=words) as caught:
        layout = records.read_layout(path)
        records.read_identities(layout)
        list(records.iterate(layout))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["train.rec", "train.idx", "property"])
def test_missing_and_empty(folder, name):
    (folder / name).write_bytes(b"")
    fails(folder, f"{name} (is|reads)")
    (folder / name).unlink()
    fails(folder, f"{name} is missing")


@pytest.mark.parametrize("text", ["3,112", "3,112,112,1", "a,b,c", "3,112,-112", "0,112,112", "3;112;112", "\0",
                                  "²,1,1", "9" * 5000 + ",1,1"])
def test_property(folder, text):
    (folder / "property").write_text(text)
    fails(folder, "one line, classes,height,width")


@pytest.mark.parametrize("change", [
    lambda text: text.replace("3\t", "2\t", 1),  # a key twice
    lambda text: text.replace("\t", ",", 1),
    lambda text: text.replace("\t", "\t\t1 2", 1),
    lambda text: text + "x",
    lambda text: text + "10\t99999\n",
    lambda text: text + "10\t4\n",  # between records
    lambda text: text + "10\t99999999999999999999999\n",
    lambda text: text + "10\t-4\n",
    lambda text: "\n".join(text.split("\n")[1:]),
    lambda text: "\n".join(text.split("\n")[:-3]),
    lambda text: "0 0",
    lambda text: "\n\n",
])
def test_index(folder, change):
    (folder / "train.idx").write_text(change((folder / "train.idx").read_text()))
    with pytest.raises(Failure):
        layout = records.read_layout(folder)
        assert layout.images == range(1, 7)  # a layout that reads as another one would be wrong
        list(records.iterate(layout))


def patched(folder, key, content):
    """Overwrite the labels of record `key`."""
    lines = (folder / "train.idx").read_text().splitlines()
    offset = {int(number): int(start) for number, start in (line.split() for line in lines)}[key]
    with open(folder / "train.rec", "rb+") as file:
        file.seek(offset + 8 + 24)
        file.write(content)


@pytest.mark.parametrize("header", [(11, 10), (7, 12), (0, 3), (1, 1), (7.5, 10), (np.nan, 1), (np.inf, 1), (-3, 4),
                                    (1e30, 2e30)])
def test_header(folder, header):
    patched(folder, 0, struct.pack("<2f", *header))
    fails(folder, "train")


@pytest.mark.parametrize("ends", [(0, 4), (4, 1), (1, 8), (1.5, 3), (np.nan, 3), (-np.inf, 3)])
def test_identity(folder, ends):
    patched(folder, 7, struct.pack("<2f", *ends))
    fails(folder, "identity record 7")


def test_magic(folder):
    content = bytearray((folder / "train.rec").read_bytes())
    content[0] ^= 1
    (folder / "train.rec").write_bytes(content)
    fails(folder, "no record at byte 0")


@pytest.mark.parametrize("name", ["train.rec", "train.idx"])
def test_cut_short_at_every_byte(folder, name):
    whole, expected = (folder / name).read_bytes(), list(records.iterate(folder))
    for length in range(len(whole)):
        (folder / name).write_bytes(whole[:length])
        try:
            layout = records.read_layout(folder)
            records.read_identities(layout)
            assert list(records.iterate(layout)) == expected
            assert whole[length:] == b"\n"
        except Failure:
            pass


def test_images_alone_cut_short_at_every_byte(tmp_path):
    path = image_only(tmp_path / "a.rec", [(1.0, b"one"), (2.0, b"two" + MAGIC), (3.0, b"three")], index=False)
    whole, expected = path.read_bytes(), list(records.iterate(path))
    ends = [*records.scan(path)[1:], len(whole)]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        if length in ends:
            assert list(records.iterate(path)) == expected[:ends.index(length) + 1]
        else:
            fails(path, "a.rec is (cut short|empty)")


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_bytes(folder, data):
    """A changed byte is a failure or changes one record's content; it is never another exception."""
    whole = bytearray((folder / "train.rec").read_bytes())
    try:
        damaged = bytearray(whole)
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        (folder / "train.rec").write_bytes(damaged)
        layout = records.read_layout(folder)
        records.read_identities(layout)
        list(records.iterate(layout))
    except Failure as failure:
        assert "\n" not in str(failure)
    finally:
        (folder / "train.rec").write_bytes(whole)


@pytest.mark.parametrize("images", [
    [], [(1, b"a", "x")], [(0, b"a", "x"), (2, b"b", "y")], [(0, b"a", "x"), (1, b"b", "y"), (0, b"c", "z")],
    [(0.5, b"a", "x")], [(-1, b"a", "x")]])
def test_write_refuses(tmp_path, images):
    with pytest.raises(Failure):
        records.write(tmp_path, images)
    assert os.listdir(tmp_path) == []


def test_a_failing_source_leaves_the_older_files(folder):
    before = {name: (folder / name).read_bytes() for name in FILES}

    def images():
        yield 0, b"new", "a"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        records.write(folder, images())
    assert {name: (folder / name).read_bytes() for name in os.listdir(folder)} == before


@pytest.mark.slow
@pytest.mark.parametrize("size", [100, 3000, 300_000])
def test_no_space(tmp_path, root, size):
    """A disk that fills up, stood in for by a limit on the size of files."""
    write = ("import resource; from datasets.formats import records; from runtime import run_command\n"
             f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
             f"run_command(lambda: records.write({str(tmp_path)!r}, ((0, b'x' * 1000, 'a') for _ in range(400))))")
    done = subprocess.run([sys.executable, "-c", write], cwd=root, capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert os.listdir(tmp_path) == []


def test_more_images_than_the_header_counts(tmp_path):
    with pytest.raises(Failure, match="too many"):
        records.write(tmp_path, IMAGES, largest=6)
