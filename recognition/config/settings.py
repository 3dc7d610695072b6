"""Every setting of a training run, declared once.

The flags of `recognition/train.py`, the checks, what `--resume` compares, what makes two runs of Table 2 the same, and
the list of flags in the documentation follow from this table. Settings without a flag come from the tables of
networks, losses and datasets alone.
"""
import math
import os
from typing import Callable, NamedTuple, Optional, Union

from recognition.config.datasets import DATASETS
from recognition.config.networks import DEFAULTS as NETWORK_DEFAULTS
from recognition.config.networks import NETWORKS
from runtime import ROOT
from runtime.flags import set_names, steps

RUN, RESULT, NOTHING = "run", "result", "nothing"
"""What a setting changes. RUN: which run it is; `--resume` refuses another value. RESULT: the weights at the end; a
resumed run may change it, two runs of one row of Table 2 may not. NOTHING: only what is printed, kept or how fast."""


class Setting(NamedTuple):
    """A setting.

    Attributes
    ----------
    name : str
        Its key in a configuration, and with `-` for `_` its flag.
    changes : {RUN, RESULT, NOTHING}
    default : object
        None where a table or a loss decides, or nothing is set.
    kind : callable or None
        Makes a value of a flag's text; bool is a switch; None: there is no flag.
    help : str
        The flag's line in `--help`.
    rule : callable or None
        Whether a value, if there is one, can be meant.
    words : str or callable
        What a message says of a value that cannot; a callable gets the value.
    choices : tuple or None
    flag : str or None
        The flag's name, where it is another than the setting's.
    metavar : str or None
        What stands for the flag's value in `--help`.
    """

    name: str
    changes: str
    default: object = None
    kind: Optional[Callable] = None
    help: str = ""
    rule: Optional[Callable] = None
    words: Union[str, Callable] = ""
    choices: Optional[tuple] = None
    flag: Optional[str] = None
    metavar: Optional[str] = None

    @property
    def flag_name(self):
        """The flag, as --lr-steps."""
        return self.flag or f"--{self.name.replace('_', '-')}"


def _at_least(least):
    return lambda value: value >= least


def _ascending(values):
    return list(values) == sorted(set(values)) and all(value > 0 for value in values)


def _finite(value):
    return math.isfinite(value)


def _finite_from_0(value):
    return math.isfinite(value) and value >= 0


def _number_or(words):
    """Return what a message says: `words`, or that the value is no number."""
    return lambda value: words if math.isfinite(value) else "give a number"


def _from_0_or(words):
    """Return what a message says: `words`, or that the value is negative or no number."""
    return lambda value: words if _finite_from_0(value) else "give a number that is not negative"


_AT_LEAST_1 = {"rule": _at_least(1), "words": "at least 1"}
_NUMBER = {"kind": float, "rule": _finite, "words": "give a number"}
_NOT_NEGATIVE = {"kind": float, "rule": _finite_from_0, "words": _number_or("cannot be negative")}
_OF_TRIPLETS = {"kind": float, "rule": _finite_from_0, "words": "give a number that is not negative"}

SETTINGS = (
    Setting("network", RUN, "r100", str, f"default r100; one of {', '.join(NETWORKS)}"),
    Setting("loss", RUN, "arcface", str, "default arcface; one of those listed below"),
    Setting("dataset", RUN, "emore", str, f"default emore; one of {', '.join(DATASETS)}"),
    Setting("dataset_path", NOTHING, None, str, "the folder with train.rec, train.idx, property and the .bin files;\n"
            "with it, --dataset may be any name"),
    Setting("models_root", NOTHING, os.path.join(ROOT, "models"), str,
            "where <network>-<loss>-<dataset>/model goes (default models/ of this repository)"),
    Setting("pretrained", NOTHING, "", str, "a checkpoint to start from", metavar="PREFIX[,EPOCH]"),
    Setting("pretrained_epoch", RESULT, 1, int, "its epoch (default 1)"),
    Setting("pretrained_partial", RESULT, False, bool,
            "start from it also where it is of another network, of which few arrays fit"),
    Setting("ckpt", NOTHING, 3, int, "saving: 0 never, 1 at a new best, 2 at each verification,\n"
            "3 at a new best, always as epoch 1 (default)", choices=tuple(range(4))),
    Setting("verbose", NOTHING, 2000, int, "verify every so many batches (dataset; 2000)", **_AT_LEAST_1),
    Setting("frequent", NOTHING, 20, int, "print every so many batches (dataset; 20)", **_AT_LEAST_1),
    Setting("save_every", NOTHING, None, int, "keep what --resume needs every so many batches; 0 never (as --verbose)",
            _at_least(0), "0 is never"),
    Setting("resume", NOTHING, False, bool, "go on with the run that was stopped in the same folder"),
    Setting("max_steps", RESULT, 0, int, "end after so many batches; 0 never (dataset)", _at_least(0),
            "0 is without end, else a number of batches"),
    Setting("lr", RESULT, 0.1, float, "learning rate (dataset; 0.1)", lambda value: value > 0,
            "the learning rate must be positive"),
    Setting("lr_steps", RESULT, [100000, 160000, 220000], steps,
            "batches after which the rate is divided by ten (dataset)", _ascending,
            "give positive numbers of batches, ascending"),
    Setting("wd", RESULT, 0.0005, float, "weight decay (0.0005)", _at_least(0), "weight decay cannot be negative"),
    Setting("mom", RESULT, 0.9, float, "momentum (0.9)", lambda value: 0 <= value < 1, "momentum lies in [0, 1)"),
    Setting("per_batch_size", RESULT, 128, int, "images a device and batch (dataset; 128)", **_AT_LEAST_1),
    Setting("batch_size", RUN, None, int, "images a batch over all devices, instead of --per-batch-size",
            **_AT_LEAST_1),
    Setting("emb_size", RUN, NETWORK_DEFAULTS["emb_size"], int, "length of the embedding (network; 512)",
            **_AT_LEAST_1),
    Setting("loss_s", RUN, None, float, "feature scale s (loss; 64)",
            lambda value: math.isfinite(value) and value > 0, _number_or("the feature scale must be positive")),
    Setting("loss_m1", RUN, None, help="multiplicative angular margin m1 (loss)", **_NUMBER),
    Setting("loss_m2", RUN, None, help="additive angular margin m2, radians (loss)", **_NUMBER),
    Setting("loss_m3", RUN, None, help="additive cosine margin m3 (loss)", **_NUMBER),
    Setting("intra_weight", RUN, None, help="weight of Intra-Loss, Eq. 5 (loss; 0)", **_NOT_NEGATIVE),
    Setting("inter_weight", RUN, None, help="weight of Inter-Loss, Eq. 6 (loss; 0)", **_NOT_NEGATIVE),
    *(Setting(f"sphere_lambda_{name}", RUN, None, help=f"sphereface-m4's annealing from softmax: {text}",
              **_NOT_NEGATIVE)
      for name, text in (("min", "the least lambda (5)"), ("start", "lambda at the first batch (1000)"),
                         ("decay", "lambda is start / (1 + decay · batches) (0.1)"))),
    Setting("triplet_alpha", RUN, None, float, "margin of a triplet, and of its mining in squared distance (loss)",
            lambda value: math.isfinite(value) and value > 0, _from_0_or("the margin must be positive")),
    Setting("triplet_weight", RUN, None, help="weight of the triplet loss beside arcface (1)", **_OF_TRIPLETS),
    Setting("triplet_bag_size", RUN, None, int, "images that are embedded and mined together (7200)", _at_least(3),
            _from_0_or("at least 3 images")),
    Setting("images_per_identity", RUN, None, int, "the most images of one person in a bag (5)", _at_least(2),
            _from_0_or("a genuine pair takes 2")),
    Setting("triplet_max_ap", RUN, None, help="leave out genuine pairs farther apart, squared; 0 none (0)",
            **_OF_TRIPLETS),
    Setting("trace_angles", NOTHING, False, bool,
            "keep the distribution of angles to the own centre, step by step, in angles.npz"),
    Setting("targets", NOTHING, None, set_names, "verification sets, as lfw,cfp_fp (dataset)", flag="--target"),
    Setting("kvstore", NOTHING, "device", str, "device (default), local, dist_sync, dist_device_sync",
            choices=("device", "local", "dist_sync", "dist_device_sync")),
    Setting("ctx", NOTHING, "", str, "cpu, or gpu:0,gpu:1 (default: the visible GPUs, else the CPU)"),
    Setting("seed", RUN, 0, int, "of weights, order and augmentation (default 0)"),
    Setting("num_workers", NOTHING, max(1, min(16, os.cpu_count() or 1)), int,
            "decoding threads (default: one a core, at most 16)", **_AT_LEAST_1),
    # Without a flag: from the tables of networks, losses and datasets.
    *(Setting(name, NOTHING if name == "workspace" else RESULT, default)
      for name, default in NETWORK_DEFAULTS.items() if name != "emb_size"),
    Setting("net_name", RESULT), Setting("loss_name", RESULT), Setting("triplet_distance", RESULT),
    Setting("fc7_lr_mult", RESULT, 1.0), Setting("fc7_wd_mult", RESULT, 1.0),
    Setting("mirror", RESULT, True), Setting("augmentation", RESULT, {}), Setting("num_classes", RUN),
    Setting("published_batch_size", NOTHING, 512), Setting("published_lr", NOTHING), Setting("how", NOTHING),
    Setting("explicit_targets", NOTHING, False),
)

BY_NAME = {setting.name: setting for setting in SETTINGS}
_IN_A_LOSS = frozenset(name for name in BY_NAME if name.startswith(("loss_", "intra_", "inter_", "sphere_", "triplet_"))
                       ) | {"images_per_identity", "net_name", "published_lr", "how"}
"""Settings that a configuration holds only where its loss, its network or a flag sets them."""


def defaults():
    """Return the settings that every configuration has, with their defaults."""
    return {setting.name: setting.default for setting in SETTINGS
            if setting.name not in _IN_A_LOSS | {"network", "loss", "dataset"}}


def add_flags(parser):
    """Add the flags of all settings that have one to a parser; a flag that is not given is None."""
    for setting in SETTINGS:
        if setting.kind is None:
            continue
        default = setting.default if setting.name in ("network", "loss", "dataset") else None
        if setting.kind is bool:
            parser.add_argument(setting.flag_name, dest=setting.name, action="store_true", help=setting.help)
        else:
            parser.add_argument(setting.flag_name, dest=setting.name, type=setting.kind, default=default,
                                choices=setting.choices, metavar=setting.metavar, help=setting.help)


def complaint(config):
    """Return what is wrong with the first setting whose value cannot be meant, or None."""
    for setting in SETTINGS:
        value = config.get(setting.name)
        if setting.rule and value is not None and not setting.rule(value):
            text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else value
            words = setting.words(value) if callable(setting.words) else setting.words
            return f"{setting.flag_name} {text}: {words}"
    return None


def differences(before, now):
    """Return what keeps a configuration from resuming the run of another, a text each."""
    return [f"{name} was {before.get(name)}, now {now.get(name)}" for name, setting in BY_NAME.items()
            if setting.changes == RUN and before.get(name) != now.get(name)]


def of_the_result(config):
    """Return the settings that the weights at the end depend on."""
    return {name: value for name, value in config.items()
            if name not in BY_NAME or BY_NAME[name].changes != NOTHING}


def markdown():
    """Return the table of the training command's flags, in Markdown."""
    rows = [f"| `{setting.flag_name}` | {' '.join(setting.help.split()).replace('|', chr(92) + '|')} |"
            for setting in SETTINGS if setting.kind is not None]
    return "\n".join(["| flag | what it sets (in brackets: where its default comes from; the default) |",
                      "| --- | --- |", *rows]) + "\n"
