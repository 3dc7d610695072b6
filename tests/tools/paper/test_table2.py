"""The runs of Table 2: which are kept, tried again, resumed and started from another."""
import os
import subprocess
import sys
import time

import pytest

from runtime import ROOT, Failure
from tools.paper import table2

# The trainer and the verifier are small scripts here.
TRAIN = """
import os, sys, time, signal
loss, seed = sys.argv[sys.argv.index("--loss") + 1], sys.argv[sys.argv.index("--seed") + 1]
root = sys.argv[sys.argv.index("--models-root") + 1]
folder = os.path.join(root, "mnas025-" + loss + "-orl")
state = os.path.join(folder, "state", "step-00000001")
print("step 1 of 2: loss 1", flush=True)
open(os.path.join(folder, "calls"), "a").write(" ".join(a for a in sys.argv if "resume" in a or "pretrained" in a)
                                               + ";" + os.environ["OMP_NUM_THREADS"] + "\\n")
if "--resume" in sys.argv and os.path.exists(os.path.join(state, "bad")):
    sys.exit("train.py: the state cannot be read")
if loss == "cosface":
    sys.exit("train.py: the loss is nan after step 1")
if loss == "sphereface" and "--resume" not in sys.argv:
    def stop(*_):
        os.makedirs(state); sys.exit("stopped")
    signal.signal(signal.SIGTERM, stop)
    open(os.path.join(folder, "ready"), "w").close()
    time.sleep(60)
open(os.path.join(folder, "model-0001.params"), "w").close()
os.makedirs(os.path.join(folder, "state"), exist_ok=True)
"""
VERIFY = """
import json, sys
sets = sys.argv[sys.argv.index("--target") + 1].split(",")
accuracy = 0.9 + len(sys.argv[sys.argv.index("--model") + 1]) % 7 / 100
values = {s: dict(accuracy=accuracy, std=0.1, auc=0.9, tar=None, xnorm=1.0) for s in sets}
json.dump({"benchmark": "verification", "values": values, "evaluations": []},
          open(sys.argv[sys.argv.index("--json") + 1], "w"))
"""


@pytest.fixture
def scripts(tmp_path):
    """Put scripts in the place of the trainer and the verifier; return the folder of runs."""
    for name, text in (("recognition/train.py", TRAIN), ("eval/verification.py", VERIFY)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    return tmp_path / "runs"


def planned(runs, losses, seeds=(0,), **options):
    """Plan runs of the scripts, which lie in the folder above that of the runs."""
    return table2.plan(losses, list(seeds), "mnas025", "orl", {"max_steps": 2}, str(runs), ["orl", "lfw"],
                       root=str(runs.parent), **options)


def calls(run):
    with open(run.path("calls")) as file:
        return [line.split(";")[0] for line in file.read().splitlines()]


@pytest.mark.slow
def test_done_runs_are_kept_and_failed_ones_tried_again(scripts, capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    told = []
    first = planned(scripts, ["arcface", "cosface"], (0, 1))
    table2.work(first, "data", str(scripts), jobs=2, done=lambda: told.append(1))
    assert [run.failure is None for run in first] == [True, False, True, False] and len(told) == 4
    assert "the loss is nan after step 1" in first[1].failure
    with open(first[0].path("calls")) as file:
        assert file.read() == ";2\n"  # four threads for two processes
    assert set(first[0].result()["sets"]) == {"orl", "lfw"} and not os.path.exists(first[0].path("state"))
    capsys.readouterr()
    again = planned(scripts, ["arcface", "cosface"], (0, 1))
    table2.work(again, "data", str(scripts))
    assert "2 of 4 runs are done already" in capsys.readouterr().out
    assert len(calls(again[0])) == 1 and len(calls(again[1])) == 2


def test_other_settings_are_refused(scripts):
    table2.work(planned(scripts, ["arcface"]), "data", str(scripts))
    other = table2.plan(["arcface"], [0], "mnas025", "orl", {"max_steps": 3, "loss_m2": 0.4}, str(scripts),
                        ["orl", "lfw"])
    with pytest.raises(Failure, match="other settings .*was 2, now 3"):
        table2.work(other, "data", str(scripts))
    with pytest.raises(Failure, match="flip was True, now False"):
        table2.work(planned(scripts, ["arcface"], flip=False), "data", str(scripts))


@pytest.mark.slow
def test_interrupted_runs_go_on(scripts):
    """A termination reaches the process that trains, which saves; the next table resumes there."""
    code = ("import sys; sys.path.insert(0, sys.argv[1])\n"
            "from tools.paper import table2\n"
            "runs = table2.plan(['sphereface'], [0], 'mnas025', 'orl', {'max_steps': 2}, sys.argv[3], ['orl', 'lfw'],\n"
            "                   root=sys.argv[2])\n"
            "table2.work(runs, 'data', sys.argv[3])")
    [run] = planned(scripts, ["sphereface"])
    process = subprocess.Popen([sys.executable, "-c", code, ROOT, str(scripts.parent), str(scripts)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun = time.time()
    while not os.path.exists(run.path("ready")) and time.time() < begun + 120:
        time.sleep(0.1)
    with pytest.raises(Failure, match=r"another process \(\d+"):
        table2.work(planned(scripts, ["arcface"]), "data", str(scripts))
    process.terminate()
    assert process.wait(120) != 0 and os.path.isdir(run.path("state/step-00000001"))
    table2.work([run], "data", str(scripts))
    assert run.result() and calls(run) == ["", "--resume"]


def test_a_state_that_cannot_be_resumed_is_left(scripts):
    [run] = planned(scripts, ["arcface"])
    os.makedirs(run.path("state/step-00000001/bad"))
    table2.work([run], "data", str(scripts))
    assert run.result() and calls(run) == ["--resume", ""]


@pytest.mark.slow
def test_triplets_start_from_another_row(scripts):
    losses = ["atriplet", "softmax"]
    assert [run.start for run in planned(scripts, losses)] == [None, None]
    runs = planned(scripts, losses, triplets_from="softmax")
    assert [run.loss for run in runs] == ["softmax", "atriplet"] and runs[1].start is runs[0]
    table2.work(runs, "data", str(scripts), jobs=2)
    assert calls(runs[1]) == ["--pretrained --pretrained-epoch"] and runs[1].result()["start"] == "softmax"
    failing = planned(scripts.parent / "other", ["cosface", "atriplet"], triplets_from="cosface")
    table2.work(failing, "data", str(scripts.parent / "other"))
    assert "starts from the network of cosface" in failing[1].failure


class Going:
    """A run of 100 steps that was resumed."""

    def __init__(self, begun, now):
        self.begun, self.now, self.config = begun, now, {"max_steps": 100}

    def step(self):
        return self.now


def test_the_time_left_counts_no_steps_of_before(monkeypatch, capsys):
    """One run went from 90 to its end, another from 0 to 50, in a minute: a step a second, so 150 are 2.5 minutes."""
    ended, going, waits = Going(90, 100), Going(0, 50), Going(0, 0)
    now = [0.0]
    monkeypatch.setattr(table2.time, "monotonic", lambda: now[0])
    progress = table2._Progress([ended, going, waits])
    progress.launched(ended)
    progress.launched(going)
    now[0] = 60.0
    progress.show([waits], [going])
    assert "1 runs wait, about 0:02:30 left" in capsys.readouterr().out
