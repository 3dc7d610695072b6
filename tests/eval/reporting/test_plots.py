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


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_roc_curves(tmp_path, suffix):
    rng = np.random.RandomState(0)
    issame = np.arange(100) % 2 == 0
    curves = [(f"set $x_ \udcff{number}", np.where(issame, 0.8, 1.9) + rng.normal(0, 0.5, 100), issame)
              for number in range(2)]
    plots.roc_picture(tmp_path / f"roc.{suffix}", [*curves, ("one kind", np.ones(3), np.ones(3, bool))])
    assert (tmp_path / f"roc.{suffix}").stat().st_size > 10000


def test_no_roc_curve_of_one_kind(tmp_path, capsys):
    plots.roc_picture(tmp_path / "roc.png", [("one kind", np.ones(3), np.ones(3, bool))])
    assert "roc.png is not written" in capsys.readouterr().err and not (tmp_path / "roc.png").exists()
