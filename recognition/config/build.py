"""From flags to the configuration of a run: defaults ← dataset ← network ← loss ← flags, then checked, then settled."""
import copy
import os
import re

from easydict import EasyDict

from datasets.published import table
from recognition.config import settings
from recognition.config.datasets import DATASETS
from recognition.config.losses import LOSSES
from recognition.config.networks import NETWORKS
from runtime import ROOT, Failure


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
            if folder in (key, os.path.basename(entry["dataset_path"]), table.find(key).name.lower())]
    meant = f"{name!r} is the folder or published name of --dataset {keys[0]}; " if keys else ""
    raise Failure(f"unknown dataset {name!r}; known: {', '.join(sorted(DATASETS))}; {meant}name a folder of your own "
                  "with --dataset-path FOLDER: --dataset may then be any name")


def build(network, loss, dataset, flags):
    """Return the configuration of a run.

    Parameters
    ----------
    network, loss, dataset : str
        Names in the tables; with `dataset_path` among the flags, any name for the dataset.
    flags : dict
        What the command's flags say; None stands for a flag that was not given.

    Returns
    -------
    EasyDict
        The merged settings, with the names under `network`, `loss` and `dataset`. Batch sizes and the number of
        classes are open until the run begins (`settle`).

    Raises
    ------
    runtime.Failure
        For an unknown name, a dataset's that cannot be that of a folder, or values that cannot be meant.
    """
    config = EasyDict(copy.deepcopy(settings.defaults()))
    # A folder of one's own may have a name of its own; it is verified on whatever .bin files it has.
    own = flags.get("dataset_path") and dataset not in DATASETS
    config.update({"how": "make it there"} if own else _known_dataset(dataset))
    config.update(_known("network", network, NETWORKS))
    config.update(_known("loss", loss, LOSSES).settings)
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
    wrong = settings.complaint(config) or _conflict(config)
    if wrong:
        raise Failure(wrong)
    return config


def _conflict(config):
    """Return what is wrong with settings that do not fit each other, or None."""
    loss = LOSSES[config.loss]
    if not re.fullmatch(r"\w[\w.-]*", config.dataset):
        return f"--dataset {config.dataset!r}: letters, digits, _ . and - only"
    if config.loss_name == "sphereface" and config.loss_m1 not in range(1, 9):
        return (f"--loss-m1 {config.loss_m1}: the original SphereFace takes a whole number from 1 to 8; --loss "
                "sphereface takes others")
    if not loss.has_classifier and (config.trace_angles or config.get("intra_weight") or config.get("inter_weight")):
        return (f"--loss {config.loss} has no class centres, which --intra-weight, --inter-weight and --trace-angles "
                "are of")
    of_triplets = ("triplet_alpha", "triplet_weight", "triplet_bag_size", "images_per_identity", "triplet_max_ap")
    given = [name for name in of_triplets if config.get(name) is not None]
    if given and not loss.needs_triplets:
        return f"{settings.BY_NAME[given[0]].flag_name} {config[given[0]]}: --loss {config.loss} has no triplets"
    return None


def settle(config, devices, workers=1):
    """Settle the batch sizes, for so many devices a worker, in the configuration itself.

    `batch_size` is the whole run's, `per_batch_size` a device's.

    Parameters
    ----------
    config : EasyDict
        Changed in place, before it is printed; nothing changes it afterwards.
    devices, workers : int

    Raises
    ------
    runtime.Failure
        Both batch sizes were given and disagree, or the global one does not divide.
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
