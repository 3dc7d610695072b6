"""How far a run is and how long the rest takes, by a clock that is set by hand."""
from types import SimpleNamespace

import pytest

from recognition.reporting import progress


@pytest.fixture
def now(monkeypatch):
    """A list whose one number is the time, in seconds."""
    time = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: time[0])
    return time


def report(step, loss=2.5):
    return SimpleNamespace(step=step, loss=loss)


@pytest.mark.parametrize("seconds, text", [(0, "0:00:00"), (59.4, "0:00:59"), (59.5, "0:01:00"), (3599.6, "1:00:00"),
                                           (90061, "25:01:01")])
def test_clock(seconds, text):
    assert progress.clock(seconds) == text


def test_lines_at_every_so_many_steps_and_at_the_end(now, capsys):
    tell = progress.TimeLeft(batch_size=8, end=5, frequent=2)
    for step in range(1, 6):
        now[0] += 4.0
        tell(report(step, step / 2))
    assert capsys.readouterr().out.splitlines() == [
        "step 2 of 5: loss 1.0000, 2.0 images/s, 0:00:12 left", "step 4 of 5: loss 2.0000, 2.0 images/s, 0:00:04 left",
        "step 5 of 5: loss 2.5000, 2.0 images/s, 0:00:00 left"]


def test_a_run_without_an_end(now, capsys):
    tell = progress.TimeLeft(8, 0, 1)
    now[0] += 2.0
    tell(report(1))
    assert capsys.readouterr().out == "step 1: loss 2.5000, 4.0 images/s\n"


def test_what_is_not_training_does_not_count(now, capsys):
    """A verification of ten minutes after step 1 of 3, which take a second each."""
    tell = progress.TimeLeft(8, 3, 2)

    def verify(report):
        now[0] += 600.0
    now[0] += 1.0
    tell(report(1))
    tell.without(verify)(report(1))
    now[0] += 1.0
    tell(report(2))
    assert capsys.readouterr().out == "step 2 of 3: loss 2.5000, 8.0 images/s, 0:00:01 left\n"


def test_a_resumed_run_counts_its_own_steps(now, capsys):
    tell = progress.TimeLeft(8, 1000, 100)
    for step in range(801, 901):
        now[0] += 0.5
        tell(report(step))
    assert capsys.readouterr().out == "step 900 of 1000: loss 2.5000, 16.0 images/s, 0:00:50 left\n"
