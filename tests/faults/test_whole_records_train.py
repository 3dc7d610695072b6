"""Where `check.py` finds no error, training reads each image once, at its size.

Where training refuses a record, `check.py` has an error that names the same record. Records are drawn, and MXNet's own
writer writes them. What training should read is known from the drawing alone.
"""
import re
from typing import NamedTuple

import cv2
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.checking.findings import Findings
from datasets.checking.record import check_record
from recognition.data.images import train_iterator
from runtime import Failure, mx

LIKELY = st.sampled_from([".jpg", ".png", ".bmp"])
ODD = st.sampled_from([(".webp", 112), (".ppm", 112), (".tif", 112), (".jpg", 160), (".png", 96), (".bmp", 160),
                       (".gif", 112), (".jpg", 0)])


def pixels(number, side=112):
    """Return picture `number`: a grey of its own within a white frame of 14 pixels, whatever the size."""
    picture = np.full((side, side, 3), 255, np.uint8)
    picture[14:-14, 14:-14] = 12 * number
    return picture


def encoded(number, suffix, side):
    if suffix == ".gif":
        return b"GIF89a" + bytes(99)
    image = cv2.imencode(suffix, pixels(number, side or 112))[1].tobytes()
    return image if side else image[:-300]


class Drawn(NamedTuple):
    """A record as it is drawn; images are in the order of their keys."""

    layout: str  # "first" or "last", which is where the header lies; "images" for images alone
    index: bool
    labels: list  # of each image
    width: int
    pictures: list  # (suffix, side) of each image
    keys: list  # of the images
    order: list  # of all records but the header in the file, by numbers to sort by
    classes: int  # that `property` says
    side: int
    parts: int
    batch: int
    large: bool
    numbered: bool  # whether the records hold their own keys, as most builders have it


@st.composite
def drawn(draw):
    layout = draw(st.sampled_from(["first", "last", "images"]))
    counts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    classes = draw(st.one_of(st.just(list(range(len(counts)))), st.permutations(range(len(counts))),
                             st.lists(st.integers(0, 60), min_size=len(counts), max_size=len(counts), unique=True)))
    if layout != "images":
        classes = sorted(classes)
    labels = [label for label, count in zip(classes, counts) for _ in range(count)]
    if layout == "images":
        labels = draw(st.permutations(labels))
    count = len(labels)
    keys = list(range(1, count + 1))
    if layout == "images":
        keys = draw(st.one_of(st.just(list(range(count))), st.just(keys), st.sets(
            st.integers(0, 99), min_size=count, max_size=count).map(sorted)))
    pictures = [(suffix, 112) for suffix in draw(st.lists(LIKELY, min_size=count, max_size=count))]
    if draw(st.integers(0, 3)) == 0:
        pictures[draw(st.integers(0, count - 1))] = draw(ODD)
    total = count + (len(counts) if layout != "images" else 0)
    in_order = st.just(list(range(total)))
    parts = draw(st.integers(1, 2)) if count > 1 else 1
    return Drawn(layout, draw(st.integers(0, 4)) > 0, labels, draw(st.integers(1, 3)), pictures, keys,
                 draw(st.one_of(in_order, in_order, st.permutations(range(total)))),
                 max(labels) + 1 + draw(st.sampled_from([0, 0, 0, 0, 3, -1])), draw(st.sampled_from([112] * 5 + [160])),
                 parts, draw(st.integers(1, max(1, count // parts))), draw(st.booleans()),
                 draw(st.integers(0, 3)) > 0)


def write(folder, record):
    """Write the drawn record, its index and its `property`."""
    rows = [(key, [label, *[0.5] * (record.width - 1)], encoded(number, *picture))
            for number, (key, label, picture) in enumerate(zip(record.keys, record.labels, record.pictures))]
    past = len(rows) + 1
    header = (0, [past, past], b"")
    if record.layout != "images":
        first = 1
        for row in range(1, past):
            if row + 1 == past or record.labels[row] != record.labels[row - 1]:
                rows.append((len(rows) + 1, [first, row + 1], b""))
                first = row + 1
        header = (0, [past, len(rows) + 1], b"")
    rows = [row for _, row in sorted(zip(record.order, rows), key=lambda pair: pair[0])]
    rows = {"first": [header, *rows], "last": [*rows, header], "images": rows}[record.layout]
    writer = mx.recordio.MXIndexedRecordIO(str(folder / "train.idx"), str(folder / "train.rec"), "w")
    for key, label, image in rows:
        label = label[0] if len(label) == 1 else label
        number = key if record.numbered else 0
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, number, 0), image))
    writer.close()
    if not record.index:
        (folder / "train.idx").unlink()
    (folder / "property").write_text(f"{record.classes},{record.side},{record.side}\n")


class Collected(Findings):
    """Findings whose errors are kept instead of printed."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def _add(self, severity, kind, text):
        super()._add(severity, kind, text)
        if severity == "error":
            self.lines.append(text)


def read_epoch(folder, record):
    """Return (number of the picture, label) of all that the workers get in an epoch, sorted.

    The number is −1 where it is no picture of the record, or a part of one, or an enlarged one: its frame tells.
    """
    known, read = np.stack([pixels(number) for number in range(len(record.labels))]).astype(float), []
    for part in range(record.parts):
        iterator = train_iterator(folder, record.batch, part=part, parts=record.parts, num_workers=1,
                                  **({"large": 0} if record.large else {}))
        for batch in iterator:
            count = iterator.batch_size - batch.pad
            for image, label in zip(batch.data[0].asnumpy()[:count], batch.label[0].asnumpy()):
                apart = np.abs(image.transpose(1, 2, 0) - known).mean(axis=(1, 2, 3))
                read.append((int(apart.argmin()) if apart.min() < 3 else -1, int(label)))
    return sorted(read)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(record=drawn())
def test_whole_records_train(tmp_path_factory, record):
    folder = tmp_path_factory.mktemp("drawn")
    write(folder, record)
    findings = Collected()
    check_record(folder, findings, 1)
    try:
        read = read_epoch(folder, record)
    except Failure as failure:
        named = re.search(r"record (\d+)\b", str(failure))
        assert any(f"record {named[1]}" in re.findall(r"record \d+", line) for line in findings.lines) if named \
            else findings.errors, (str(failure), findings.lines)
        return
    if not findings.errors:
        assert read == sorted(enumerate(record.labels))
