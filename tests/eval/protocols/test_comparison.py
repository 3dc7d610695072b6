"""Two networks on the same pairs, against counts by hand."""
import numpy as np
import pytest
from easydict import EasyDict

from eval.measures.pairs import eer, kfold_accuracy
from eval.protocols import comparison

ISSAME = np.arange(400) % 2 == 0


def result_of(seed, noise):
    random = np.random.RandomState(seed)
    dist = (np.where(ISSAME, 1.0, 1.8) + random.normal(0, noise, 400)).astype(np.float32)
    accuracies, thresholds = kfold_accuracy(dist, ISSAME)
    return EasyDict(distances=dist, issame=ISSAME, accuracies=accuracies, thresholds=thresholds,
                    accuracy=float(accuracies.mean()), eer=eer(dist, ISSAME))


def by_hand(result):
    return [(dist < np.float32(result.thresholds[pair // 40])) == ISSAME[pair]
            for pair, dist in enumerate(result.distances)]


def test_intervals_hold_the_figures():
    result = result_of(0, 0.3)
    found = comparison.intervals(result, np.arange(800).reshape(-1, 2))
    values = comparison.interval_values(found)
    assert values["accuracy"][0] < result.accuracy < values["accuracy"][1]
    assert values["eer"][0] < result.eer < values["eer"][1]
    assert (values["unit"], values["level"], values["method"], values["draws"]) == ("pair", 0.95, "bootstrap", 1000)


def test_networks_without_an_error_have_no_interval_of_the_eer():
    found = comparison.intervals(result_of(0, 0.01), np.arange(800).reshape(-1, 2))
    assert found["eer"].low is None and found["eer"].reason == "no draw would differ"
    assert found["accuracy"].method == "exact" and found["accuracy"].low == pytest.approx(0.025 ** (1 / 400))


def test_a_comparison_counts_pairs_right_in_one_alone():
    first, second = result_of(0, 0.3), result_of(1, 0.5)
    found = comparison.compare(first, second, np.arange(800).reshape(-1, 2) // 8)
    one, other = by_hand(first), by_hand(second)
    assert found["only_here"] == sum(a and not b for a, b in zip(one, other))
    assert found["only_there"] == sum(b and not a for a, b in zip(one, other))
    assert found["difference"] == pytest.approx(np.mean(one) - np.mean(other)) and found["accuracy"] == second.accuracy
    assert found["interval"][0] < found["difference"] < found["interval"][1] and found["unit"] == "identity"
    assert found["p_mcnemar"] < 0.01 and found["p_bootstrap"] < 0.05
    same = comparison.compare(first, first, np.arange(800).reshape(-1, 2))
    assert (same["difference"], same["interval"], same["p_bootstrap"], same["p_mcnemar"]) == (0, [0, 0], 1, 1)
