"""Augmentation of single images against MXNet's own iterator, where nothing is left to chance, and by its ranges."""
import cv2
import numpy as np
import pytest

from datasets.formats import records
from recognition.config.datasets import DATASETS
from recognition.data.augmentation import augment
from recognition.data.images import train_iterator


@pytest.fixture(scope="module")
def image():
    coarse = np.random.RandomState(0).randint(0, 256, (6, 6, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("options", [
    {}, {"min_random_scale": 0.8, "max_random_scale": 0.8, "min_img_size": 126, "max_img_size": 126, "fill_value": 127},
    {"min_random_scale": 1.2, "max_random_scale": 1.2}, {"min_img_size": 130}])
def test_as_mxnet_does_it(image, options, tmp_path):
    png = cv2.imencode(".png", image[:, :, ::-1])[1].tobytes()
    records.write(tmp_path, [(0, png, "0.png")])
    theirs = next(train_iterator(tmp_path, 1, mirror=False, augmentation=options)).data[0].asnumpy()[0]
    ours = augment(image, options, np.random.default_rng(0))
    np.testing.assert_allclose(ours.transpose(2, 0, 1), theirs, atol=1)


def test_what_is_drawn(image):
    """Within the table's ranges: the mean over many draws of the lighting, and a face that moves about its place."""
    options = DATASETS["orl"]["augmentation"]
    rng = np.random.default_rng(0)
    dot = np.full((112, 112, 3), 127, np.uint8)
    dot[80:84, 54:58] = 255  # 26 rows below the centre
    light, places = [], []
    for _ in range(300):
        out = augment(dot, options, rng)
        assert out.shape == (112, 112, 3) and out.dtype == np.float32
        light.append(float(np.median(out)) - 127)
        places.append(np.unravel_index(np.argmax(out[:, :, 0]), (112, 112)))
    assert -30 <= min(light) < -25 and 25 < max(light) <= 30 and abs(np.mean(light)) < 4
    rows, columns = np.transpose(places)
    assert 81 - 26 * 0.12 - 9 < rows.min() < 76 and 86 < rows.max() < 82 + 26 * 0.12 + 9
    assert 44 <= columns.min() < 52 and 60 < columns.max() <= 69
    same = [augment(image, options, np.random.default_rng(7)) for _ in range(2)]
    np.testing.assert_array_equal(*same)
