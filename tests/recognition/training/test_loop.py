"""The loop: the order in which steps are handed over and their results read."""
from types import SimpleNamespace

import numpy as np
import pytest

from recognition.training.loop import loop


class Recorded:
    """A learner and a loss that write down when they are used."""

    def __init__(self):
        self.events, self.done = [], 0

    def step(self, data):
        self.done += 1
        self.events.append(f"hand over {self.done}")
        return {"ce_loss": [Result(self, self.done)]}


class Result:
    """What a device gives: reading it is what would wait."""

    def __init__(self, owner, step):
        self.owner, self.step = owner, step

    def asnumpy(self):
        self.owner.events.append(f"read {self.step}")
        return np.array([float(self.step)])


class Batches:
    """Epochs of three batches, the last of which is filled up."""

    def __init__(self):
        self.epochs = 0

    def __iter__(self):
        return iter([SimpleNamespace(pad=pad, label=[None]) for pad in (0, 0, 2)])

    def reset(self):
        self.epochs += 1


def run(due, reporter=lambda report: report.loss):
    recorded, batches = Recorded(), Batches()
    loop(recorded, batches, 0, 0, 0, due, [reporter])
    return recorded.events, batches.epochs


def test_a_result_is_read_after_the_next_step_was_handed_over():
    events, epochs = run(lambda step: frozenset({"end"} if step == 4 else ()))
    assert events == ["hand over 1", "hand over 2", "read 1", "hand over 3", "read 2", "hand over 4", "read 3",
                      "read 4"]
    assert epochs == 1  # two batches an epoch: the filled one is left out


def test_where_something_is_due_the_step_is_settled_first():
    """A state of step 2 is of step 2: nothing is handed over before it is written."""
    recorded, states = Recorded(), []

    def save(report):
        if "save" in report.due:
            states.append((report.step, report.loss, recorded.done))
            recorded.events.append("save")

    due = {2: frozenset({"save"}), 3: frozenset({"end"})}
    loop(recorded, Batches(), 0, 0, 0, lambda step: due.get(step, frozenset()), [lambda report: report.loss, save])
    assert recorded.events == ["hand over 1", "hand over 2", "read 1", "read 2", "save", "hand over 3", "read 3"]
    assert states == [(2, 2.0, 2)]


def test_positions_within_epochs():
    seen = []
    run(lambda step: frozenset({"end"} if step == 5 else ()),
        lambda report: seen.append((report.step, report.epoch, report.batch)))
    assert seen == [(1, 0, 1), (2, 0, 2), (3, 1, 1), (4, 1, 2), (5, 2, 1)]


def test_a_reporter_ends_the_run():
    """What raises is what the run ends with, one step late at the most."""
    def stop(report):
        if report.step == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        run(lambda step: frozenset(), stop)
