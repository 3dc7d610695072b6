"""Pictures of results."""
import cv2
import numpy as np
import pytest

from eval.reporting import plots


def test_angles_of_distances():
    """Unit vectors at an angle θ are 2 − 2·cos θ apart, squared."""
    degrees = np.array([0.0, 30.0, 90.0, 135.0, 180.0])
    vectors = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], 1)
    dist = ((vectors - [1, 0]) ** 2).sum(1)
    assert plots.angles(dist) == pytest.approx(degrees, abs=1e-5)
    assert plots.angles([-1e-9, 4 + 1e-9]).tolist() == [0, 180]


def test_the_picture_is_drawn_and_whole(tmp_path):
    rng = np.random.RandomState(0)
    issame = np.arange(100) % 2 == 0
    dist = np.where(issame, 0.8, 1.9) + rng.normal(0, 0.2, 100)
    path = tmp_path / "picture.png"
    plots.verification_picture(path, [("untrained", rng.uniform(1, 2, 100)), ("trained", dist)], issame)
    image = cv2.imread(str(path))
    assert image.shape[1] > 2 * image.shape[0] and image.std() > 10
