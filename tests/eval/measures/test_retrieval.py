"""Average precision and ranking, against loops written from the protocol and scikit-learn."""
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from eval.measures import retrieval


def loop(ranked, relevant, depth):
    """Return the average precision, item by item."""
    seen, hits, total = [], 0, 0.0
    for item in ranked:
        if item in seen:
            continue
        seen.append(item)
        if len(seen) > depth:
            break
        if item in relevant:
            hits += 1
            total += hits / len(seen)
    return total / len(set(relevant)) if relevant else 0.0


@given(st.lists(st.integers(0, 30)), st.lists(st.integers(0, 30)), st.integers(1, 12))
def test_average_precision_is_that_of_a_loop(ranked, relevant, depth):
    assert retrieval.average_precision(ranked, relevant, depth) == loop(ranked, relevant, depth)


def test_average_precision_without_a_limit_is_that_of_scikit_learn():
    random = np.random.RandomState(0)
    scores, hits = random.permutation(50), random.rand(50) < 0.3
    ranked = np.argsort(-scores).tolist()
    assert retrieval.average_precision(ranked, np.flatnonzero(hits).tolist()) == pytest.approx(
        average_precision_score(hits, scores), abs=1e-12)


def test_more_relevant_items_than_places_keep_it_below_one():
    items = [f"{number:03}" for number in range(118)]
    assert retrieval.average_precision(items, items) == pytest.approx(100 / 118)
    assert retrieval.average_precision(items, items, divisor=100) == 1


def test_a_query_without_items_or_ranking_counts_nought():
    found = retrieval.average_precisions({1: ["a"], 2: ["a"]}, {1: ["a"], 2: [], 3: ["a"]})
    assert found == {1: 1.0, 2: 0.0, 3: 0.0}
    assert retrieval.mean(found) == pytest.approx(1 / 3)
    assert np.isnan(retrieval.mean({}))


@settings(deadline=None)
@given(st.integers(0, 10000), st.integers(1, 40), st.integers(1, 4), st.integers(1, 9), st.integers(1, 12))
def test_ranking_is_that_of_a_sort_by_score_and_name(seed, rows, queries, depth, block):
    """With names that occur several times and few different scores."""
    random = np.random.RandomState(seed)
    names = np.array([f"clip{number}" for number in random.randint(0, 25, rows)])
    scores = random.randint(0, 4, (queries, rows)) / 4
    found = retrieval.rank(names, lambda places: scores[:, places], queries, depth, block)
    for query in range(queries):
        pairs = sorted(zip(-scores[query], names.tolist()))
        assert found[query] == list(dict.fromkeys(name for _, name in pairs))[:depth]


def test_the_precisions_of_the_miniature(shared):
    from eval.protocols.iqiyi_files import read_truth
    truth = read_truth(shared / "reference" / "protocols" / "iqiyi" / "test_gt.txt")
    assert len(max(truth.values(), key=len)) > retrieval.DEPTH
    perfect = retrieval.average_precisions(truth, truth)
    expected = json.loads((shared / "reference" / "protocols" / "expected" / "iqiyi.json").read_text())
    assert all(perfect[int(identity)] >= found - 1e-12 for identity, found
               in expected["brute force in float64"]["frames_normalised_first"]["ap"].items())
