"""What is known of a step: read from the device when it is asked for, once."""
import numpy as np
import pytest

from recognition.training.report import Report
from runtime import mx


class Counted:
    """An array that counts how often it is read."""

    def __init__(self, values):
        self.values, self.reads = np.array(values, np.float32), 0

    def asnumpy(self):
        self.reads += 1
        return self.values


def test_nothing_is_read_before_it_is_asked_for():
    loss, label = Counted([2.0]), Counted([0, 1])
    report = Report(7, 1, 3, {"ce_loss": [loss]}, label, frozenset({"save"}))
    assert (report.step, report.epoch, report.batch, report.due) == (7, 1, 3, {"save"})
    assert loss.reads == label.reads == 0
    assert report.loss == report.loss == 2.0 and report.labels.tolist() == [0, 1]
    assert loss.reads == label.reads == 1


def test_devices_are_put_together():
    report = Report(1, 0, 1, {
        "triplet_loss": [mx.nd.array([1.0]), mx.nd.array([4.0])],
        "intra_loss": [mx.nd.array([0.5]), mx.nd.array([0.5])],
        "prediction": [mx.nd.array([3, 1]), mx.nd.array([2])],
        "target_cosine": [mx.nd.array([0.5]), mx.nd.array([-1])],
    }, mx.nd.array([3, 1, 0]))
    assert list(report.losses.items()) == [("triplet_loss", 2.5), ("intra_loss", 0.5)]
    assert report.loss == 2.5 and report.predictions.tolist() == [3, 1, 2] and report.cosines.tolist() == [0.5, -1]


def test_a_loss_without_an_axis():
    report = Report(1, 0, 1, {"ce_loss": [Counted(3.0), Counted(5.0)]}, None)
    assert report.loss == 4.0 and report.due == frozenset()


@pytest.mark.parametrize("what", ["predictions", "cosines"])
def test_what_the_network_does_not_give_is_none(what):
    assert getattr(Report(1, 0, 1, {"triplet_loss": [Counted([1.0])]}, None), what) is None
