"""The saving policy against the original's rules, written as cases."""
import pytest

from recognition.training.best import Best

HISTORY = [[0.8, 0.7], [0.9, 0.6], [0.7, 0.75], [0.9, 0.75], [0.5, 0.75]]


@pytest.mark.parametrize("policy, epochs", [
    (0, [None, None, None, None, None]),
    (1, [1, None, 3, 4, None]),
    (2, [1, 2, 3, 4, 5]),
    (3, [1, None, 1, 1, None]),
])
def test_policies(policy, epochs):
    """The last set decides: 0.6 is no best though its sum is higher; at 0.75 the sum breaks the tie."""
    best = Best(policy)
    assert [best.epoch_to_save(accuracies) for accuracies in HISTORY] == epochs
    assert best.last == 0.75


@pytest.mark.parametrize("policy, epoch", [(0, None), (1, 2), (2, 2), (3, 2)])
def test_the_final_step_is_saved_beside_the_best(policy, epoch):
    best = Best(policy)
    best.epoch_to_save([0.9])
    assert best.epoch_to_save([0.8], final=True) == epoch


def test_state_carries_on():
    one, other = Best(1), Best(1)
    one.epoch_to_save([0.9])
    other.restore(one.state())
    assert other.epoch_to_save([0.8]) is None and other.epoch_to_save([0.95]) == 3
