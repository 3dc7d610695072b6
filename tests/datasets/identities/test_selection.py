"""Records without overlapping identities, and records joined: what is in them, byte for byte, by MXNet's own reader."""
import cv2
import numpy as np
import pytest

from datasets import merge, overlap
from datasets.formats import embeddings, records
from datasets.identities import selection
from runtime import Failure, mx


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def read_with_mxnet(folder):
    """Return {class: [image, …]} and the number of identity records, by MXIndexedRecordIO alone."""
    file = mx.recordio.MXIndexedRecordIO(str(folder / "train.idx"), str(folder / "train.rec"), "r")
    head, _ = mx.recordio.unpack(file.read_idx(0))
    assert head.flag == 2
    found = {}
    for key in range(1, int(head.label[0])):
        about, image = mx.recordio.unpack(file.read_idx(key))
        found.setdefault(int(np.ravel(about.label)[0]), []).append(image)
    for label, key in enumerate(range(int(head.label[0]), int(head.label[1]))):
        about, image = mx.recordio.unpack(file.read_idx(key))
        assert not image and about.label[1] - about.label[0] == len(found[label])
    assert (folder / "property").read_text() == f"{len(found)},112,112\n"
    assert int(head.label[1] - head.label[0]) == len(found)
    return found


def face(person, number):
    """Stand for an encoded image: records hold bytes."""
    return np.random.RandomState(10 * person + number).bytes(500 + 7 * person + number)


def images_of(people):
    return [[face(person, number) for number in range(3)] for person in people]


@pytest.fixture
def made(tmp_path):
    """Write a record of people, with embeddings that are each person's own direction and a little noise."""
    means = unit(np.random.RandomState(0).normal(size=(20, 64)))

    def make(name, people, dimension=64, label=lambda identity: identity):
        records.write(tmp_path / name, [(label(identity), image, f"{person}/{number}.jpg")
                                        for identity, (person, own) in enumerate(zip(people, images_of(people)))
                                        for number, image in enumerate(own)])
        rng = np.random.RandomState(sum(map(ord, name)))
        rows = np.repeat(means[people], 3, axis=0) + 0.05 * rng.normal(size=(3 * len(people), 64))
        embeddings.write(tmp_path / f"{name}.npz", [rows[:, :dimension]], np.repeat(np.arange(len(people)), 3))
        return tmp_path / name, tmp_path / f"{name}.npz"
    return make


def test_overlapping_identities_are_removed(made, tmp_path, run):
    record, train = made("train", [0, 1, 2, 3, 4])
    _, test = made("test", [3, 9, 1])
    said = run(overlap, train, test, "--record", record, "--output", tmp_path / "out", "--list", tmp_path / "list.tsv")
    assert "2 identities of" in said and "9 images of 3 identities, without 2" in said
    assert read_with_mxnet(tmp_path / "out") == dict(enumerate(images_of([0, 2, 4])))
    lines = [line.split("\t") for line in (tmp_path / "list.tsv").read_text().splitlines()]
    assert lines[0][:3] == ["cosine", "identity", "image"] and {(line[1], line[5]) for line in lines[1:]} == {
        ("1", "2"), ("3", "0")}
    for names, output, says in (((train, test), record, "is the folder that is read"),
                                ((train, train), "none", "no image is left"),
                                ((test, train), "none", "does not belong to .* tools/embed.py")):
        with pytest.raises(Failure, match=says):
            run(overlap, *names, "--record", record, "--output", tmp_path / output)
    assert not (tmp_path / "none").exists()


def test_noise_is_listed(made, tmp_path, run):
    _, train = made("train", [0, 1, 0, 3])
    said = run(overlap, train, "--noise", tmp_path / "noise.tsv")
    assert "0 images are far" in said and "1 pairs of identities look like one person" in said
    assert (tmp_path / "noise.tsv").read_text() == "image\tidentity\tcosine\tnearest\tnearest_cosine\n"
    assert (tmp_path / "noise-identities.tsv").read_text().splitlines()[1].split("\t")[1::4] == ["0", "2"]


@pytest.mark.parametrize("arguments", [
    ["a.npz"], ["a.npz", "b.npz", "--record", "x"], ["a.npz", "--noise", "n", "--list", "l"],
    ["a.npz", "b.npz", "--threshold", "2"], ["a.npz", "b.npz", "--threshold", "nan"]])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        overlap.parse_arguments(arguments)
    assert stopped.value.code == 2


@pytest.mark.parametrize("same, people", [
    ("merge", [[0], [1, 1], [2, 2, 2], [3, 3], [7]]), ("drop", [[0], [1], [2], [3], [7]]),
    ("keep", [[0], [1], [2], [2], [3], [1], [3], [7], [2]])])
def test_records_are_joined(made, tmp_path, run, same, people):
    parts = [made("a", [0, 1, 2]), made("b", [2, 3, 1]), made("c", [3, 7, 2])]
    said = run(merge, *[record for record, _ in parts], "--output", tmp_path / "out", "--same", same, "--list",
               tmp_path / "same.tsv", "--embeddings", *[file for _, file in parts])
    assert "4 identities (12 images) are in an earlier record too" in said
    expected = [[image for person in joined for image in images_of([person])[0]] for joined in people]
    assert read_with_mxnet(tmp_path / "out") == dict(enumerate(expected))
    same = [line.split("\t")[2:5] for line in (tmp_path / "same.tsv").read_text().splitlines()[1:]]
    assert [one[0] for one in same] == ["0", "2", "0", "2"]


def test_without_embeddings_labels_are_shifted(made, tmp_path, run):
    first, second = made("a", [0, 1])[0], made("b", [1, 5])[0]
    run(merge, first, second, "--output", tmp_path / "out")
    assert read_with_mxnet(tmp_path / "out") == dict(enumerate(images_of([0, 1, 1, 5])))
    listed = (tmp_path / "out" / "train.lst").read_text().splitlines()
    assert listed[0] == f"1\t{first}/1\t0" and listed[-1] == f"1\t{second}/6\t3"
    for arguments in ([first], [first, second, "--same", "drop"], [first, second, "--embeddings", "a.npz"]):
        with pytest.raises(SystemExit) as stopped:
            run(merge, *arguments, "--output", tmp_path / "no")
        assert stopped.value.code == 2


def test_embeddings_of_two_networks(made, tmp_path, run):
    (first, one), (second, other) = made("a", [0, 1]), made("b", [1, 5], dimension=32)
    with pytest.raises(Failure, match="make all with one network"):
        run(merge, first, second, "--embeddings", one, other, "--output", tmp_path / "out")
    with pytest.raises(Failure, match="make both with one network"):
        run(overlap, one, other)


def test_further_numbers_of_a_label_are_kept_where_all_have_them(made, tmp_path):
    plain, wide = made("a", [0, 1])[0], made("b", [2, 3], label=lambda identity: (identity, 0.5))[0]
    layouts = [records.read_layout(plain), records.read_layout(wide)]
    labels = [selection.image_labels(layout) for layout in layouts]
    assert labels[1].tolist() == [0, 0, 0, 1, 1, 1]
    selection.write_selection(tmp_path / "both", layouts, [labels[0], labels[1] + 2])
    assert records.read_layout(tmp_path / "both").label_width == 1
    selection.write_selection(tmp_path / "one", layouts[1:], [np.where(labels[1] == 0, -1, 7)])
    assert [label.tolist() for _, label, _ in records.iterate(tmp_path / "one")] == [[0, 0.5]] * 3


def test_images_of_any_order_and_in_parts(tmp_path):
    """A file of im2rec's kind, unsorted, with an image that holds the magic number and so is stored in parts."""
    writer = mx.recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "w")
    images = [face(5, 0), b"1234" + records.MAGIC.to_bytes(4, "little") + b"rest", face(5, 1), b"x" * 3]
    for key, (label, image) in enumerate(zip([4, 2, 4, 2], images)):
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), image))
    writer.close()
    layout = records.read_layout(tmp_path / "a.rec")
    assert selection.image_labels(layout).tolist() == [4, 2, 4, 2]
    with pytest.raises(Failure, match="need a `property`"):
        selection.write_selection(tmp_path / "out", [layout], [selection.image_labels(layout)])
    (tmp_path / "property").write_text("5,112,112")
    layout = records.read_layout(tmp_path / "a.rec")
    assert selection.write_selection(tmp_path / "out", [layout], [selection.image_labels(layout)]) == (4, 2)
    assert read_with_mxnet(tmp_path / "out") == {0: [images[1], images[3]], 1: [images[0], images[2]]}


def test_pictures_that_mxnet_lacks_become_png(tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (112, 112, 3)).astype(np.uint8)
    source = [cv2.imencode(".webp", pixels)[1].tobytes(), cv2.imencode(".jpg", pixels)[1].tobytes()]
    writer = mx.recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "w")
    for key, image in enumerate(source):
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, 0.0, key, 0), image))
    writer.close()
    (tmp_path / "property").write_text("1,112,112")
    layout = records.read_layout(tmp_path / "a.rec")
    selection.write_selection(tmp_path / "out", [layout], [selection.image_labels(layout)])
    png, jpeg = read_with_mxnet(tmp_path / "out")[0]
    assert jpeg == source[1]
    np.testing.assert_array_equal(mx.image.imdecode(png).asnumpy()[:, :, ::-1],
                                  cv2.imdecode(np.frombuffer(source[0], np.uint8), cv2.IMREAD_COLOR))


def test_a_label_that_is_no_class(made, tmp_path):
    record, _ = made("a", [0, 1])
    content = bytearray((record / "train.rec").read_bytes())
    offset = int(records.read_layout(record).offsets_of([2])[0])
    content[offset + 12:offset + 16] = np.float32(np.nan).tobytes()
    (record / "train.rec").write_bytes(content)
    with pytest.raises(Failure, match="record 2 has the label nan"):
        selection.image_labels(records.read_layout(record))
    cut = records.read_layout(record)
    (record / "train.rec").write_bytes(content[:offset + 8])
    with pytest.raises(Failure, match="too short|cut short"):
        selection.image_labels(cut)
