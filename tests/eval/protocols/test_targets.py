"""Which verification files a folder has, and where they are looked for."""
import os
import subprocess
import sys

import pytest

from eval.protocols.targets import find_targets, sets_in
from recognition.training.validation import Verifier
from runtime import Failure
from tools.reproduce import verification_sets


@pytest.fixture
def folder(tmp_path):
    """Two files, a folder and a broken link of such a name, and what has another name."""
    folder = tmp_path / "data" / "set"
    folder.mkdir(parents=True)
    for name in ("lfw.bin", "a.b.bin", "cfp_fp.bin.part", "bin", "agedb_30.BIN"):
        (folder / name).write_bytes(b"")
    (folder / "folder.bin").mkdir()
    (folder / "gone.bin").symlink_to(tmp_path / "nowhere")
    return folder


def test_all_that_a_folder_has(folder):
    found, missing = sets_in(folder)
    assert list(found.items()) == [("a.b", f"{folder}/a.b.bin"), ("lfw", f"{folder}/lfw.bin")]
    assert missing == ["folder", "gone"]


def test_those_that_are_named_keep_their_order(folder):
    found, missing = sets_in(str(folder), ["lfw", "cfp_fp", "a.b", "folder"])
    assert list(found) == ["lfw", "a.b"] and missing == ["cfp_fp", "folder"]
    assert sets_in(folder / "nowhere", ["lfw"]) == ({}, ["lfw"])


def test_the_current_folder_as_an_empty_name(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert sets_in("")[0] == {"a.b": "a.b.bin", "lfw": "lfw.bin"}


def test_a_target_is_a_file(folder):
    data = folder.parent
    assert find_targets("lfw,a.b.bin", str(data)) == ([("lfw", f"{folder}/lfw.bin"), ("a.b", f"{folder}/a.b.bin")], [])
    with pytest.raises(Failure, match="gone.bin is neither in"):
        find_targets("gone", str(data))


def test_training_and_table_2_take_the_same_files(faces, tmp_path):
    for name in ("train.rec", "train.idx", "property", "tiny.bin"):
        (tmp_path / name).symlink_to(faces / name)
    (tmp_path / "gone.bin").symlink_to(tmp_path / "nowhere")
    verifier = Verifier(str(tmp_path / "train.rec"), None)
    assert list(verifier.sets) == ["tiny"] and verifier.missing == ["gone"]
    with pytest.raises(Failure, match=rf"^{tmp_path}/lfw.bin is missing: .*\(there: tiny\)$"):
        Verifier(str(tmp_path), ["tiny", "lfw"], explicit=True)

    class Config:
        dataset, dataset_path, how, num_classes, targets = "own", str(tmp_path), "make it", None, None
    assert verification_sets(Config) == (str(tmp_path), ["tiny"])
    Config.targets = ["lfw", "agedb_30"]
    with pytest.raises(Failure, match="has no verification file lfw.bin or agedb_30.bin: put one there"):
        verification_sets(Config)


def test_nothing_that_is_installed_is_needed(root):
    """tools/doctor.py uses it where the environment is broken; -S leaves all installed packages out."""
    done = subprocess.run([sys.executable, "-S", "-c", "import eval.protocols.targets, recognition.config.datasets"],
                          cwd=root, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
