"""What a run saves of itself and takes back: each owner gets its own part."""
from types import SimpleNamespace

import numpy as np
import pytest

from recognition.training.resuming import Resuming
from recognition.training.state import states
from runtime import Failure, mx


class Owner:
    """Stands for the learner, the data, the best accuracies and the angles: keeps what it is given."""

    def __init__(self, **arrays):
        self.arrays, self.got = arrays, None

    def state(self):
        return self.arrays

    def restore(self, *given):
        self.got = given

    def start(self, *given, **arrays):
        self.got = given, arrays

    def write(self, folder):
        self.got = folder


class Config(dict):
    """A configuration: its settings by name, and its seed as an attribute."""

    seed = 0


def made(folder, seed=0, triplets=True, angles=True, **settings):
    """Return what a run of such settings saves and restores."""
    weight = mx.nd.array([1.0, 2.0])
    return Resuming(
        str(folder), Config(network="y1", seed=seed, **settings),
        Owner(network={"arg:w": weight}, optimizer={"w": weight * 2}),
        Owner(triplets=mx.nd.array([[0, 1, 2]], dtype=np.int32)) if triplets else Owner(),
        Owner(last=0.5), Owner(sums=np.array([3.5]), counts=np.array([[7]], np.int64)) if angles else None)


def report(step, *due):
    return SimpleNamespace(step=step, epoch=2, batch=3, due=frozenset(due))


def test_each_owner_gets_its_own_part(tmp_path):
    made(tmp_path)(report(7, "save", "verify"))
    resuming = made(tmp_path)
    progress = resuming.restore()
    (parts, done), = [resuming.learner.got]
    assert done == 7 and parts["network"]["arg:w"].asnumpy().tolist() == [1, 2]
    assert parts["optimizer"]["w"].asnumpy().tolist() == [2, 4]
    position, arrays = resuming.batches.got
    assert position == (2, 3) and arrays["triplets"].asnumpy().tolist() == [[0, 1, 2]]
    assert resuming.best.got == ({"last": 0.5},)
    (angles,), = [resuming.angles.got]
    assert angles["sums"].tolist() == [3.5] and angles["sums"].dtype == np.float64
    assert angles["counts"].tolist() == [[7]] and angles["counts"].dtype == np.int64
    assert (progress["step"], progress["epoch"], progress["batch"], progress["due"]) == (7, 2, 3, True)


def test_only_what_is_due_is_saved_and_once(tmp_path):
    resuming = made(tmp_path)
    resuming(report(1, "verify"))
    assert states(str(tmp_path)) == []
    resuming(report(2, "save"))
    first = states(str(tmp_path))
    resuming.save(report(2))
    assert states(str(tmp_path)) == first and len(first) == 1


def test_a_state_without_angles_or_triplets(tmp_path):
    made(tmp_path, triplets=False, angles=False)(report(7, "save"))
    resuming = made(tmp_path)
    resuming.restore()
    assert resuming.batches.got == ((2, 3), {}) and resuming.angles.got == ({},)


def test_another_run_is_refused_before_anything_is_restored(tmp_path):
    made(tmp_path, verbose=5)(report(7, "save"))
    made(tmp_path, verbose=9).restore()  # which run it is does not depend on that
    other = made(tmp_path, seed=1)
    with pytest.raises(Failure, match="but seed was 0, now 1: give the flags it was started with"):
        other.restore()
    assert other.learner.got is None


def test_what_was_verified_is_noted_in_the_state_of_that_step_alone(tmp_path):
    resuming = made(tmp_path)
    resuming(report(7, "save", "verify"))
    resuming.note_verified(8)
    assert made(tmp_path).restore()["due"] is True
    resuming.note_verified(7)
    assert made(tmp_path).restore()["due"] is False
