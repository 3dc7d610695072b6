"""Comparing two photographs, with a threshold that verification calibrates."""
import json
import re

import cv2
import numpy as np
import pytest

from datasets.formats import verification_file
from eval import verification
from eval.reporting import calibration
from runtime import Failure
from tools import compare


def test_calibrating_and_comparing(world, run):
    folder, model, _ = world
    first, second, other = (folder / "people" / name for name in ("p 0/0.png", "p 0/1.png", "p 1/0.png"))
    assert "no threshold is known" in run(compare, first, second, "--model", model, "--aligned")
    said = run(verification, "--model", model, "--target", folder / "pairs.bin", "--calibrate", 0.1)
    made = json.loads((folder / "model-0001-threshold.json").read_text())
    assert f"squared distance below {made['squared_distance']:.4f}" in said.splitlines()[-1]
    images, issame = verification_file.read(folder / "pairs.bin")
    rows = np.stack([world.expected(cv2.imdecode(np.frombuffer(image, np.uint8), 1)[:, :, ::-1]) for image in images])
    dist = np.square(rows[0::2] - rows[1::2]).sum(axis=1)
    allowed = sorted(dist[~issame])[int(0.1 * (~issame).sum())]
    np.testing.assert_allclose(made["squared_distance"], allowed, atol=1e-4)
    assert made["sets"][0]["impostors"] == (~issame).sum() and made["flip"] is True
    for pair, verdict in (((first, second), "same person"), ((first, other), "different people")):
        said = run(compare, *pair, "--model", model, "--aligned", "--picture", folder / "both.png")
        a, b = (world.expected(cv2.imread(str(path))[:, :, ::-1]) for path in pair)
        found = re.match(r"cosine similarity (\S+), angle (\S+) degrees, squared distance (\S+)\n", said).groups()
        np.testing.assert_allclose([float(number) for number in found],
                                   [a @ b, np.degrees(np.arccos(a @ b)), np.square(a - b).sum()], atol=6e-2)
        np.testing.assert_allclose(float(found[0]), a @ b, atol=2e-4)
        assert verdict in said and "false accept rate of 0.1 on pairs" in said
        assert cv2.imread(str(folder / "both.png")).shape == (2 * 112 + compare.CAPTION, 4 * 112, 3)
    with pytest.raises(Failure, match="give --no-flip to both"):
        run(compare, first, second, "--model", model, "--aligned", "--no-flip")
    world.save(folder / "model", 5)
    with pytest.raises(Failure, match="of another network"):
        run(compare, first, second, "--model", model, "--aligned")


def test_where_a_calibration_goes(world, run):
    folder, model, _ = world
    verify = ("--model", model, "--target", folder / "pairs.bin", "--no-flip", "--calibrate", 0.2)
    with pytest.raises(Failure, match="name another file with --calibration"):
        run(verification, *verify, "--calibration", folder / "no" / "thr.json")
    run(verification, *verify, "--calibration", folder / "thr.json")
    assert not calibration.read(folder / "thr.json")["flip"]
    for wrong in (["--calibrate", "0"], ["--calibrate", "1"], ["--calibrate", "x"], ["--calibration", "thr.json"]):
        with pytest.raises(SystemExit) as stopped:
            run(verification, "--model", model, *wrong)
        assert stopped.value.code == 2
