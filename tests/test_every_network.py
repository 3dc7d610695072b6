"""Every network of the table: two steps of training, saved, loaded again, and given on."""
import os

import numpy as np
import pytest

from eval.networks import checkpoints
from recognition.config.build import build
from recognition.config.networks import NETWORKS
from recognition.training.run import train
from runtime import mx

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("network", NETWORKS)
def test_trains_saves_and_comes_back(network, faces, tmp_path, capsys):
    """Finite loss, a checkpoint that gives what the plain symbol gives, and an export to Gluon that agrees."""
    from tools.export import export
    config = build(network, "arcface", "orl", {
        "dataset_path": str(faces), "targets": [], "models_root": str(tmp_path), "lr": 0.001, "per_batch_size": 2,
        "num_workers": 1, "ctx": "cpu", "max_steps": 2, "frequent": 1, "save_every": 0,
        "bn_mom": 0.0})  # statistics of the last batch: two steps are too few for a mean, and deep networks overflow
    prefix = os.path.join(train(config), "model")
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in capsys.readouterr().out.splitlines()
              if line.startswith("step ")]
    assert len(losses) == 2 and np.isfinite(losses).all()

    _symbol, arg_params, _aux_params = checkpoints.load(prefix, 1)
    plain = mx.model.load_checkpoint(prefix, 1)
    assert plain[0].list_outputs() == ["fc1_output"] and set(plain[1]) == set(arg_params)
    _, difference = export((prefix, 1), "gluon", str(tmp_path / "gluon"), fold=True)
    assert difference <= 1e-4


@pytest.mark.parametrize("network", ["y1", "mnas025", "m05"])
def test_onnx_of_a_trained_network(network, faces, tmp_path):
    pytest.importorskip("onnx", reason="needs requirements-onnx.txt")
    pytest.importorskip("onnxruntime", reason="needs requirements-onnx.txt")
    from tools.export import export
    config = build(network, "arcface", "orl", {
        "dataset_path": str(faces), "targets": [], "models_root": str(tmp_path), "lr": 0.001, "per_batch_size": 2,
        "num_workers": 1, "ctx": "cpu", "max_steps": 2, "save_every": 0, "bn_mom": 0.0})
    prefix = os.path.join(train(config), "model")
    _, difference = export((prefix, 1), "onnx", str(tmp_path / network))
    assert difference <= 1e-4
