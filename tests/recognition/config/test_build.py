"""The tables against the reference's settings, and how they are merged."""
import json

import pytest

from recognition.config.build import build, settle
from recognition.config.networks import NETWORKS, network_settings
from runtime import Failure
from symbols import get_symbol


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_the_reference_settings(name, shared):
    entry = json.loads((shared / "reference" / "networks.json").read_text())[name]
    config = build(name, "arcface", "emore", {})
    settings = network_settings(config)
    for key, value in entry["config"].items():
        if value is not None:
            assert (config.net_name if key == "net_name" else settings[key]) == value, key
    symbol = get_symbol(config.net_name, **settings)
    assert [name for name in symbol.list_arguments() if name != "data"] == list(entry["arguments"])


def test_the_table_covers_the_original():
    assert set(NETWORKS) == set("r100 r100fc r50 r50v1 d169 d201 y1 y2 m1 m05 mnas mnas05 mnas025 "
                                       "vargfacenet".split())


def test_flags_override_the_tables():
    config = build("d169", "arcface", "emore", {"lr": 0.05, "loss_m2": 0.4, "ckpt": None, "lr_steps": [5, 9]})
    assert (config.lr, config.loss_m2, config.ckpt, config.lr_steps) == (0.05, 0.4, 3, [5, 9])
    assert config.per_batch_size == 64 and config.max_steps == 180000 and config.published_lr == 0.1


def test_a_folder_of_ones_own(tmp_path):
    config = build("y1", "arcface", "mine", {"dataset_path": str(tmp_path)})
    assert config.dataset_path == str(tmp_path) and config.targets is None and config.num_classes is None
    for name in ("../mine", "", "a b"):
        with pytest.raises(Failure, match="--dataset"):
            build("y1", "arcface", name, {"dataset_path": str(tmp_path)})


@pytest.mark.parametrize("name, said", [
    ("faces_emore", "--dataset emore"), ("datasets/faces_emore/", "--dataset emore"), ("EMORE", "--dataset emore"),
    ("ms1m-retinaface-t1", "--dataset retina"), ("MS1MV2", "--dataset emore"), ("mine", "--dataset-path FOLDER")])
def test_a_datasets_folder_in_place_of_its_key(name, said):
    with pytest.raises(Failure, match="unknown dataset.*known: casia, emore, orl.*--dataset-path") as failure:
        build("y1", "arcface", name, {})
    assert said in str(failure.value) and ("is the folder" in str(failure.value)) == (name != "mine")


@pytest.mark.parametrize("given, devices, batch, per", [
    ({}, 4, 512, 128), ({"per_batch_size": 16}, 2, 32, 16), ({"batch_size": 64}, 2, 64, 32),
    ({"batch_size": 64, "per_batch_size": 32}, 2, 64, 32)])
def test_batch_sizes(given, devices, batch, per):
    config = build("y1", "arcface", "emore", given)
    settle(config, devices)
    assert (config.batch_size, config.per_batch_size) == (batch, per)


@pytest.mark.parametrize("given", [{"batch_size": 64, "per_batch_size": 16}, {"batch_size": 65}])
def test_batch_sizes_that_disagree(given):
    with pytest.raises(Failure, match="--batch-size 6"):
        settle(build("y1", "arcface", "emore", given), 2)


@pytest.mark.parametrize("name, steps, end", [("casia", [20000, 28000], 32000), ("emore", [100000, 160000], 180000)])
def test_schedules_of_section_3_1(name, steps, end):
    config = build("r50", "arcface", name, {})
    assert (config.lr_steps, config.max_steps, config.lr, config.mom, config.wd) == (steps, end, 0.1, 0.9, 0.0005)
    assert config.published_batch_size == 512
