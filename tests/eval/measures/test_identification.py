import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.measures import identification as measures

RATES = [0.01, 0.1, 0.34, 1]


@st.composite
def searches(draw):
    """Probes and a gallery of small whole numbers, so that there are many ties, with subjects."""
    probes, gallery = draw(st.integers(0, 12)), draw(st.integers(0, 8))
    width, subjects = draw(st.integers(1, 3)), draw(st.integers(1, 8))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.RandomState(seed)
    return (random.randint(-2, 3, (probes, width)).astype(float), random.randint(-2, 3, (gallery, width)).astype(float),
            random.randint(0, subjects, probes), random.randint(0, subjects, gallery))


def by_loop(probe, gallery, subject, subjects, ties):
    """(place of the mate or None, its score, templates before it, best other score, all other scores)."""
    scores = [float(sum(a * b for a, b in zip(probe, row))) for row in gallery]
    mate = next((j for j, other in enumerate(subjects) if other == subject), None)
    others = [score for score, other in zip(scores, subjects) if other != subject]
    if mate is None:
        return None, None, None, max(others, default=-math.inf), others
    keys = {"first": lambda j: (-scores[j], j), "last": lambda j: (-scores[j], -j),
            "for": lambda j: (-scores[j], j != mate), "against": lambda j: (-scores[j], j == mate)}
    order = sorted(range(len(scores)), key=keys[ties])
    return mate, scores[mate], order.index(mate), max(others, default=-math.inf), others


@given(searches(), st.sampled_from(["first", "last", "for", "against"]), st.integers(1, 5), st.integers(0, 9))
@settings(deadline=None, max_examples=200)
def test_search_against_a_loop(case, ties, block, keep):
    probes, gallery, subjects, names = case
    found = measures.search(probes, gallery, subjects, names, ties, keep, block)
    expected = [by_loop(probe, gallery, subject, names, ties) for probe, subject in zip(probes, subjects)]
    assert found.mated.tolist() == [one[0] is not None for one in expected]
    assert found.ahead.tolist() == [-1 if one[0] is None else one[2] for one in expected]
    np.testing.assert_array_equal(found.mate, [np.nan if one[0] is None else one[1] for one in expected])
    assert found.rival.tolist() == [one[3] for one in expected]
    assert found.impostors.tolist() == sorted((s for one in expected for s in one[4]), reverse=True)[:keep]
    assert measures.mates_of(subjects, names).tolist() == [list(names).count(subject) for subject in subjects]

    mated = [one for one in expected if one[0] is not None]
    for k in (1, 2, 5):
        right = sum(one[2] < k for one in mated)
        assert measures.hits(found, k) == right
        np.testing.assert_array_equal(measures.rank_rates(found, [k]), [right / len(mated) if mated else np.nan])
    np.testing.assert_array_equal(measures.cmc(found, 3), measures.rank_rates(found, [1, 2, 3]))


@given(searches())
@settings(deadline=None, max_examples=200)
def test_tpir_against_a_loop(case):
    probes, gallery, subjects, names = case
    count = len(probes)
    found = measures.search(probes, gallery, subjects, names, keep=measures.kept(count, RATES))
    expected = [by_loop(probe, gallery, subject, names, "first") for probe, subject in zip(probes, subjects)]
    all_others = sorted((s for one in expected for s in one[4]), reverse=True)
    mated = [one for one in expected if one[0] is not None]
    unmated = sorted((one[3] for one in expected if one[0] is None), reverse=True)
    wanted = {measures.tpir_of_all_scores: [], measures.tpir_of_unmated: [], measures.tpir_strict: []}
    for rate in RATES:
        place = math.ceil(count * rate)
        there = 0 < place <= len(all_others)
        wanted[measures.tpir_of_all_scores].append(
            sum(one[1] > all_others[place - 1] for one in mated) / count if there else np.nan)
        if not mated or not unmated:
            wanted[measures.tpir_of_unmated].append(np.nan)
            wanted[measures.tpir_strict].append(np.nan)
            continue
        threshold = unmated[max(int(len(unmated) * rate) - 1, 0)]
        wanted[measures.tpir_of_unmated].append(
            sum(one[1] > one[3] and one[1] > threshold for one in mated) / len(mated))
        wanted[measures.tpir_strict].append(max(
            sum(one[1] > one[3] and one[1] > t for one in mated) / len(mated)
            for t in [-math.inf, *unmated] if sum(score > t for score in unmated) <= len(unmated) * rate + 1e-9))
    for function, values in wanted.items():
        np.testing.assert_array_equal(function(found, RATES)[0], values, err_msg=function.__name__)


def test_the_published_example():
    """42 unmated probes at a FPIR of 0.1: the fourth largest score, strictly the fifth."""
    scores = np.linspace(0.5, 0.09, 42)
    probes = np.append(scores, 0.455)[:, None]  # the mate's score lies between the fifth and the fourth
    found = measures.search(probes, np.ones((1, 1)), np.append(np.zeros(42, int), 7), np.array([7]))
    (tpir,), (threshold,) = measures.tpir_of_unmated(found, [0.1])
    assert threshold == scores[3] and tpir == 0
    (tpir,), (threshold,) = measures.tpir_strict(found, [0.1])
    assert threshold == scores[4] and tpir == 0


def test_refuses_wrong_shapes():
    with pytest.raises(ValueError, match="ties"):
        measures.search(np.ones((1, 2)), np.ones((1, 2)), [1], [1], ties="any")
    with pytest.raises(ValueError, match="subject"):
        measures.search(np.ones((2, 2)), np.ones((1, 2)), [1], [1])
