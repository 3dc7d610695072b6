"""Pair verification of a checkpoint: k-fold accuracy, TAR at FAR 1e-3, AUC, EER (Sec. 3.1, Tables 2, 4 and 5).

    python eval/verification.py --model models/r100-arcface-emore/model,1 --data-dir datasets/faces_emore
    python eval/verification.py --model ../y1/model,0 --target datasets/orl/orl.bin
    python eval/verification.py --target lfw --no-flip
    python eval/verification.py --model ../y1/model,0 --target lfw --calibrate 1e-3
    python eval/verification.py --model models/a/model,1 --compare models/b/model,1 --target lfw,cfp_fp --roc roc.png
    python eval/verification.py --model models/a/model,1 --target lfw --attributes ages.csv --json lfw.json

The first is judged on lfw, cfp_fp and agedb_30; the third takes the newest checkpoint under models/ and a single crop
of each image, as the paper does, where the original's scripts sum the embeddings of the image and its mirror image.
Results are kept beside the checkpoint, in PREFIX's folder: evaluations/lfw.json, and so on.
The fourth also writes the threshold at which one impostor pair in a thousand is accepted to a file beside the
checkpoint, for tools/compare.py and tools/gallery.py.
The original's lines come first. Lines on AUC, EER and 95 % intervals follow, and last a table with the paper's values.
--compare tests whether two checkpoints differ on the same pairs. --attributes gives results by subgroup. Its file has
`image,attribute` in the first line, then lines as `12,over 60`. Images are numbered 0 to 2N-1 in the order of the .bin
file. With `identity,attribute` the numbers are those of identities (docs/benchmarks.md).
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse

import numpy as np

from datasets.formats.folds import usable_folds
from datasets.formats.verification_file import identities, read
from eval.networks.checkpoints import newest, parse
from eval.networks.engines.choice import device_of
from eval.networks.flags import add_engine_flags, one_checkpoint
from eval.networks.trained import Trained
from eval.protocols import subgroups
from eval.protocols.folds import distrust_of
from eval.protocols.pairs import format_auc, format_lines, verify
from eval.protocols.targets import DEFAULT_TARGETS, find_targets
from eval.reporting import calibration, results
from eval.reporting.summary import report, table_lines
from eval.reporting.worst_pairs import draw_worst_pairs
from runtime import ROOT, Failure, run_command, shown
from runtime.files import whole_file
from runtime.flags import positive, rate, span


def parse_arguments(arguments=None):
    """Read the command's flags; ends the process with status 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="PREFIX,EPOCH, PREFIX for all epochs found, PREFIX,1|2|3, or FILE.onnx; by "
                        "default the newest under --models-root")
    parser.add_argument("--models-root", default=os.path.join(ROOT, "models"), help="default: %(default)s")
    parser.add_argument("--data-dir", default=os.path.join(ROOT, "datasets"), help="where names are looked for: in it, "
                        "then in its folders (default: %(default)s)")
    parser.add_argument("--target", help="verification files, comma-separated: names, or paths of .bin files "
                        f"(default: {DEFAULT_TARGETS}, as far as they are there)")
    parser.add_argument("--batch-size", type=positive,
                        help="default: on CPUs the fastest here, which is found once and remembered; on GPUs 64")
    parser.add_argument("--nfolds", type=positive, default=10, help="default: %(default)s")
    device = parser.add_mutually_exclusive_group()
    device.add_argument("--gpu", dest="ctx", metavar="N", type="gpu:{}".format, help="run on that GPU")
    device.add_argument("--ctx", help="cpu or gpu:N (default: the first GPU that can be used, else the CPU)")
    add_engine_flags(parser)
    parser.add_argument("--no-flip", action="store_true", help="a single crop, as in the paper, printed as Accuracy")
    parser.add_argument("--max", type=span, metavar="A,B", help="of more than B epochs found for PREFIX, newest "
                        "first, take those from A up to B")
    parser.add_argument("--mode", type=int, choices=(0, 1, 2), default=0, help="1 also draws the pairs that are told "
                        "worst, 2 also writes the embeddings")
    parser.add_argument("--output", default=".", help="folder for what --mode writes (default: the current one)")
    parser.add_argument("--calibrate", type=rate, metavar="FAR", help="also write the threshold of this false accept "
                        "rate, over the pairs of all targets")
    parser.add_argument("--calibration", metavar="FILE", help="where to write it (default: PREFIX-NNNN-threshold.json)")
    parser.add_argument("--compare", metavar="PREFIX,EPOCH|FILE.onnx", type=one_checkpoint, help="also verify this "
                        "network, and test whether the two differ on the same pairs")
    parser.add_argument("--attributes", metavar="FILE", help="also give results by subgroup: lines `image,attribute` "
                        "or `identity,attribute`, which the first line names; for one verification file")
    parser.add_argument("--roc", metavar="OUT.png", help="draw the ROC curves of all results")
    parser.add_argument("--json", metavar="OUT", help="write the results to this file, too, as one object (always: to "
                        "the folder evaluations beside the checkpoint)")
    options = parser.parse_args(arguments)
    if options.target is not None and not options.target.strip(" ,"):
        parser.error("--target names no verification file")
    try:
        device_of(options.ctx, options.engine)
        options.prefix, options.epochs = parse(options.model) if options.model is not None else (None, [])
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    except ValueError as error:
        parser.error(f"--model {error}")
    if options.max and options.model in (options.prefix, None) and len(options.epochs) > options.max[1]:
        newest_first = options.epochs[::-1]
        options.epochs = newest_first[slice(*options.max)][::-1]
    if options.mode and len(options.epochs) > 1:
        parser.error(f"--mode {options.mode} takes one checkpoint: give --model PREFIX,EPOCH")
    if options.calibrate is None and options.calibration:
        parser.error("--calibration is where --calibrate FAR writes: give both")
    if options.calibrate is not None and len(options.epochs) > 1:
        parser.error("--calibrate takes one checkpoint: give --model PREFIX,EPOCH")
    if options.compare and len(options.epochs) > 1:
        parser.error("--compare compares two checkpoints: give --model PREFIX,EPOCH")
    if options.roc and not options.roc.endswith((".png", ".svg")):
        parser.error(f"--roc {options.roc}: the picture is a .png or .svg")
    return options


def _check_folds(path, issame, nfolds):
    """Refuse a set of fewer pairs than folds."""
    if len(issame) < nfolds:
        raise Failure(f"{path}: {len(issame)} pairs do not make {nfolds} folds: give --nfolds "
                      f"{usable_folds(issame, len(issame)) or 1}, or a file of at least {nfolds} pairs")


def _write_mode(options, name, path, images, issame, result):
    """Write what --mode 1 or 2 asks for beside the measures."""
    os.makedirs(options.output, exist_ok=True)
    start = os.path.join(options.output, name)
    if options.mode == 1:
        draw_worst_pairs(f"{start}-worst.png", images, issame, result.distances, name=path)
    else:
        for kind, values in (("embeddings", result.embeddings), ("issame", issame),
                             ("identities", identities(images, issame))):
            with whole_file(f"{start}-{kind}.npy", "wb") as file:
                np.save(file, values)


def _calibrate(options, network, verified):
    """Write the threshold of the false accept rate asked for, and say what it is."""
    sets = [{"name": name, "path": os.path.abspath(path), "genuine": int(issame.sum()),
             "impostors": int((~issame).sum())} for name, path, issame, _ in verified]
    made = calibration.calibrate(
        np.concatenate([dist for *_, dist in verified]), np.concatenate([issame for *_, issame, _ in verified]),
        options.calibrate, sets, not options.no_flip, network.checkpoint)
    calibration.write(options.calibration, made)
    print(f"same person: squared distance below {made['squared_distance']:.4f}, cosine above {made['cosine']:.4f}, "
          f"at a {calibration.describe(made)}; written to {options.calibration}")


def _load(options, prefix, epoch):
    """Return the `Trained` network of an epoch, and say that it is loaded, as the original does."""
    network = Trained(prefix, epoch, options.ctx, options.batch_size, options.engine, options.input_scale)
    print("loading", prefix, epoch, flush=True)
    return network


def _check_places(options, targets):
    """Refuse what could not be written at the end, before anything is computed."""
    for flag, path in (("--json", options.json), ("--roc", options.roc)):
        if path and (os.path.isdir(path) or not os.path.isdir(os.path.dirname(os.path.abspath(path)))):
            raise Failure(f"{path}: its folder is not there, or it is a folder itself; make it, or name another file "
                          f"with {flag}")
    if options.mode and os.path.lexists(options.output) and not os.path.isdir(options.output):
        raise Failure(f"{shown(options.output)} is no folder: name one with --output, for what --mode {options.mode} "
                      "writes")
    names = [name for name, _ in targets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Failure(f"--target has {names.count(twice)} files with the name {shown(twice)}, and results go by the "
                      "name: rename one, or evaluate each by itself")
    if options.attributes and len(targets) > 1:
        raise Failure(f"{options.attributes} numbers the images of one verification file: name that with --target, "
                      f"which has {len(targets)} here")


def main(arguments=None):
    """Verify checkpoints on verification files and print the original's lines, then what it does not have."""
    options = parse_arguments(arguments)
    if options.prefix is None:
        options.prefix, epoch = newest(options.models_root)
        options.epochs = [epoch]
    targets, missing = find_targets(options.target, options.data_dir)
    _check_places(options, targets)
    for name in missing:
        print(f"{name}.bin is not in {options.data_dir}, and left out", file=sys.stderr)
    if options.calibrate is not None:
        options.calibration = options.calibration or calibration.default_path(options.prefix, options.epochs[0])
        calibration.check_place(options.calibration)
    network, rival, evaluated, pairs, curves = None, None, [], [], []
    for name, path in targets:
        images, issame = read(path)
        _check_folds(path, issame, options.nfolds)
        people = identities(images, issame)
        attributes = subgroups.read_attributes(options.attributes, people) if options.attributes else None
        distrust, data = distrust_of(issame, options.nfolds), results.data_of(path, len(issame))
        other = None
        if options.compare:
            if rival is None:
                rival = _load(options, *options.compare)
            other = rival.checkpoint, verify(rival.embedder, images, issame, options.nfolds, not options.no_flip, path,
                                             progress=True)
            curves.append((f"{name}, {rival.flag}", other[1].distances, issame))
        for epoch in options.epochs:
            if network is None or epoch != network.epoch:
                network = _load(options, options.prefix, epoch)
            result = verify(network.embedder, images, issame, options.nfolds, not options.no_flip, path, progress=True)
            further, lines = report(name, result, people.reshape(-1, 2), attributes, other)
            print("\n".join([*format_lines(name, None, result), format_auc(name, result), *lines]), flush=True)
            evaluated.append((name, results.of_pairs(result, network.checkpoint, data, distrust, further=further,
                                                     engine=network.engine)))
            results.keep(options.prefix, *evaluated[-1])
            if options.mode:
                _write_mode(options, name, path, images, issame, result)
            pairs.append((name, path, issame, result.distances))
            label = f"{name}, epoch {epoch}" if len(options.epochs) > 1 else name
            curves.append((label, result.distances, issame))
        if len(options.epochs) > 1:
            best = max(one["values"]["accuracy"] for of, one in evaluated if of == name)
            print(f"Max of [{name}] is {best:1.5f}", flush=True)
        if distrust:
            print(f"[{name}]note: {distrust}", file=sys.stderr, flush=True)
    for line in table_lines(evaluated):
        print(line, flush=True)
    if options.calibrate is not None:
        _calibrate(options, network, pairs)
    if options.roc:
        from eval.reporting.plots import roc_picture  # matplotlib takes a second to import
        roc_picture(options.roc, curves)
    if options.json:
        results.write_objects(options.json, evaluated)


if __name__ == "__main__":
    run_command(main)
