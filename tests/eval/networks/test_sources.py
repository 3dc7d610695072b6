"""Sources of images: what they give, from any place on, and what tells them apart."""
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.formats import records, verification_file
from eval.networks import sources
from runtime import Failure


def image(number):
    return np.full((112, 112, 3), number, np.uint8)


def encoded(number):
    return cv2.imencode(".png", image(number))[1].tobytes()


@pytest.fixture
def made(tmp_path):
    """A function that makes a source of seven images of the values 0 … 6: made("record")."""
    def make(kind):
        if kind == "record":
            records.write(tmp_path / "rec", [(number // 3, encoded(number), "x") for number in range(7)])
            return sources.Record(str(tmp_path / "rec"))
        if kind == "pairs":
            numbers = [0, 1, 1, 2, 3, 0, 4, 3, 5, 6]
            verification_file.write(tmp_path / "p.bin", [encoded(number) for number in numbers], [1, 1, 0, 1, 0])
            return sources.VerificationFile(str(tmp_path / "p.bin"))
        for number in range(7):
            (tmp_path / "people" / f"p{number // 3}").mkdir(parents=True, exist_ok=True)
            (tmp_path / "people" / f"p{number // 3}" / f"{number}.png").write_bytes(encoded(number))

        def face(path, root):
            assert root == str(tmp_path / "people")
            if Path(path).read_bytes() == b"left out":
                raise Failure(f"{path} is odd")
            return cv2.imread(path)
        return sources.Folder(str(tmp_path / "people"), face)
    return make


LABELS = {"record": [0, 0, 0, 1, 1, 1, 2], "pairs": [0, 0, 0, 1, 1, 2, 3], "folder": [0, 0, 0, 1, 1, 1, 2]}


@pytest.mark.parametrize("kind", LABELS)
def test_batches_from_any_place(made, kind):
    source = made(kind)
    assert len(source) == 7
    # labels of a verification file are numbers without a meaning: which are equal is what counts
    assert [list(source.labels).index(label) for label in source.labels] == [
        LABELS[kind].index(label) for label in LABELS[kind]]
    for start in range(8):
        for size in (1, 3, 7, 50):
            batches = list(source.batches(start, size))
            assert [batch.end for batch in batches] == [*range(start + size, 7, size), *[7] * (start < 7)]
            places = [place for batch in batches for place in batch.places]
            assert places == list(range(start, 7))
            for batch in batches:
                assert batch.images[:, 5, 5, 1].tolist() == batch.places.tolist() and batch.images.dtype == np.uint8
                assert batch.labels.tolist() == source.labels[batch.places].tolist()


def test_names(made):
    assert made("record").names is None
    assert made("pairs").names == ["image 0", "image 1", "image 3", "image 4", "image 6", "image 8", "image 9"]
    folder = made("folder")
    assert folder.names == [os.path.join(f"p{number // 3}", f"{number}.png") for number in range(7)]
    assert folder.people == {0: "p0", 1: "p1", 2: "p2"}


def test_a_photograph_that_cannot_be_used(made, tmp_path, capsys):
    source = made("folder")
    for number in (0, 4, 6):
        (tmp_path / "people" / f"p{number // 3}" / f"{number}.png").write_bytes(b"left out")
    batches = list(source.batches(0, 2))
    assert [batch.places.tolist() for batch in batches] == [[1], [2, 3], [5], []]
    assert [batch.end for batch in batches] == [2, 4, 6, 7] and batches[3].images.shape == (0, 112, 112, 3)
    assert capsys.readouterr().out.count("left out: ") == 3


@pytest.mark.parametrize("kind", LABELS)
def test_a_digest_changes_with_the_source(made, tmp_path, kind):
    source = made(kind)
    digest = source.digest
    assert source.digest == digest and len(digest) == 64
    if kind == "record":
        path, again = tmp_path / "rec" / "train.rec", lambda: sources.Record(str(tmp_path / "rec"))
    elif kind == "pairs":
        verification_file.write(tmp_path / "p.bin", [encoded(9)] * 2, [True])
        assert sources.VerificationFile(str(tmp_path / "p.bin")).digest != digest
        return
    else:
        path, again = tmp_path / "people" / "p1" / "4.png", lambda: sources.Folder(str(tmp_path / "people"), None)
        assert sources.Folder(str(tmp_path / "people"), None, aligned=True).digest != digest
    assert again().digest == digest
    os.utime(path, ns=(1, 1))
    assert again().digest != digest


def test_a_source_that_is_moved_stays_the_same(made, tmp_path):
    digest = made("record").digest
    shutil.move(str(tmp_path / "rec"), str(tmp_path / "elsewhere"))
    assert sources.Record(str(tmp_path / "elsewhere")).digest == digest


def test_an_image_that_cannot_be_decoded_is_named_by_its_place(tmp_path):
    verification_file.write(tmp_path / "p.bin", [encoded(0), encoded(0), encoded(1), b"none"], [True, False])
    source = sources.VerificationFile(str(tmp_path / "p.bin"))
    with pytest.raises(Failure, match="p.bin: image 3 cannot be decoded"):
        list(source.batches())


def test_embeddings_that_are_not_finite(made):
    with pytest.raises(Failure, match="^the network gives embeddings that are not finite; its training had diverged"):
        list(sources.embedded(lambda images: np.full((len(images), 2), np.nan), made("record")))
