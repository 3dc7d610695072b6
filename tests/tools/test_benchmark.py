"""The benchmark's command, its rows, and the loops that verification is compared with."""
import itertools
import json
import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.formats import records
from eval.measures import pairs as measures
from recognition.config.losses import LOSSES
from recognition.data.images import train_iterator
from runtime import Failure
from tools import benchmark
from tools.benchmarking import mxnet_steps, synthetic, verification_loops
from tools.benchmarking import picture as benchmark_picture
from tools.benchmarking import rows as benchmark_rows
from tools.benchmarking.contenders import Contender, drawn_images, take_turns


def spawn(step, **settings):
    return Contender(step, 1, **settings)


def test_contenders_take_turns_in_processes_of_their_own(tmp_path, monkeypatch):
    log = tmp_path / "log"
    (tmp_path / "told.py").write_text(
        "import os, time\n"
        "def make(name, log):\n"
        "    def step():\n"
        "        with open(log, 'a') as file:\n"
        "            print(name, 'begins', file=file, flush=True)\n"
        "            print('a library talks')\n"
        "            time.sleep(0.01)\n"
        "            print(name, 'ends', file=file)\n"
        "        return [os.getpid(), os.environ['OMP_NUM_THREADS'], os.environ.get('MXNET_SUBGRAPH_BACKEND')]\n"
        "    return step\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("MXNET_SUBGRAPH_BACKEND", "the user's")
    with Contender("told:make", 1, span=0.1, name="a", log=str(log)) as a, \
            Contender("told:make", 3, {"MXNET_SUBGRAPH_BACKEND": "NONE"}, 0.1, name="b", log=str(log)) as b:
        seconds, results = take_turns({"a": a, "b": b}, rounds=2)
    # Each ends before the other begins; the first turn of each is not counted, nor is the first step of a turn.
    lines = log.read_text().split("\n")[:-1]
    assert lines[::2] == [line.replace("ends", "begins") for line in lines[1::2]]
    turns = [(name, len(list(steps))) for name, steps in itertools.groupby(line[0] for line in lines[::2])]
    assert [name for name, _ in turns] == ["a", "b"] * 3 and all(count >= 2 for _, count in turns)
    assert all(len(taken) == 2 and min(taken) >= 0.01 for taken in seconds.values())
    assert results["a"][0][1:] == ["1", None] and results["b"][0][1:] == ["3", "NONE"]
    assert results["a"][0][0] == results["a"][1][0] != results["b"][0][0]


def test_contender_that_fails_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("def make():\n    raise ValueError('no such thing')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with spawn("broken:make") as contender, pytest.raises(Failure, match="ended with status 1: .*no such thing"):
        contender.turn()


def test_ratio_is_of_medians_and_spread_of_rounds():
    seconds = {"ours": [1.0, 2.0, 30.0], "plain": [4.0, 6.0, 60.0]}
    row = benchmark_rows.compared("train", "train x", "ours", "plain", seconds, 6, "images/s", {"batch": 6})
    assert (row.left_value, row.right_value, row.ratio) == (3.0, 1.0, 3.0) and (row.lowest, row.highest) == (2.0, 4.0)


def test_share_of_peak():
    row = benchmark_rows.share_of_peak("train", "train x", {"ours": [2.0, 4.0, 1.0]}, 1e9, 1e9, {})
    assert (row.left_value, row.right_value, row.ratio, row.lowest, row.highest) == (0.5, 1.0, 0.5, 0.25, 1.0)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_loops_equal_measures(data):
    pairs = data.draw(st.integers(20, 60))
    nfolds = data.draw(st.integers(2, 10))
    # Coarse distances, so that ties and repeated rates occur.
    dist = np.array(data.draw(st.lists(st.integers(0, 80), min_size=pairs, max_size=pairs)), np.float32) / 20
    issame = np.arange(pairs) % 2 == 0
    far = data.draw(st.sampled_from([1e-3, 0.05, 0.3, 1.0]))
    for ours, loops in zip(measures.kfold_accuracy(dist, issame, nfolds),
                           verification_loops.accuracy(dist, issame, nfolds)):
        assert np.array_equal(ours, loops)
    assert measures.kfold_tar(dist, issame, far, nfolds) == verification_loops.tar(dist, issame, far, nfolds)


def test_losses_of_the_heads():
    losses = benchmark_rows.distinct_losses()
    assert {"softmax", "nsoftmax", "arcface", "cosface"} <= set(losses) <= set(LOSSES)
    assert not {"triplet", "atriplet"} & set(losses)


@pytest.mark.parametrize("most, counts", [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_thread_counts(most, counts):
    assert benchmark_rows.thread_counts(most) == counts


def test_drawn_record_is_read_whole(tmp_path):
    synthetic.write_record(tmp_path, 25, identities=3)
    assert [label for _, label, _ in records.iterate(tmp_path)] == [n * 3 // 25 for n in range(25)]
    assert sum(5 - batch.pad for batch in train_iterator(tmp_path, 5, num_workers=1)) == 25


def test_sparse_record_has_the_published_layout(tmp_path):
    synthetic.write_sparse_record(tmp_path, 1000, 7, image_bytes=40000, chunk=300)
    layout = records.read_layout(tmp_path)
    identities = records.read_identities(layout)
    assert (layout.images, layout.identities, layout.classes) == (range(1, 1001), range(1001, 1008), 7)
    assert identities[0, 0] == 1 and identities[-1, 1] == 1001 and np.array_equal(identities[1:, 0], identities[:-1, 1])
    assert np.all(np.diff(identities) >= 142)
    assert layout.size > 40e6
    if sys.platform == "linux":
        assert (tmp_path / "train.rec").stat().st_blocks * 512 < 1e6


def test_drawn_images_are_smooth_and_the_same_each_time():
    images = drawn_images(3)
    assert images.shape == (3, 112, 112, 3) and images.dtype == np.uint8
    assert np.array_equal(images, drawn_images(3)) and not np.array_equal(images[0], images[1])
    assert np.abs(np.diff(images.astype(int), axis=2)).mean() < 10 < images.std()


def raced(specifications, threads, rounds):
    """Stand in for `race`: what each contender would take, and give."""
    taken = {"ours": 1.0, "plain": 5.0, "plain, fused": 4.0, "PyTorch": 2.0, "SGEMM peak": 0.1}
    names = [name for name, *_ in specifications if name != "PyTorch"]
    results = {name: [[1.0, 2.0]] for name in names}
    results.update({"plain, fused": [[1.0, 2.5]], "SGEMM peak": [1e9, 3e9]})
    return {name: [taken[name]] * rounds for name in names}, results, "it broke"


def test_rows_of_a_network(monkeypatch):
    monkeypatch.setattr(benchmark_rows, "race", raced)
    monkeypatch.setattr(benchmark_rows, "_without_torch", lambda: "")
    monkeypatch.setattr(benchmark_rows, "flops_of", lambda network: 1e8)
    rows = {row.right: row for row in benchmark_rows.network_rows("embed", "y1", 16, 2, 3)}
    assert list(rows) == ["plain", "plain, fused", "PyTorch", "SGEMM peak"]
    assert rows["plain"].ratio == 5 and rows["plain"].note == "" and rows["plain"].left_value == 16
    assert rows["plain, fused"].ratio == 4 and "differ by 0.2" in rows["plain, fused"].note
    assert rows["PyTorch"].ratio is None and rows["PyTorch"].note == "it broke" and "it broke" in benchmark.shown(
        rows["PyTorch"])
    assert rows["SGEMM peak"].ratio == pytest.approx(16 * 1e8 / 3e9)
    rows = {row.right: row for row in benchmark_rows.network_rows("train", "mnas025", 8, 2, 3)}
    assert list(rows) == ["plain", "SGEMM peak"] and rows["SGEMM peak"].ratio == pytest.approx(3 * 8 * 1e8 / 3e9)
    paper, plain = benchmark_rows.batch1_rows("r50", 2, 3)
    assert (paper.left_value, paper.right_value, paper.ratio) == (1000, 8.9, 1000 / 8.9) and plain.ratio == 0.25


def test_steps_train_and_embed():
    for make in (mxnet_steps.train_ours, mxnet_steps.train_plain):
        step = make("mnas025", 2, 10)
        step()
        step()
    ours, plain = (make("mnas025", 2)() for make in (mxnet_steps.embed_ours, mxnet_steps.embed_plain))
    assert ours.shape == plain.shape == (2, 256)
    assert np.abs(ours - plain).max() <= 1e-4 * np.abs(plain).max()


def test_arithmetic_of_a_network():
    assert benchmark_rows.flops_of("r50") == pytest.approx(12.61e9, rel=1e-3)
    assert [benchmark_rows.usual_batch(network) for network in ("r50", "y1")] == [8, 16]


def test_command(command, tmp_path):
    done = command("tools/benchmark.py", "--only", "embed,verification", "--networks", "mnas025", "--batch-size", 1,
                   "--rounds", 1, "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "out.json").read_text())
    assert set(written) == {"processor", "threads", "cores", "versions", "rounds", "seconds", "rows", "failed",
                            "curves"}
    rows = {(row["section"], row["right"]): row for row in written["rows"]}
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


def test_index_rows_are_measurements_alone(monkeypatch):
    class Told:
        def __init__(self, *_, **__):
            pass
        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *_: None  # noqa: E731

        def turn(self):
            return 6.47, {"peak_bytes": 8.26e8, "read": 0.9, "write": 5.5}
    monkeypatch.setattr(benchmark_rows, "Contender", Told)
    monkeypatch.setattr(benchmark_rows.synthetic, "write_sparse_record", lambda *_: None)
    seconds, peak = (benchmark.shown(row).split() for row in benchmark_rows.index_rows(threads=1))
    assert seconds == "index of 5,822,653 images ours 6.47 – s – reading 0.9, writing 5.5".split()
    assert peak == "index of 5,822,653 images ours 0.826 – GB – the process's peak".split()


def test_heads_alone(monkeypatch):
    monkeypatch.setattr(benchmark_rows, "distinct_losses", lambda: ["softmax", "arcface", "sphereface-m4"])
    rows = list(benchmark_rows.head_rows(200, threads=1, rounds=1))
    assert [row.facts["loss"] for row in rows] == ["arcface", "sphereface-m4"]
    assert all(row.ratio > 0 for row in rows)


def test_reading(monkeypatch):
    monkeypatch.setattr(benchmark_rows, "READING_IMAGES", 250)
    rows = list(benchmark_rows.reading_rows(threads=1, rounds=1))
    assert len(rows) == 1 and rows[0].ratio > 0


def test_picture(tmp_path):
    curves = [{"panel": panel, "network": "y1", "work": work, "batch": 16, "x": x, "images_per_second": [10.0] * len(x)}
              for panel, x in (("threads", [1, 2]), ("batch", [1, 4]), ("classes", [1000, 100000]))
              for work in ("train", "embed")]
    png, svg = benchmark_picture.draw(str(tmp_path / "throughput.png"), curves)
    assert png == str(tmp_path / "throughput.png")
    with open(png, "rb") as picture, open(svg, encoding="utf-8") as drawing:
        assert picture.read(4) == b"\x89PNG" and "<svg" in drawing.read(2000)


def run_main(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["benchmark.py", *map(str, arguments)])
    return benchmark.main()


@pytest.mark.parametrize("flags", [["--only", "trains"], ["--only", ""], ["--rounds", "0"], ["--batch-size", "x"]])
def test_wrong_flags(monkeypatch, capsys, flags):
    with pytest.raises(SystemExit) as ended:
        run_main(monkeypatch, *flags)
    assert ended.value.code == 2 and flags[0] in capsys.readouterr().err


def test_what_cannot_be_is_told_at_once(monkeypatch, tmp_path):
    with pytest.raises(Failure, match="unknown network 'r99'"):
        run_main(monkeypatch, "--networks", "y1,r99")
    with pytest.raises(Failure, match="cannot be written"):
        run_main(monkeypatch, "--json", tmp_path / "missing" / "out.json")
    monkeypatch.setenv("OMP_NUM_THREADS", "2,1")
    with pytest.raises(Failure, match="OMP_NUM_THREADS=2,1"):
        run_main(monkeypatch)
