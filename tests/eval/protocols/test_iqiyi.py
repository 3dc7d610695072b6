"""The protocol of iQIYI-VID, against the participants' evaluator's number and a loop over clips."""
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.formats.frame_embeddings import FrameEmbeddings
from eval.measures import retrieval
from eval.protocols import iqiyi, iqiyi_files, video_templates
from runtime import Failure


def ranked_by(centres, templates, names):
    """Return rankings by a loop over queries and clips in float64."""
    found = []
    for centre in centres:
        pairs = sorted((-float(sum(a * b for a, b in zip(centre.tolist(), template.tolist()))), name)
                       for template, name in zip(templates, names))
        found.append([name for _, name in pairs])
    return found


@pytest.mark.parametrize("unit_frames", [True, False])
def test_the_numbers_of_the_miniature(shared, unit_frames):
    folder = shared / "reference" / "protocols"
    expected = json.loads((folder / "expected" / "iqiyi.json").read_text())
    train, test = (iqiyi_files.read_truth(folder / "iqiyi" / name) for name in ("train_gt.txt", "test_gt.txt"))
    file = FrameEmbeddings(folder / "iqiyi" / "clips.npz", "names")
    names, templates = file.names.tolist(), video_templates.of_file(file, unit_frames=unit_frames)
    rows, owners = iqiyi.training_rows(train, names)
    centres = iqiyi.centres(templates, rows, owners, len(train))
    tested = np.array([row for row, name in enumerate(names)
                       if iqiyi.is_test(name, iqiyi.clips_of(train), iqiyi.clips_of(test))])
    assert len(tested) == 328, "clips of nobody are ranked, too"
    rankings = iqiyi.rank(list(train), [names[row] for row in tested], iqiyi.Cosines(centres, templates, tested))
    found = retrieval.average_precisions(rankings, test)
    brute = expected["brute force in float64"]["frames_normalised_first" if unit_frames else "frames_as_they_are"]
    assert {str(identity): value for identity, value in found.items()} == brute["ap"]
    assert retrieval.mean(found) == brute["map100"]
    assert (len(found), len(train)) == (brute["queries"], brute["training_identities"])
    capped = {identity: retrieval.average_precision(rankings[identity], clips, divisor=min(100, len(clips)))
              for identity, clips in test.items()}
    assert retrieval.mean(capped) == pytest.approx(brute["map100_with_min_100_m"], abs=1e-15)
    if unit_frames:
        assert retrieval.mean(found) == pytest.approx(expected["evaluator of a contest participant"], abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10000))
def test_equal_clips_are_ranked_by_name(seed):
    """Templates that repeat, at places where a matrix product may round in another way."""
    random = np.random.RandomState(seed)
    different = video_templates.normalised(random.normal(size=(5, 37)))[0]
    templates = different[random.randint(0, 5, 60)]
    names = [f"clip{number}" for number in random.permutation(200)[:60]]
    centres = video_templates.normalised(random.normal(size=(3, 37)))[0]
    found = retrieval.rank(np.array(names), iqiyi.Cosines(centres, templates, np.arange(60)), 3, depth=20, block=7)
    assert found == [ranking[:20] for ranking in ranked_by(centres, templates, names)]


def test_which_clips_are_ranked():
    train, test = {"x", "IQIYI_VID_TRAIN_1.mp4"}, {"y", "IQIYI_VID_VAL_9.mp4"}
    names = ["x", "y", "z", "IQIYI_VID_TRAIN_1.mp4", "IQIYI_VID_TRAIN_2.mp4", "IQIYI_VID_VAL_3.mp4",
             "IQIYI_VID_VAL_9.mp4", "IQIYI_VID_TEST_4.mp4"]
    assert [name for name in names if iqiyi.is_test(name, train, test)] == \
        ["y", "z", "IQIYI_VID_VAL_9.mp4", "IQIYI_VID_TEST_4.mp4"]


def test_a_clip_of_two_identities_and_one_with_two_rows_count_for_each():
    rows, owners = iqiyi.training_rows({5: ["a", "b"], 9: ["a"], 11: ["c"]}, ["b", "a", "a"])
    assert sorted(zip(rows.tolist(), owners.tolist())) == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)]
    found = iqiyi.centres(np.array([[0.0, 1], [1, 0], [1, 0]]), rows, owners, 3)
    assert found == pytest.approx(np.array([[2, 1] / np.sqrt(5), [1, 0], [0, 0]]))


def test_names_of_another_set_are_refused():
    with pytest.raises(Failure, match=r"c.npz has none of the 1 test clips of the ground truth; it has a"):
        iqiyi.check_names(["a", "b"], {1: ["a"]}, {1: ["a.mp4"]}, "c.npz")
