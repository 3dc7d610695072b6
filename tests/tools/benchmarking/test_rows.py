"""The rows of the benchmark: ratios, medians, shares of the peak."""
import pytest

from recognition.config.losses import LOSSES
from tools import benchmark
from tools.benchmarking import rows as benchmark_rows


def test_ratio_is_of_medians_and_spread_of_rounds():
    seconds = {"ours": [1.0, 2.0, 30.0], "plain": [4.0, 6.0, 60.0]}
    row = benchmark_rows.compared("train", "train x", "ours", "plain", seconds, 6, "images/s", {"batch": 6})
    assert (row.left_value, row.right_value, row.ratio) == (3.0, 1.0, 3.0) and (row.lowest, row.highest) == (2.0, 4.0)


def test_share_of_peak():
    row = benchmark_rows.share_of_peak("train", "train x", {"ours": [2.0, 4.0, 1.0]}, 1e9, 1e9, {})
    assert (row.left_value, row.right_value, row.ratio, row.lowest, row.highest) == (0.5, 1.0, 0.5, 0.25, 1.0)


def test_losses_of_the_heads():
    losses = benchmark_rows.distinct_losses()
    assert {"softmax", "nsoftmax", "arcface", "cosface"} <= set(losses) <= set(LOSSES)
    assert not {"triplet", "atriplet"} & set(losses)


@pytest.mark.parametrize("most, counts", [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_thread_counts(most, counts):
    assert benchmark_rows.thread_counts(most) == counts


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


def test_arithmetic_of_a_network():
    assert benchmark_rows.flops_of("r50") == pytest.approx(12.61e9, rel=1e-3)
    assert [benchmark_rows.usual_batch(network) for network in ("r50", "y1")] == [8, 16]


@pytest.mark.slow
def test_heads_alone(monkeypatch):
    monkeypatch.setattr(benchmark_rows, "distinct_losses", lambda: ["softmax", "arcface", "sphereface-m4"])
    rows = list(benchmark_rows.head_rows(200, threads=1, rounds=1))
    assert [row.facts["loss"] for row in rows] == ["arcface", "sphereface-m4"]
    assert all(row.ratio > 0 for row in rows)


@pytest.mark.slow
def test_reading():
    rows = list(benchmark_rows.reading_rows(threads=1, rounds=1, images=250))
    assert len(rows) == 1 and rows[0].ratio > 0


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
