"""Templates of videos, against sums written out."""
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.formats.frame_embeddings import FrameEmbeddings
from eval.protocols import video_templates
from runtime import Failure


def file_of(counts, dimension, names=None):
    counts = np.array(counts)
    file = SimpleNamespace(path="frames.npz", names=names or [str(video) for video in range(len(counts))],
                           counts=counts, ends=np.cumsum(counts), dimension=dimension, frames=int(counts.sum()))
    file.frame = lambda row: FrameEmbeddings.frame(file, row)
    return file


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any), st.integers(1, 7), st.integers(0, 1000))
def test_templates_are_means_of_unit_frames_wherever_blocks_end(counts, size, seed):
    rows = np.random.RandomState(seed).normal(size=(sum(counts), 5)).astype(np.float32)
    file = file_of(counts, 5)
    found = video_templates.of_file(file, blocks=(rows[first:first + size] for first in range(0, len(rows), size)))
    assert np.array_equal(found, video_templates.of_file(file, blocks=[rows]))
    first = 0
    for count, template in zip(counts, found):
        frames = rows[first:first + count].astype(np.float64)
        first += count
        mean = sum((frame / np.linalg.norm(frame) for frame in frames), np.zeros(5))
        assert template == pytest.approx(mean / np.linalg.norm(mean) if count else mean, abs=1e-12)
        if count:
            assert video_templates.of_frames(frames) == pytest.approx(template, abs=1e-12)


def test_equal_videos_have_equal_templates():
    """So that equal scores are equal to the last bit, and names decide."""
    frames = np.random.RandomState(1).normal(size=(40, 33)).astype(np.float32)
    rows = np.concatenate([frames] * 3)
    found = video_templates.of_file(file_of([40] * 3, 33), blocks=(rows[first:first + 7] for first
                                                                  in range(0, len(rows), 7)))
    assert (found == found[0]).all()


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_a_frame_that_is_no_direction_is_named(value):
    rows = np.ones((5, 2), np.float32)
    rows[3] = value
    with pytest.raises(Failure, match="frame 2 of b is zero or not finite"):
        video_templates.of_file(file_of([2, 3], 2, ["a", "b"]), blocks=[rows[:2], rows[2:]])


def test_frames_that_cancel_are_refused():
    with pytest.raises(Failure, match="the frames of b cancel each other"):
        video_templates.of_file(file_of([1, 2], 2, ["a", "b"]), blocks=[np.float32([[1, 0], [0, 2], [0, -3]])])


def test_the_centres_of_the_miniature(shared):
    folder = shared / "reference" / "protocols"
    file, expected = FrameEmbeddings(folder / "ytf" / "frames.npz"), np.load(folder / "expected" / "ytf.npz")
    assert file.names.tolist() == expected["videos"].tolist()
    assert np.abs(video_templates.of_file(file) - expected["centres"]).max() < 1e-6
