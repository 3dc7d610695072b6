"""States: whole or not there, checked when they are read, and older ones still understood."""
import os
import shutil
import subprocess

import numpy as np
import pytest

from recognition.training import state
from runtime import Failure, mx


def save(folder, step, value=None):
    weight = mx.nd.full((2,), step if value is None else value)
    return state.save(str(folder), step, {"network": {"arg:w": weight}, "optimizer": {"w": weight + 1}, "data": {}},
                      {"epoch": 0, "batch": step, "best": {"last": 0.5}, "config": {}})


def weight_of(folder):
    return state.load(str(folder)).parts["network"]["arg:w"].asnumpy().tolist()


def test_the_last_two_states_are_kept(tmp_path):
    for step in (10, 20, 30):
        save(tmp_path, step)
    assert sorted(os.listdir(tmp_path / "state")) == ["step-00000020", "step-00000030"]
    found = state.load(str(tmp_path))
    assert found.step == 30 and found.progress["batch"] == 30 and set(found.parts) == {"network", "optimizer"}
    assert weight_of(tmp_path) == [30, 30] and found.parts["optimizer"]["w"].asnumpy().tolist() == [31, 31]


def test_a_new_run_supersedes_an_older_one_at_higher_steps(tmp_path):
    for step in (100, 200):
        save(tmp_path, step)
    save(tmp_path, 5)
    assert state.load(str(tmp_path)).step == 5
    save(tmp_path, 200, value=7)
    assert weight_of(tmp_path) == [7, 7]


def test_what_a_kill_left_half_written_is_no_state(tmp_path):
    save(tmp_path, 10)
    (tmp_path / "state" / ".writing").mkdir()
    (tmp_path / "state" / ".writing" / "network.params").write_bytes(b"half")
    assert state.load(str(tmp_path)).step == 10
    save(tmp_path, 20)
    assert state.load(str(tmp_path)).step == 20


FILES = ["network.params", "optimizer.params", "progress.json", "SHA256SUMS"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [None, b"", b"\x12\x01", b"[1, 2", np.random.RandomState(0).bytes(300)],
                         ids=["missing", "empty", "short", "half", "random"])
def test_a_damaged_newest_state_is_named_and_the_one_before_used(tmp_path, capsys, name, content):
    save(tmp_path, 10)
    newest = save(tmp_path, 20)
    damage(newest, name, content)
    found = state.load(str(tmp_path))
    assert found.step == 10 and weight_of(tmp_path) == [10, 10]
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith(f"note: {newest} cannot be read") and "step-00000010" in line
    damage(os.path.join(tmp_path, "state", "step-00000010"), name, content)
    with pytest.raises(Failure, match="(?s)(?=.*step-00000020)(?=.*step-00000010).*start without --resume"):
        state.load(str(tmp_path))


def damage(path, name, content):
    """Put other bytes in the place of a file, or remove it."""
    os.unlink(os.path.join(path, name))
    if content is not None:
        with open(os.path.join(path, name), "wb") as file:
            file.write(content)


def test_a_whole_file_of_another_step_is_found_out(tmp_path):
    """Every file is a good one, yet not of this state."""
    save(tmp_path, 10)
    shutil.copy(tmp_path / "state/step-00000010/network.params", tmp_path / "kept")
    save(tmp_path, 20)
    shutil.copy(tmp_path / "kept", tmp_path / "state/step-00000020/network.params")
    assert state.load(str(tmp_path)).step == 10


def test_checksums_are_those_of_sha256sum(tmp_path):
    path = save(tmp_path, 10)
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count(": OK") == len(os.listdir(path)) - 1


def test_what_was_verified_is_kept(tmp_path):
    path = save(tmp_path, 10)
    assert state.load(str(tmp_path)).progress["best"] == {"last": 0.5}
    state.note_verified(path, {"last": 0.9})
    progress = state.load(str(tmp_path)).progress
    assert progress["best"] == {"last": 0.9} and progress["due"] is False


def test_a_state_of_the_older_form(tmp_path):
    """One file for all parts, with prefixes of three letters, and no checksums."""
    path = tmp_path / "state" / "step-00000007"
    path.mkdir(parents=True)
    mx.nd.save(str(path / "arrays.params"), {
        "arg:w": mx.nd.full((2,), 1), "aux:m": mx.nd.full((2,), 2), "mom:w": mx.nd.full((2,), 3),
        "ang:sums": mx.nd.full((2,), 4), "bag:triplets": mx.nd.full((2,), 5)})
    (path / "progress.json").write_text('{"step": 7, "epoch": 1, "batch": 2, "best": {}, "config": {}}')
    found = state.load(str(tmp_path))
    values = {owner: {name: array.asnumpy()[0] for name, array in arrays.items()}
              for owner, arrays in found.parts.items()}
    assert values == {"network": {"arg:w": 1, "aux:m": 2}, "optimizer": {"w": 3}, "angles": {"sums": 4},
                      "data": {"triplets": 5}}
    assert (found.step, found.progress["epoch"]) == (7, 1)


def test_no_state(tmp_path):
    with pytest.raises(Failure, match="nothing to resume"):
        state.load(str(tmp_path))
