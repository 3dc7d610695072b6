"""The paper's figures: curves against the formulas, and that each is drawn."""
import math
import os
import re

import numpy as np
import pytest

from datasets.formats import records
from eval.reporting import plots
from recognition.config.losses import LOSSES
from recognition.reporting.angle_trace import read
from runtime import Failure, mx
from tools.paper import figures
from tools.paper.evaluated import Checkpoint


@pytest.mark.parametrize("loss", [loss for loss, entry in LOSSES.items()
                                  if entry.settings["loss_name"] == "margin_softmax"])
def test_target_logit_is_the_formula(loss):
    """cos(m1·θ + m2) − m3 by the math module, wherever the head does not clip: 0.03° from 0° and 180°."""
    entry = LOSSES[loss].settings
    degrees = np.linspace(0.03, 179.97, 181)
    wanted = [math.cos(entry["loss_m1"] * math.radians(one) + entry["loss_m2"]) - entry["loss_m3"] for one in degrees]
    # float32 knows an angle near 0° and 180° to some hundredths of a degree only.
    near = np.minimum(degrees, 180 - degrees) < 3
    got = figures.target_logit(loss, degrees)
    assert np.abs(got - wanted)[~near].max() < 5e-6 and np.abs(got - wanted)[near].max() < 1e-3


def test_curves_are_those_of_figure_4b():
    lines = {line.get_label(): line.get_xydata() for line in figures.figure4b().axes[0].lines}
    margins = {"Softmax": (1, 0, 0), "SphereFace (1.35)": (1.35, 0, 0), "CosFace (0.35)": (1, 0, 0.35),
               "ArcFace (0.5)": (1, 0.5, 0), "CM1 (1, 0.3, 0.2)": (1, 0.3, 0.2),
               "CM2 (0.9, 0.4, 0.15)": (0.9, 0.4, 0.15)}
    for label, (m1, m2, m3) in margins.items():
        theta, logit = lines[label].T
        assert theta[0] == 20 and theta[-1] == 100
        assert np.abs(logit - (np.cos(m1 * np.radians(theta) + m2) - m3)).max() < 5e-6


@pytest.mark.parametrize("loss, first", [
    ("nsoftmax", lambda second: second), ("sphereface", lambda second: second / 1.35),
    ("arcface", lambda second: second - math.degrees(0.5)),
    ("cosface", lambda second: math.degrees(math.acos(math.cos(math.radians(second)) + 0.35)))])
def test_boundaries(loss, first):
    """Class 1 is right where cos(m1·θ₁ + m2) − m3 exceeds cos θ₂."""
    for second in (55, 70, 90):
        assert figures.boundary(loss, np.array([second]))[0] == pytest.approx(first(second), abs=0.02)
    if loss in ("arcface", "cosface"):
        assert np.isnan(figures.boundary(loss, np.array([10.0])))[0]


def trace(path, steps=40, batch=100):
    """Write what a run with --trace-angles keeps: from 90° to 30°."""
    mean = np.linspace(90, 30, steps)
    counts = np.stack([np.histogram(np.random.RandomState(step).normal(mean[step], 5, batch), 180, (0, 180))[0]
                       for step in range(steps)])
    np.savez(path, steps=np.stack([np.arange(1, steps + 1)] * 2, 1), means=mean, counts=counts, edges=np.arange(181.0))
    return path


def test_figure4a(tmp_path, picture):
    figure = figures.figure4a(read(trace(tmp_path / "angles.npz")))
    means = [float(re.search(r"mean ([\d.]+)°", text.get_text()).group(1))
             for text in figure.axes[0].get_legend().get_texts()]
    assert len(means) == 3 and 90 > means[0] > 65 > means[1] > 55 > means[2] > 30
    for line, mean in zip(figure.axes[0].lines[0::2], means):  # each is followed by the line of its mean
        degrees, share = line.get_xydata().T
        assert share.sum() == pytest.approx(100) and degrees @ share / 100 == pytest.approx(mean, abs=1)
    picture(figure, tmp_path / "figure")


@pytest.mark.slow
def test_the_same_figure_gives_the_same_bytes(tmp_path, picture):
    for stem in ("a", "b"):
        picture(figures.figure5(), tmp_path / stem)
    for kind in ("png", "svg"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_angle_histograms_hold_every_pair(tmp_path):
    figure, [axes] = plots.plt.subplots(1, 1, squeeze=False)[0], [plots.plt.figure().add_subplot()]
    plots.draw_angles(axes, np.array([0, 10, 10, 180.0]), np.array([]), "title")
    heights = axes.patches[0].get_xy()[:, 1]
    assert heights.max() == pytest.approx(50) and axes.get_xlim() == (0, 180)
    plots.plt.close(figure)
    plots.plt.close(axes.figure)


def colours(images):
    """Stands for a network: an image's mean colour."""
    return images.mean((1, 2)).astype(np.float32)


colours.image_shape = (3, 112, 112)


@pytest.mark.slow
def test_figure6(faces, tmp_path, picture):
    figure = figures.figure6([("ArcFace", colours), ("Triplet", colours)], str(faces), limit=50)
    assert [axes.get_title() for axes in figure.axes] == ["ArcFace", "Triplet"]
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["genuine (36 pairs)", "impostor (50 pairs)"]  # 6 identities of 4 images
    assert figure.axes[0].axis() == figure.axes[1].axis()
    picture(figure, tmp_path / "figure")


def test_figure6_needs_pairs(faces, tmp_path):
    image = next(records.iterate(faces))[2]
    records.write(tmp_path, [(0, image, "a"), (1, image, "b")])
    with pytest.raises(Failure, match="genuine pairs need"):
        figures.figure6([("ArcFace", colours)], str(tmp_path))


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint whose embedding is an image's mean colour."""
    data = mx.sym.Variable("data") * (1 / 255)
    mean = mx.sym.Pooling(data, global_pool=True, kernel=(1, 1), pool_type="avg")
    symbol = mx.sym.FullyConnected(mean, num_hidden=3, name="fc1")
    mx.model.save_checkpoint(str(tmp_path / "model"), 1, symbol, {"fc1_weight": mx.nd.array(np.eye(3)),
                                                                  "fc1_bias": mx.nd.zeros(3)}, {})
    return str(tmp_path / "model"), 1


@pytest.mark.slow
def test_figure7(faces, checkpoint, tmp_path, picture):
    figure = figures.figure7(Checkpoint(*checkpoint), [("tiny", str(faces / "tiny.bin"))] * 4)
    titles = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert len(titles) == 4 and re.fullmatch(r"tiny \(\d+\.\d\d %\)", titles[0])
    picture(figure, tmp_path / "figure")


def drawn(figure):
    return [patch.get_xy().tolist() for patch in figure.axes[0].patches]


def test_figure7_takes_what_is_kept(faces, checkpoint, capsys, monkeypatch):
    target = [("tiny", str(faces / "tiny.bin"))]
    first = figures.figure7(Checkpoint(*checkpoint), target)
    path = os.path.join(os.path.dirname(checkpoint[0]), "evaluations", "tiny.json")
    assert capsys.readouterr().err == ""
    other = figures.figure7(Checkpoint(*checkpoint), target, flip=False)  # that is not there yet
    assert capsys.readouterr().err == "" and drawn(other) and drawn(first)
    monkeypatch.setattr(Checkpoint, "embedder", property(lambda self: pytest.fail("it is computed again")))
    again = figures.figure7(Checkpoint(*checkpoint), target)
    assert capsys.readouterr().err == f"tiny: from {path}\n"
    assert drawn(again) == drawn(first)
    assert again.axes[0].get_title() == first.axes[0].get_title()
