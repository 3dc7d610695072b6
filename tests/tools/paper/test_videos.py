"""Tables 4 and 9 from the results of eval/ytf.py and eval/iqiyi.py."""
from types import SimpleNamespace

import pytest

from eval.reporting import results
from tools.paper import videos


@pytest.fixture
def checkpoint(tmp_path):
    return SimpleNamespace(prefix=str(tmp_path / "model"), epoch=1, fingerprint="abc")


def keep(checkpoint, benchmark, values, fingerprint="abc", epoch=1):
    about = {"prefix": checkpoint.prefix, "epoch": epoch, "fingerprint": fingerprint}
    results.keep(checkpoint.prefix, benchmark, results.of_benchmark(
        {"name": "videos", "networks": 2, "epochs": 40}, values, {"path": "/x/list.txt", "list": "list.txt"}, about))


def test_table_4_takes_the_newest_result_of_this_network(checkpoint, capsys):
    found, needs = {}, {"YTF": "frames"}
    assert videos.add_ytf(found, needs, checkpoint) == "" and not found and "eval/ytf.py" in needs["YTF"]
    keep(checkpoint, "ytf", {"accuracy": 0.9, "std": 0.01})
    keep(checkpoint, "ytf", {"accuracy": 0.5, "std": 0.01}, "another", epoch=2)
    assert "list.txt" in videos.add_ytf(found, needs, checkpoint)
    assert needs == {} and found["YTF"] == {"accuracy": 90, "std": 1, "path": "/x/list.txt"}
    assert "ytf: from" in capsys.readouterr().err


def test_table_9_has_a_row_for_each_stage(checkpoint):
    assert videos.table9("mine", checkpoint) is None and videos.table9("mine", None) is None
    keep(checkpoint, "iqiyi", {"map": 0.5, "map_mlp": 0.625, "map_ensemble": None})
    text, values = videos.table9("mine", checkpoint)
    lines = text.splitlines()
    assert lines[0] == "|  | MAP | **here: mine** |"
    assert "| MS1MV2+Asian, R100, ArcFace | 79.8 | 50.00 |" in lines and "| + MLP | 86.4 | 62.50 |" in lines
    assert "| + Context | 88.65 | – |" in lines and "| Other Participant | 87.66 | – |" in lines
    assert values["+ MLP"] == 62.5 and values["+ Ensemble"] is None


def test_what_is_no_share_is_not_shown(checkpoint):
    keep(checkpoint, "iqiyi", {"map": "0.5"})
    keep(checkpoint, "ytf", {"accuracy": 17.0})
    assert videos.table9("mine", checkpoint) is None
    assert videos.add_ytf({}, {"YTF": ""}, checkpoint) == ""
