"""The benchmark's command: what is measured, judged against the targets, and said of wrong flags."""
import json

import pytest

from runtime import Failure
from tools import benchmark
from tools.benchmarking import rows as benchmark_rows


def test_judged():
    rows = [{"section": "train", "network": "y1", "batch": 16, "right": "plain", "ratio": 5.0},
            {"section": "train", "network": "r50", "batch": 8, "right": "PyTorch", "ratio": None},
            {"section": "train", "network": "m1", "batch": 4, "right": "plain", "ratio": 9.0},
            {"section": "verification", "right": "ours", "ratio": 49.0},
            {"section": "index", "unit": "s", "ratio": 0.5, "left_value": 10.0},
            {"section": "index", "unit": "GB", "ratio": 1.1, "left_value": 1.65}]
    met = {(target["section"], target.get("network"), target.get("right"), target.get("unit")): target["met"]
           for target in benchmark.judged(rows)}
    assert met["train", "y1", "plain", None] is True and met["train", "r50", "PyTorch", None] is None
    assert met["train", "m1", "plain", None] is None  # that was another batch
    assert met["verification", None, "ours", None] is False
    assert met["index", None, None, "s"] is True and met["index", None, None, "GB"] is False


@pytest.mark.slow
def test_command(command, tmp_path):
    done = command("tools/benchmark.py", "--only", "embed,verification", "--networks", "mnas025", "--batch-size", 1,
                   "--rounds", 1, "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "out.json").read_text())
    assert {"processor", "threads", "cores", "versions", "rounds", "seconds", "rows", "targets"} <= set(written)
    rows = {(row["section"], row["right"]): row for row in written["rows"]}
    assert set(rows) == {("embed", "plain"), ("embed", "plain, fused"), ("embed", "SGEMM peak"),
                         ("verification", "ours")}
    assert all(row["ratio"] == pytest.approx(row["left_value"] / row["right_value"]) for row in rows.values())
    assert not any("differ" in row["note"] for row in rows.values())
    assert rows["embed", "plain"]["network"] == "mnas025" and rows["embed", "plain"]["batch"] == 1
    assert "not measured" in done.stdout and "left]" in done.stderr


def test_a_piece_that_fails_leaves_the_others(capsys):
    def broken():
        raise Failure("no room")
        yield
    row = benchmark_rows.Row("index", "x", "ours", "allowed", 1.0, 2.0, "s", 0.5)
    rows, failed = benchmark.measure([benchmark.Piece("a", 1, broken), benchmark.Piece("b", 1, lambda: [row])])
    assert [row["label"] for row in rows] == ["x"] and failed == ["a: no room"]
    assert "a: not measured" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [["--only", "trains"], ["--only", ""], ["--rounds", "0"], ["--batch-size", "x"]])
def test_wrong_flags(capsys, flags):
    with pytest.raises(SystemExit) as ended:
        benchmark.main(flags)
    assert ended.value.code == 2 and flags[0] in capsys.readouterr().err


def test_what_cannot_be_is_told_at_once(monkeypatch, tmp_path):
    with pytest.raises(Failure, match="unknown network 'r99'"):
        benchmark.main(["--networks", "y1,r99"])
    with pytest.raises(Failure, match="cannot be written"):
        benchmark.main(["--json", str(tmp_path / "missing" / "out.json")])
    monkeypatch.setenv("OMP_NUM_THREADS", "2,1")
    with pytest.raises(Failure, match="OMP_NUM_THREADS=2,1"):
        benchmark.main([])
