"""Angle statistics against loops over float64 vectors, written from the caption of Table 3."""
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eval.measures import angles
from eval.networks.embedder import Embedder
from eval.networks.engines.by_mxnet import ByMXNet
from eval.networks.sources import Record, embedded, label_of
from runtime import Failure, mx


def angle(a, b):
    """The angle of two vectors in degrees, by arccos; near 0° float32 would give it to three digits only."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    cosine = np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
    return math.degrees(math.acos(min(1, max(-1, cosine))))


def mean_of_minimum(vectors):
    return np.mean([min(angle(a, b) for j, b in enumerate(vectors) if j != i) for i, a in enumerate(vectors)])


def labelled(seed, images, identities, width):
    draw = np.random.RandomState(seed)
    labels = draw.randint(0, identities, images)
    centres = draw.normal(size=(identities, width))
    embeddings = (centres[labels] + 0.5 * draw.normal(size=(images, width))) * draw.uniform(0.1, 9, (images, 1))
    return embeddings.astype(np.float32), labels, draw.normal(size=(identities + 2, width)).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 60), st.integers(1, 12), st.integers(2, 9), st.integers(1, 20))
@example(946437, 2, 3, 2, 1)  # W is 0.4° from its centre
def test_table3_by_brute_force(seed, images, identities, width, batch):
    embeddings, labels, weight = labelled(seed, images, identities, width)
    stream = ((embeddings[i:i + batch], labels[i:i + batch]) for i in range(0, images, batch))
    got = angles.statistics(stream, weight)
    unit = embeddings.astype(np.float64) / np.linalg.norm(embeddings.astype(np.float64), axis=1, keepdims=True)
    there = sorted(set(labels))
    centre = {name: unit[labels == name].mean(0) for name in there}
    single = [name for name in there if np.sum(labels == name) == 1]
    own = [angle(x, centre[name]) for x, name in zip(unit, labels)]
    kept = [a for a, name in zip(own, labels) if name not in single]
    assert (got.images, got.identities, got.single) == (images, len(there), len(single))
    assert got.w_ec == pytest.approx(np.mean([angle(weight[name], centre[name]) for name in there]), abs=1e-4)
    assert got.w_inter == pytest.approx(mean_of_minimum(weight.astype(np.float64)), abs=1e-4)
    assert got.intra_all == pytest.approx(np.mean(own), abs=1e-4)
    assert got.intra == (pytest.approx(np.mean(kept), abs=1e-4) if kept else None)
    assert got.inter == (pytest.approx(mean_of_minimum(list(centre.values())), abs=1e-4) if len(there) > 1 else None)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 45), st.integers(1, 8))
def test_blocks_do_not_matter(seed, count, block, width):
    vectors = np.random.RandomState(seed).normal(size=(count, width))
    wanted = [min(angle(a, b) for j, b in enumerate(vectors) if j != i) for i, a in enumerate(vectors)]
    assert angles.nearest(vectors, block) == pytest.approx(wanted, abs=1e-4)


def test_many_rows_in_one_batch_of_the_default_block():
    embeddings, labels, _ = labelled(1, 5000, 2500, 3)
    got = angles.statistics([(embeddings, labels)])
    assert got.w_ec is None and got.w_inter is None and got.images == 5000
    assert got.single == sum(np.bincount(labels) == 1) and 0 < got.inter < got.intra


def test_small_angles_keep_their_digits():
    """arccos of a float product would give 0 here."""
    tiny = 1e-9
    assert angles.between([[1, 0]], [[1, tiny]])[0] == pytest.approx(math.degrees(tiny), rel=1e-9)
    assert angles.between([[1, 0]], [[-1, tiny]])[0] == pytest.approx(180, abs=1e-6)
    assert angles.between([[0, 0], [0, 0]], [[3, 4], [0, 0]])[0] == pytest.approx(90)


def test_collapsed_and_lonely():
    same = angles.statistics([(np.ones((6, 4), np.float32), np.arange(6) // 2)], np.ones((3, 4), np.float32))
    assert max(same.w_ec, same.w_inter, same.intra, same.inter) < 1e-4
    lonely = angles.statistics([(np.eye(2, dtype=np.float32), np.array([0, 0]))], np.ones((1, 2), np.float32))
    assert lonely.inter is None and lonely.w_inter is None and lonely.intra == pytest.approx(45)
    assert angles.statistics([(np.eye(3, dtype=np.float32), np.arange(3))]).intra is None


@pytest.mark.parametrize("batches, weight, message", [
    ([], None, "no images"),
    ([(np.full((2, 3), np.nan, np.float32), [0, 1])], None, "not finite"),
    ([(np.ones((2, 3), np.float32), [0, 5])], np.ones((5, 3)), "does not belong"),
    ([(np.ones((2, 3), np.float32), [0, 1])], np.ones((5, 4)), "does not belong")])
def test_what_does_not_fit(batches, weight, message):
    with pytest.raises(Failure, match=message):
        angles.statistics(batches, weight)


@pytest.mark.parametrize("limit", [10**6, 40])
def test_pairs(limit):
    embeddings, labels, _ = labelled(3, 25, 6, 5)
    genuine, impostor = angles.pair_angles(embeddings, labels, limit)
    pairs = [(i, j) for i in range(25) for j in range(i + 1, 25)]
    by_kind = [sorted(angle(embeddings[i].astype(float), embeddings[j].astype(float))
                      for i, j in pairs if (labels[i] == labels[j]) == same) for same in (True, False)]
    assert sorted(genuine) == pytest.approx(by_kind[0], abs=1e-4)
    if limit > len(by_kind[1]):
        assert sorted(impostor) == pytest.approx(by_kind[1], abs=1e-4)
    else:
        places = np.abs(np.subtract.outer(impostor, by_kind[1])).argmin(1)
        assert len(set(places)) == len(impostor) == limit  # each of another pair
        assert np.max(np.abs(np.array(by_kind[1])[places] - impostor)) < 1e-4
        assert (impostor == angles.pair_angles(embeddings, labels, limit)[1]).all()


@pytest.mark.slow
def test_impostors_are_drawn_evenly():
    """Over many draws every impostor pair comes about as often as any other."""
    embeddings = np.stack([np.cos(np.arange(12) ** 2 / 50), np.sin(np.arange(12) ** 2 / 50)], 1)
    labels = np.arange(12) // 2
    everything = angles.pair_angles(embeddings, labels)[1]
    drawn = np.concatenate([angles.pair_angles(embeddings, labels, 20, seed)[1] for seed in range(600)])
    counts = [np.sum(np.abs(drawn - value) < 1e-9) for value in np.unique(np.round(everything, 9))]
    weights = [np.sum(np.abs(everything - value) < 1e-9) for value in np.unique(np.round(everything, 9))]
    assert np.allclose(np.array(counts) / weights, 600 * 20 / 60, rtol=0.35)


def test_one_identity_has_no_impostors():
    genuine, impostor = angles.pair_angles(np.eye(3), [7, 7, 7])
    assert len(genuine) == 3 and len(impostor) == 0


def test_record_is_embedded_in_order(faces):
    data = mx.sym.Variable("data")
    mean = mx.sym.Flatten(mx.sym.Pooling(data, global_pool=True, kernel=(1, 1), pool_type="avg"), name="fc1")
    embedder = Embedder(ByMXNet(mean, {}, {}, batch_size=4))
    source = Record(faces)
    assert [len(batch.labels) for batch in source.batches(batch=5)] == [5, 5, 5, 5, 4]
    batches = list(embedded(embedder, source))
    assert np.concatenate([labels for _, labels in batches]).tolist() == [i for i in range(6) for _ in range(4)]
    embeddings = np.concatenate([rows for rows, _ in batches])
    assert embeddings.shape == (24, 3) and embeddings.std(0).min() > 0


@pytest.mark.parametrize("label", [-1, 0.5, math.nan, math.inf, 6, [6, 0]])
def test_labels_that_are_none(label):
    with pytest.raises(Failure, match="which is not one of its identities"):
        label_of(label, "x.rec: image 3", 6)
