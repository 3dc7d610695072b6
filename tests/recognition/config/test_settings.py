"""The table of settings: its flags, what each setting changes, and the list of flags in the documentation."""
import argparse

import pytest

from recognition.config import settings
from recognition.config.build import build
from runtime import Failure

RUN = set("""network loss dataset emb_size num_classes batch_size seed loss_s loss_m1 loss_m2 loss_m3 intra_weight
    inter_weight sphere_lambda_min sphere_lambda_start sphere_lambda_decay triplet_alpha triplet_weight
    triplet_bag_size images_per_identity triplet_max_ap""".split())
NOTHING = set("""ctx num_workers models_root resume verbose frequent save_every ckpt targets explicit_targets kvstore
    how dataset_path trace_angles pretrained published_lr published_batch_size workspace""".split())
FLAGS = {
    "network": ("r50", "r50"), "loss": ("cosface", "cosface"), "dataset": ("orl", "orl"),
    "dataset_path": ("a b", "a b"), "models_root": ("m", "m"), "pretrained": ("p,1", "p,1"),
    "pretrained_epoch": ("7", 7), "pretrained_partial": (None, True), "ckpt": ("2", 2), "verbose": ("5", 5),
    "frequent": ("6", 6), "save_every": ("0", 0), "resume": (None, True), "max_steps": ("9", 9), "lr": ("1e-3", 0.001),
    "lr_steps": ("3,5", [3, 5]), "wd": ("0.1", 0.1), "mom": ("0.5", 0.5), "per_batch_size": ("4", 4),
    "batch_size": ("8", 8), "emb_size": ("16", 16), "loss_s": ("30", 30.0), "loss_m1": ("2", 2.0),
    "loss_m2": ("-0.5", -0.5), "loss_m3": ("0.35", 0.35), "intra_weight": ("1", 1.0), "inter_weight": ("2", 2.0),
    "sphere_lambda_min": ("3", 3.0), "sphere_lambda_start": ("4", 4.0), "sphere_lambda_decay": ("0.2", 0.2),
    "triplet_alpha": ("0.3", 0.3), "triplet_weight": ("0.4", 0.4), "triplet_bag_size": ("30", 30),
    "images_per_identity": ("4", 4), "triplet_max_ap": ("0.9", 0.9), "trace_angles": (None, True),
    "kvstore": ("local", "local"), "ctx": ("cpu", "cpu"), "seed": ("-1", -1), "num_workers": ("2", 2)}


def parsed(*given):
    parser = argparse.ArgumentParser()
    settings.add_flags(parser)
    return vars(parser.parse_args(given))


def test_every_flag():
    given = [word for name, (text, _) in FLAGS.items()
             for word in [f"--{name.replace('_', '-')}" + ("" if text is None else f"={text}")]]
    assert parsed(*given, "--target", "lfw.bin, orl") == {**{name: value for name, (_, value) in FLAGS.items()},
                                                          "targets": ["lfw", "orl"]}


def test_a_flag_that_is_not_given_leaves_the_tables_alone():
    found = {name: value for name, value in parsed().items() if value not in (None, False)}
    assert found == {"network": "r100", "loss": "arcface", "dataset": "emore"}


@pytest.mark.parametrize("given", [["--ckpt", "4"], ["--kvstore", "nccl"], ["--verbose", "x"], ["--lr-steps", "1,x"]])
def test_flags_that_are_wrong_usage(given):
    with pytest.raises(SystemExit) as end:
        parsed(*given)
    assert end.value.code == 2


def test_every_setting_has_one_declaration():
    names = [setting.name for setting in settings.SETTINGS]
    assert len(names) == len(set(names))
    assert set(build("y1", "arcface-triplet", "emore", {})) <= set(names)


def test_resuming_compares_what_makes_a_run_another():
    names = [setting.name for setting in settings.SETTINGS]
    before, now = (dict.fromkeys(names, value) for value in (1, 2))
    assert {text.split(" was 1, now 2")[0] for text in settings.differences(before, now)} == RUN
    assert settings.differences(before, dict(before)) == []
    assert settings.differences({}, {"seed": 3}) == ["seed was None, now 3"]


def test_two_runs_of_a_row_compare_what_the_weights_depend_on():
    config = {setting.name: 1 for setting in settings.SETTINGS}
    assert set(config) - set(settings.of_the_result(config)) == NOTHING
    assert settings.of_the_result({"lr": 0.1, "verbose": 5, "of_a_later_version": 3}) == {
        "lr": 0.1, "of_a_later_version": 3}


@pytest.mark.parametrize("loss, flags, said", [
    ("arcface", {"lr": 0.0}, "--lr 0.0: the learning rate must be positive"),
    ("arcface", {"lr_steps": [5, 5]}, "--lr-steps 5,5: give positive numbers of batches, ascending"),
    ("arcface", {"mom": 1.0}, "--mom 1.0: momentum lies in [0, 1)"),
    ("arcface", {"frequent": 0}, "--frequent 0: at least 1"),
    ("arcface", {"max_steps": -1}, "--max-steps -1: 0 is without end, else a number of batches"),
    ("arcface", {"loss_s": -1.0}, "--loss-s -1.0: the feature scale must be positive"),
    ("arcface", {"loss_s": float("nan")}, "--loss-s nan: give a number"),
    ("arcface", {"loss_m3": float("inf")}, "--loss-m3 inf: give a number"),
    ("ns-inter", {"inter_weight": -2.0}, "--inter-weight -2.0: cannot be negative"),
    ("ns-inter", {"inter_weight": float("nan")}, "--inter-weight nan: give a number"),
    ("triplet", {"triplet_max_ap": -1.0}, "--triplet-max-ap -1.0: give a number that is not negative"),
    ("triplet", {"triplet_alpha": -1.0}, "--triplet-alpha -1.0: give a number that is not negative"),
    ("triplet", {"triplet_alpha": 0.0}, "--triplet-alpha 0.0: the margin must be positive"),
    ("triplet", {"triplet_bag_size": 2}, "--triplet-bag-size 2: at least 3 images"),
    ("triplet", {"images_per_identity": -1}, "--images-per-identity -1: give a number that is not negative"),
    ("triplet", {"images_per_identity": 1}, "--images-per-identity 1: a genuine pair takes 2")])
def test_values_that_cannot_be_meant(loss, flags, said):
    with pytest.raises(Failure) as failure:
        build("y1", loss, "emore", flags)
    assert str(failure.value) == said


def test_the_list_of_flags_in_the_documentation_is_current(root):
    text = (root / "docs" / "training-flags.md").read_text(encoding="utf-8")
    head, table = text.split("\n\n| flag |")
    assert "from recognition.config.settings import markdown" in head
    assert f"| flag |{table}" == settings.markdown(), "print the table again with the command that stands above it"
    rows = [line.split("`")[1] for line in table.splitlines()[2:]]
    assert set(rows) == {f"--{name.replace('_', '-')}" for name in FLAGS} | {"--target"} and len(rows) == len(FLAGS) + 1
