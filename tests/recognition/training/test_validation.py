"""Verifying while training: when, in which order with the states, and what is saved."""
import os
from types import SimpleNamespace

import pytest

from recognition.training.best import Best
from recognition.training.validation import Validation
from runtime import mx


class Recorded:
    """Stands for the verifier, the current network, the learner and the states; writes down what happens."""

    def __init__(self, folder, accuracies, fails=False):
        self.folder, self.accuracies, self.fails, self.events = str(folder), accuracies, fails, []
        self.value, self.sets = 0.0, {"tiny": None}

    def embedder(self):
        return "the network as it is"

    def __call__(self, embedder, step):
        assert embedder == "the network as it is"
        self.events.append(f"verify {step}")
        if self.fails:
            raise MemoryError
        return [self.accuracies.pop(0)]

    def embedding(self):
        self.value += 1
        return {"fc1_weight": mx.nd.full((2, 3), self.value), "fc1_bias": mx.nd.zeros(2)}, {}

    def classifier(self):
        return {"fc7_weight": mx.nd.ones((4, 2))}

    def save(self, report):
        self.events.append(f"save {report.step}")

    def note_verified(self, step):
        self.events.append(f"verified {step}")


def made(recorded, policy=3):
    symbol = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc1")
    return Validation(recorded, Best(policy), recorded, symbol, recorded, recorded)


def report(step, *due):
    return SimpleNamespace(step=step, due=frozenset(due))


def test_only_when_it_is_due(tmp_path, capsys):
    recorded = Recorded(tmp_path, [0.9])
    validation = made(recorded)
    validation(report(1, "save"))
    assert recorded.events == [] and os.listdir(tmp_path) == []
    validation(report(2, "verify", "save"))
    assert recorded.events == ["verify 2", "verified 2"]
    assert sorted(os.listdir(tmp_path)) == ["fc7-0001.params", "model-0001.params", "model-symbol.json"]
    assert capsys.readouterr().out == "saving 1\n[2]Accuracy-Highest: 0.90000\n"


def test_a_worse_network_leaves_the_best_and_the_last_is_kept_beside_it(tmp_path, capsys):
    recorded = Recorded(tmp_path, [0.9, 0.8, 0.7])
    validation = made(recorded)
    for step, due in ((2, ["verify"]), (4, ["verify"]), (6, ["verify", "end"])):
        validation(report(step, *due))
    weights = [mx.nd.load(str(tmp_path / f"model-000{epoch}.params"))["arg:fc1_weight"].asnumpy()[0, 0]
               for epoch in (1, 2)]
    assert weights == [1, 2]  # what the learner gave at the first and at the second saving
    assert capsys.readouterr().out.splitlines() == [
        "saving 1", "[2]Accuracy-Highest: 0.90000", "[4]Accuracy-Highest: 0.90000", "saving 2",
        "[6]Accuracy-Highest: 0.90000"]


def test_a_verification_that_fails_leaves_the_state_of_its_step(tmp_path):
    recorded = Recorded(tmp_path, [], fails=True)
    with pytest.raises(MemoryError):
        made(recorded)(report(2, "verify"))
    assert recorded.events == ["verify 2", "save 2"] and os.listdir(tmp_path) == []


def test_without_sets_each_occasion_counts(tmp_path, capsys):
    recorded = Recorded(tmp_path, [])
    recorded.sets = {}
    made(recorded)(report(2, "verify"))
    assert recorded.events == ["verified 2"] and (tmp_path / "model-0001.params").exists()
    assert capsys.readouterr().out == "saving 1\n[2]Accuracy-Highest: 0.00000\n"
