"""Train a face embedding network.

    python recognition/train.py --network r100 --loss arcface --dataset emore
    python recognition/train.py --network y1 --loss arcface --dataset orl
    python recognition/train.py --network y1 --loss arcface --dataset orl --max-steps 400 --resume
    python recognition/train.py --network r50 --loss arcface --dataset emore --loss-m2 0.45 --ctx gpu:0,gpu:1
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import argparse

from eval.networks import checkpoints
from recognition.config import tables as tables
from recognition.training.run import train
from runtime import run_command
from runtime.devices import parse_context


def steps(text):
    """Parse `100000,160000` into a list of batch numbers; empty for none."""
    return [int(number) for number in text.split(",") if number.strip()]


def names(text):
    """Parse `lfw,cfp_fp` into a list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def targets(text):
    """Parse the names of verification sets, with or without .bin."""
    return [name[:-len(".bin")] if name.endswith(".bin") else name for name in names(text)]


def read_pretrained(flags):
    """Put prefix and epoch of --pretrained, which has the form `PREFIX,EPOCH` or `PREFIX`, into the flags.

    Raises ValueError where it has another form or its epoch is not that of --pretrained-epoch.
    """
    given, epoch = flags["pretrained"], flags["pretrained_epoch"]
    if not given:
        return
    default = tables.DEFAULTS["pretrained_epoch"] if epoch is None else epoch
    flags["pretrained"], flags["pretrained_epoch"] = checkpoints.one(given, default)
    if epoch not in (None, flags["pretrained_epoch"]):
        raise ValueError(f"{given!r} and --pretrained-epoch {epoch} name two epochs: give one of them")


def epilog():
    """Return the losses with their rows of the paper's Table 2."""
    width = max(map(len, tables.LOSSES))
    rows = {name: entry.get("table2") or f"({tables.IN_NO_ROW[name]})" for name, entry in tables.LOSSES.items()}
    lines = [f"  {name:{width}}  {row}" for name, row in rows.items()]
    return "\n".join(["losses, with the rows of the paper's Table 2 that they stand for:", *lines, "",
                      "What is (dataset) or (loss) comes from its table in recognition/config/tables.py."])


def parser():
    """Return the parser of the command's flags."""
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0], formatter_class=argparse.RawTextHelpFormatter,
                                    epilog=epilog())
    add = flags.add_argument
    add("--network", default="r100", help=f"default r100; one of {', '.join(tables.NETWORKS)}")
    add("--loss", default="arcface", help="default arcface; one of those listed below")
    add("--dataset", default="emore", help=f"default emore; one of {', '.join(tables.DATASETS)}")
    add("--dataset-path", help="the folder with train.rec, train.idx, property and the .bin files;\n"
        "with it, --dataset may be any name")
    add("--models-root", help="where <network>-<loss>-<dataset>/model goes (default models/ of this repository)")
    add("--pretrained", metavar="PREFIX[,EPOCH]", help="a checkpoint to start from")
    add("--pretrained-epoch", type=int, help="its epoch (default 1)")
    add("--pretrained-partial", action="store_true",
        help="start from it also where it is of another network, of which few arrays fit")
    add("--ckpt", type=int, choices=range(4),
        help="saving: 0 never, 1 at a new best, 2 at each verification,\n3 at a new best, always as epoch 1 (default)")
    add("--verbose", type=int, help="verify every so many batches (dataset; 2000)")
    add("--frequent", type=int, help="print every so many batches (dataset; 20)")
    add("--save-every", type=int, help="keep what --resume needs every so many batches; 0 never (as --verbose)")
    add("--resume", action="store_true", help="go on with the run that was stopped in the same folder")
    add("--max-steps", type=int, help="end after so many batches; 0 never (dataset)")
    add("--lr", type=float, help="learning rate (dataset; 0.1)")
    add("--lr-steps", type=steps, help="batches after which the rate is divided by ten (dataset)")
    add("--wd", type=float, help="weight decay (0.0005)")
    add("--mom", type=float, help="momentum (0.9)")
    add("--per-batch-size", type=int, help="images a device and batch (dataset; 128)")
    add("--batch-size", type=int, help="images a batch over all devices, instead of --per-batch-size")
    add("--emb-size", type=int, help="length of the embedding (network; 512)")
    add("--loss-s", type=float, help="feature scale s (loss; 64)")
    add("--loss-m1", type=float, help="multiplicative angular margin m1 (loss)")
    add("--loss-m2", type=float, help="additive angular margin m2, radians (loss)")
    add("--loss-m3", type=float, help="additive cosine margin m3 (loss)")
    add("--intra-weight", type=float, help="weight of Intra-Loss, Eq. 5 (loss; 0)")
    add("--inter-weight", type=float, help="weight of Inter-Loss, Eq. 6 (loss; 0)")
    for name, help_text in (("min", "the least lambda (5)"), ("start", "lambda at the first batch (1000)"),
                            ("decay", "lambda is start / (1 + decay · batches) (0.1)")):
        add(f"--sphere-lambda-{name}", type=float, help=f"sphereface-m4's annealing from softmax: {help_text}")
    add("--triplet-alpha", type=float, help="margin of a triplet, and of its mining in squared distance (loss)")
    add("--triplet-weight", type=float, help="weight of the triplet loss beside arcface (1)")
    add("--triplet-bag-size", type=int, help="images that are embedded and mined together (7200)")
    add("--images-per-identity", type=int, help="the most images of one person in a bag (5)")
    add("--triplet-max-ap", type=float, help="leave out genuine pairs farther apart, squared; 0 none (0)")
    add("--trace-angles", action="store_true",
        help="keep the distribution of angles to the own centre, step by step, in angles.npz")
    add("--target", dest="targets", type=targets, help="verification sets, as lfw,cfp_fp (dataset)")
    add("--kvstore", choices=("device", "local", "dist_sync", "dist_device_sync"),
        help="device (default), local, dist_sync, dist_device_sync")
    add("--ctx", help="cpu, or gpu:0,gpu:1 (default: the visible GPUs, else the CPU)")
    add("--seed", type=int, help="of weights, order and augmentation (default 0)")
    add("--num-workers", type=int, help="decoding threads (default: one a core, at most 16)")
    return flags


def main():
    """Build the configuration from the flags, print it, and train."""
    usage = parser()
    flags = vars(usage.parse_args())
    try:
        parse_context(flags["ctx"])
    except argparse.ArgumentTypeError as error:
        usage.error(f"--ctx {error}")
    try:
        read_pretrained(flags)
    except ValueError as error:
        usage.error(f"--pretrained {error}")
    config = tables.build(flags["network"], flags["loss"], flags["dataset"], flags)
    for name in sorted(config):
        if name != "how":
            print(f"{name}: {config[name]}")
    train(config)


if __name__ == "__main__":
    run_command(main)
