"""Checkpoints and states: whole or not there, and read back as they were written."""
import os
import resource

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.training import state as checkpoints
from runtime import Failure, mx

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@settings(max_examples=40, deadline=None)
@given(arrays=st.dictionaries(st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=12),
                              st.tuples(SHAPES, st.sampled_from(["float32", "float64", "float16", "int32", "uint8"])),
                              min_size=1, max_size=5))
def test_size_is_foreseen_and_arrays_come_back(tmp_path_factory, arrays):
    """The size that tells a whole file from a cut one is that of MXNet's own writer."""
    path = tmp_path_factory.mktemp("arrays") / "a.params"
    values = {name: mx.nd.array(np.random.RandomState(0).uniform(0, 9, shape), dtype=dtype)
              for name, (shape, dtype) in arrays.items()}
    checkpoints.save_arrays(path, values)
    assert path.stat().st_size == checkpoints.saved_size(values)
    back = mx.nd.load(str(path))
    assert set(back) == set(values)
    for name in values:
        np.testing.assert_array_equal(back[name].asnumpy(), values[name].asnumpy())


@pytest.mark.parametrize("limit", [1000, 5000, 200000])
def test_a_disk_that_fills_leaves_the_older_file(tmp_path, limit):
    """A limit on file sizes stands for the disk; MXNet itself does not notice the loss of a file's last 4 kB."""
    path = tmp_path / "model.params"
    checkpoints.save_arrays(path, {"arg:w": mx.nd.ones((3,))})
    before = path.read_bytes()
    new = {"arg:w": mx.nd.ones(((limit + 600) // 4,))}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match="No space left"):
            checkpoints.save_arrays(path, new)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["model.params"]


def save(folder, step, value=None):
    checkpoints.save_state(str(folder), step, {"arg:w": mx.nd.full((2,), step if value is None else value)},
                           {"epoch": 0, "batch": step, "best": {}, "config": {}})


def test_the_last_two_states_are_kept(tmp_path):
    for step in (10, 20, 30):
        save(tmp_path, step)
    assert sorted(os.listdir(tmp_path / "state")) == ["step-00000020", "step-00000030"]
    arrays, progress = checkpoints.load_state(str(tmp_path))
    assert progress["step"] == 30 and arrays["arg:w"].asnumpy().tolist() == [30, 30]


def test_a_new_run_supersedes_an_older_one_at_higher_steps(tmp_path):
    for step in (100, 200):
        save(tmp_path, step)
    save(tmp_path, 5)
    assert checkpoints.load_state(str(tmp_path))[1]["step"] == 5
    save(tmp_path, 200, value=7)
    assert checkpoints.load_state(str(tmp_path))[0]["arg:w"].asnumpy().tolist() == [7, 7]


def test_what_a_kill_left_half_written_is_no_state(tmp_path):
    save(tmp_path, 10)
    (tmp_path / "state" / ".writing").mkdir()
    (tmp_path / "state" / ".writing" / "arrays.params").write_bytes(b"half")
    assert checkpoints.load_state(str(tmp_path))[1]["step"] == 10
    save(tmp_path, 20)
    assert checkpoints.load_state(str(tmp_path))[1]["step"] == 20


@pytest.mark.parametrize("name", ["arrays.params", "progress.json"])
@pytest.mark.parametrize("content", [b"", b"\x12\x01", b"[1, 2", os.urandom(300)])
def test_a_damaged_state_is_one_line(tmp_path, name, content):
    save(tmp_path, 10)
    (tmp_path / "state" / "step-00000010" / name).write_bytes(content)
    with pytest.raises(Failure, match="step-00000010"):
        checkpoints.load_state(str(tmp_path))


def test_no_state(tmp_path):
    with pytest.raises(Failure, match="nothing to resume"):
        checkpoints.load_state(str(tmp_path))
