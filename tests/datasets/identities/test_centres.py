"""Files of embeddings, centres, overlaps and noise: against loops over all pairs in float64, and planted cases."""
import io
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets import merge, overlap
from datasets.formats import records
from datasets.formats.embeddings import Embeddings, write
from datasets.identities import centres
from runtime import Failure


def unit(rows):
    rows = np.asarray(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def crowd(tmp_path):
    """Embeddings of 40 identities with 1 to 9 images, shuffled, labels with gaps; norms of any size."""
    rng = np.random.RandomState(0)
    labels = np.repeat(7 * np.arange(40) - 3, rng.randint(1, 10, 40))
    rng.shuffle(labels)
    means = rng.normal(size=(300, 24))
    rows = (means[labels + 3] + 0.4 * rng.normal(size=(len(labels), 24))) * rng.uniform(0.1, 9, (len(labels), 1))
    np.savez(tmp_path / "crowd.npz", embeddings=rows.astype(np.float32), labels=labels)
    return tmp_path / "crowd.npz", rows.astype(np.float32), labels


@pytest.mark.parametrize("block", [1, 5, 1000])
def test_centres_equal_those_of_a_loop(crowd, block, monkeypatch):
    path, rows, labels = crowd
    monkeypatch.setattr(Embeddings.blocks, "__defaults__", (block,))
    found = centres.Identities(Embeddings(path))
    for place, label in enumerate(sorted(set(labels))):
        mine = unit(rows[labels == label])
        assert found.labels[place] == label and found.counts[place] == len(mine)
        np.testing.assert_allclose(found.sums[place], mine.sum(axis=0), atol=1e-5)
        np.testing.assert_allclose(found.centres[place], unit([mine.sum(axis=0)])[0], atol=1e-6)


def planted(tmp_path, seed=0):
    """A training set of 30 identities, of which 4, 11 and 25 are the test set's 2, 0 and 5."""
    rng = np.random.RandomState(seed)
    means = rng.normal(size=(33, 64))
    own, others = np.arange(30), [11, 30, 4, 31, 32, 25]

    def images(people, each):
        return np.concatenate([means[person] + 0.5 * rng.normal(size=(each, 64)) for person in people])
    write(tmp_path / "train.npz", [images(own, 4)], np.repeat(np.arange(30), 4))
    write(tmp_path / "test.npz", [images(others, 3)], np.repeat(np.arange(6), 3), [f"t{i}.jpg" for i in range(18)])
    return tmp_path / "train.npz", tmp_path / "test.npz"


def test_planted_overlaps_are_found_with_their_evidence(tmp_path):
    train, test = map(Embeddings, planted(tmp_path))
    mine, theirs = centres.Identities(train), centres.Identities(test)
    pairs = overlap.find_pairs(train, mine, test, theirs, overlap.SAME)
    assert sorted((pair.identity, pair.other) for pair in pairs) == [(4, 2), (11, 0), (25, 5)]
    with np.load(tmp_path / "train.npz") as one, np.load(tmp_path / "test.npz") as two:
        a, b = unit(one["embeddings"]), unit(two["embeddings"])
    for pair in pairs:
        own, other = a[4 * pair.identity:][:4], b[3 * pair.other:][:3]
        to_other, to_own = (own @ unit([other.sum(axis=0)])[0], other @ unit([own.sum(axis=0)])[0])
        assert pair.image == f"image {4 * pair.identity + to_other.argmax() + 1}"
        assert pair.other_image == f"t{3 * pair.other + to_own.argmax()}.jpg" and pair.test == "test.npz"
        np.testing.assert_allclose([pair.image_cosine, pair.other_cosine], [to_other.max(), to_own.max()], atol=1e-5)
        np.testing.assert_allclose(pair.cosine, (unit([own.sum(axis=0)]) @ unit([other.sum(axis=0)]).T)[0, 0],
                                   atol=1e-5)


def test_planted_noise_is_found(tmp_path):
    """Images that belong to other identities, or to nobody; and an identity that is there twice."""
    rng = np.random.RandomState(3)
    means = rng.normal(size=(12, 64))
    means[9] = means[2]
    labels = np.repeat(np.arange(12), 6)
    rows = means[labels] + 0.4 * rng.normal(size=(72, 64))
    rows[8] = means[7] + 0.4 * rng.normal(size=64)
    rows[50] = rng.normal(size=64)
    write(tmp_path / "noise.npz", [rows], labels)
    embeddings = Embeddings(tmp_path / "noise.npz")
    identities = centres.Identities(embeddings)
    far = overlap.find_far(embeddings, identities, overlap.NOISE)
    unit_rows = unit(rows.astype(np.float32))
    expected = {}
    for row in range(72):
        rest = [other for other in range(72) if labels[other] == labels[row] and other != row]
        cosine = float(unit_rows[row] @ unit([unit_rows[rest].sum(axis=0)])[0])
        if cosine < overlap.NOISE:
            expected[f"image {row + 1}"] = cosine
    assert set(expected) == {"image 9", "image 51"} == {one.image for one in far}
    for one in far:
        np.testing.assert_allclose(one.cosine, expected[one.image], atol=1e-5)
    assert next(one.nearest for one in far if one.image == "image 9") == 7
    alike = overlap.find_pairs(embeddings, identities, embeddings, identities, overlap.SAME)
    assert [(pair.identity, pair.other) for pair in alike] == [(2, 9)]


def test_an_image_alone_is_not_judged(tmp_path):
    write(tmp_path / "one.npz", [[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]], [0, 1, 1])
    embeddings = Embeddings(tmp_path / "one.npz")
    rows, *_ = centres.far_images(embeddings, centres.Identities(embeddings), 0.99)
    assert rows.tolist() == [1, 2]


def test_numpy_reads_what_is_written_and_the_other_way_round(tmp_path):
    rows = np.random.RandomState(0).normal(size=(10, 3)).astype(np.float32)
    write(tmp_path / "a.npz", iter([rows[:4], rows[4:]]), range(10), ["ü"] * 10, more=np.array([1]))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as read:
        np.testing.assert_array_equal(read["embeddings"], rows)
        np.testing.assert_array_equal(read["labels"], np.arange(10))
        assert read["names"][3] == "ü" and read["more"] == [1]
    for save, kind in ((np.savez, np.float16), (np.savez_compressed, np.float64), (np.savez, ">f4")):
        save(tmp_path / "b.npz", embeddings=rows.astype(kind), labels=np.arange(10, dtype=np.uint8))
        read = np.concatenate([block for _, block in Embeddings(tmp_path / "b.npz").blocks(3)])
        np.testing.assert_allclose(read, unit(rows.astype(kind)), atol=1e-5)
    with pytest.raises(Failure, match="4 embeddings for 5 labels"):
        write(tmp_path / "c.npz", [rows[:4]], range(5))
    assert not (tmp_path / "c.npz").exists()


@pytest.fixture
def by_networks(tmp_path):
    """A function that writes two files of embeddings by given networks, arrays `network` or None."""
    def make(first, second):
        for name, network in (("a.npz", first), ("b.npz", second)):
            more = {} if network is None else {"network": np.array(network)}
            write(tmp_path / name, [np.eye(3, dtype=np.float32)], [0, 1, 2], **more)
        return str(tmp_path / "a.npz"), str(tmp_path / "b.npz")
    return make


NETWORK = ["m", "1", "f", "flip"]


@pytest.mark.parametrize("other, says", [
    (["n", "2", "g", "flip"], r"a\.npz and .*b\.npz are of two networks \(m, epoch 1, and n, epoch 2\), whose "
                              "embeddings cannot be compared: make (both|all) with one network"),
    (["m", "1", "f", "single crop"], r"a\.npz was made with mirror images, and .*b\.npz without: make (both|all) with "
                                     "--no-flip, or none")])
def test_embeddings_of_two_networks_are_not_compared(by_networks, other, says, tmp_path):
    first, second = by_networks(NETWORK, other)
    with pytest.raises(Failure, match=says):
        overlap.main([first, second, "--list", str(tmp_path / "list.tsv")])
    assert not (tmp_path / "list.tsv").exists()


@pytest.mark.parametrize("other", [None, NETWORK, ["elsewhere/m", "7", "f", "flip"], ["f"], [1, 2, 3, 4],
                                   ["n", "2", "g", "neither"]])
def test_embeddings_of_one_network_or_an_unknown_one_are_compared(by_networks, other, capsys):
    overlap.main(list(by_networks(NETWORK, other)))
    assert "3 identities of" in capsys.readouterr().out


def test_joining_records_by_two_networks(by_networks, tmp_path):
    for name in "ab":
        records.write(tmp_path / name, [(person, b"an image", "x") for person in range(3)])
    first, second = by_networks(NETWORK, ["n", "2", "g", "flip"])
    write(tmp_path / "unknown.npz", [np.eye(3, dtype=np.float32)], [0, 1, 2])
    folders = [str(tmp_path / name) for name in "aab"]
    with pytest.raises(Failure, match=r"a\.npz and .*b\.npz are of two networks"):
        merge.main([*folders, "--embeddings", str(tmp_path / "unknown.npz"), first, second,
                    "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def archive(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


class Trap:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


ROWS, LABELS = np.eye(3, dtype=np.float32), np.arange(3)


@pytest.mark.parametrize("content, says", [
    (b"", "damaged"), (b"PK\3\4 and no more", "damaged"), (b"\x93NUMPY", "damaged"),
    (archive(embeddings=ROWS), "no array 'labels'"), (archive(labels=LABELS), "no array 'embeddings'"),
    (archive(embeddings=ROWS, labels=np.array([Trap()] * 3, object)), "labels are object"),
    (archive(embeddings=np.array([[Trap()]] * 3, object), labels=LABELS), "embeddings are object"),
    (archive(embeddings=ROWS, labels=LABELS[:2]), "3 embeddings of 3 numbers and 2 labels"),
    (archive(embeddings=ROWS, labels=LABELS / 2), "labels are float64"),
    (archive(embeddings=ROWS[0], labels=LABELS), "of shape"),
    (archive(embeddings=ROWS[:0], labels=LABELS[:0]), "has 0"),
    (archive(embeddings=np.asfortranarray(ROWS * 2 + ROWS[::-1]), labels=LABELS), "order of Fortran"),
    (archive(embeddings=ROWS, labels=LABELS, names=np.array(["a"])), "1 names"),
    (archive(embeddings=ROWS, labels=LABELS, names=np.array([Trap()] * 3, object)), "names are object")])
def test_hostile_files(tmp_path, content, says):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(Failure, match=f"x.npz .*{says}"):
        list(Embeddings(path).blocks())


def test_a_header_that_claims_more_than_there_is(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        for name, shape in (("embeddings", (1 << 40, 512)), ("labels", (1 << 40,))):
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(header, {
                "descr": "<f4" if len(shape) == 2 else "<i8", "fortran_order": False, "shape": shape})
            file.writestr(name + ".npy", header.getvalue())
    with pytest.raises(Failure, match="cut short"):
        Embeddings(tmp_path / "x.npz")


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_embeddings_without_direction(tmp_path, value):
    write(tmp_path / "x.npz", [np.vstack([ROWS, np.full((1, 3), value)])], [0, 1, 2, 3])
    with pytest.raises(Failure, match="image 4 is zero or not finite"):
        centres.Identities(Embeddings(tmp_path / "x.npz"))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_files_end_in_one_line(tmp_path, data):
    content = bytearray(archive(embeddings=ROWS, labels=LABELS, names=np.array(["a", "b", "c"])))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "x.npz").write_bytes(content[:data.draw(st.integers(0, len(content)))] if data.draw(st.booleans())
                                     else content)
    try:
        embeddings = Embeddings(tmp_path / "x.npz")
        centres.Identities(embeddings)
        embeddings.name(0)
    except Failure as failure:
        assert "\n" not in str(failure)
