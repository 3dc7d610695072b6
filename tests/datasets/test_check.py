"""Faults planted in whole files, one at a time: each is found, at its place, and nothing else is."""
import os
import pickle
import struct

import cv2
import numpy as np
import pytest

from datasets import convert
from datasets.checking.findings import Findings
from datasets.checking.images import inspect
from datasets.checking.pairs import check_verification_file, fold_faults
from datasets.checking.record import check_record
from datasets.formats import records, verification_file
from runtime import Failure, mx

PEOPLE = [3, 2, 4]  # images 1 to 9, identity records 10 to 12


def picture(number, size=112, suffix=".jpg"):
    pixels = np.random.RandomState(number).randint(0, 256, (7, 7, 3)).astype(np.uint8)
    return cv2.imencode(suffix, cv2.resize(pixels, (size, size), interpolation=cv2.INTER_CUBIC))[1].tobytes()


def pictures():
    return [(label, picture(10 * label + number)) for label, count in enumerate(PEOPLE) for number in range(count)]


def write(folder, items=None, header=None, ranges=None):
    """Write a record in the full layout, faults included, with MXNet's own writer."""
    items = pictures() if items is None else items
    folder.mkdir(exist_ok=True)
    ends = np.cumsum([0, *PEOPLE]) + 1
    contents = [(header or (len(items) + 1, len(items) + 1 + len(PEOPLE)), b""), *items,
                *((ends, b"") for ends in ranges or zip(ends, ends[1:]))]
    writer = mx.recordio.MXIndexedRecordIO(str(folder / "train.idx"), str(folder / "train.rec"), "w")
    for key, (label, image) in enumerate(contents):
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), image))
    writer.close()
    (folder / "property").write_text(f"{len(PEOPLE)},112,112\n")
    return folder


def found(path, capsys, **options):
    """Return the lines that a check prints, and its summary."""
    findings = Findings()
    check = check_verification_file if str(path).endswith(".bin") else check_record
    what = check(path, findings, 1, **options)
    findings.close(what)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("error: ", "warning: ", "repaired: ")) for line in lines[:-1])
    assert f"{sum(line.startswith('error') for line in lines)} errors" in lines[-1]
    return lines[:-1], lines[-1]


def replaced(number, label=None, image=None):
    items = pictures()
    items[number] = (items[number][0] if label is None else label, items[number][1] if image is None else image)
    return items


BLANK = cv2.imencode(".jpg", np.full((112, 112, 3), 90, np.uint8))[1].tobytes()
DAMAGED = picture(3)[:2000] + picture(3)[2300:]


def test_whole_record(tmp_path, capsys):
    lines, summary = found(write(tmp_path / "a"), capsys)
    assert lines == []
    assert "9 images of 3 identities, 112×112: 0 errors, 0 warnings" in summary


@pytest.mark.slow
def test_installed_dataset(orl, command):
    for path in (orl, orl / "orl.bin"):
        done = command("datasets/check.py", path)
        assert (done.returncode, done.stderr) == (0, "")
        assert "0 errors, 0 warnings" in done.stdout


@pytest.mark.parametrize(("options", "severity", "where", "words"), [
    ({"items": replaced(4, image=b"not an image")}, "error", "record 5", "is not a JPEG"),
    ({"items": replaced(4, image=picture(5)[:-200])}, "error", "record 5", "is cut short"),
    ({"items": replaced(4, image=b"")}, "error", "record 5", "is empty"),
    ({"items": replaced(4, image=picture(5, size=96))}, "error", "record 5", "96×96 where 112×112 is expected"),
    ({"items": replaced(4, image=BLANK)}, "warning", "record 5", "nearly one colour"),
    ({"items": replaced(4, image=DAMAGED)}, "warning", "record 5", "damaged"),
    ({"items": replaced(4, image=picture(10))}, "warning", "records 4, 5 of class 1", "one image 2 times"),
    ({"items": replaced(4, image=picture(1))}, "warning", "records 2, 5", "under the classes 0, 1"),
    ({"items": replaced(4, label=[1.0, 5.0])}, "error", "record 5", "2 labels where the first has 1"),
    ({"ranges": [(1, 4), (4, 6), (6, 99)]}, "error", "identity record 12", "of images 1 to 9"),
    ({"ranges": [(1, 4), (4, 6), (6, 6.5)]}, "error", "identity record 12", "6.5"),
    ({"header": (10, 99)}, "error", "record 0", "identities 10 to 98, of 13 records"),
    ({"header": (float("nan"), 13)}, "error", "record 0", "nan"),
], ids=range(13))
def test_one_fault(tmp_path, capsys, options, severity, where, words):
    lines, _ = found(write(tmp_path / "a", **options), capsys)
    assert any(line.startswith(severity) and where in line and words in line for line in lines), lines
    if severity == "warning":
        assert len(lines) == 1


@pytest.mark.parametrize(("suffix", "options", "name"), [
    (".webp", [], "WebP"), (".ppm", [], "PPM"), (".pgm", [], "PGM"),
    (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 8], "TIFF (Deflate)"), (".tif", [cv2.IMWRITE_TIFF_COMPRESSION, 5], None)])
def test_pictures_that_mxnet_lacks(tmp_path, capsys, suffix, options, name):
    pixels = cv2.imdecode(np.frombuffer(picture(77), np.uint8), cv2.IMREAD_GRAYSCALE if suffix == ".pgm" else 1)
    image = cv2.imencode(suffix, pixels, options)[1].tobytes()
    lines, _ = found(write(tmp_path / "a", replaced(4, image=image)), capsys)
    images, issame = bin_pairs()
    images[6] = image
    of_bin, _ = found(bin_file(tmp_path / "a.bin", images, issame), capsys)
    if not name:
        assert lines == of_bin == []
        return
    assert len(lines) == len(of_bin) == 1
    assert lines[0].startswith("error") and "record 5" in lines[0] and f"a {name} picture" in lines[0]
    assert "convert.py complete" in lines[0]
    assert of_bin[0].startswith("warning") and "image 6" in of_bin[0] and f"a {name} picture" in of_bin[0]


@pytest.mark.parametrize(("sides", "stated", "words"), [
    ([160] * 9, 160, ["its images are 160×160, as that of record 1, where training takes 112×112"]),
    ([160] * 9, 112, ["property says 112×112 where the images are 160×160, as that of record 1",
                      "where training takes"]),
    ([160] * 7 + [112] * 2, 112, [f"record {key}: its image is 160×160 where 112×112 is expected"
                                  for key in range(1, 8)]),
    ([112] * 8 + [96], 112, ["record 9: its image is 96×96 where 112×112 is expected"])])
def test_sizes(tmp_path, capsys, sides, stated, words):
    """What `property` says is what the images are judged by, also where most of them are of another size."""
    items = [(label, picture(row, side)) for row, ((label, _), side) in enumerate(zip(pictures(), sides))]
    folder = write(tmp_path / "a", items)
    (folder / "property").write_text(f"3,{stated},{stated}\n")
    lines, _ = found(folder, capsys)
    assert len(lines) == len(words)
    for part in words:
        assert sum(line.startswith("error") and part in line for line in lines) == 1


def test_a_path_that_mxnet_cannot_read(tmp_path, capsys):
    lines, _ = found(write(tmp_path / "a#b"), capsys)
    assert len(lines) == 1
    assert lines[0].startswith("error")
    assert "rename" in lines[0]


@pytest.mark.slow
def test_cases(shared, command):
    for case, words in (("img_webp", "is a WebP picture"), ("img_mixed_size", "160×160 where 112×112 is expected")):
        if not (shared / "cases" / case).is_dir():
            pytest.skip("the cases are not at ../shared")
        done = command("datasets/check.py", shared / "cases" / case)
        assert done.returncode == 1
        assert [line for line in done.stdout.splitlines() if "record" in line and words in line]


@pytest.mark.parametrize("label", [3.0, -1.0, 0.5, float("nan"), float("inf"), 1e30])
def test_labels(tmp_path, capsys, label):
    lines, _ = found(write(tmp_path / "a", replaced(4, label=label)), capsys)
    assert any("record 5 has the label" in line and line.startswith("error") for line in lines), lines


def test_class_without_images(tmp_path, capsys):
    items = [(0 if label == 1 else label, image) for label, image in pictures()]
    lines, _ = found(write(tmp_path / "a", items), capsys)
    assert [line for line in lines if "1 of 3 classes have no image: 1" in line]


def test_identities_against_labels(tmp_path, capsys):
    lines, _ = found(write(tmp_path / "a", ranges=[(1, 5), (4, 6), (7, 10)]), capsys)
    text = "\n".join(lines)
    assert "identity record 10 names images 1 to 4, whose labels are 0 to 1" in text
    assert "several identity records for 1 images, the first of them record 4" in text
    assert "no identity record for 1 images, the first of them record 6" in text


@pytest.mark.parametrize(("text", "words"), [("3,96,96", "says 96×96 where the images are 112×112"),
                                             ("three", "has to be one line"), (None, "is missing"),
                                             ("2147483647,112,112", "says 2147483647")])
def test_property(tmp_path, capsys, text, words):
    write(tmp_path / "a")
    (tmp_path / "a" / "property").unlink() if text is None else (tmp_path / "a" / "property").write_text(text)
    lines, _ = found(tmp_path / "a", capsys)
    assert len(lines) == 1
    assert words in lines[0]
    assert "--repair" in lines[0] or text == "three"


def labelled(labels):
    """Return pictures of 3 + 2 + 4 images with these labels for the three people."""
    return [(labels[label], image) for label, image in pictures()]


def stated(folder, classes):
    (folder / "property").write_text(f"{classes},112,112\n")
    return folder


@pytest.mark.parametrize(("labels", "classes", "absent"), [
    ([0, 25, 50], 51, "48 of 51 classes have no image: 1, 2, 3, 4, 5, …"),
    ([0, 1, 2], 4, "1 of 4 classes have no image: 3"),
    ([1, 2, 3], 4, "1 of 4 classes have no image: 0"), ([2, 0, 1], 3, None),
    ([0, 1, 2], 1 << 24, "16777213 of 16777216 classes have no image: 3, 4, 5, 6, 7, …")])
def test_classes_without_an_image_are_one_warning(tmp_path, capsys, labels, classes, absent):
    write(tmp_path / "a", labelled(labels))
    lines, summary = found(stated(tmp_path / "a", classes), capsys)
    assert len(lines) == (absent is not None), lines
    if absent:
        assert lines[0].startswith("warning") and absent in lines[0] and "convert.py complete" in lines[0]
    assert "9 images of 3 identities" in summary


@pytest.mark.parametrize(("labels", "classes", "needed", "wrong"), [
    ([0, 25, 50], 3, 51, range(4, 10)), ([0, 25, 50], 50, 51, range(6, 10)), ([1, 2, 3], 3, 4, range(6, 10))])
def test_property_with_too_few_classes(tmp_path, capsys, labels, classes, needed, wrong):
    """It is an error that names property, and training's refusal names the same labels."""
    write(tmp_path / "a", labelled(labels))
    lines, _ = found(stated(tmp_path / "a", classes), capsys)
    errors = [line for line in lines if line.startswith("error")]
    assert all(words in errors[0] for words in (f"property says {classes} classes", f"needs {needed}", "--repair"))
    assert [line.split(" has the label")[0].split("record ")[1] for line in errors[1:]] == [str(key) for key in wrong]
    (tmp_path / "a" / "property").unlink()
    lines, summary = found(tmp_path / "a", capsys, repair=True)
    assert (tmp_path / "a" / "property").read_text() == f"{needed},112,112\n"
    assert "0 errors, 1 warnings" in summary


def test_property_beyond_what_a_label_can_name(tmp_path, capsys):
    write(tmp_path / "a")
    lines, _ = found(stated(tmp_path / "a", 2147483647), capsys)
    assert len(lines) == 1 and lines[0].startswith("error") and "says 2147483647 classes" in lines[0]


def test_two_identity_records_of_one_class(tmp_path, capsys):
    write(tmp_path / "a", labelled([0, 1, 0]))
    lines, _ = found(stated(tmp_path / "a", 2), capsys)
    assert len(lines) == 1
    assert lines[0].startswith("warning") and "identity records 10 and 12 are both of class 0" in lines[0]


def test_labels_with_gaps_of_the_case(shared, tmp_path, capsys):
    lines, summary = found(shared / "cases" / "labels_gap", capsys)
    assert len(lines) == 1 and lines[0].startswith("warning") and "45 of 51 classes have no image" in lines[0]
    assert "30 images of 6 identities, 112×112: 0 errors, 1 warnings" in summary
    for name in ("train.rec", "train.idx"):
        (tmp_path / name).write_bytes((shared / "cases" / "labels_gap" / name).read_bytes())
    found(tmp_path, capsys, repair=True)
    assert (tmp_path / "property").read_text() == "51,112,112\n"


def entries(items=None):
    """Return {key: (label, image)} of all records of a whole set."""
    items = pictures() if items is None else items
    ends = np.cumsum([0, *PEOPLE]) + 1
    return dict(enumerate([((len(items) + 1, len(items) + 1 + len(PEOPLE)), b""), *items,
                           *((pair, b"") for pair in zip(ends, ends[1:]))]))


def write_in(folder, order, contents=None, numbers=True):
    """Write records in an order of keys; `numbers` says whether each has its key in itself."""
    contents = contents or entries()
    folder.mkdir(exist_ok=True)
    writer = mx.recordio.MXIndexedRecordIO(str(folder / "train.idx"), str(folder / "train.rec"), "w")
    for key in order:
        label, image = contents[key]
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key if numbers else 0, 0), image))
    writer.close()
    return stated(folder, len(PEOPLE))


ORDERS = {"last": [*range(1, 13), 0], "after the images": [*range(1, 10), 0, 10, 11, 12],
          "after the identities": [10, 11, 12, 0, *range(1, 10)], "identities first": [10, 11, 12, *range(1, 10), 0],
          "images backwards": [0, *range(9, 0, -1), 10, 11, 12]}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("numbers", [True, False])
def test_header_wherever_it_lies(tmp_path, capsys, order, numbers):
    write_in(tmp_path / "a", order, numbers=numbers)
    lines, summary = found(tmp_path / "a", capsys)
    assert not [line for line in lines if line.startswith("error")]
    assert "9 images of 3 identities, 112×112: 0 errors" in summary
    assert found(tmp_path / "a", capsys, repair=True)[0] == lines  # what fits is not touched


def test_header_last_is_without_a_warning(tmp_path, capsys):
    assert found(write_in(tmp_path / "a", ORDERS["last"]), capsys)[0] == []


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_repair_finds_the_header_wherever_it_lies(tmp_path, capsys, order):
    write_in(tmp_path / "a", order)
    index = tmp_path / "a" / "train.idx"
    lines = sorted(index.read_text().splitlines(), key=lambda line: int(line.split()[0]))
    for content in (None, "0\t0\n", "".join(f"{row}\t{line.split()[1]}\n" for row, line in enumerate(
            sorted(lines, key=lambda line: int(line.split()[1]))))):  # the last: numbered as the records lie
        index.unlink() if content is None else index.write_text(content)
        if content and content.startswith("0\t0\n1\t") and order[0] == 0:
            continue  # an index in the order of the file, whose header comes first, is taken as it is
        with pytest.raises(Failure, match=r"train\.(idx|rec)"):
            records.read_layout(tmp_path / "a")
        assert any(line.startswith("error") and "train.idx" in line for line in found(tmp_path / "a", capsys)[0])
        shown, summary = found(tmp_path / "a", capsys, repair=True)
        assert len(shown) == 1 and shown[0].startswith("repaired: ") and "0 errors, 0 warnings" in summary
        assert index.read_text().splitlines() == lines
        index.unlink()
        index.write_text("".join(line + "\n" for line in lines))


def test_repair_without_numbers_in_the_records(tmp_path, capsys):
    """Images are numbered as they come, and identity records after them."""
    write_in(tmp_path / "a", ORDERS["identities first"], numbers=False)
    (tmp_path / "a" / "train.idx").unlink()
    assert "0 errors, 0 warnings" in found(tmp_path / "a", capsys, repair=True)[1]
    layout = records.read_layout(tmp_path / "a")
    assert [(label, image) for _, label, image in records.iterate(layout)] == pictures()
    assert records.read_identities(layout).tolist() == [[1, 4], [4, 6], [6, 10]]


def test_repair_without_the_header(tmp_path, capsys):
    """The last identity record is not taken for the header that was cut off."""
    write_in(tmp_path / "a", range(1, 13))
    index = tmp_path / "a" / "train.idx"
    for content in (index.read_text(), None):
        index.unlink() if content is None else index.write_text(content)
        for repair in (False, True):
            lines, _ = found(tmp_path / "a", capsys, repair=repair)
            assert any(line.startswith("error") and "none of them counts the 12 records" in line for line in lines)
        with pytest.raises(Failure, match=r"train\.idx"):
            records.read_layout(tmp_path / "a")


@pytest.mark.parametrize("order", [[*range(1, 5), 0, *range(5, 13)], [0, *range(1, 5), 11, *range(5, 11), 12]])
def test_record_between_the_images(tmp_path, capsys, order):
    """MXNet's iterator cannot leave it out: an error with the way out, which works."""
    write_in(tmp_path / "a", order)
    lines, _ = found(tmp_path / "a", capsys)
    errors = [line for line in lines if line.startswith("error")]
    assert len(errors) == 1 and "lies between the images" in errors[0] and "convert.py complete" in errors[0]
    assert convert.complete(tmp_path / "a", tmp_path / "b") == (9, 3)
    assert found(tmp_path / "b", capsys)[0] == []
    assert [entry[1:] for entry in records.iterate(tmp_path / "b")] == pictures()


def test_images_alone_with_a_record_that_holds_none(tmp_path, capsys):
    contents = {key: entry for key, entry in entries().items() if 1 <= key <= 9}
    contents[4] = ((1, 4), b"")
    write_in(tmp_path / "a", range(1, 10), contents)
    lines, _ = found(tmp_path / "a", capsys)
    assert any(line.startswith("error") and "record 4" in line and "holds no image" in line for line in lines), lines


def test_header_last_of_the_case(shared, tmp_path, capsys):
    case = shared / "cases" / "header_last"
    lines, summary = found(case, capsys)
    assert lines == [] and "30 images of 6 identities, 112×112: 0 errors, 0 warnings" in summary
    (tmp_path / "train.rec").write_bytes((case / "train.rec").read_bytes())
    assert "0 errors" in found(tmp_path, capsys, repair=True)[1]
    assert (tmp_path / "property").read_text() == "6,112,112\n"
    assert sorted((tmp_path / "train.idx").open()) == sorted((case / "train.idx").open())


INDEXES = {
    "missing": lambda lines: None,
    "empty": lambda lines: [],
    "no index": lambda lines: ["hello"],
    "outside": lambda lines: [*lines[:-1], "12\t99999996"],
    "misaligned": lambda lines: [*lines[:5], f"5\t{int(lines[5].split()[1]) + 4}", *lines[6:]],
    "between": lambda lines: [*lines[:5], f"5\t{int(lines[5].split()[1]) + 400}", *lines[6:]],
    "one less": lambda lines: lines[:5] + lines[6:],
    "the last less": lambda lines: lines[:-1],
    "exchanged": lambda lines: [*lines[:4], f"4\t{lines[5].split()[1]}", f"5\t{lines[4].split()[1]}", *lines[6:]],
    "twice": lambda lines: [*lines, lines[3]],
}


@pytest.mark.parametrize("change", INDEXES.values(), ids=INDEXES)
def test_index_is_found_wrong_and_repaired(tmp_path, capsys, change):
    index = write(tmp_path / "a") / "train.idx"
    whole = index.read_text()
    lines = change(whole.splitlines())
    index.unlink() if lines is None else index.write_text("".join(line + "\n" for line in lines))
    shown, _ = found(tmp_path / "a", capsys)
    assert any(line.startswith("error") and "train.idx" in line and "--repair" in line for line in shown), shown
    shown, summary = found(tmp_path / "a", capsys, repair=True)
    assert len(shown) == 1
    assert shown[0].startswith("repaired: ")
    assert "0 errors, 0 warnings" in summary
    assert index.read_text() == whole
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}
    assert found(tmp_path / "a", capsys, repair=True)[0] == []
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}


def test_index_that_is_not_sorted(tmp_path, capsys):
    index = write(tmp_path / "a") / "train.idx"
    index.write_text("\n".join(reversed(index.read_text().splitlines())) + "\n")
    lines, _ = found(tmp_path / "a", capsys)
    assert len(lines) == 1
    assert lines[0].startswith("warning")
    assert "not in the order" in lines[0]


@pytest.mark.slow
def test_repair_of_both_then_reading(tmp_path, command):
    write(tmp_path / "a")
    whole = {name: (tmp_path / "a" / name).read_bytes() for name in os.listdir(tmp_path / "a")}
    (tmp_path / "a" / "train.idx").unlink()
    (tmp_path / "a" / "property").unlink()
    done = command("datasets/check.py", tmp_path / "a")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert len([line for line in done.stdout.splitlines() if line.startswith("error")]) == 2
    done = command("datasets/check.py", tmp_path / "a", "--repair")
    assert (done.returncode, done.stderr) == (0, "")
    assert {name: (tmp_path / "a" / name).read_bytes() for name in os.listdir(tmp_path / "a")} == whole
    assert records.read_layout(tmp_path / "a").classes == 3


@pytest.mark.parametrize("length", [0, 3, 40, 60, 5000])
def test_cut_record_is_not_repaired(tmp_path, capsys, length):
    record = write(tmp_path / "a") / "train.rec"
    (tmp_path / "a" / "train.idx").unlink()
    record.write_bytes(record.read_bytes()[:length])
    try:
        lines, _ = found(tmp_path / "a", capsys, repair=True)
        assert any(line.startswith("error") and "train.rec" in line for line in lines)
    except Failure as failure:
        assert "train.rec" in str(failure)
    assert sorted(os.listdir(tmp_path / "a")) == ["property", "train.rec"]


@pytest.mark.slow
def test_repair_keeps_the_older_where_the_disk_is_full(tmp_path, root):
    import subprocess
    import sys
    write(tmp_path / "a")
    (tmp_path / "a" / "train.idx").write_text("0\t0\n")
    command = ("import resource; from datasets import check; from runtime import run_command\n"
               "resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))\n"
               f"run_command(lambda: check.main([{str(tmp_path / 'a')!r}, '--repair']))")
    done = subprocess.run([sys.executable, "-c", command], cwd=root, capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "a" / "train.idx").read_text() == "0\t0\n"
    assert sorted(os.listdir(tmp_path / "a")) == ["property", "train.idx", "train.rec"]


@pytest.mark.parametrize("index", [True, False])
def test_images_alone(tmp_path, capsys, index):
    writer = mx.recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "w")
    for key, (label, image) in enumerate(pictures()):
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), image))
    writer.close()
    if not index:
        (tmp_path / "a.idx").unlink()
    (tmp_path / "property").write_text("3,112,112\n")
    lines, summary = found(tmp_path / "a.rec", capsys)
    assert len(lines) == 1
    assert "images alone" in lines[0]
    assert "9 images of 3 identities" in summary


def bin_file(path, images, issame):
    path.write_bytes(pickle.dumps((images, issame), 2))
    return path


def bin_pairs(count=20):
    """Return images and labels of pairs, genuine and impostor in turn."""
    return [picture(number) for number in range(2 * count)], [pair % 2 == 0 for pair in range(count)]


def test_whole_verification_file(tmp_path, capsys):
    lines, summary = found(bin_file(tmp_path / "a.bin", *bin_pairs()), capsys)
    assert lines == []
    assert "20 pairs, 10 genuine and 10 impostor, of 40 images: 0 errors, 0 warnings" in summary


@pytest.mark.parametrize(("places", "image", "severity", "words"), [
    ([6], b"no image", "error", "image 6 is not a JPEG"), ([6], picture(6)[:-200], "error", "image 6 is cut short"),
    ([6], picture(6, size=250), "error", "image 6 is 250×250 where 112×112 is needed"),
    ([6], BLANK, "warning", "image 6 has nearly one colour"), ([6], DAMAGED, "warning", "image 6 is damaged"),
    ([6, 7], picture(99), "warning", "pair 3 (impostor) is one image twice"),
    ([6, 7], [picture(1), picture(0)], "warning", "pair 3 (impostor) is pair 0 again, there as the opposite"),
    ([8, 9], [picture(0), picture(1)], "warning", "pair 4 (genuine) is pair 0 again"),
], ids=range(8))
def test_one_fault_of_a_verification_file(tmp_path, capsys, places, image, severity, words):
    images, issame = bin_pairs()
    for place, one in zip(places, image if isinstance(image, list) else [image] * 2):
        images[place] = one
    lines, _ = found(bin_file(tmp_path / "a.bin", images, issame), capsys)
    assert len(lines) == 1
    assert lines[0].startswith(severity)
    assert words in lines[0]


def test_folds():
    assert fold_faults([True, False] * 20) == []
    assert "no impostor pairs" in fold_faults([True] * 20)[0]
    assert "no genuine pairs" in fold_faults([False] * 20)[0]
    assert fold_faults([True] * 20 + [False] * 20) == [
        "folds 6, 7, 8, 9, 10 of 10 without genuine pairs", "folds 1, 2, 3, 4, 5 of 10 without impostor pairs"]
    assert fold_faults([True, False] * 18 + [True] * 4) == ["fold 10 of 10 without impostor pairs"]
    assert "not alike" in fold_faults([True, False] * 30 + [True, True, False])[0]


@pytest.mark.parametrize(("issame", "said"), [
    ([True] * 20 + [False] * 20, "folds 6, 7, 8, 9, 10 of 10 without genuine pairs: keep the folds of the published "
     "pairs, or make the file anew with `python datasets/pairs.py`"),
    ([True, False, False] * 3 + [True, False] * 7, None),  # ten folds of 3, 3, 3, 2, … pairs
    ([False, False, True, False] * 5, "without genuine pairs: add pairs of that kind, or verify with `python "
     "eval/verification.py --nfolds 5`"),
    ([True, False, False, True, False, True, False], "7 pairs do not make 10 folds: take more pairs, or verify with "
     "`python eval/verification.py --nfolds 3`")])
def test_advice_on_folds(tmp_path, capsys, issame, said):
    """What cannot be helped is no finding; the rest names the command or the flag."""
    images = [picture(number) for number in range(2 * len(issame))]
    lines, _ = found(bin_file(tmp_path / "a.bin", images, issame), capsys)
    assert lines == [] if said is None else said in lines[0]


def test_same_pixels_otherwise_encoded(tmp_path, capsys):
    pixels = verification_file.decode([picture(5)])[0][:, :, ::-1]
    items = pictures()
    items[0], items[1] = (0, cv2.imencode(".png", pixels)[1].tobytes()), (0, cv2.imencode(".bmp", pixels)[1].tobytes())
    lines, _ = found(write(tmp_path / "a", items), capsys)
    assert len(lines) == 1
    assert "records 1, 2 of class 0 are one image" in lines[0]


def test_inspection_against_a_loop():
    encoded = [picture(number % 40, size=20) for number in range(1000)]
    seen = inspect(lambda rows: (None if row == 7 else encoded[row] for row in rows), 1000, workers=3)
    groups = {}
    for row, image in enumerate(encoded):
        if row != 7:
            groups.setdefault(image, []).append(row)
    assert sorted(group.tolist() for group in seen.repeated()) == sorted(groups.values())
    assert seen.sizes[7].tolist() == [0, 0]
    for row in (0, 500, 999):
        pixels = cv2.imdecode(np.frombuffer(encoded[row], np.uint8), 1).astype(float)
        np.testing.assert_allclose(seen.spreads[row], pixels.std(axis=(0, 1)).max(), rtol=1e-5)


def test_many_findings_are_counted(tmp_path, capsys):
    findings = Findings(most=2)
    for number in range(5):
        findings.warning("odd things", f"a\n{number}")
    findings.close("the file")
    assert capsys.readouterr().out.splitlines()[:-1] == ["warning: a\\n0", "warning: a\\n1",
                                                         "warning: odd things: 3 more, which --most 0 shows"]


def test_image_that_claims_to_be_huge(tmp_path, capsys):
    """A PNG of 60 bytes that says 60000×60000 takes no memory."""
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 60000, 60000, 8, 2, 0, 0, 0) + struct.pack(
        ">II4s", 0, 1000, b"IDAT") + bytes(30)
    lines, _ = found(write(tmp_path / "a", replaced(4, image=bomb)), capsys)
    assert "record 5" in lines[0]
    assert "60000×60000" in lines[0]
    with pytest.raises(Failure, match="image 0 is 60000×60000"):
        verification_file.decode([bomb])


@pytest.mark.slow
def test_missing(command, tmp_path):
    done = command("datasets/check.py", tmp_path / "no\nne")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "missing" in done.stderr
    with pytest.raises(Failure, match=r"train\.rec is missing"):
        check_record(tmp_path, Findings())
