"""The tables of networks, losses and datasets, and the one configuration that a run is made from.

A configuration is an EasyDict: defaults ← dataset ← network ← loss ← flags. It is built once, passed down and
written beside the checkpoint; nothing reads it from here.
"""
import math
import os
import re

from easydict import EasyDict

from datasets import catalog
from runtime import ROOT, Failure

DEFAULTS = {
    # Embedding network
    "emb_size": 512, "net_output": "E", "net_unit": 3, "net_input": 1, "net_act": "prelu", "net_se": 0,
    "net_multiplier": 1.0, "net_blocks": [1, 4, 6, 2], "num_layers": None, "densenet_dropout": None,
    "bn_mom": 0.9, "workspace": 256,
    # Classifier
    "fc7_lr_mult": 1.0, "fc7_wd_mult": 1.0,
    # Optimizer: Sec. 3.1
    "lr": 0.1, "lr_steps": [100000, 160000, 220000], "wd": 0.0005, "mom": 0.9, "max_steps": 0,
    "batch_size": None, "per_batch_size": 128, "published_batch_size": 512,
    # What is printed, verified and saved, and when
    "frequent": 20, "verbose": 2000, "ckpt": 3, "save_every": None,
    # Data
    "mirror": True, "augmentation": {}, "num_classes": None, "targets": None, "explicit_targets": False,
    "dataset_path": None,
    "num_workers": max(1, min(16, os.cpu_count() or 1)),
    # The run
    "models_root": os.path.join(ROOT, "models"), "pretrained": "", "pretrained_epoch": 1, "pretrained_partial": False,
    "resume": False, "seed": 0,
    "ctx": "", "kvstore": "device", "trace_angles": False,
}

NETWORKS = {
    "r100": {"net_name": "fresnet", "num_layers": 100},
    "r50": {"net_name": "fresnet", "num_layers": 50},
    "r100fc": {"net_name": "fresnet", "num_layers": 100, "net_output": "FC"},
    "r50v1": {"net_name": "fresnet", "num_layers": 50, "net_unit": 1},
    "d169": {"net_name": "fdensenet", "num_layers": 169, "per_batch_size": 64, "densenet_dropout": 0.0},
    "d201": {"net_name": "fdensenet", "num_layers": 201, "per_batch_size": 64, "densenet_dropout": 0.0},
    "y1": {"net_name": "fmobilefacenet", "emb_size": 128, "net_output": "GDC", "net_blocks": [1, 4, 6, 2]},
    "y2": {"net_name": "fmobilefacenet", "emb_size": 256, "net_output": "GDC", "net_blocks": [2, 8, 16, 4]},
    "m1": {"net_name": "fmobilenet", "emb_size": 256, "net_output": "GDC", "net_multiplier": 1.0},
    "m05": {"net_name": "fmobilenet", "emb_size": 256, "net_output": "GDC", "net_multiplier": 0.5},
    "mnas": {"net_name": "fmnasnet", "emb_size": 256, "net_output": "GDC", "net_multiplier": 1.0},
    "mnas05": {"net_name": "fmnasnet", "emb_size": 256, "net_output": "GDC", "net_multiplier": 0.5},
    "mnas025": {"net_name": "fmnasnet", "emb_size": 256, "net_output": "GDC", "net_multiplier": 0.25},
    "vargfacenet": {"net_name": "vargfacenet", "emb_size": 512, "net_output": "J", "net_multiplier": 1.25},
}


def _margins(m1=1.0, m2=0.0, m3=0.0, **more):
    """Return the settings of a loss with normalised features and weights (Eq. 4)."""
    return {"loss_name": "margin_softmax", "loss_s": 64.0, "loss_m1": m1, "loss_m2": m2, "loss_m3": m3, **more}


# The original's; the batch is a device's. For how many devices the rate is meant, it does not say.
TRIPLETS = {"triplet_bag_size": 7200, "images_per_identity": 5, "triplet_max_ap": 0.0, "triplet_weight": 1.0,
            "per_batch_size": 60, "lr": 0.05, "published_batch_size": None}


# `table2` is the row of the paper's Table 2 that a loss stands for. The weights of Intra and Inter are those of Eq. 5
# and Eq. 6, with ArcFace as well.
LOSSES = {
    "softmax": {"loss_name": "softmax", "table2": "Softmax"},
    "nsoftmax": _margins(table2="Norm-Softmax (NS)"),
    "arcface": _margins(m2=0.5, table2="ArcFace (0.5)"),
    "arcface-0.4": _margins(m2=0.4, table2="ArcFace (0.4)"),
    "arcface-0.45": _margins(m2=0.45, table2="ArcFace (0.45)"),
    "arcface-0.55": _margins(m2=0.55, table2="ArcFace (0.55)"),
    "cosface": _margins(m3=0.35, table2="CosFace (0.35)"),
    # Its authors' own row is of the same function, s·(cos θ − m) at s = 64 and m = 0.35; what was theirs in the figure
    # that Table 2 quotes is the network and its training.
    "cosface-authors": _margins(m3=0.35, table2="CosFace [35]"),
    "sphereface": _margins(m1=1.35, table2="SphereFace (1.35)"),
    # As its authors train it: with annealing from softmax, and features that are not normalised.
    "sphereface-m4": {"loss_name": "sphereface", "loss_m1": 4.0, "sphere_lambda_min": 5.0,
                      "sphere_lambda_start": 1000.0, "sphere_lambda_decay": 0.1, "table2": "SphereFace [15]"},
    "combined": _margins(m2=0.3, m3=0.2),
    "cm1": _margins(m2=0.3, m3=0.2, table2="CM1 (1, 0.3, 0.2)"),
    "cm2": _margins(m1=0.9, m2=0.4, m3=0.15, table2="CM2 (0.9, 0.4, 0.15)"),
    "ns-intra": _margins(intra_weight=1.0, table2="NS+Intra"),
    "ns-inter": _margins(inter_weight=1.0, table2="NS+Inter"),
    "ns-intra-inter": _margins(intra_weight=1.0, inter_weight=1.0, table2="NS+Intra+Inter"),
    "triplet": {"loss_name": "triplet", "triplet_distance": "euclidean", "triplet_alpha": 0.3, **TRIPLETS},
    "atriplet": {"loss_name": "atriplet", "triplet_distance": "angular", "triplet_alpha": 0.35, **TRIPLETS,
                 "table2": "Triplet (0.35)"},
    "arcface-intra": _margins(m2=0.5, intra_weight=1.0, table2="ArcFace+Intra"),
    "arcface-inter": _margins(m2=0.5, inter_weight=1.0, table2="ArcFace+Inter"),
    "arcface-intra-inter": _margins(m2=0.5, intra_weight=1.0, inter_weight=1.0, table2="ArcFace+Intra+Inter"),
    "arcface-triplet": _margins(m2=0.5, triplet_distance="angular", triplet_alpha=0.35, **TRIPLETS,
                                table2="ArcFace+Triplet"),
}

IN_NO_ROW = {"combined": "the original's name of cm1", "triplet": "Euclidean, as the original's; in no row"}
"""What is said of the losses that stand for no row."""

LOSS_NUMBERS = ("loss_s", "loss_m1", "loss_m2", "loss_m3", "intra_weight", "inter_weight", "sphere_lambda_min",
                "sphere_lambda_start", "sphere_lambda_decay")
"""Settings of the losses that are numbers. A configuration holds those that its loss or a flag names."""

TRIPLET_NUMBERS = ("triplet_alpha", "triplet_weight", "triplet_bag_size", "images_per_identity", "triplet_max_ap")
"""Settings of the triplet losses that are numbers, which no other loss takes."""

# Folder, identities as published (the property file decides) and `how` to get a dataset are in datasets/catalog.py.
DATASETS = {
    "emore": {
        **catalog.training("emore"), "targets": ["lfw", "cfp_fp", "agedb_30"],
        "lr_steps": [100000, 160000], "max_steps": 180000},
    "retina": {
        **catalog.training("retina"), "targets": ["lfw", "cfp_fp", "agedb_30"],
        "lr_steps": [100000, 160000], "max_steps": 180000},
    # The folders of casia and vgg2, and vgg2's identities and schedule, are this project's choice; casia's
    # identities are its publishers' and its schedule is the paper's (Sec. 3.1).
    "casia": {
        **catalog.training("casia"), "targets": ["lfw", "cfp_fp", "agedb_30"], "lr_steps": [20000, 28000],
        "max_steps": 32000},
    "vgg2": {
        **catalog.training("vgg2"), "targets": ["lfw", "cfp_fp", "agedb_30"], "lr_steps": [100000, 160000],
        "max_steps": 180000},
    # Thirty people of the ORL faces, verified on the other ten. The recipe was chosen within the thirty, by
    # training y1 on 24 and verifying it on the six left out: with people 1 to 6 left out 0.969, 0.919 with half as
    # much rotation and scaling again, 0.931 with 400 batches of 25; with people 13 to 18 left out 0.900.
    "orl": {
        **catalog.training("orl"), "targets": ["orl"],
        "lr_steps": [120, 170], "max_steps": 200, "verbose": 100, "frequent": 5,
        "per_batch_size": 50, "published_batch_size": 50, "lr": 0.1,
        "augmentation": {  # of MXNet's ImageRecordIter; the image is made a little larger, then cropped anywhere
            "max_rotate_angle": 8, "min_random_scale": 0.88, "max_random_scale": 1.12, "min_img_size": 126,
            "max_img_size": 126, "rand_crop": True, "fill_value": 127, "max_random_illumination": 30}},
}


def _known(kind, name, table):
    """Return the entry of a table, or fail with the names it has."""
    if name not in table:
        raise Failure(f"unknown {kind} {name!r}; known: {', '.join(sorted(table))}")
    return table[name]


def _known_dataset(name):
    """Return a dataset's entry, or fail with the names there are, and the one that may be meant by a folder's name."""
    if name in DATASETS:
        return DATASETS[name]
    folder = os.path.basename(os.path.normpath(name)).lower()
    keys = [key for key, entry in DATASETS.items()
            if folder in (key, os.path.basename(entry["dataset_path"]), catalog.find(key).name.lower())]
    meant = f"{name!r} is the folder or published name of --dataset {keys[0]}; " if keys else ""
    raise Failure(f"unknown dataset {name!r}; known: {', '.join(sorted(DATASETS))}; {meant}name a folder of your own "
                  "with --dataset-path FOLDER: --dataset may then be any name")


def build(network, loss, dataset, flags):
    """Return the configuration of a run.

    Parameters
    ----------
    network, loss, dataset : str
        Names in the tables above; with `dataset_path` among the flags, any name for the dataset.
    flags : dict
        What the command's flags say; None stands for a flag that was not given.

    Returns
    -------
    EasyDict
        The merged settings, with the names under `network`, `loss` and `dataset`.

    Raises
    ------
    runtime.Failure
        For an unknown name, a dataset's that cannot be that of a folder, or numbers that cannot be meant.
    """
    config = EasyDict(DEFAULTS)
    # A folder of one's own may have a name of its own; it is verified on whatever .bin files it has.
    own = flags.get("dataset_path") and dataset not in DATASETS
    config.update({"how": "make it there"} if own else _known_dataset(dataset))
    config.update(_known("network", network, NETWORKS))
    config.update({name: value for name, value in _known("loss", loss, LOSSES).items() if name != "table2"})
    config.published_lr = config.lr
    config.update({name: value for name, value in flags.items() if value is not None})
    if flags.get("batch_size") is not None and flags.get("per_batch_size") is None:
        config.per_batch_size = None
    if config.save_every is None:
        config.save_every = config.verbose
    config.explicit_targets = flags.get("targets") is not None  # what the user names has to be there
    config.update({"network": network, "loss": loss, "dataset": dataset})
    config.dataset_path = (os.path.abspath(flags["dataset_path"]) if flags.get("dataset_path")
                           else os.path.join(ROOT, config.dataset_path))
    _check(config)
    return config


def _check(config):
    """Fail with one line for the first number that cannot be meant."""
    steps = list(config.lr_steps)
    rules = [
        (re.fullmatch(r"\w[\w.-]*", config.dataset), f"--dataset {config.dataset!r}: letters, digits, _ . and - only"),
        (config.lr > 0, f"--lr {config.lr}: the learning rate must be positive"),
        (config.num_workers > 0, f"--num-workers {config.num_workers}: at least 1"),
        (config.wd >= 0, f"--wd {config.wd}: weight decay cannot be negative"),
        (0 <= config.mom < 1, f"--mom {config.mom}: momentum lies in [0, 1)"),
        (steps == sorted(set(steps)) and all(step > 0 for step in steps),
         f"--lr-steps {','.join(map(str, steps))}: give positive numbers of batches, ascending"),
        (config.per_batch_size is None or config.per_batch_size > 0,
         f"--per-batch-size {config.per_batch_size}: at least 1"),
        (config.batch_size is None or config.batch_size > 0, f"--batch-size {config.batch_size}: at least 1"),
        (config.max_steps >= 0, f"--max-steps {config.max_steps}: 0 is without end, else a number of batches"),
        (config.emb_size > 0, f"--emb-size {config.emb_size}: at least 1"),
        (config.frequent > 0, f"--frequent {config.frequent}: at least 1"),
        (config.verbose > 0, f"--verbose {config.verbose}: at least 1"),
        (config.save_every >= 0, f"--save-every {config.save_every}: 0 is never"),
        *_loss_rules(config),
        *_triplet_rules(config),
    ]
    for fine, message in rules:
        if not fine:
            raise Failure(message)


def _loss_rules(config):
    """Return (whether it holds, what is said where it does not) for the numbers of the loss."""
    given = {name: config[name] for name in LOSS_NUMBERS if config.get(name) is not None}
    m1 = given.get("loss_m1", 1)
    of_centres = config.trace_angles or given.get("intra_weight") or given.get("inter_weight")
    rules = [(math.isfinite(value), f"{_flag(name)} {value}: give a number") for name, value in given.items()]
    rules += [(given[name] >= 0, f"{_flag(name)} {given[name]}: cannot be negative")
              for name in LOSS_NUMBERS[4:] if name in given]
    return [
        *rules,
        (given.get("loss_s", 1) > 0, f"--loss-s {given.get('loss_s')}: the feature scale must be positive"),
        (config.loss_name != "sphereface" or m1 in range(1, 9),
         f"--loss-m1 {m1}: the original SphereFace takes a whole number from 1 to 8; --loss sphereface takes others"),
        (not (of_centres and config.loss_name in ("triplet", "atriplet")),
         f"--loss {config.loss} has no class centres, which --intra-weight, --inter-weight and --trace-angles are of"),
    ]


def _triplet_rules(config):
    """Return the same for the numbers of the triplets."""
    given = {name: config[name] for name in TRIPLET_NUMBERS if name in config}
    if "triplet_distance" not in config:
        return [(False, f"{_flag(name)} {given[name]}: --loss {config.loss} has no triplets") for name in given]
    return [
        *((math.isfinite(value) and value >= 0, f"{_flag(name)} {value}: give a number that is not negative")
          for name, value in given.items()),
        (config.triplet_alpha > 0, f"--triplet-alpha {config.triplet_alpha}: the margin must be positive"),
        (config.triplet_bag_size >= 3, f"--triplet-bag-size {config.triplet_bag_size}: at least 3 images"),
        (config.images_per_identity >= 2,
         f"--images-per-identity {config.images_per_identity}: a genuine pair takes 2"),
    ]


def _flag(name):
    return f"--{name.replace('_', '-')}"


def network_settings(config):
    """Return the settings that `symbols.get_symbol` takes."""
    keys = ("num_layers", "net_unit", "net_input", "net_output", "net_act", "net_se", "net_multiplier", "net_blocks",
            "emb_size", "densenet_dropout", "bn_mom", "workspace")
    return {key: config[key] for key in keys}


def loss_settings(config):
    """Return the settings that `training_symbol` takes, of `recognition.losses.classification` or `….triplet`."""
    keys = ("loss_name", *LOSS_NUMBERS, "triplet_distance", "triplet_alpha", "triplet_weight", "trace_angles",
            "fc7_lr_mult", "fc7_wd_mult", "emb_size")
    return {key: config[key] for key in keys if key in config}


def global_batch(config, devices, workers=1):
    """Settle the batch sizes, for so many devices a worker.

    `batch_size` is the whole run's, `per_batch_size` a device's.

    Raises runtime.Failure where both were given and disagree, or the global one does not divide.
    """
    ways = devices * workers
    if config.batch_size is None:
        config.batch_size = config.per_batch_size * ways
    elif config.per_batch_size is None and config.batch_size % ways == 0:
        config.per_batch_size = config.batch_size // ways
    elif config.per_batch_size is None:
        raise Failure(f"--batch-size {config.batch_size} does not divide over {ways} devices: give a multiple of "
                      f"{ways}")
    elif config.per_batch_size * ways != config.batch_size:
        raise Failure(f"--batch-size {config.batch_size} is not {ways} × --per-batch-size {config.per_batch_size} (the "
                      "devices): give one of them, or make them agree")
    return config.batch_size
