"""The protocol of YouTube Faces, against the original's numbers and loops over folds and thresholds."""
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.formats.frame_embeddings import FrameEmbeddings
from eval.protocols import video_templates, ytf, ytf_files
from runtime import Failure


def loop(dist, issame, split):
    """Return accuracies, thresholds and wrong pairs, fold by fold, threshold by threshold, pair by pair."""
    accuracies, thresholds, negatives, positives = [], [], 0, 0
    for fold in sorted(set(split)):
        others = [pair for pair in range(len(dist)) if split[pair] != fold]
        best, chosen = -1, None
        for threshold in np.arange(0, 4, 0.01):
            right = sum((dist[pair] < threshold) == issame[pair] for pair in others)
            if right > best:
                best, chosen = right, threshold
        own = [pair for pair in range(len(dist)) if split[pair] == fold]
        accuracies.append(sum((dist[pair] < chosen) == issame[pair] for pair in own) / len(own))
        thresholds.append(chosen)
        negatives += sum(issame[pair] and not dist[pair] < chosen for pair in own)
        positives += sum(not issame[pair] and dist[pair] < chosen for pair in own)
    return accuracies, thresholds, negatives, positives


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10000))
def test_folds_by_the_split_column_are_those_of_a_loop(seed):
    """Splits of different sizes, mixed over the list."""
    random = np.random.RandomState(seed)
    pairs, videos = 24, 9
    split = random.choice([1, 3, 7], pairs)
    split[:3] = 1, 3, 7
    templates = video_templates.normalised(0.01 + random.normal(size=(videos, 3)).round(1))[0]
    rows = random.randint(0, videos, (2, pairs))
    issame = random.rand(pairs) < 0.5
    found = ytf.evaluate(ytf_files.Splits("", split, [], [], issame), templates, rows)
    dist = np.sum((templates[rows[0]] - templates[rows[1]]) ** 2, axis=1)
    near = np.abs(dist[:, None] * 100 - np.round(dist[:, None] * 100)).min() < 1e-9
    if near:  # a distance at a threshold may fall to either side by its last bit
        return
    accuracies, thresholds, negatives, positives = loop(dist, issame, split.tolist())
    assert found["accuracies"] == pytest.approx(accuracies) and found["thresholds"] == pytest.approx(thresholds)
    assert (found["false_negatives"], found["false_positives"]) == (negatives, positives)
    assert found["accuracy"] == pytest.approx(np.mean(accuracies)) and found["std"] == pytest.approx(np.std(accuracies))


def test_the_numbers_of_the_miniature(shared):
    folder = shared / "reference" / "protocols"
    expected = json.loads((folder / "expected" / "ytf.json").read_text())
    distances = np.load(folder / "expected" / "ytf.npz")["squared_distances"]
    splits, file = ytf_files.read_splits(folder / "ytf" / "splits.txt"), FrameEmbeddings(folder / "ytf" / "frames.npz")
    templates = video_templates.of_file(file)
    rows = ytf.rows_of(splits, file.names.tolist(), file.path)
    assert np.sum((templates[rows[0]] - templates[rows[1]]) ** 2, axis=1) == pytest.approx(distances, abs=1e-12)
    found = ytf.evaluate(splits, templates, rows)
    original = expected["from the original ytf.py"]
    assert found["accuracy_by_lines"] == pytest.approx(original["accuracy"], abs=1e-6)
    assert [found["false_negatives"], found["false_positives"]] == original["wrong_pairs"]
    brute = expected["brute force in float64"]["frames_normalised_first"]
    assert found["accuracy"] == brute["accuracy"] and found["std"] == brute["std"]
    assert found["accuracies"] == brute["folds"] and found["thresholds"] == brute["thresholds"]
    assert ytf.note_of(splits) is None
    found = ytf.evaluate(splits, video_templates.of_file(file, unit_frames=False), rows)
    brute = expected["brute force in float64"]["frames_as_they_are"]
    assert found["accuracy"] == brute["accuracy"] and found["std"] == brute["std"]
    assert found["accuracies"] == brute["folds"] and found["thresholds"] == brute["thresholds"]


def test_videos_that_are_missing_or_there_twice_are_named():
    splits = ytf_files.Splits("splits.txt", np.array([1, 2]), ["a/0", "a/1"], ["b/0", "c/0"], np.array([True, False]))
    assert ytf.rows_of(splits, ["c/0", "a/0", "a/1", "b/0"], "f").tolist() == [[1, 2], [3, 0]]
    with pytest.raises(Failure, match="f lacks 1 of the 4 videos of splits.txt, such as b/0"):
        ytf.rows_of(splits, ["c/0", "a/0", "a/1"], "f")
    with pytest.raises(Failure, match="the video a/0 twice"):
        ytf.rows_of(splits, ["a/0", "a/0", "a/1"], "f")
    left = ytf.without(splits, {"b/0"})
    assert (left.first, left.second, left.issame.tolist()) == (["a/1"], ["c/0"], [False])
    with pytest.raises(Failure, match="two are needed"):
        ytf.check_folds(left)
    assert ytf.note_of(splits) == "split 1 has no impostor pairs; split 2 has no genuine pairs"
