"""The training iterator, counted image by image against what was put into the record."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections import Counter

import cv2
import numpy as np
import pytest

from datasets.formats import records
from recognition.data.images import train_iterator
from recognition.data.triplets import TripletIterator
from runtime import Failure, mx

COUNT, PEOPLE = 103, 11  # 103 is prime: no number of workers divides it


def image(value, size=112):
    """An image of one grey, which tells which one it is."""
    return cv2.imencode(".png", np.full((size, size, 3), value, np.uint8))[1].tobytes()


def person(number):
    return number * PEOPLE // COUNT


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder in the published layout whose image i is of grey i."""
    folder = tmp_path_factory.mktemp("numbered")
    records.write(folder, ((person(i), image(i), f"{i}.png") for i in range(COUNT)))
    return folder


@pytest.fixture
def folder(original, tmp_path):
    """A copy of it, without sidecars."""
    for name in ("train.rec", "train.idx", "property"):
        shutil.copy2(original / name, tmp_path)
    return tmp_path


def epoch(iterator):
    """Return the greys and labels of an epoch, without what fills up the last batch."""
    greys, labels = [], []
    for batch in iterator:
        count = iterator.batch_size - batch.pad
        data = batch.data[0].asnumpy()
        assert np.ptp(data, axis=(1, 2, 3)).max() == 0
        greys += data[:count, 0, 0, 0].astype(int).tolist()
        labels += batch.label[0].asnumpy()[:count].tolist()
    return greys, labels


@pytest.mark.parametrize("parts", [1, 2, 3, 4])
@pytest.mark.parametrize("batch_size", [1, 7, 25])
def test_every_image_once_an_epoch(folder, parts, batch_size):
    workers = [train_iterator(folder, batch_size, part=part, parts=parts) for part in range(parts)]
    orders = []
    for number in range(3):
        got = [epoch(worker) for worker in workers]
        assert sorted(grey for greys, _ in got for grey in greys) == list(range(COUNT))
        for greys, labels in got:
            assert labels == [person(grey) for grey in greys]
        assert max(len(greys) for greys, _ in got) - min(len(greys) for greys, _ in got) <= 1
        orders.append([greys for greys, _ in got])
        for worker in workers:
            assert (worker.epoch, worker.batch) == (number, worker.batches)
            worker.reset()
    assert orders[0] != orders[1] != orders[2]


def test_what_a_module_sees(folder):
    iterator = train_iterator(folder, 10)
    assert iterator.provide_data == [mx.io.DataDesc("data", (10, 3, 112, 112), np.float32)]
    assert iterator.provide_label == [mx.io.DataDesc("softmax_label", (10,), np.float32)]
    batches = list(iterator)
    assert [batch.pad for batch in batches] == [0] * 10 + [7]
    for batch in batches:
        assert (batch.data[0].shape, batch.data[0].dtype) == ((10, 3, 112, 112), np.float32)
        assert (batch.label[0].shape, batch.label[0].dtype) == ((10,), np.float32)


def test_colours_are_rgb_of_the_decoded_image(tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (112, 112, 3)).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", pixels)[1].tobytes()
    records.write(tmp_path, [(0, jpeg, "a")])
    batch = train_iterator(tmp_path, 1, mirror=False).next()
    np.testing.assert_array_equal(batch.data[0].asnumpy()[0].transpose(1, 2, 0), mx.image.imdecode(jpeg).asnumpy())


def test_labels_stay_when_further_batches_are_read(folder):
    """Reports read them a step late; MXNet gives its own label's memory to a later batch."""
    iterator = train_iterator(folder, 5, seed=3)
    kept = [(batch.data[0].asnumpy()[:, 0, 0, 0], batch.label[0]) for batch in iterator]
    for greys, label in kept:
        assert label.asnumpy().tolist() == [person(int(grey)) for grey in greys]


def test_without_shuffling(folder):
    iterator = train_iterator(folder, 10, shuffle=False)
    assert epoch(iterator)[0] == list(range(COUNT))
    iterator.reset()
    assert epoch(iterator)[0] == list(range(COUNT))


def test_half_are_mirrored(tmp_path):
    pixels = np.zeros((112, 112, 3), np.uint8)
    pixels[:, :56] = 255
    records.write(tmp_path, [(0, cv2.imencode(".png", pixels)[1].tobytes(), "a")] * 400)

    def corners(**options):
        batches = train_iterator(tmp_path, 200, **options)
        return np.concatenate([batch.data[0].asnumpy()[:, 0, 0, 0] for batch in batches])

    assert 0.35 < (corners() == 0).mean() < 0.65
    assert (corners(mirror=False) == 255).all()


@pytest.mark.parametrize("width", [2, 3, 5])
def test_labels_of_several_numbers(tmp_path, width):
    records.write(tmp_path, (([person(i), *[0.5] * (width - 1)], image(i), "a") for i in range(COUNT)))
    for parts in (1, 3):
        got = [epoch(train_iterator(tmp_path, 10, part=part, parts=parts)) for part in range(parts)]
        assert sorted(grey for greys, _ in got for grey in greys) == list(range(COUNT))
        assert all(labels == [person(grey) for grey in greys] for greys, labels in got)


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("width", [1, 2])
def test_images_alone(tmp_path, index, width):
    """A shuffled file without a header, as MXNet's im2rec writes it."""
    writer = mx.recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "w")
    for key, number in enumerate(np.random.RandomState(0).permutation(COUNT).tolist()):
        label = float(person(number)) if width == 1 else [person(number), 7]
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), image(number)))
    writer.close()
    if not index:
        (tmp_path / "a.idx").unlink()
    for parts in (1, 2, 3):
        workers = [train_iterator(tmp_path / "a.rec", 10, PEOPLE, part=part, parts=parts) for part in range(parts)]
        for _ in range(2):
            got = [epoch(worker) for worker in workers]
            assert sorted(grey for greys, _ in got for grey in greys) == list(range(COUNT))
            assert all(labels == [person(grey) for grey in greys] for greys, labels in got)
            for worker in workers:
                worker.reset()


def laid_out(folder, order, width=1):
    """Write the numbered images in the published layout, its records in an order of their keys."""
    first = [next(i for i in range(COUNT) if person(i) == who) + 1 for who in range(PEOPLE)]
    labels = {0: (COUNT + 1, COUNT + 1 + PEOPLE),
              **{key: float(person(key - 1)) if width == 1 else [person(key - 1), *[7] * (width - 1)]
                 for key in range(1, COUNT + 1)},
              **{COUNT + 1 + who: ends for who, ends in enumerate(zip(first, [*first[1:], COUNT + 1]))}}
    writer = mx.recordio.MXIndexedRecordIO(str(folder / "train.idx"), str(folder / "train.rec"), "w")
    for key in order:
        content = image(key - 1) if 1 <= key <= COUNT else b""
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, labels[key], key, 0), content))
    writer.close()
    (folder / "property").write_text(f"{PEOPLE},112,112\n")
    return folder


IMAGES, IDENTITIES = list(range(1, COUNT + 1)), list(range(COUNT + 1, COUNT + 1 + PEOPLE))
MIXED = np.random.RandomState(0).permutation(IMAGES).tolist()
ORDERS = {"header last": [*IMAGES, *IDENTITIES, 0], "after the images": [*IMAGES, 0, *IDENTITIES],
          "identities first": [*IDENTITIES, 0, *IMAGES], "around": [*IDENTITIES, *IMAGES, 0],
          "mixed": [0, *MIXED, *IDENTITIES], "mixed, header last": [*MIXED, *IDENTITIES[::-1], 0],
          "identities around": [*IDENTITIES[:4], *MIXED, *IDENTITIES[4:], 0]}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize(("large", "width"), [(False, 1), (True, 1), (False, 2), (True, 3)])
def test_header_wherever_it_lies(tmp_path, order, large, width):
    options = {"large": 0} if large else {}
    laid_out(tmp_path, order, width)
    for parts in (1, 3):
        workers = [train_iterator(tmp_path, 10, part=part, parts=parts, **options) for part in range(parts)]
        for _ in range(2):
            got = [epoch(worker) for worker in workers]
            assert sorted(grey for greys, _ in got for grey in greys) == list(range(COUNT))
            assert all(labels == [person(grey) for grey in greys] for greys, labels in got)
            for worker in workers:
                worker.reset()


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("stray", [0, COUNT + 1])
def test_record_between_the_images(tmp_path, large, stray):
    """MXNet's iterator would read it as an image."""
    order = [key for key in [0, *IMAGES, *IDENTITIES] if key != stray]
    laid_out(tmp_path, [*order[:50], stray, *order[50:]])
    fails("lies between the images.*convert.py complete", tmp_path, 10, **({"large": 0} if large else {}))
    assert sidecars(tmp_path) == []


def test_header_last_of_the_case(shared, tmp_path):
    labels = [label for batch in train_iterator(shared / "cases" / "header_last", 6, cache_dir=tmp_path)
              for label in batch.label[0].asnumpy().tolist()]
    assert sorted(labels) == sorted(5 * list(range(6)))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_few_images(tmp_path, count, parts):
    records.write(tmp_path, [(0, image(i), "a") for i in range(count)])
    if count < parts:
        with pytest.raises(Failure, match="fewer than a batch"):
            train_iterator(tmp_path, 1, parts=parts)
    else:
        got = [epoch(train_iterator(tmp_path, 1, part=part, parts=parts))[0] for part in range(parts)]
        assert sorted(grey for greys in got for grey in greys) == list(range(count))


AUGMENTATION = {"rand_crop": True, "max_rotate_angle": 8, "min_random_scale": 0.88, "max_random_scale": 1.12,
                "min_img_size": 126, "max_img_size": 126, "fill_value": 127, "max_random_contrast": 0.2,
                "max_random_illumination": 20}


def batches(iterator):
    return [(batch.data[0].asnumpy(), batch.label[0].asnumpy(), batch.pad) for batch in iterator]


def equal(first, second):
    return len(first) == len(second) and all(
        np.array_equal(a, b) for one, two in zip(first, second) for a, b in zip(one, two))


@pytest.mark.slow
@pytest.mark.parametrize("augmentation", [None, AUGMENTATION])
def test_same_from_seed_and_epoch(orl, tmp_path, augmentation):
    def run(batch_size=32, **options):
        return train_iterator(orl, batch_size, augmentation=augmentation, cache_dir=tmp_path, **options)

    iterator = run(seed=3)
    first = batches(iterator)
    assert equal(first, batches(run(seed=3, num_workers=4)))
    iterator.reset()
    second = batches(iterator)
    assert equal(second, batches(run(seed=3, epoch=1)))
    assert not equal(first, second)
    assert not equal(first, batches(run(seed=4)))
    # Going on from any batch gives what the uninterrupted run gave.
    for batch in (0, 1, 5, len(first)):
        iterator = run(seed=3)
        iterator.skip(batch)
        assert iterator.batch == batch
        assert equal(first[batch:], batches(iterator))
        iterator.start(1, batch)
        assert (iterator.epoch, iterator.batch) == (1, batch)
        assert equal(second[batch:], batches(iterator))
    with pytest.raises(StopIteration):
        iterator.next()


@pytest.mark.slow
def test_same_with_any_number_of_threads(orl, root, tmp_path):
    """MXNet takes half the cores less one for decoding, so it is told here that there are 16."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("there is no C compiler")
    (tmp_path / "cores.c").write_text("int omp_get_num_procs(void) { return 16; }\n")
    library = tmp_path / "cores.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "cores.c"], check=True)
    script = (f"import hashlib; from recognition.data.images import train_iterator; augmentation = {AUGMENTATION}\n"
              "for workers in 1, 2, 7:\n"
              f"    iterator = train_iterator({str(orl)!r}, 32, augmentation=augmentation, num_workers=workers,\n"
              f"                              cache_dir={str(tmp_path)!r})\n"
              "    print(hashlib.sha256(b''.join(b.data[0].asnumpy().tobytes() for b in iterator)).hexdigest())\n")
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True,
                          env={**os.environ, "LD_PRELOAD": str(library)})
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 3
    assert len(set(done.stdout.split())) == 1


def test_augmentation_turns_scales_and_shifts(tmp_path):
    """By 8 degrees, 12 % and 7 pixels, as found from where three spots land."""
    spots = np.array([[40, 45], [72, 45], [56, 80]])
    y, x = np.mgrid[:112, :112]
    pixels = np.stack([250 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) for a, b in spots[::-1]], axis=2)
    records.write(tmp_path, [(0, cv2.imencode(".png", pixels.astype(np.uint8))[1].tobytes(), "a")] * 100)
    options = {**AUGMENTATION, "fill_value": 0, "max_random_contrast": 0, "max_random_illumination": 0}
    iterator, found = train_iterator(tmp_path, 100, mirror=False, augmentation=options), []
    centred = np.column_stack([spots @ [1, 1j] - 55.5 * (1 + 1j), np.ones(3)])
    for _ in range(5):
        data = iterator.next().data[0].asnumpy().astype(float)
        mass = data.sum(axis=(2, 3))
        landed = (data * x).sum(axis=(2, 3)) / mass + 1j * (data * y).sum(axis=(2, 3)) / mass
        turn, shift = np.linalg.lstsq(centred, landed.T, rcond=None)[0]
        found.append([np.abs(turn), np.degrees(np.angle(turn)), (shift - 55.5 * (1 + 1j)).real,
                      (shift - 55.5 * (1 + 1j)).imag])
        iterator.reset()
    scale, angle, right, down = np.concatenate(found, axis=1)
    for values, low, high in (scale, 0.88, 1.12), (angle, -8, 8), (right, -7, 7), (down, -7, 7):
        reach = high - low
        assert low - 0.02 * reach < values.min() < low + 0.1 * reach
        assert high - 0.1 * reach < values.max() < high + 0.02 * reach
        assert abs(values.mean() - (low + high) / 2) < 0.1 * reach


def sidecars(folder):
    return sorted(name for name in os.listdir(folder) if name.endswith(".idx") and name.startswith("."))


def test_sidecar_is_kept_and_made_anew_when_the_record_changes(folder):
    epoch(train_iterator(folder, 10))
    epoch(train_iterator(folder, 10, parts=2))
    first = sidecars(folder)
    assert len(first) == 2
    times = [os.stat(folder / name).st_mtime_ns for name in first]
    epoch(train_iterator(folder, 10))
    assert [os.stat(folder / name).st_mtime_ns for name in sidecars(folder)] == times
    (folder / ".train-notes.idx").write_text("somebody's own")
    records.write(folder, ((0, image(i), "a") for i in range(50)))
    assert sorted(epoch(train_iterator(folder, 10))[0]) == list(range(50))
    assert len(sidecars(folder)) == 2
    assert not set(first) & set(sidecars(folder))
    assert ".train-notes.idx" in sidecars(folder)


def other_offsets(content):
    """Make the lines those of other offsets, each as long as it was."""
    lines = content.split(b"\n")
    for number in (4, 7):
        row, offset = lines[number].split()
        lines[number] = row + b"\t" + str(int(offset) + 4).encode()
    return b"\n".join(lines)


@pytest.mark.parametrize("change", [
    lambda content: b"", lambda content: content[:1], lambda content: content[:len(content) // 3],
    lambda content: content[:-1], lambda content: content + b"7\t0\n", lambda content: bytes(len(content)),
    lambda content: b"".join(content.splitlines(True)[:-1]), lambda content: b"\n" * len(content), other_offsets,
    lambda content: b"junk"], ids=range(10))
def test_sidecar_that_is_damaged_is_written_again(folder, change):
    epoch(train_iterator(folder, 10))
    path = folder / sidecars(folder)[0]
    whole = path.read_bytes()
    path.write_bytes(change(whole))
    greys, labels = epoch(train_iterator(folder, 10))
    assert sorted(greys) == list(range(COUNT))
    assert labels == [person(grey) for grey in greys]
    assert path.read_bytes() == whole


def test_sidecar_of_another_share(folder):
    for part in range(2):
        epoch(train_iterator(folder, 10, part=part, parts=2))
    first, second = sidecars(folder)
    shutil.copy(folder / first, folder / second)
    got = [epoch(train_iterator(folder, 10, part=part, parts=2))[0] for part in range(2)]
    assert sorted(grey for greys in got for grey in greys) == list(range(COUNT))


def test_sidecar_of_a_record_of_the_same_size_and_time(folder):
    """As files of two data sets have it that were unpacked from archives without times."""
    def dated():
        for name in ("train.rec", "train.idx"):
            os.utime(folder / name, (10**9, 10**9))

    images = [image(i) + bytes(400 * (i == 0)) for i in range(9)]  # what follows a PNG's end is left aside
    offsets = []
    for order in (images, images[::-1]):
        with_images(folder, order)
        dated()
        offsets.append(records.read_layout(folder).offsets.tolist())
        assert sorted(epoch(train_iterator(folder, 3))[0]) == list(range(9))
        assert len(sidecars(folder)) == 1
    assert offsets[0] != offsets[1]
    assert offsets[0][-1] == offsets[1][-1]


@pytest.mark.parametrize("kind", ["folder", "full folder", "pipe", "link to nothing"])
def test_something_else_in_the_place_of_the_sidecar(folder, tmp_path, monkeypatch, kind):
    """It stays, and the sidecar goes into the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    epoch(train_iterator(folder, 10))
    path = folder / sidecars(folder)[0]
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to nothing":
        path.symlink_to(tmp_path / "nowhere" / "file")
    else:
        path.mkdir()
        if kind == "full folder":
            (path / "mine").write_text("own")
    for _ in range(2):
        assert sorted(epoch(train_iterator(folder, 10))[0]) == list(range(COUNT))
    assert path.is_symlink() or not path.is_file()
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "train.rec"))
    fails("no index can be written", folder, 10)


@pytest.mark.slow
def test_sidecars_that_several_processes_write(folder, root):
    """All of them start at once, with an empty sidecar beside the record."""
    epoch(train_iterator(folder, 10))
    (folder / sidecars(folder)[0]).write_bytes(b"")
    script = (f"from recognition.data.images import train_iterator\niterator = train_iterator({str(folder)!r}, 10)\n"
              "print(sum(10 - batch.pad for batch in iterator))")
    running = [subprocess.Popen([sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, text=True)
               for _ in range(3)]
    assert [process.communicate()[0].split()[-1] for process in running] == [str(COUNT)] * 3


def test_sidecar_in_a_given_folder(folder, tmp_path):
    epoch(train_iterator(folder, 10, cache_dir=tmp_path / "cache"))
    assert len(sidecars(tmp_path / "cache")) == 1
    assert not sidecars(folder)


def test_folder_that_cannot_be_written(original, monkeypatch):
    base = tempfile.mkdtemp()
    try:
        shutil.copytree(original, os.path.join(base, "set"), ignore=shutil.ignore_patterns(".*"))
        os.makedirs(os.path.join(base, "home"), mode=0o777)
        os.chmod(os.path.join(base, "home"), 0o777)
        os.chmod(os.path.join(base, "set"), 0o555)
        os.chmod(base, 0o755)
        for name in os.listdir(os.path.join(base, "set")):
            os.chmod(os.path.join(base, "set", name), 0o444)
        monkeypatch.setenv("XDG_CACHE_HOME", os.path.join(base, "home"))
        root = os.geteuid() == 0
        if root:  # who may write anywhere
            os.seteuid(65534)
        try:
            assert sorted(epoch(train_iterator(os.path.join(base, "set"), 10))[0]) == list(range(COUNT))
            assert not sidecars(os.path.join(base, "set"))
            os.environ["XDG_CACHE_HOME"] = os.path.join(base, "set")
            with pytest.raises(Failure, match="XDG_CACHE_HOME"):
                epoch(train_iterator(os.path.join(base, "set"), 10))
        finally:
            if root:
                os.seteuid(0)
    finally:
        os.chmod(os.path.join(base, "set"), 0o755)
        shutil.rmtree(base)


def fails(words, *arguments, **options):
    """Assert that an epoch ends in one line with these words."""
    with pytest.raises(Failure, match=words) as caught:
        for _ in train_iterator(*arguments, **options):
            pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("broken", [b"junk" * 9, b"\xff\xd8" + b"z" * 99, image(3)[:60], b"P9", image(3)[:20]])
@pytest.mark.parametrize("augmentation", [None, AUGMENTATION])
def test_image_that_cannot_be_decoded(tmp_path, broken, augmentation):
    records.write(tmp_path, [(0, image(i) if i != 17 else broken, "a") for i in range(30)])
    fails("train.rec: an image cannot be decoded", tmp_path, 10, augmentation=augmentation)


def with_images(folder, images, stated="1,112,112"):
    """Write a record in the full layout, whatever the images are, by MXNet."""
    writer = mx.recordio.MXIndexedRecordIO(str(folder / "train.idx"), str(folder / "train.rec"), "w")
    past = len(images) + 1
    contents = [((past, past + 1), b""), *((0.0, one) for one in images), ((1, past), b"")]
    for key, (label, content) in enumerate(contents):
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), content))
    writer.close()
    if stated:
        (folder / "property").write_text(stated)
    return folder


def both_fail(words, folder):
    """Assert that training with a classifier and training with triplets end in one line with these words."""
    fails(words, folder, 5)
    with pytest.raises(Failure, match=words):
        TripletIterator(folder, 3)


@pytest.mark.parametrize(("image_of", "name"), [
    (lambda pixels: cv2.imencode(".webp", pixels)[1].tobytes(), "WebP"),
    (lambda pixels: cv2.imencode(".ppm", pixels)[1].tobytes(), "PPM"),
    (lambda pixels: cv2.imencode(".tif", pixels, [cv2.IMWRITE_TIFF_COMPRESSION, 8])[1].tobytes(), "TIFF .Deflate."),
    (lambda pixels: b"GIF89a" + bytes(99), "GIF")])
def test_pictures_that_mxnet_lacks_are_named(tmp_path, image_of, name):
    one = image_of(np.full((112, 112, 3), 99, np.uint8))
    both_fail(f"train.rec: an image cannot be decoded: record 18 at byte .* is a {name} picture,.*check.py",
              with_images(tmp_path, [image(i) if i != 17 else one for i in range(30)]))


@pytest.mark.parametrize("side", [160, 96, 113])
def test_images_of_several_sizes_are_named(tmp_path, side):
    folder = with_images(tmp_path, [image(i, side if i == 17 else 112) for i in range(30)])
    both_fail(f"train.rec: the image of record 18 .* is {side}×{side}, where .* 112×112:.*check.py", folder)
    (folder / "property").unlink()
    fails(f"record 18 .* is {side}×{side}, where training takes 112×112", folder / "train.rec", 5)


def test_images_of_another_size_than_property_says(tmp_path):
    folder = with_images(tmp_path, [image(i, 160) for i in range(30)])
    both_fail("record 1 .* is 160×160, where .* 112×112", folder)
    fails("record 1 .* is 160×160", folder, 5, augmentation={"max_random_illumination": 20})
    (folder / "property").write_text("1,160,160")
    fails("160x160, where training takes 112x112", folder, 5)
    fails("160x160, where training takes 112x112", folder, 5, augmentation={"max_random_illumination": 20})
    # Options that say how a larger image becomes 112×112 are followed, and all images still have one size.
    assert sorted(epoch(train_iterator(folder, 5, augmentation={"resize": 112}))[0]) == list(range(30))
    assert sorted(epoch(train_iterator(folder, 5, augmentation={"rand_crop": True}))[0]) == list(range(30))
    with_images(tmp_path, [image(i, 160 if i != 17 else 112) for i in range(30)], "1,160,160")
    fails("record 18 .* is 112×112, where `property` says 160×160", folder, 5, augmentation={"resize": 112})
    (folder / "property").unlink()
    fails("record 18 .* is 112×112, where record 1 is 160×160", folder / "train.rec", 5, augmentation={"resize": 112})


def test_large_record_is_sampled(tmp_path):
    """Each second image, or each of a tenth of the file, does not go unseen."""
    options = {"large": 1000, "sample": 30}
    for wrong in (range(0, 300, 2), range(1, 300, 2), range(30), range(135, 165), range(270, 300)):
        fails("is 160×160, where .* 112×112",
              with_images(tmp_path, [image(3, 160 if i in wrong else 112) for i in range(300)]), 10, **options)
    assert len(epoch(train_iterator(with_images(tmp_path, [image(3)] * 300), 10, **options))[0]) == 300


def test_jpeg_without_an_end_is_read_as_before(tmp_path):
    """`check.py` names it; MXNet fills its rest with grey."""
    jpeg = cv2.imencode(".jpg", np.full((112, 112, 3), 99, np.uint8))[1].tobytes()
    iterator = train_iterator(with_images(tmp_path, [jpeg[:-40] if i == 7 else jpeg for i in range(20)]), 5)
    assert sum(5 - batch.pad for batch in iterator) == 20


def test_cases(shared):
    for case, words in (("img_webp", "record .* is a WebP picture"), ("img_mixed_size", "record .* is 160×160")):
        if not (shared / "cases" / case).is_dir():
            pytest.skip("the cases are not at ../shared")
        fails(words, shared / "cases" / case, 8)


def test_record_without_an_image(tmp_path):
    records.write(tmp_path, [(0, image(i) if i != 17 else b"", "a") for i in range(30)])
    fails("record 18 .* is not an image", tmp_path, 10)


@pytest.mark.parametrize("label", [3, -1, 0.5, np.nan, np.inf, 1e30])
@pytest.mark.parametrize("width", [1, 2])
def test_label_that_is_no_class(tmp_path, label, width):
    records.write(tmp_path, [(0 if width == 1 else [0, 9], image(i), "a") for i in range(30)])
    content = (tmp_path / "train.rec").read_bytes()
    offset = records.read_layout(tmp_path).offsets[17]
    place = offset + 8 + 4 if width == 1 else offset + 8 + 24
    (tmp_path / "train.rec").write_bytes(content[:place] + struct.pack("<f", label) + content[place + 4:])
    fails("train.rec has the label .* one of the classes 0 to 2", tmp_path, 10, classes=3)


def test_classes_come_from_property(folder):
    (folder / "property").write_text("10,112,112\n")  # of 11
    fails("the label 10, which is not one of the classes 0 to 9", folder, 10)
    assert len(epoch(train_iterator(folder, 10, classes=PEOPLE))[0]) == COUNT


@pytest.mark.parametrize(("place", "value"), [(0, 0), (4, 8), (4, 1 << 28), (4, 3 << 29 | 40), (4, 1 << 29 | 40),
                                              (8, 1 << 30), (8, 0xFFFFFFFF), (8, 2)])
def test_damaged_head_of_a_record(folder, place, value):
    """Magic number, length, and the count of labels, by which MXNet would read far outside the file."""
    offset = records.read_layout(folder).offsets[17]
    with open(folder / "train.rec", "rb+") as file:
        file.seek(offset + place)
        file.write(struct.pack("<I", value))
    fails("train.rec.* record.* at byte", folder, 10)


def test_images_that_hold_the_magic_number(tmp_path):
    """Which RecordIO writes in parts; here in a text chunk of a PNG."""
    text = b"tEXt" + b"a" * 3 + struct.pack("<I", 0xCED7230A) * 3
    pieces = []
    for number in range(40):
        whole = image(number)
        for shift in range(4):  # one of these lies at a multiple of four bytes
            content = text[:4] + b"a" * shift + text[7:]
            chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
            pieces.append((number, whole[:33] + chunk + whole[33:]))
    records.write(tmp_path, [(0, piece, "a") for _, piece in pieces])
    greys, _ = epoch(train_iterator(tmp_path, 16))
    assert sorted(greys) == sorted(number for number, _ in pieces)


@pytest.mark.parametrize("name", ["train.rec", "train.idx"])
def test_files_cut_short(folder, name):
    content = (folder / name).read_bytes()
    for length in range(0, len(content) - 1, len(content) // 50):
        (folder / name).write_bytes(content[:length])
        fails("train", folder, 10)


def test_other_failures(folder, tmp_path):
    fails("fewer than a batch of 104: take a smaller batch", folder, 104)
    fails("has 51 images for each of 2 workers", folder, 52, parts=2)
    fails("augmentation has no option rotation", folder, 10, augmentation={"rotation": 3})
    fails("112x112, where training takes 96x96", folder, 10, image_shape=(3, 96, 96))
    fails("train.rec is missing", tmp_path / "none" / "train.rec", 10)
    shutil.copytree(folder, tmp_path / "a#b", ignore=shutil.ignore_patterns("a#b"))
    fails("MXNet cannot read .*a#b", tmp_path / "a#b", 10)


def test_counts_of_the_orl(orl, tmp_path):
    iterator = train_iterator(orl, 50, cache_dir=tmp_path)
    for _ in range(2):
        labels = Counter(np.concatenate([batch.label[0].asnumpy() for batch in iterator]).tolist())
        assert labels == dict.fromkeys(range(30), 10)
        iterator.reset()


def test_memory_does_not_grow_with_epochs(original):
    """MXNet keeps what an iterator that is let go had ready; here each epoch has a new iterator."""
    batches = train_iterator(original, 50, num_workers=1)

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def epochs(count):
        for _ in range(count):
            for batch in batches:
                batch.data[0].wait_to_read()
            batches.reset()
    epochs(5)
    before = resident()
    epochs(15)
    assert resident() - before < 30  # MB: four batches, where one an epoch would be fifteen
