"""Pair verification of a checkpoint: k-fold accuracy, TAR at FAR 1e-3, AUC (Sec. 3.1, Tables 2 to 4).

    python eval/verification.py --model models/r100-arcface-emore/model,1 --data-dir datasets/faces_emore
    python eval/verification.py --model ../y1/model,0 --target datasets/orl/orl.bin
    python eval/verification.py --target lfw --no-flip
    python eval/verification.py --model ../y1/model,0 --target lfw --calibrate 1e-3

The first is judged on lfw, cfp_fp and agedb_30; the third takes the newest checkpoint under models/ and a single crop
of each image, as the paper does, where the original's scripts sum the embeddings of the image and its mirror image.
Results are kept beside the checkpoint, in PREFIX's folder: evaluations/lfw.json, and so on.
The last also writes the threshold at which one impostor pair in a thousand is accepted to a file beside the checkpoint,
for tools/compare.py and tools/gallery.py.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse
import json
import math

import numpy as np

from datasets.formats.folds import usable_folds
from datasets.formats.verification_file import read
from eval.networks.batch_size import best_batch_size
from eval.networks.checkpoints import fingerprint, load, newest, parse
from eval.networks.embedder import Embedder
from eval.protocols.folds import distrust_of
from eval.protocols.pairs import format_auc, format_lines, verify
from eval.protocols.targets import DEFAULT_TARGETS, find_targets
from eval.reporting import calibration, results
from eval.reporting.worst_pairs import draw_worst_pairs
from runtime import ROOT, Failure, run_command
from runtime.devices import parse_context
from runtime.files import whole_file
from runtime.flags import positive, rate, span


def parse_arguments(arguments=None):
    """Read the command's flags; ends the process with status 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="PREFIX,EPOCH, or PREFIX for all epochs found, or PREFIX,1|2|3; by default the "
                        "newest under --models-root")
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
    device.add_argument("--ctx", help="cpu or gpu:N (default: the first visible GPU, else the CPU)")
    parser.add_argument("--no-flip", action="store_true", help="a single crop, as in the paper, printed as Accuracy")
    parser.add_argument("--max", type=span, metavar="A,B", help="of more than B epochs found for PREFIX, newest "
                        "first, take those from A up to B")
    parser.add_argument("--mode", type=int, choices=(0, 1, 2), default=0, help="1 also draws the pairs that are told "
                        "worst, 2 also writes the embeddings")
    parser.add_argument("--output", default=".", help="folder for what --mode writes (default: the current one)")
    parser.add_argument("--calibrate", type=rate, metavar="FAR", help="also write the threshold of this false accept "
                        "rate, over the pairs of all targets")
    parser.add_argument("--calibration", metavar="FILE", help="where to write it (default: PREFIX-NNNN-threshold.json)")
    parser.add_argument("--json", metavar="OUT", help="write the results to this file, too (always: to the folder "
                        "evaluations beside the checkpoint)")
    options = parser.parse_args(arguments)
    if options.target is not None and not options.target.strip(" ,"):
        parser.error("--target names no verification file")
    try:
        options.contexts = parse_context(options.ctx)
        options.prefix, options.epochs = parse(options.model) if options.model is not None else (None, [])
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    except ValueError as error:
        parser.error(f"--model {error}")
    if options.ctx and len(options.contexts) > 1:
        parser.error(f"{options.ctx}: verification runs on one device")
    if options.max and options.model in (options.prefix, None) and len(options.epochs) > options.max[1]:
        newest_first = options.epochs[::-1]
        options.epochs = newest_first[slice(*options.max)][::-1]
    if options.mode and len(options.epochs) > 1:
        parser.error(f"--mode {options.mode} takes one checkpoint: give --model PREFIX,EPOCH")
    if options.calibrate is None and options.calibration:
        parser.error("--calibration is where --calibrate FAR writes: give both")
    if options.calibrate is not None and len(options.epochs) > 1:
        parser.error("--calibrate takes one checkpoint: give --model PREFIX,EPOCH")
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
        for kind, values in (("embeddings", result.embeddings), ("issame", issame)):
            with whole_file(f"{start}-{kind}.npy", "wb") as file:
                np.save(file, values)


def _summary(name, path, prefix, epoch, result):
    """Return what goes into the JSON file: plain numbers, null for what cannot be computed."""
    def plain(value):
        if isinstance(value, np.ndarray):
            return value.tolist()
        return None if isinstance(value, float) and not math.isfinite(value) else value
    kept = {key: plain(value) for key, value in result.items() if key not in ("distances", "embeddings")}
    return {"target": name, "path": path, "model": prefix, "epoch": epoch, **kept}


def _calibrate(options, verified):
    """Write the threshold of the false accept rate asked for, and say what it is."""
    epoch, = options.epochs
    sets = [{"name": name, "path": os.path.abspath(path), "genuine": int(issame.sum()),
             "impostors": int((~issame).sum())} for name, path, issame, _ in verified]
    made = calibration.calibrate(
        np.concatenate([dist for *_, dist in verified]), np.concatenate([issame for *_, issame, _ in verified]),
        options.calibrate, sets, not options.no_flip,
        {"prefix": options.prefix, "epoch": epoch, "fingerprint": options.fingerprint})
    calibration.write(options.calibration, made)
    print(f"same person: squared distance below {made['squared_distance']:.4f}, cosine above {made['cosine']:.4f}, "
          f"at a {calibration.describe(made)}; written to {options.calibration}")


def _load(options, epoch, embedder):
    """Return an embedder with the parameters of an epoch: the one that is there, where there is one."""
    symbol, arg_params, aux_params = load(options.prefix, epoch)
    options.fingerprint = fingerprint(arg_params, aux_params)
    print("loading", options.prefix, epoch, flush=True)
    if embedder is None:
        context = options.contexts[0]
        size = options.batch_size or best_batch_size(symbol, arg_params, aux_params, context)
        return Embedder(symbol, arg_params, aux_params, context, size)
    embedder.set_params(arg_params, aux_params)
    return embedder


def main(arguments=None):
    """Verify checkpoints on verification files and print the original's lines, then a line on AUC."""
    options = parse_arguments(arguments)
    if options.prefix is None:
        options.prefix, epoch = newest(options.models_root)
        options.epochs = [epoch]
    targets, missing = find_targets(options.target, options.data_dir)
    if options.json and not os.path.isdir(os.path.dirname(os.path.abspath(options.json))):
        raise Failure(f"{options.json}: its folder is not there; make it, or name another file with --json")
    for name in missing:
        print(f"{name}.bin is not in {options.data_dir}, and left out", file=sys.stderr)
    if options.calibrate is not None:
        options.calibration = options.calibration or calibration.default_path(options.prefix, options.epochs[0])
        calibration.check_place(options.calibration)
    embedder, loaded, summaries, pairs = None, None, [], []
    for name, path in targets:
        images, issame = read(path)
        _check_folds(path, issame, options.nfolds)
        distrust, data = distrust_of(issame, options.nfolds), results.data_of(path, len(issame))
        for epoch in options.epochs:
            if epoch != loaded:
                embedder, loaded = _load(options, epoch, embedder), epoch
            result = verify(embedder, images, issame, options.nfolds, not options.no_flip, path, progress=True)
            print("\n".join([*format_lines(name, None, result), format_auc(name, result)]), flush=True)
            checkpoint = {"prefix": options.prefix, "epoch": epoch, "fingerprint": options.fingerprint}
            results.keep(options.prefix, name, results.of_pairs(result, checkpoint, data, distrust))
            if options.mode:
                _write_mode(options, name, path, images, issame, result)
            pairs.append((name, path, issame, result.distances))
            summaries.append({**_summary(name, path, options.prefix, epoch, result), "distrust": distrust})
        if len(options.epochs) > 1:
            best = max(one["accuracy"] for one in summaries if one["target"] == name)
            print(f"Max of [{name}] is {best:1.5f}", flush=True)
        if distrust:
            print(f"[{name}]note: {distrust}", file=sys.stderr, flush=True)
    if options.calibrate is not None:
        _calibrate(options, pairs)
    if options.json:
        with whole_file(options.json, "w") as file:
            json.dump(summaries, file, indent=1)


if __name__ == "__main__":
    run_command(main)
