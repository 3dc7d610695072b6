import cv2
import numpy as np
import pytest

from eval.protocols import ijb_files
from eval.protocols.ijb_images import LooseCrops
from runtime import Failure
from tests.miniatures import ijb as miniature

FACES = np.random.RandomState(0).randint(0, 256, (8, 112, 112, 3)).astype(np.uint8)


@pytest.fixture
def source(tmp_path):
    order = miniature.build(tmp_path / "set", FACES, np.repeat([5, 7], 4), suffix=".png")
    paths = ijb_files.layout(tmp_path / "set", "IJBC")
    return LooseCrops(paths, ijb_files.read_images(paths)), order, paths


def test_pictures_are_aligned_by_the_points_of_the_list(source):
    crops, order, _ = source
    batches = list(crops.batches(batch=3))
    # The miniature's faces lie in their pictures as they are, so that aligning gives them back.
    np.testing.assert_array_equal(np.concatenate([batch.images for batch in batches]), FACES[order])
    assert np.concatenate([batch.labels for batch in batches]).tolist() == crops.labels.tolist()
    assert [batch.places.tolist() for batch in crops.batches(start=6)] == [[6, 7]]


def test_another_size(source, tmp_path):
    paths = source[2]
    small = LooseCrops(paths, ijb_files.read_images(paths), 56)
    assert next(iter(small.batches())).images.shape[1:] == (56, 56, 3)
    assert small.digest != source[0].digest


def test_the_digest_tells_changes(source):
    crops, _, paths = source
    listed = ijb_files.read_images(paths)
    before = crops.digest
    assert LooseCrops(paths, listed).digest == before
    assert LooseCrops(paths, listed._replace(points=listed.points + 1)).digest != before
    cv2.imwrite(str(paths.crops) + "/3.png", FACES[0, :50])
    assert crops.digest != before


@pytest.mark.parametrize(("content", "message"), [
    (None, "row 3 of .*name_5pts_score"), (b"", "row 3 of"), (b"x" * 99, "row 3 of")])
def test_a_picture_that_cannot_be_used_ends_it(source, tmp_path, content, message):
    crops, _, _ = source
    path = tmp_path / "set" / "loose_crop" / "3.png"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(Failure, match=message):
        list(crops.batches())
    if content is None:
        with pytest.raises(Failure, match=f"is missing; {message}"):
            assert crops.digest


def test_a_name_does_not_lead_out(source, tmp_path):
    _, _, paths = source
    cv2.imwrite(str(tmp_path / "outside.png"), FACES[0])
    listed = ijb_files.read_images(paths)
    with pytest.raises(Failure, match="row 1 of"):
        list(LooseCrops(paths, listed._replace(names=["../../outside.png", *listed.names[1:]])).batches())


def test_missing_pictures(tmp_path, source):
    _, _, paths = source
    paths = paths._replace(crops=str(tmp_path / "nothing"))
    with pytest.raises(Failure, match="nothing is missing: --root has to hold the pictures in loose_crop/"):
        LooseCrops(paths, ijb_files.read_images(paths))
