"""The benchmark's command: what is measured, and what is said of wrong flags."""
import json
import re

import pytest

from runtime import Failure
from tools import benchmark
from tools.benchmarking import rows as benchmark_rows


@pytest.mark.slow
def test_command(command, tmp_path):
    done = command("tools/benchmark.py", "--only", "embed,verification", "--networks", "mnas025", "--batch-size", 1,
                   "--rounds", 1, "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "out.json").read_text())
    assert set(written) == {"processor", "threads", "cores", "versions", "rounds", "seconds", "rows", "failed",
                            "curves"}
    engines = [row for row in written["rows"] if "engines" in row["label"]]
    assert engines[0]["left"] == "auto" and engines[0]["right"] == "mxnet" and engines[0]["unit"] == "images/s"
    assert re.fullmatch(r"[\d.e+]+ h for a million faces", engines[0]["note"])
    rows = {(row["section"], row["right"]): row for row in written["rows"] if row["left"] in ("ours", "loops")}
    assert set(rows) == {("embed", "plain"), ("embed", "plain, fused"), ("embed", "SGEMM peak"),
                         ("verification", "ours")}
    assert all(row["ratio"] == pytest.approx(row["left_value"] / row["right_value"]) for row in rows.values())
    assert not any("differ" in row["note"] for row in rows.values())
    assert rows["embed", "plain"]["network"] == "mnas025" and rows["embed", "plain"]["batch"] == 1
    assert "left]" in done.stderr
    assert not re.search("asked|reached|at least|at most", done.stdout)  # measurements alone


def test_a_piece_that_fails_leaves_the_others(capsys):
    def broken():
        raise Failure("no room")
        yield
    row = benchmark_rows.Row("index", "x", "ours", None, 6.47, None, "s", None, note="n")
    rows, failed = benchmark.measure([benchmark.Piece("a", 1, broken), benchmark.Piece("b", 1, lambda: [row])])
    assert [row["label"] for row in rows] == ["x"] and failed == ["a: no room"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a: not measured" and lines[1].split() == ["x", "ours", "6.47", "–", "s", "–", "n"]


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
