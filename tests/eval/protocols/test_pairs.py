"""The verification protocol against NumPy, and the lines it is reported in."""
import math
import re

import cv2
import numpy as np
import pytest

from datasets.formats.verification_file import read
from eval.networks.checkpoints import load
from eval.networks.embedder import Embedder
from eval.networks.engines.by_mxnet import ByMXNet
from eval.protocols.pairs import format_auc, format_lines, verify
from runtime import Failure


class Projection:
    """Stands for an embedder: a fixed linear map of the pixels."""
    image_shape = (3, 8, 8)

    def __init__(self, value=None):
        self.matrix = np.random.RandomState(0).normal(size=(192, 5)) if value is None else np.full((192, 5), value)
        self.seen = 0

    def __call__(self, images):
        images = np.concatenate([images] if isinstance(images, np.ndarray) else list(images))
        self.seen += len(images)
        return (images.reshape(len(images), -1) @ self.matrix).astype(np.float32)

    def both_flips(self, images):
        images = np.concatenate([images] if isinstance(images, np.ndarray) else list(images))
        return self(images), self(images[:, :, ::-1])


def faces(count):
    return np.random.RandomState(0).randint(0, 256, (count, 8, 8, 3)).astype(np.uint8)


ISSAME = np.arange(20) % 3 == 0


@pytest.mark.parametrize("flip", [True, False])
def test_measures_come_from_the_summed_flips(flip):
    images, embedder = faces(40), Projection()
    result = verify(embedder, images, ISSAME, flip=flip)
    flips = [images.reshape(40, -1) @ embedder.matrix, images[:, :, ::-1].reshape(40, -1) @ embedder.matrix][:1 + flip]
    total = sum(flips)
    unit = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(result.embeddings, unit, atol=1e-5)
    np.testing.assert_allclose(result.distances, np.square(unit[::2] - unit[1::2]).sum(axis=1), atol=1e-5)
    assert result.xnorm == pytest.approx(np.mean([np.linalg.norm(one, axis=1).mean() for one in flips]), rel=1e-5)
    right = [np.mean((result.distances[fold] < threshold) == ISSAME[fold])
             for fold, threshold in zip(np.split(np.arange(20), 10), result.thresholds)]
    assert (result.accuracy, result.std) == pytest.approx((np.mean(right), np.std(right)))
    genuine, impostor = result.distances[ISSAME], result.distances[~ISSAME]
    assert result.auc == pytest.approx(np.mean(genuine[:, None] < impostor))


def test_encoded_images_go_through_once():
    distinct, embedder = faces(6), Projection()
    order = np.random.RandomState(1).randint(0, 6, 40)
    encoded = [cv2.imencode(".png", image[:, :, ::-1])[1].tobytes() for image in distinct]
    result = verify(embedder, [encoded[number] for number in order], ISSAME)
    assert embedder.seen == 2 * 6
    wanted = verify(embedder, distinct[order], ISSAME)
    assert (result.distances == wanted.distances).all()
    assert (result.accuracy, result.xnorm, result.tar) == pytest.approx(
        (wanted.accuracy, wanted.xnorm, wanted.tar), nan_ok=True)


def test_batches_of_images():
    images = faces(40)
    assert verify(Projection(), iter(np.split(images, 8)), ISSAME).accuracy == verify(
        Projection(), images, ISSAME).accuracy


def test_what_cannot_be_verified():
    for images, issame, message in [(faces(38), ISSAME, "38 images, where 20 pairs need 40"),
                                    (faces(10), ISSAME[:5], "5 pairs do not make 10 folds"),
                                    (faces(0), ISSAME[:0], "0 pairs")]:
        with pytest.raises(Failure, match="lfw: " + message):
            verify(Projection(), images, issame, name="lfw")
    with pytest.raises(Failure, match="not finite"):
        verify(Projection(np.nan), faces(40), ISSAME)
    with pytest.raises(Failure, match="image 3 cannot be decoded"):
        good = cv2.imencode(".png", faces(1)[0])[1].tobytes()
        verify(Projection(), [good] * 3 + [b"no image"] + [good] * 36, ISSAME)


def test_equal_embeddings_give_numbers():
    result = verify(Projection(0.0), faces(40), ISSAME)
    assert result.xnorm == 0
    assert (result.distances == 0).all()
    assert all(map(math.isfinite, (result.accuracy, result.std, result.auc)))


NUMBER = r"[01]\.[0-9]{5}\+-0\.[0-9]{5}"


def matches(lines, *forms):
    return len(lines) == len(forms) and all(re.fullmatch(form, line) for form, line in zip(forms, lines))


def test_lines():
    result = verify(Projection(), faces(80), np.arange(40) % 2 == 0)
    assert matches(format_lines("lfw", 2000, result), r"\[lfw\]\[2000\]XNorm: [0-9]+\.[0-9]{6}",
                   rf"\[lfw\]\[2000\]Accuracy-Flip: {NUMBER}")
    tar = rf"\[lfw\]TAR@FAR=1e-3: {NUMBER} \(FAR [01]\.[0-9]{{5}}\)"
    assert matches(format_lines("lfw", None, result), r"\[lfw\]XNorm: [0-9]+\.[0-9]{6}",
                   r"\[lfw\]Accuracy: 0\.00000\+-0\.00000", rf"\[lfw\]Accuracy-Flip: {NUMBER}", tar)
    single = verify(Projection(), faces(80), np.arange(40) % 2 == 0, flip=False)
    assert matches(format_lines("lfw", None, single), r"\[lfw\]XNorm: [0-9]+\.[0-9]{6}",
                   rf"\[lfw\]Accuracy: {NUMBER}", tar)
    assert f"{single.accuracy:.5f}+-{single.std:.5f}" in format_lines("lfw", None, single)[1]


def test_published_figures_in_lines():
    result = verify(Projection(), faces(40), ISSAME)
    result.update(xnorm=22.13248, accuracy=0.986, std=0.00429)
    assert format_lines("lfw", 2000, result) == ["[lfw][2000]XNorm: 22.132480",
                                                 "[lfw][2000]Accuracy-Flip: 0.98600+-0.00429"]


def test_lines_say_what_cannot_be_computed():
    line = format_lines("x", None, verify(Projection(), faces(40), np.ones(20, bool)))[-1]
    assert line == "[x]TAR@FAR=1e-3: cannot be computed: the set has no impostor pairs"
    one_kind_folds = verify(Projection(), faces(40), np.arange(20) != 5, nfolds=2)
    assert format_lines("x", None, one_kind_folds)[-1].endswith("cannot be computed: only fold 1 has impostor pairs")
    no_far = verify(Projection(), faces(40), np.arange(20) % 4 != 0, nfolds=20)
    assert "cannot be computed: folds 1, 5, 9, 13, 17 without genuine pairs" in format_lines("x", None, no_far)[-1]
    no_far = verify(Projection(), faces(40), np.isin(np.arange(20), (0, 1, 2, 3, 4, 6)), nfolds=4)
    assert "cannot be computed: folds 3, 4 without genuine pairs" in format_lines("x", None, no_far)[-1]
    no_far = verify(Projection(), faces(40), ~np.isin(np.arange(20), (1, 6, 11)), nfolds=4)
    assert re.search(rf": {NUMBER} \(FAR cannot be computed: fold 4 without impostor pairs\)",
                     format_lines("x", None, no_far)[-1])


def test_line_on_auc():
    result = verify(Projection(), faces(40), ISSAME)
    genuine, impostor = result.distances[ISSAME], result.distances[~ISSAME]
    below = np.mean([(one < other) + (one == other) / 2 for one in genuine for other in impostor])
    assert format_auc("lfw", result) == f"[lfw]AUC: {below:.5f}"
    assert format_auc("x", verify(Projection(), faces(40), np.ones(20, bool))) == \
        "[x]AUC: cannot be computed: the set has no impostor pairs"
    assert format_auc("x", verify(Projection(), faces(40), np.zeros(20, bool))) == \
        "[x]AUC: cannot be computed: the set has no genuine pairs"
    # All distances are equal: each genuine pair ties with each impostor pair.
    assert format_auc("x", verify(Projection(0.0), faces(40), ISSAME)) == "[x]AUC: 0.50000"


def test_too_few_pairs_in_training():
    """There is no --nfolds where a network is verified while it trains."""
    with pytest.raises(Failure, match=r"lfw: 5 pairs do not make 10 folds: .*10 pairs, .*--target") as caught:
        verify(Projection(), faces(10), ISSAME[:5], name="lfw")
    assert "--nfolds" not in str(caught.value)


@pytest.mark.slow
def test_the_published_checkpoint_tells_faces_apart(published, orl):
    images, issame = read(orl / "orl.bin")
    embedder = Embedder(ByMXNet(*load(published, 0)))
    result = verify(embedder, images, issame)
    assert result.accuracy >= 0.980
    assert result.auc >= 0.998
    assert format_auc("orl", result) == "[orl]AUC: 0.99920"
    assert verify(embedder, images, issame, flip=False).accuracy >= 0.975


def test_ten_genuine_pairs(published, shared):
    images, issame = read(shared / "reference" / "small_lfw.bin")
    result = verify(Embedder(ByMXNet(*load(published, 0), batch_size=8)), images, issame)
    assert 9 < result.xnorm < 13
    assert (result.distances < 1.3).all()
    assert math.isnan(result.tar)
    assert math.isnan(result.auc)
