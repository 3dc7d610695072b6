"""The row of YTF's size: centres of 3,425 drawn videos from a file of their frames, in one pass.

The file is written with drawn embeddings first, 1.27 GB for 620,000 frames of 512 numbers. A process of its own then
makes the templates. Its peak of memory stands next to that of a process that gets half of the frames.
"""
import os
import tempfile
import time

import numpy as np

from datasets.formats import embeddings
from datasets.formats.frame_embeddings import FrameEmbeddings
from eval.protocols import video_templates
from tools.benchmarking.contenders import Contender
from tools.benchmarking.rows import Row

VIDEOS, MEAN_FRAMES, SHORTEST, LONGEST, DIMENSION = 3425, 181, 48, 6070, 512


def frame_counts(videos=VIDEOS, mean=MEAN_FRAMES, longest=LONGEST, seed=0):
    """Return drawn numbers of frames: one video of the longest, the others so that the mean is right."""
    random = np.random.RandomState(seed)
    counts = SHORTEST + random.gamma(2.0, (mean - SHORTEST) / 2, videos)
    counts[0] = longest
    counts[1:] *= (mean * videos - longest) / counts[1:].sum()
    return np.maximum(1, np.round(counts)).astype(np.int64)


def write_frames(path, counts, dimension=DIMENSION, rows=4096, seed=0):
    """Write drawn embeddings: frames around a centre of their video, each with a length of its own."""
    random = np.random.RandomState(seed)
    noise = random.normal(0, 1, (rows, dimension)).astype(np.float32)
    owners, total = np.repeat(np.arange(len(counts)), counts), int(counts.sum())
    centres = random.normal(0, 1, (len(counts), dimension)).astype(np.float32)

    def blocks():
        for first in range(0, total, rows):
            held = owners[first:first + rows]
            yield (centres[held] + noise[:len(held)]) * random.uniform(1, 30, (len(held), 1)).astype(np.float32)
    embeddings.write(path, blocks(), owners, counts=counts,
                     videos=np.array([f"{video // 3}/{video % 3}" for video in range(len(counts))]))


def peak():
    """Return the most memory that this process had, in bytes."""
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def centres(path):
    """Return what makes the templates of a file and answers with seconds and memory. For `Contender`."""
    def step():
        begun = time.perf_counter()
        file = FrameEmbeddings(path)
        templates = video_templates.of_file(file)
        return {"seconds": time.perf_counter() - begun, "peak_bytes": peak(),
                "videos": len(templates), "frames": file.frames, "file_bytes": os.path.getsize(path)}
    return step


def centre_rows(threads, videos=VIDEOS):
    """Yield the rows of YTF's centres: time, and the memory of all frames beside that of half of them."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "frames.npz")
        for part in (1, 2):
            counts = frame_counts(videos)
            write_frames(path, np.maximum(1, counts // part))
            with Contender("tools.benchmarking.evaluation_video:centres", threads, span=0, path=path) as contender:
                found.append(contender.turn()[1])
    whole, half = found
    label = f"centres of {whole['videos']:,} videos, {whole['frames']:,} frames"
    yield Row("evaluation", label, "ours", None, whole["seconds"], None, "s", None, facts=whole,
              note=f"{whole['file_bytes'] / 1e9 / whole['seconds']:.2f} GB/s of the file")
    yield Row("evaluation", label, "all frames", "half of them", whole["peak_bytes"] / 1e6, half["peak_bytes"] / 1e6,
              "MB", whole["peak_bytes"] / half["peak_bytes"], facts=whole, note="the process's peak")


def pieces(threads, rounds):
    """Return (label, expected seconds, function that yields rows) of this part of the section."""
    return [("YTF's centres", 20, lambda: centre_rows(threads))]
