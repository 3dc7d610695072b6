r"""IJB-B and IJB-C: 1:1 verification and 1:N identification of templates (Table 7, Figure 9).

    python eval/ijb.py --root IJBC --target IJBC --model models/r100-arcface-emore/model,1
    python eval/ijb.py --root IJBB --target IJBB --embeddings e.npy --json ijbb.json --roc figure9.png
    python eval/ijb.py --root IJBC --target IJBC --embeddings e.npy --mirrored m.npy --flip --keep-norms \
        --detector-score

--root holds meta/ and, for --model, the pictures in loose_crop/, both as published. Pictures are aligned by the five
points of the list. The default is the paper's plain centre of single crops (N0D0F0); the third command is the setting
that the original's scripts use (N1D1F1).

Ready-made embeddings are NumPy files with a row for each row of the image list, in its order, not normalised. A file
may be larger than the memory. With --both-halves a row holds the image's embedding and then its mirror image's.

Embeddings made by --model are kept in embeddings/ beside the checkpoint. If the command is killed, the same command
resumes. Other switches of N and D then take no new embedding. Results are kept in evaluations/ beside the checkpoint.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse

import numpy as np

from eval.networks import store
from eval.networks.flags import add_network_flags, network_of
from eval.networks.raw import Raw
from eval.protocols import ijb, ijb_files, ready_made
from eval.protocols.ijb_images import LooseCrops
from eval.reporting import ijb_report, results, roc_picture
from runtime import run_command
from runtime.files import check_folder_of
from runtime.locks import alone_with


def parse_arguments(arguments=None):
    """Read the command's flags; ends the process with status 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, metavar="DIR", help="the benchmark's folder, which holds meta/")
    parser.add_argument("--target", required=True, choices=sorted(ijb_files.TARGETS))
    switches = parser.add_argument_group("how an image counts in its template")
    switches.add_argument("--keep-norms", action="store_true", help="N1: do not normalise each image first")
    switches.add_argument("--detector-score", action="store_true", help="D1: multiply by the detector's score")
    switches.add_argument("--flip", action="store_true", help="F1: add the mirror image's embedding")
    made = parser.add_argument_group("ready-made embeddings")
    made.add_argument("--embeddings", metavar="E.npy", help="(N, D), a row for each row of the image list")
    made.add_argument("--mirrored", metavar="M.npy", help="those of the mirror images; used with --flip")
    made.add_argument("--both-halves", action="store_true", help="--embeddings is (N, 2 D): the image's, then its "
                      "mirror image's")
    network = parser.add_argument_group("embeddings of a network")
    add_network_flags(network)
    network.add_argument("--output", metavar="FILE.npy", help="where the embeddings are kept (default: "
                         "embeddings/PREFIX-EPOCH-TARGET.npy beside the checkpoint, with -flip at its end for --flip)")
    parser.add_argument("--json", metavar="OUT", help="write the results to this file, too")
    parser.add_argument("--roc", metavar="OUT.png", help="draw the ROC curve (Figure 9)")
    options = parser.parse_args(arguments)
    if (options.model is None) == (options.embeddings is None):
        parser.error("give either --model or --embeddings")
    if options.embeddings is None and (options.mirrored or options.both_halves):
        parser.error("--mirrored and --both-halves belong to --embeddings")
    if options.mirrored and options.both_halves:
        parser.error("--both-halves says that --embeddings has the mirror images, too: leave out --mirrored")
    if options.mirrored and not options.flip:
        parser.error("--mirrored is used with --flip: give both or neither")
    if options.embeddings and options.flip and not (options.mirrored or options.both_halves):
        parser.error("--flip with --embeddings takes --mirrored or --both-halves")
    if options.embeddings and options.output:
        parser.error("--output belongs to --model")
    if options.output and not options.output.endswith(".npy"):
        parser.error("--output takes a name that ends in .npy")
    if options.roc and not options.roc.endswith(".png"):
        parser.error("--roc takes a name that ends in .png")
    return options


def embed(options, network, paths, images):
    """Embed the pictures, or resume that; return the array of embeddings and its file's name."""
    run, prefix = os.path.split(os.path.abspath(network.prefix))
    name = f"{prefix}-{network.epoch:04d}-{options.target.lower()}{'-flip' * options.flip}.npy"
    path = options.output or os.path.join(run, "embeddings", name)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    source = LooseCrops(paths, images, network.embedder.image_shape[1])
    with alone_with(path, "name another file with --output"):
        store.write(path, Raw(network, options.flip), source, progress=True)
    return ready_made.open_rows(path, len(images.names), paths.images), path


def main(arguments=None):
    """Evaluate a network or ready-made embeddings on IJB-B or IJB-C, and print the numbers next to the paper's."""
    options = parse_arguments(arguments)
    for flag in ("json", "roc", "output"):
        check_folder_of(getattr(options, flag), f"--{flag}")
    switches = ijb.Switches(options.keep_norms, options.detector_score, options.flip)
    paths = ijb_files.layout(options.root, options.target)
    images = ijb_files.read_images(paths)
    if options.embeddings:
        plain, mirrored = ready_made.read(
            options.embeddings, options.mirrored, options.both_halves, options.flip, len(images.names), paths.images)
        network, name = None, options.embeddings
    templates = np.unique(images.templates)
    pairs = ijb_files.read_pairs(paths.pairs, templates)
    galleries = [ijb_files.read_subjects(path, templates) for path in paths.galleries]
    probes = ijb_files.read_subjects(paths.probes, templates)
    if options.model:
        network = network_of(options)
        (plain, name), mirrored = embed(options, network, paths, images), None  # the store holds the sums
    values, reasons = ijb.evaluate(images, pairs, galleries, probes, plain, mirrored, switches, name, progress=True)
    evaluation = ijb_report.evaluation_of(options.target, options.root, paths, switches, values, reasons, pairs, images,
                                          network, None if network else options.embeddings)
    print("\n".join(ijb_report.lines(options.target, switches, evaluation)))
    if network:
        results.keep(network.prefix, options.target.lower(), evaluation)
    if options.json:
        results.write_object(options.json, options.target.lower(), evaluation)
    if options.roc:
        roc_picture.write(options.roc, options.target, [(switches.name, evaluation["values"]["roc"])])


if __name__ == "__main__":
    run_command(main)
