"""Contenders: processes of their own that take turns."""
import itertools

import numpy as np
import pytest

from runtime import Failure
from tools.benchmarking.contenders import Contender, drawn_images, take_turns


def spawn(step, **settings):
    return Contender(step, 1, **settings)


@pytest.mark.slow
def test_contenders_take_turns_in_processes_of_their_own(tmp_path, monkeypatch):
    log = tmp_path / "log"
    (tmp_path / "told.py").write_text(
        "import os, time\n"
        "def make(name, log):\n"
        "    def step():\n"
        "        with open(log, 'a') as file:\n"
        "            print(name, 'begins', file=file, flush=True)\n"
        "            print('a library talks')\n"
        "            time.sleep(0.01)\n"
        "            print(name, 'ends', file=file)\n"
        "        return [os.getpid(), os.environ['OMP_NUM_THREADS'], os.environ.get('MXNET_SUBGRAPH_BACKEND')]\n"
        "    return step\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("MXNET_SUBGRAPH_BACKEND", "the user's")
    with Contender("told:make", 1, span=0.1, name="a", log=str(log)) as a, \
            Contender("told:make", 3, {"MXNET_SUBGRAPH_BACKEND": "NONE"}, 0.1, name="b", log=str(log)) as b:
        seconds, results = take_turns({"a": a, "b": b}, rounds=2)
    # Each ends before the other begins; the first turn of each is not counted, nor is the first step of a turn.
    lines = log.read_text().split("\n")[:-1]
    assert lines[::2] == [line.replace("ends", "begins") for line in lines[1::2]]
    turns = [(name, len(list(steps))) for name, steps in itertools.groupby(line[0] for line in lines[::2])]
    assert [name for name, _ in turns] == ["a", "b"] * 3 and all(count >= 2 for _, count in turns)
    assert all(len(taken) == 2 and min(taken) >= 0.01 for taken in seconds.values())
    assert results["a"][0][1:] == ["1", None] and results["b"][0][1:] == ["3", "NONE"]
    assert results["a"][0][0] == results["a"][1][0] != results["b"][0][0]


def test_contender_that_fails_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("def make():\n    raise ValueError('no such thing')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with spawn("broken:make") as contender, pytest.raises(Failure, match="ended with status 1: .*no such thing"):
        contender.turn()


def test_drawn_images_are_smooth_and_the_same_each_time():
    images = drawn_images(3)
    assert images.shape == (3, 112, 112, 3) and images.dtype == np.uint8
    assert np.array_equal(images, drawn_images(3)) and not np.array_equal(images[0], images[1])
    assert np.abs(np.diff(images.astype(int), axis=2)).mean() < 10 < images.std()
