"""Tables 4 and 9 from the results of eval/ytf.py and eval/iqiyi.py."""
import json
from types import SimpleNamespace

import pytest

from eval.reporting import results
from runtime.files import write_json
from tools.paper import paper_tables, videos


@pytest.fixture
def checkpoint(tmp_path):
    return SimpleNamespace(prefix=str(tmp_path / "model"), epoch=1, fingerprint="abc")


def keep(checkpoint, benchmark, values, fingerprint="abc", epoch=1, networks=2):
    about = {"prefix": checkpoint.prefix, "epoch": epoch, "fingerprint": fingerprint}
    results.keep(checkpoint.prefix, benchmark, results.of_benchmark(
        {"name": "videos", "networks": networks, "epochs": 40}, values,
        {"path": "/x/list.txt", "list": "list.txt"}, about))


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
    assert "Here: classifiers: 2, trained for 40 epochs; ground truth /x/list.txt." in lines
    keep(checkpoint, "iqiyi", {"map": 0.75, "map_mlp": None}, networks=0)
    assert videos.table9("mine", checkpoint) == (text, values), "a quick run does not hide one with classifiers"
    keep(checkpoint, "iqiyi", {"map": 0.75}, "of another", networks=0)
    other = SimpleNamespace(prefix=checkpoint.prefix, epoch=1, fingerprint="of another")
    assert "Here: no classifier was trained; ground truth" in videos.table9("other", other)[0]


def test_a_damaged_evaluation_is_passed_over(checkpoint):
    keep(checkpoint, "iqiyi", {"map": 0.5})
    path = results.place(checkpoint.prefix, "iqiyi")
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    for name in ("data", "protocol"):
        write_json(path, {**found, "evaluations": [{**found["evaluations"][0], name: ["x"]}]})
        assert videos.table9("mine", checkpoint) is None


def test_table_4_says_of_verification_files_what_holds_for_them(checkpoint):
    keep(checkpoint, "ytf", {"accuracy": 0.9, "std": 0.01})
    found, needs = {}, {"LFW": "lfw.bin", "YTF": "frames"}
    more = videos.add_ytf(found, needs, checkpoint)
    text = paper_tables.table_text("table4", "mine", found, needs, True)
    assert "90.00 |" in text and "mirror image" not in text and "list.txt" not in text
    assert "single crops, folds by the list list.txt" in more
    found["LFW"] = {"accuracy": 99, "path": "/x/lfw.bin"}
    assert "mirror image, as in the original's scripts; files /x/lfw.bin." in paper_tables.table_text(
        "table4", "mine", found, {}, True)


def test_what_is_no_share_is_not_shown(checkpoint):
    keep(checkpoint, "iqiyi", {"map": "0.5"})
    keep(checkpoint, "ytf", {"accuracy": 17.0})
    assert videos.table9("mine", checkpoint) is None
    assert videos.add_ytf({}, {"YTF": ""}, checkpoint) == ""
