"""Triplets: the iterator against its record, and the command."""
import itertools
import json
import re
from collections import Counter

import cv2
import numpy as np
import pytest

from datasets.formats import records
from recognition.config.build import build
from recognition.config.losses import LOSSES
from recognition.data.triplets import BARREN, TripletIterator
from recognition.training.run import train as train_here
from recognition.training.state import load
from runtime import Failure, mx

COUNTS = (1, 2, 5, 8, 3, 10, 4, 2)  # images of each person


def grey(key):
    """Return an image that tells its key, and by a darker left half whether it was mirrored."""
    image = np.full((112, 112, 3), 2 * key + 60, np.uint8)
    image[:, :56] -= 50
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A record whose image of key k is of grey 2k + 60."""
    folder = tmp_path_factory.mktemp("greys")
    people = np.repeat(np.arange(len(COUNTS)), COUNTS).tolist()
    records.write(folder, [(person, grey(key), f"{key}.png") for key, person in enumerate(people, 1)])
    return folder


def greys(chunks):
    """Return the keys of images."""
    return (np.concatenate([chunk[:, 0].max((1, 2)) for chunk in chunks]).astype(int) - 60) // 2


def circle(chunks):
    """Embed images as points of a circle; people of neighbouring keys are near each other."""
    angles = greys(chunks) / 12.5
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def make(folder, batch_size=6, **options):
    return TripletIterator(folder, batch_size, embed=circle, num_workers=2, **{"seed": 5, **options})


def unpacked(batch):
    """Return a batch's keys, whether each is mirrored, and its labels."""
    data = batch.data[0].asnumpy()
    assert data.dtype == np.float32 and data.shape[1:] == (3, 112, 112)
    left, right = data[:, 0, 5, 5], data[:, 2, 100, 100]
    return ((np.maximum(left, right) - 60) / 2).astype(int), left > right, batch.label[0].asnumpy()


def people_of(keys):
    return np.searchsorted(np.cumsum(COUNTS), np.asarray(keys) - 1, side="right")


@pytest.mark.parametrize("devices", [1, 2])
def test_batches_are_thirds_of_each_device(folder, devices, admissible):
    iterator = make(folder, 12, devices=devices)
    assert iterator.provide_data == [mx.io.DataDesc("data", (12, 3, 112, 112), np.float32)]
    assert iterator.provide_label == [mx.io.DataDesc("softmax_label", (12,), np.float32)]
    iterator.start(0)
    keys, people = iterator.bag(0)
    np.testing.assert_array_equal(people, people_of(keys))
    embeddings = circle([np.repeat((2 * keys + 60).astype(np.uint8), 3 * 4).reshape(-1, 2, 2, 3)])
    allowed = {(keys[a], keys[p]): {keys[n] for n in negatives}
               for (a, p), negatives in admissible(embeddings, people, 0.3).items()}
    seen = Counter()
    for batch in iterator:
        keys_, mirrored, labels = unpacked(batch)
        assert batch.pad == 0 and 0 < mirrored.sum() < len(mirrored)
        np.testing.assert_array_equal(labels, people_of(keys_))
        for share in np.split(keys_, devices):
            for a, p, n in zip(*np.split(share, 3)):
                assert n in allowed[a, p]
                seen[a, p] += 1
    assert set(seen.values()) == {1} and len(seen) == len(allowed) // 4 * 4 and iterator.batch == iterator.batches


def test_bags_follow_the_identities(folder):
    """A bag is clipped to a pass: five of each person at most, in a row, persons and images drawn anew each pass."""
    iterator = make(folder)
    orders = []
    for epoch in range(3):
        keys, people = iterator.bag(epoch)
        assert len(keys) == sum(min(count, 5) for count in COUNTS) and len(set(keys)) == len(keys)
        assert Counter(people.tolist()) == {who: min(count, 5) for who, count in enumerate(COUNTS)}
        assert np.count_nonzero(np.diff(people)) == len(COUNTS) - 1
        orders.append(keys.tolist())
    assert orders[0] != orders[1] != orders[2]
    assert make(folder).bag(1)[0].tolist() == orders[1] and make(folder, seed=6).bag(0)[0].tolist() != orders[0]


def test_smaller_bags_and_workers_share_a_pass(folder):
    workers = [make(folder, bag_size=9, images_per_identity=3, part=part, parts=2) for part in range(2)]
    bags = [worker.bag(epoch)[0].tolist() for epoch in range(1) for worker in workers]
    assert [len(bag) for bag in bags] == [9, 9] and not set(bags[0]) & set(bags[1])


def read(iterator, count=None):
    return [[array.tolist() for array in unpacked(batch)] for batch in itertools.islice(iterator, count)]


def test_the_seed_and_the_bag_decide(folder):
    def epochs(**options):
        iterator = make(folder, **options)
        iterator.start(0)
        found = [read(iterator)]
        iterator.reset()
        assert iterator.epoch == 1
        return [*found, read(iterator)]
    first = epochs()
    assert first == epochs() and first[0] != first[1] and first != epochs(seed=6)
    assert not any(any(mirrored) for _, mirrored, _ in epochs(mirror=False)[0])


def test_going_on_within_a_bag(folder):
    """With the triplets of its state, though the network is another by then; and with the same network, without."""
    whole = make(folder)
    whole.start(1)
    batches = read(whole)
    state = whole.state()
    resumed = TripletIterator(folder, 6, embed=None, seed=5)
    resumed.start(1, 2, **state)
    assert read(resumed) == batches[2:]
    mined = make(folder)
    mined.start(1, 2)
    assert read(mined) == batches[2:]
    finished = TripletIterator(folder, 6, embed=None, seed=5)
    finished.start(1, len(batches), **state)
    assert read(finished) == []


def test_a_state_of_another_dataset(folder):
    with pytest.raises(Failure, match="resume with the dataset"):
        make(folder).start(0, 1, triplets=np.array([[1, 2, 500]]))


def test_fewer_triplets_than_a_batch_fill_it_up(folder):
    iterator = make(folder, 300)
    iterator.start(0)
    batch, = iterator
    triplets = iterator.state()["triplets"].asnumpy()
    keys = np.split(unpacked(batch)[0], 3)
    assert batch.pad == 300 - 3 * len(triplets) > 0
    np.testing.assert_array_equal(np.stack(keys, 1), np.resize(triplets, (100, 3)))


def test_without_semi_hard_triplets(folder, capsys):
    """People apart by more than the margin: any farther impostor does."""
    iterator = make(folder)
    iterator.embed = lambda chunks: np.eye(len(COUNTS))[people_of(greys(chunks))]
    iterator.start(0)
    pairs = sum(min(count, 5) * (min(count, 5) - 1) // 2 for count in COUNTS)
    assert f"no semi-hard triplet, so {pairs} triplets of any farther impostor" in capsys.readouterr().out
    for anchor, positive, negative in iterator.state()["triplets"].asnumpy():
        assert people_of(anchor) == people_of(positive) != people_of(negative)


def test_collapsed_embeddings(folder, capsys):
    iterator = make(folder)
    iterator.embed = lambda chunks: np.ones((sum(map(len, chunks)), 8), np.float32)
    for epoch in range(BARREN - 1):
        iterator.start(epoch)
        assert list(iterator) == [] and iterator.state() == {}
    assert "so 0 triplets of any farther impostor, from 27 images of 8 people" in capsys.readouterr().out
    with pytest.raises(Failure, match="collapse to a point"):
        iterator.reset()


def test_what_cannot_be(folder, tmp_path):
    with pytest.raises(Failure, match="multiple of 3"):
        make(folder, 8)
    with pytest.raises(Failure, match="multiple of 3"):
        make(folder, 6, devices=4)
    records.write(tmp_path, [(0, grey(1), "1"), (1, grey(2), "2"), (2, grey(3), "3")])
    with pytest.raises(Failure, match="two people"):
        make(tmp_path)
    records.write(tmp_path, [(0, grey(1), "1"), (0, grey(2), "2")])
    with pytest.raises(Failure, match="two people"):
        make(tmp_path)
    records.write(tmp_path, [(0, grey(1), "1"), (0, b"no image", "2"), (1, grey(3), "3")])
    with pytest.raises(Failure, match="an image cannot be decoded: record 2 .* is not a JPEG"):
        make(tmp_path)
    with pytest.raises(Failure, match="label 1, which is not"):
        make(folder, classes=1).start(0)
    bad = make(folder)
    bad.embed = lambda chunks: np.full((sum(map(len, chunks)), 8), np.nan)
    with pytest.raises(Failure, match="not finite"):
        bad.start(0)


def test_tables(shared):
    rows = json.loads((shared / "reference" / "tables.json").read_text())["table2"]["rows"]
    for name, row in (("atriplet", "Triplet (0.35)"), ("arcface-triplet", "ArcFace+Triplet"), ("triplet", None)):
        assert LOSSES[name].table2 == row and (row is None or row in rows)
    config = build("r50", "triplet", "emore", {})
    assert (config.triplet_alpha, config.triplet_bag_size, config.images_per_identity, config.per_batch_size, config.lr,
            config.triplet_max_ap) == (0.3, 7200, 5, 60, 0.05, 0)
    assert build("r50", "atriplet", "emore", {"triplet_alpha": 0.2}).triplet_alpha == 0.2
    for loss, flags in (("arcface", {"triplet_alpha": 0.3}), ("triplet", {"triplet_alpha": 0.0}),
                        ("triplet", {"images_per_identity": 1}), ("triplet", {"triplet_bag_size": 2}),
                        ("atriplet", {"triplet_max_ap": -1.0}), ("arcface-triplet", {"triplet_weight": float("nan")})):
        with pytest.raises(Failure, match=f"--{next(iter(flags)).replace('_', '-')} "):
            build("r50", loss, "emore", flags)


def checked_run(out, folder, printed, classifier):
    """Check what a run of two steps printed and left."""
    assert re.search(r"^bag 0: \d+ triplets from 24 images of 6 people in \d+\.\d s; mean squared distance ", out, re.M)
    assert re.search(r"^Epoch\[0\] Batch \[0-1\]\tSpeed: \d+\.\d\d samples/sec" + printed, out, re.M)
    assert re.search(r"^\[tiny\]\[2\]Accuracy-Flip: ", out, re.M) and "linear rule" not in out
    assert (folder / "fc7-0001.params").exists() == classifier
    mx.model.load_checkpoint(str(folder / "model"), 1)


@pytest.mark.slow
def test_the_command_on_two_devices(command, faces, tmp_path):
    done = command("recognition/train.py", "--network", "mnas025", "--loss", "atriplet", "--dataset", "mine",
                   "--dataset-path", faces, "--models-root", tmp_path, "--per-batch-size", 6, "--max-steps", 2,
                   "--frequent", 1, "--ctx", "cpu:0,cpu:1", "--triplet-alpha", 4, timeout=300)
    assert done.returncode == 0, done.stderr
    checked_run(done.stdout, tmp_path / "mnas025-atriplet-mine", r"\tlossvalue=\d+\.\d{6}$", classifier=False)


def train(loss, faces, models, **flags):
    train_here(build("mnas025", loss, "mine", {
        "dataset_path": str(faces), "models_root": str(models), "per_batch_size": 6, "ctx": "cpu", "num_workers": 1,
        "triplet_alpha": 4.0, **flags}))


@pytest.mark.slow
@pytest.mark.parametrize("loss, printed", [
    ("triplet", r"\tlossvalue=\d+\.\d{6}$"),
    ("arcface-triplet", r"\tacc=\d\.\d{6}\tlossvalue=\d+\.\d{6}\ttriplet_loss=\d+\.\d{6}$")])
def test_training(faces, tmp_path, capsys, loss, printed):
    train(loss, faces, tmp_path, max_steps=2, frequent=1)
    checked_run(capsys.readouterr().out, tmp_path / f"mnas025-{loss}-mine", printed, loss == "arcface-triplet")


@pytest.mark.slow
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(faces, tmp_path, capsys):
    """Stopped within a bag, with a bag to come that is mined with the network as it is then."""
    def run(models, **flags):
        train("atriplet", faces, models, targets=[], triplet_bag_size=8, lr=0.01, save_every=100, **flags)
        return {f"{owner}:{name}": value.asnumpy()
                for owner, arrays in load(str(models / "mnas025-atriplet-mine")).parts.items()
                for name, value in arrays.items()}

    whole = run(tmp_path / "whole", max_steps=7)
    bags = re.findall(r"bag \d+: \d+ triplets", capsys.readouterr().out)
    run(tmp_path / "parts", max_steps=2)
    parts = run(tmp_path / "parts", max_steps=7, resume=True)
    again = re.findall(r"bag \d+: \d+ triplets", capsys.readouterr().out)
    assert len(bags) >= 2 and again == bags and set(whole) == set(parts)
    np.testing.assert_array_equal(parts["data:triplets"], whole["data:triplets"])
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-4, atol=1e-5, err_msg=name)
