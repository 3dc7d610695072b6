"""Tables of the paper: its numbers, the runs of Table 2, their report, and the commands."""
import json
import os
import re
import shutil
import subprocess
import sys
import time

import pytest

import runtime
from eval import verification
from eval.networks.checkpoint_files import save_arrays
from recognition.config.losses import LOSSES
from runtime import ROOT, Failure, mx
from tools import reproduce
from tools.paper import paper_tables, table2, table2_report


def test_the_papers_numbers_are_those_of_the_reference(shared):
    reference = json.loads((shared / "reference" / "tables.json").read_text())
    del reference["table1"]
    assert {table: paper_tables.paper(table) for table in reference} == reference


def test_every_row_has_a_loss_and_every_loss_a_row():
    rows = [loss.table2 for loss in LOSSES.values() if loss.table2]
    assert sorted(rows) == sorted(paper_tables.paper("table2")["rows"])
    assert all(bool(loss.table2) != bool(loss.note) for loss in LOSSES.values())
    named = {row for _, _, pairs in table2_report.FINDINGS for pair in pairs for row in pair}
    assert named <= set(rows)


# ---- running: the trainer and the verifier are small scripts here

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
json.dump([dict(target=s, accuracy=accuracy, std=0.1, auc=0.9, tar=None, xnorm=1.0) for s in sets],
          open(sys.argv[sys.argv.index("--json") + 1], "w"))
"""


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """Put scripts in the place of the trainer and the verifier; return the folder of runs."""
    for name, text in (("recognition/train.py", TRAIN), ("eval/verification.py", VERIFY)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(table2, "ROOT", str(tmp_path))
    return tmp_path / "runs"


def planned(runs, losses, seeds=(0,), **options):
    return table2.plan(losses, list(seeds), "mnas025", "orl", {"max_steps": 2}, str(runs), ["orl", "lfw"], **options)


def calls(run):
    with open(run.path("calls")) as file:
        return [line.split(";")[0] for line in file.read().splitlines()]


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


def test_interrupted_runs_go_on(scripts, monkeypatch):
    """A termination reaches the process that trains, which saves; the next table resumes there."""
    code = ("import sys; sys.path.insert(0, sys.argv[1])\n"
            "from tools.paper import table2; table2.ROOT = sys.argv[2]\n"
            "runs = table2.plan(['sphereface'], [0], 'mnas025', 'orl', {'max_steps': 2}, sys.argv[3], ['orl', 'lfw'])\n"
            "table2.work(runs, 'data', sys.argv[3])")
    root, [run] = runtime.ROOT, planned(scripts, ["sphereface"])
    process = subprocess.Popen([sys.executable, "-c", code, root, str(scripts.parent), str(scripts)],
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


# ---- the report

class Done:
    """A run with a given accuracy, in %."""

    def __init__(self, loss, seed, accuracy, failure=None):
        self.loss, self.seed, self.accuracy, self.failure = loss, seed, accuracy, failure
        self.settings = {"start": None, "batch_size": None, "per_batch_size": 50, "lr": 0.1}

    def result(self):
        return self.accuracy and {"seed": self.seed, "sets": {"orl": {"accuracy": self.accuracy / 100}}}


def report(accuracies, seeds=3):
    runs = [Done(loss, seed, value) for loss, values in accuracies.items() for seed, value in enumerate(values)
            ] + [Done(loss, 0, None) for loss, values in accuracies.items() if not values]
    about = {"command": "c", "versions": {}, "dataset": "orl", "network": "y1", "max_steps": 5}
    return table2_report.summary(runs, list(accuracies), list(range(seeds)), ["orl"], True, about)


def verdicts(table):
    return {one["finding"]: one["verdict"] for one in table["findings"]}


def test_means_and_deviations():
    table = report({"softmax": [90, 91, 95], "nsoftmax": [80, None, None]})
    rows = {row["loss"]: row["sets"]["orl"] for row in table["rows"]}
    assert rows["softmax"]["mean"] == pytest.approx(92) and rows["softmax"]["std"] == pytest.approx(7**0.5)
    assert rows["nsoftmax"]["std"] is None and rows["nsoftmax"]["values"] == [80]
    text = table2_report.text(table)
    assert "| Softmax `softmax` | 99.08 | 94.39 | 92.33 | 92.00 ± 2.65 | 3 |" in text
    assert "| ArcFace (0.4) | 99.53 | 95.41 | 94.98 | – | not run |" in text


def test_the_pooled_deviation_is_that_of_an_analysis_of_variance():
    """The root of the mean square within groups, from the textbook's definition; a lone value tells nothing."""
    groups = [[90, 91, 95], [80, 82.5], [70]]
    table = report({"softmax": groups[0], "nsoftmax": groups[1], "arcface": groups[2]})
    within = sum((value - sum(group) / len(group))**2 for group in groups for value in group)
    assert table["deviation"] == pytest.approx((within / (6 - 3))**0.5)
    [pair] = table["findings"][0]["pairs"]
    assert pair["error"] == pytest.approx(table["deviation"] * (1 / 3 + 1 / 2)**0.5)
    assert f"{table['deviation']:.2f} points" in table2_report.text(table)
    assert report({"softmax": [90], "nsoftmax": [80]})["deviation"] is None


@pytest.mark.parametrize("softmax, nsoftmax, wanted", [  # the error is √(2/3) where each row's deviation is 1
    ([90, 91, 92], [80, 81, 82], "seen"), ([90, 91, 92], [88.3, 89.3, 90.3], "seen"),
    ([90, 91, 92], [88.4, 89.4, 90.4], "cannot be told"), ([88.4, 89.4, 90.4], [90, 91, 92], "cannot be told"),
    ([80, 81, 82], [90, 91, 92], "not seen"), ([90], [89.9], "seen in one seed"), ([90], [90], "not seen in one seed"),
    ([90], [], "not run")])
def test_verdict(softmax, nsoftmax, wanted):
    assert verdicts(report({"softmax": softmax, "nsoftmax": nsoftmax}))["Norm-Softmax is below Softmax"] == wanted


def test_nothing_is_added_unless_more_than_two_standard_errors():
    title = "Intra, Inter and Triplet add nothing to ArcFace"
    added = {"arcface-intra": [91, 92, 93], "arcface-inter": [92.6, 93.6, 94.6], "arcface-intra-inter": [80, 81, 82],
             "arcface-triplet": [90, 91, 92]}
    assert verdicts(report({"arcface": [91, 92, 93], **added}))[title] == "seen"
    assert verdicts(report({"arcface": [90.9, 91.9, 92.9], **added}))[title] == "not seen"


def test_a_finding_is_worth_its_worst_comparison():
    title = "ArcFace is above CosFace, and CosFace above SphereFace"
    rows = {"arcface": [90, 91], "cosface": [80, 81], "sphereface": [80, 81]}
    assert verdicts(report(rows))[title] == "cannot be told"
    assert verdicts(report({**rows, "sphereface": [89, 90]}))[title] == "not seen"
    assert verdicts(report({**rows, "sphereface": []}))[title] == "not run"


def test_the_papers_own_numbers_show_its_findings():
    """The mean over its three sets; two rows quote one set alone, and CM1 is a little behind CosFace in it."""
    entries = [pair | {"kind": one["kind"]} if sys.version_info >= (3, 9) else {**pair, "kind": one["kind"]}
               for one in report({"softmax": [90]})["findings"] for pair in one["pairs"]]
    against = [(pair["first"], pair["second"]) for pair in entries if pair["paper"] is not None
               and (pair["paper"] <= 0) == (pair["kind"] == "above")]
    assert against == [("CM1 (1, 0.3, 0.2)", "CosFace (0.35)")]


# ---- the commands

def test_table2_from_end_to_end(command, faces, tmp_path):
    arguments = ["table2", "--dataset", "tiny", "--network", "mnas025", "--rows", "arcface", "--max-steps", 2,
                 "--runs", tmp_path / "runs", "--out", tmp_path / "table", "--no-flip"]
    flags = ["--", "--dataset-path", faces, "--batch-size", 6, "--ctx", "cpu", "--num-workers", 1]
    done = command("tools/reproduce.py", *arguments, *flags, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    table = json.loads((tmp_path / "table.json").read_text())
    text = (tmp_path / "table.md").read_text()
    [row] = table["rows"]
    assert row["settings"]["batch_size"] == 6 and not row["failures"] and len(row["sets"]["tiny"]["values"]) == 1
    assert "python tools/reproduce.py table2" in text and "mxnet 1.9.1" in text and "a single crop" in text
    assert str(tmp_path) not in json.dumps(table["rows"])


def test_wrong_usage(capsys):
    usage = reproduce.parser()
    for line in (["table2"], ["table2", "--dataset", "orl", "--network", "y1", "--seeds", "0"], ["figure4a"],
                 ["table1"], ["table3", "--data", "x"]):
        with pytest.raises(SystemExit) as end:
            usage.parse_args(line)
        assert end.value.code == 2
    arguments = usage.parse_args(["table2", "--dataset", "orl", "--network", "y1", "--", "--lr", "0.1"])
    assert reproduce.train_flags(usage, arguments.train_flags)["lr"] == 0.1
    for flags in (["--seed", "3"], ["--max-steps", "4"], ["--resume"], ["--nonsense"]):
        with pytest.raises(SystemExit) as end:
            reproduce.train_flags(usage, flags)
        assert end.value.code == 2


def test_unknown_names(tmp_path):
    usage = reproduce.parser()
    for line, message in ((["--dataset", "orl", "--network", "r99"], "unknown network"),
                          (["--dataset", "orl", "--network", "y1", "--rows", "hinge"], "unknown loss"),
                          (["--dataset", "none", "--network", "y1"], "unknown dataset"),
                          (["--dataset", "x", "--network", "y1", "--", "--dataset-path", str(tmp_path / "no")],
                           "is not there")):
        arguments = usage.parse_args(["table2", "--out", str(tmp_path / "t"), "--runs", str(tmp_path / "r"), *line])
        with pytest.raises(Failure, match=message):
            reproduce.make_table2(usage, arguments)


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    """A checkpoint whose embedding is an image's mean colour, with a classifier of 6 classes."""
    folder = tmp_path_factory.mktemp("mnas025-nsoftmax-tiny")
    data = mx.sym.Variable("data") * (1 / 255)
    mean = mx.sym.Pooling(data, global_pool=True, kernel=(1, 1), pool_type="avg")
    symbol = mx.sym.FullyConnected(mean, num_hidden=4, name="fc1")
    (folder / "model-symbol.json").write_text(symbol.tojson())
    draw = mx.nd.random.normal
    save_arrays(folder / "model-0001.params", {"arg:fc1_weight": draw(shape=(4, 3)), "arg:fc1_bias": draw(shape=(4,))})
    save_arrays(folder / "fc7-0001.params", {"arg:fc7_weight": draw(shape=(6, 4))})
    (folder / "config.json").write_text(json.dumps({"loss": "nsoftmax"}))
    return folder / "model"


def test_table3(small_model, faces, tmp_path, capsys):
    usage = reproduce.parser()
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("model-symbol.json", "model-0001.params"):
        (alone / name).write_bytes((small_model.parent / name).read_bytes())
    arguments = usage.parse_args(["table3", "--model", f"{small_model},1", f"{alone}/model,1", "--data", str(faces),
                                  "--held-out", str(faces), "--ctx", "cpu", "--out", str(tmp_path / "t3")])
    reproduce.make_table3(usage, arguments)
    out = capsys.readouterr().out
    assert out == (tmp_path / "t3.md").read_text()
    columns = json.loads((tmp_path / "t3.json").read_text())["columns"]
    ours, without = columns.pop("nsoftmax"), *columns.values()
    assert ours["W-EC"] > 0 and without["W-EC"] is None and without["Intra1"] == ours["Intra1"] == ours["Intra2"]
    rows = [line for line in out.splitlines() if line.startswith("| W-EC")]
    assert rows == [f"| W-EC | 44.26 | 14.29 | 8.83 | 46.85 | – | {ours['W-EC']:.2f} | – |"]
    assert "24 images of 6 identities, 0 of which have one image" in out and "no classifier" in out


def test_a_classifier_of_other_classes(small_model, faces, tmp_path):
    usage = reproduce.parser()
    for name in ("model-symbol.json", "model-0001.params"):
        (tmp_path / name).write_bytes((small_model.parent / name).read_bytes())
    save_arrays(tmp_path / "fc7-0001.params", {"arg:fc7_weight": mx.nd.ones((5, 4))})
    arguments = usage.parse_args(["table3", "--model", f"{tmp_path}/model,1", "--data", str(faces), "--ctx", "cpu"])
    with pytest.raises(Failure, match="does not belong"):
        reproduce.make_table3(usage, arguments)


@pytest.mark.parametrize("table", [f"table{number}" for number in range(4, 10)])
def test_what_is_not_there_is_needed(table, small_model, faces, tmp_path, capsys):
    (tmp_path / "lfw.bin").write_bytes((faces / "tiny.bin").read_bytes())
    usage = reproduce.parser()
    reproduce.make_table(usage, usage.parse_args(
        [table, "--model", f"{small_model},1", "--data-dir", str(tmp_path), "--ctx", "cpu"]))
    out = capsys.readouterr().out
    of_paper = paper_tables.paper(table)
    ours = next(line for line in out.splitlines() if line.startswith("| **here"))
    filled = "LFW" in of_paper["columns"]
    assert ours.count("needs data") == len(of_paper["columns"]) - filled - ("training images" in of_paper["columns"])
    for column in of_paper["columns"]:
        assert any(line.startswith(f"{column} needs ") for line in out.splitlines()) == (
            column not in ("LFW", "training images"))
    assert all(row in out for row in of_paper["rows"])


def test_tables_take_what_verification_kept(small_model, faces, tmp_path, capsys):
    for name in ("model-symbol.json", "model-0001.params"):
        shutil.copy(small_model.parent / name, tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("lfw", "calfw"):
        shutil.copy(faces / "tiny.bin", tmp_path / "data" / f"{name}.bin")
    model, data = f"{tmp_path}/model,1", str(tmp_path / "data")
    verification.main(["--model", model, "--data-dir", data, "--target", "lfw"])
    accuracy = re.search(r"Accuracy-Flip: ([01]\.[0-9]{5})", capsys.readouterr().out).group(1)
    path = tmp_path / "evaluations" / "lfw.json"
    found = json.loads(path.read_text())
    assert f"{found['evaluations'][0]['values']['accuracy']:.5f}" == accuracy
    found["evaluations"][0]["values"]["accuracy"] = 0.123  # shows whether it is read
    path.write_text(json.dumps(found))

    def cells(*flags):
        usage = reproduce.parser()
        reproduce.make_table(usage, usage.parse_args(["table5", "--model", model, "--data-dir", data, "--ctx", "cpu",
                                                      *flags]))
        done = capsys.readouterr()
        ours = next(line for line in done.out.splitlines() if line.startswith("| **here"))
        return [cell.strip() for cell in ours.split("|")[2:5]], done.err
    plain = f"{100 * float(accuracy):.2f}"
    assert cells() == (["12.30", plain, "needs data"], f"lfw: from {path}\n")
    assert cells() == (["12.30", plain, "needs data"],
                       f"lfw: from {path}\ncalfw: from {tmp_path}/evaluations/calfw.json\n")
    assert cells("--no-flip")[1] == ""  # that is another evaluation
    save_arrays(tmp_path / "model-0001.params", {"arg:fc1_weight": mx.nd.ones((4, 3)), "arg:fc1_bias": mx.nd.ones(4)})
    assert cells()[1] == ""  # and so is that of another network


def test_what_is_written_without_out_is_not_tracked(capsys):
    usage = reproduce.parser()
    for name in ("figure3", "figure4b", "figure5"):
        out = usage.parse_args([name]).out
        assert os.path.relpath(out, ROOT) == os.path.join("models", "results", name)
    assert os.path.relpath(reproduce.table2_out(usage.parse_args(["table2", "--dataset", "orl", "--network", "y1"])),
                           ROOT) == os.path.join("models", "results", "table2-orl")
    assert usage.parse_args(["figure5", "--out", "docs/results/figure5"]).out == "docs/results/figure5"
    for what in ("table2", "table5", "figure6", "figure7"):
        with pytest.raises(SystemExit):
            usage.parse_args([what, "--help"])
        assert "docs/results" not in capsys.readouterr().out


# ---- what lies under docs/results

def test_committed_tables_are_what_their_values_print():
    folder = os.path.join(ROOT, "docs", "results")

    def read(name):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return file.read()
    second, third = (json.loads(read(f"table{number}-orl.json")) for number in (2, 3))
    assert read("table2-orl.md") == table2_report.text(second)
    assert second["findings"] == [table2_report.finding(*one, second) for one in table2_report.FINDINGS]
    assert len(second["rows"]) == 20 and all(row["seeds"] and not row["failures"] for row in second["rows"])
    columns = {name: third["columns"][name] for name in paper_tables.COLUMNS}  # the paper's order
    assert read("table3-orl.md") == paper_tables.table3_text(columns, third["data"], third["held_out"])
