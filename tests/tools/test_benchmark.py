"""The benchmark's arithmetic, on steps of known length, and its command."""
import json
import time

import pytest

from tools import benchmark


def test_ratio_of_two_known_durations():
    def make(network, batch, lowered):
        return lambda: time.sleep(0.02 if lowered else 0.06)
    lowered, plain = benchmark.compare(make, "any", 6, rounds=3)
    assert lowered / plain == pytest.approx(3, rel=0.3) and lowered < 6 / 0.02


def test_command(command, tmp_path):
    done = command("tools/benchmark.py", "--networks", "y1", "--batch-size", 1, "--rounds", 1, "--json",
                   tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert [row["work"] for row in rows] == ["train", "embed"]
    assert all(row["ratio"] == row["lowered"] / row["plain"] > 0 for row in rows)


def test_unknown_network(command):
    done = command("tools/benchmark.py", "--networks", "r99")
    assert done.returncode == 1 and "unknown network 'r99'" in done.stderr and done.stderr.count("\n") == 1
