"""The command that makes the paper's tables and figures: its flags, and Tables 2 to 9 from end to end."""
import json
import os
import re
import shutil

import pytest

from eval import verification
from eval.networks.checkpoint_files import save_arrays
from runtime import ROOT, Failure, mx
from tools import reproduce
from tools.paper import paper_tables


@pytest.mark.slow
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
