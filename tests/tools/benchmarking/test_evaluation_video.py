"""The benchmark's row of YTF's centres, with few videos."""
import numpy as np
import pytest

from datasets.formats.frame_embeddings import FrameEmbeddings
from tools.benchmarking import evaluation_video


def test_drawn_videos_have_the_benchmark_s_sizes():
    counts = evaluation_video.frame_counts()
    assert len(counts) == 3425 and counts.max() == 6070 and counts.mean() == pytest.approx(181, abs=1)


def test_a_file_is_what_the_evaluation_reads(tmp_path):
    counts = np.array([3, 1, 5])
    evaluation_video.write_frames(tmp_path / "frames.npz", counts, dimension=4, rows=2)
    file = FrameEmbeddings(tmp_path / "frames.npz")
    assert file.counts.tolist() == [3, 1, 5] and file.names.tolist() == ["0/0", "0/1", "0/2"]
    found = evaluation_video.centres(str(tmp_path / "frames.npz"))()
    assert (found["videos"], found["frames"]) == (3, 9) and found["peak_bytes"] > 0


@pytest.mark.slow
def test_the_rows():
    time, memory = evaluation_video.centre_rows(1, videos=40)
    assert time.left_value > 0 and time.unit == "s" and "videos" in time.label
    assert memory.unit == "MB" and memory.facts["frames"] > 6000
