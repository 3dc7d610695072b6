"""The classifier of clips: its network against NumPy, its training, killed and resumed, and values that diverge."""
import numpy as np
import pytest

from eval.networks import clip_classifier
from eval.networks.clip_classifier import Classifier, Settings
from runtime import Failure, mx

SMALL = Settings(epochs=4, units=(8, 8), batch=10, drops=(2, 3))


def clips(count=30, dimension=6, people=3, seed=0):
    """Return templates around a centre for each person, and labels from 1."""
    random = np.random.RandomState(seed)
    labels = np.arange(count) % people
    found = random.normal(size=(people, dimension))[labels] + random.normal(0, 0.3, (count, dimension))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), labels + 1


def by_hand(classifier, x):
    """Return the softmax outputs by NumPy, in float64."""
    state = {param.name.split("_", 1)[1]: (param.name, value.astype(np.float64))
             for param, value in zip(classifier.params, classifier.state())}
    values = iter([value for _, value in state.values()])
    assert len(state) == len(classifier.params)
    x = x.astype(np.float64)
    for outputs in classifier.settings.units:
        part = {}
        for _ in range(6):
            value = next(values)
            name = next(name for name, held in state.values() if held is value)
            part[name.rsplit("_", 1)[1]] = value
        hidden = x @ part["weight"].T
        hidden = (hidden - part["mean"]) / np.sqrt(part["var"] + 1e-5) * part["gamma"] + part["beta"]
        hidden = np.where(hidden > 0, hidden, part["slope"] * hidden)
        x = hidden + x if x.shape[1] == outputs else hidden
    weight, bias = next(values), next(values)
    logits = x @ weight.T + bias
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("dimension", [6, 8])  # with 8, the first layer has a shortcut, too
def test_the_network_is_that_of_its_description(dimension):
    features, labels = clips(dimension=dimension)
    classifier = clip_classifier.train(features, labels, 4, SMALL)
    found = classifier.probabilities(features, rows=7)
    assert found.shape == (30, 4) and found == pytest.approx(by_hand(classifier, features), abs=1e-5)


def test_training_tells_people_apart_and_follows_from_the_seed():
    features, labels = clips(60)
    settings = Settings(epochs=20, units=(16, 16), batch=20, drops=(15,))
    first, second, other = (clip_classifier.train(features, labels, 4, settings._replace(seed=seed))
                            for seed in (0, 0, 1))
    assert (first.probabilities(features).argmax(axis=1) == labels).mean() > 0.95
    assert all(np.array_equal(a, b) for a, b in zip(first.state(), second.state()))
    assert not np.array_equal(first.state()[0], other.state()[0])


def test_rate_momentum_and_decay_are_those_of_sgd():
    """One step on a network without hidden layers, against its gradient by hand."""
    features, labels = clips()
    settings = Settings(units=(), batch=30, rate=0.2, drops=(1,))
    classifier = Classifier(6, 4, settings)
    weight, _ = (value.astype(np.float64) for value in classifier.state())
    momenta = [mx.nd.zeros(param.shape) for param in classifier.params]
    moved = np.zeros_like(weight)
    for epoch, rate in ((0, 0.2), (1, 0.02)):
        bias = classifier.state()[1].astype(np.float64)
        logits = features @ weight.T + bias
        outputs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        loss = -np.log(outputs[np.arange(30), labels]).mean()
        gradient = (outputs - np.eye(4)[labels]).T @ features / 30 + 5e-4 * weight
        moved = 0.9 * moved - rate * gradient
        weight = weight + moved
        assert classifier.epoch(features, labels, epoch, momenta) == pytest.approx(loss, abs=1e-5)
        assert classifier.state()[0] == pytest.approx(weight, abs=1e-5)


def test_a_killed_training_resumes_with_the_same_numbers(tmp_path, monkeypatch):
    features, labels = clips()
    whole = clip_classifier.train(features, labels, 4, SMALL, str(tmp_path / "whole"))
    epoch = Classifier.epoch

    def stop(self, features, labels, number, *rest):
        if number == 2:
            raise KeyboardInterrupt
        return epoch(self, features, labels, number, *rest)
    monkeypatch.setattr(Classifier, "epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        clip_classifier.train(features, labels, 4, SMALL, str(tmp_path / "killed"))
    seen = []
    monkeypatch.setattr(Classifier, "epoch", lambda self, *given: seen.append(given[2]) or epoch(self, *given))
    resumed = clip_classifier.train(features, labels, 4, SMALL, str(tmp_path / "killed"))
    assert seen == [2, 3]
    assert all(np.array_equal(a, b) for a, b in zip(whole.state(), resumed.state()))
    clip_classifier.train(features, labels, 4, SMALL, str(tmp_path / "killed"))
    assert seen == [2, 3], "a finished training is not repeated"
    names = {path.name.split("-", 1)[1] for path in tmp_path.iterdir()}
    assert len(names) == 1, "the same training has the same name"
    clip_classifier.train(features, labels, 4, SMALL._replace(seed=1), str(tmp_path / "killed"))
    assert len(list(tmp_path.iterdir())) == 3, "another training has another file"


def test_a_damaged_state_and_one_of_another_training_are_refused(tmp_path):
    features, labels = clips()
    clip_classifier.train(features, labels, 4, SMALL, str(tmp_path / "a"))
    path, = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])
    with pytest.raises(Failure, match="is damaged or not such a file"):
        clip_classifier.train(features, labels, 4, SMALL, str(tmp_path / "a"))
    path.unlink()
    clip_classifier.train(features, labels, 4, SMALL._replace(seed=1), str(tmp_path / "a"))
    other, = tmp_path.iterdir()
    other.rename(path)
    with pytest.raises(Failure, match="is of another training"):
        clip_classifier.train(features, labels, 4, SMALL, str(tmp_path / "a"))


def test_an_epoch_that_diverges_is_repeated_at_half_the_rate(monkeypatch, capsys):
    features, labels = clips()
    epoch, scales = Classifier.epoch, []

    def diverge(self, features, labels, number, momenta, scale):
        scales.append((number, scale))
        loss = epoch(self, features, labels, number, momenta, scale)
        if number == 1 and scale > 0.3:
            self.params[0].set_data(mx.nd.full(self.params[0].shape, np.nan))
        return loss
    monkeypatch.setattr(Classifier, "epoch", diverge)
    found = clip_classifier.train(features, labels, 4, SMALL)
    assert scales == [(0, 1), (1, 1), (1, 0.5), (1, 0.25), (2, 0.25), (3, 0.25)]
    assert all(np.isfinite(value).all() for value in found.state())
    assert "half the rate" in capsys.readouterr().out


def test_a_training_that_always_diverges_ends_in_one_line():
    features, labels = clips()
    features[0] = np.inf
    with pytest.raises(Failure, match="diverges in epoch 1"):
        clip_classifier.train(features, labels, 4, SMALL)
