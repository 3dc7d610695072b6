"""The catalog against the paper's Table 1 and the training tables, and what it says of what is here."""
import json
import os

import numpy as np
import pytest

from datasets.formats import records, verification_file
from datasets.published import table as published
from datasets.published.installed import look
from recognition.config import datasets as config


def test_rows_are_those_of_table_1(shared):
    table = json.loads((shared / "reference" / "tables.json").read_text())["table1"]["rows"]
    own = [entry for entry in published.DATASETS if entry.in_table1]
    assert {entry.name: [entry.identities, entry.images] for entry in own} == table and len(own) == 16
    assert len({entry.key for entry in published.DATASETS}) == len(published.DATASETS)


@pytest.mark.parametrize("name", config.DATASETS)
def test_training_looks_where_the_catalog_says(name):
    entry = published.find(name)
    if entry is None:
        pytest.skip(f"{name} is not in the catalog")
    assert config.DATASETS[name]["dataset_path"] == f"datasets/{entry.folder}"
    assert config.DATASETS[name]["num_classes"] == entry.classes and config.DATASETS[name]["how"] == entry.how


def test_the_original_folders_and_identities():
    """reference/training.md."""
    emore, retina = config.DATASETS["emore"], config.DATASETS["retina"]
    assert (emore["dataset_path"], emore["num_classes"]) == ("datasets/faces_emore", 85742)
    assert (retina["dataset_path"], retina["num_classes"]) == ("datasets/ms1m-retinaface-t1", 93431)


@pytest.mark.slow
def test_messages_say_how_to_get_it(command, tmp_path):
    done = command("recognition/train.py", "--network", "y1", "--dataset", "casia", "--dataset-path", tmp_path,
                   "--ctx", "cpu")
    assert done.returncode == 1 and published.find("casia").how in done.stderr
    done = command("eval/verification.py", "--model", "x,1", "--data-dir", tmp_path, "--target", "cplfw")
    assert done.returncode == 1 and published.find("cplfw").how in done.stderr


def state(key, root):
    return look(published.find(key), str(root))


def test_a_record(tmp_path):
    assert state("emore", tmp_path) == {"here": False, "whole": None, "state": "not here", "path": None}
    folder = tmp_path / "faces_emore"
    records.write(folder, [(identity, b"a picture", "a.jpg") for identity in range(3)])
    found = state("emore", tmp_path)
    assert found["here"] and found["whole"]
    assert found["state"] == "here: 3 images of 3 identities (85742 were published)"
    (folder / "property").write_text("4,112,112")  # a class without an image
    assert state("emore", tmp_path)["whole"]
    assert state("emore", tmp_path)["state"] == "here: 3 images of 3 identities (4 classes, 85742 were published)"
    (folder / "property").write_text("2,112,112")
    assert not state("emore", tmp_path)["whole"] and "says 2 classes" in state("emore", tmp_path)["state"]
    (folder / "property").unlink()
    assert state("emore", tmp_path)["state"] == "lacks property"
    (folder / "property").write_text("3,112,112")
    content = (folder / "train.rec").read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 4):
        (folder / "train.rec").write_bytes(content[:size])
        found = state("emore", tmp_path)
        assert found["here"] and found["whole"] is False and "\n" not in found["state"]


@pytest.mark.parametrize(("case", "words"), [
    ("header_last", "here: 30 images of 6 identities (85742 were published)"),
    ("labels_gap", "here: 30 images of 6 identities (51 classes, 85742 were published)")])
def test_records_of_other_builders(shared, tmp_path, case, words):
    (tmp_path / "faces_emore").symlink_to(shared / "cases" / case)
    assert state("emore", tmp_path)["whole"] and state("emore", tmp_path)["state"] == words


def test_a_verification_file_in_any_folder(tmp_path):
    (tmp_path / "other").mkdir()
    verification_file.write(tmp_path / "other" / "lfw.bin", [b"a picture"] * 12000, np.arange(6000) % 2 == 0)
    assert state("lfw", tmp_path)["state"] == f"here: 6000 pairs in {os.path.join('other', 'lfw.bin')}"
    verification_file.write(tmp_path / "lfw.bin", [b"a picture"] * 4, [True, False])
    assert state("lfw", tmp_path)["whole"] is False and "2 pairs, where 6000" in state("lfw", tmp_path)["state"]
    (tmp_path / "lfw.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert state("lfw", tmp_path)["whole"] is False


def test_a_test_set(tmp_path):
    (tmp_path / "ytf").mkdir()
    (tmp_path / "ytf" / "splits.txt").touch()
    assert state("ytf", tmp_path)["state"] == "splits.txt is empty"
    (tmp_path / "iqiyi_vid").mkdir()
    assert not state("iqiyi", tmp_path)["here"]
    (tmp_path / "iqiyi_vid" / "a").touch()
    assert state("iqiyi", tmp_path)["here"] and state("iqiyi", tmp_path)["whole"] is None
    (tmp_path / "IJBC" / "meta").mkdir(parents=True)
    (tmp_path / "IJBC" / "meta" / "ijbc_face_tid_mid.txt").write_text("a 1 1")
    assert state("ijbc", tmp_path)["whole"] is False and "lacks meta/ijbc_name" in state("ijbc", tmp_path)["state"]


@pytest.mark.slow
def test_the_command(command, tmp_path):
    done = command("datasets/catalog.py", "--json", "--data-dir", tmp_path)
    table = json.loads(done.stdout)
    assert [row["name"] for row in table] == [entry.name for entry in published.DATASETS]
    assert not any(row["here"] for row in table)
    done = command("datasets/catalog.py", "--data-dir", tmp_path)
    assert done.returncode == 0 and all(entry.name in done.stdout for entry in published.DATASETS)
