"""Table 7 and Figure 9 from results beside checkpoints."""
import json

import numpy as np
import pytest

from eval.networks import checkpoints
from eval.reporting import results
from runtime import Failure, mx
from tools import reproduce
from tools.paper import ijb


@pytest.fixture
def checkpoint(tmp_path):
    """Prefix of a small checkpoint, with results of IJB-C beside it."""
    symbol = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.Variable("data")), num_hidden=2, no_bias=True, name="fc1")
    prefix = str(tmp_path / "run" / "model")
    (tmp_path / "run").mkdir()
    checkpoints.save(prefix, 1, symbol, {"fc1_weight": mx.nd.array(np.full((2, 3 * 112 * 112), 0.5))}, {})
    add(prefix, 0.91)
    return prefix


def add(prefix, tar, setting="N0D0F0", fingerprint=None, **values):
    fingerprint = fingerprint or checkpoints.fingerprint(*checkpoints.load(prefix, 1)[1:])
    results.keep(prefix, "ijbc", results.of_benchmark(
        {"name": "ijbc", "setting": setting}, {"tar": {"1e-04": tar}, "tar_strict": {"1e-04": tar - 0.002},
                                               "roc": {"far": [1e-6, 1e-3, 1.0], "tar": [0.5, tar, 1.0]}, **values},
        {"path": "/data/IJBC"}, {"prefix": prefix, "epoch": 1, "fingerprint": fingerprint}, False))


def test_table7(checkpoint, run, tmp_path):
    text = run(reproduce, "table7", "--model", f"{checkpoint},1", "--out", tmp_path / "t7")
    assert "| MS1MV2, R100, ArcFace | 0.942 | 0.956 |" in text
    assert "| **here: model, epoch 1** | needs data | 0.910 |" in text
    assert "| **here: model, epoch 1, FAR at most 1e-4** | needs data | 0.908 |" in text
    assert "IJB-B needs the results of `python eval/ijb.py --root DIR --target IJBB --model PREFIX,EPOCH`." in text
    assert "IJB-C needs" not in text and "Data: /data/IJBC." in text
    rows = json.loads((tmp_path / "t7.json").read_text())["rows"]
    assert rows[0]["columns"]["IJB-C"] == {"tar": 0.91, "tar_strict": pytest.approx(0.908), "data": "/data/IJBC"}
    assert "here:" not in run(reproduce, "table7")


def test_results_of_others_do_not_count(checkpoint, run):
    add(checkpoint, 0.77, setting="N1D1F1")
    assert "0.910" in ijb.table7([(checkpoint, 1)], "N0D0F0")[0]
    assert "0.770" in ijb.table7([(checkpoint, 1)], "N1D1F1")[0]
    add(checkpoint, 0.55, fingerprint="another")  # an older epoch 1: it takes the place in the file
    assert "0.550" not in ijb.table7([(checkpoint, 1)], "N0D0F0")[0]
    add(checkpoint, 0.66, roc={"far": [0.1], "tar": ["x"]})
    assert "0.660" not in ijb.table7([(checkpoint, 1)], "N0D0F0")[0]


def test_figure9(checkpoint, picture, tmp_path):
    figure = ijb.figure9([(checkpoint, 1)], "N0D0F0")
    axes, = figure.axes
    line, = axes.lines
    assert axes.get_title() == "IJB-C" and axes.get_xscale() == "log"
    assert line.get_ydata().tolist() == [0.5, 0.91, 1.0] and line.get_label() == "model, epoch 1"
    picture(figure, tmp_path / "figure9")
    with pytest.raises(Failure, match="no results of IJB-B or IJB-C with the setting N1D0F0 .*run `python eval/ijb.py"):
        ijb.figure9([(checkpoint, 1)], "N1D0F0")


def test_the_command_draws_it(checkpoint, run, tmp_path):
    assert "f9.png" in run(reproduce, "figure9", "--model", f"{checkpoint},1", "--out", tmp_path / "f9")
    assert (tmp_path / "f9.png").exists()
