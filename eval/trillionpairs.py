"""Trillion-Pairs: TPR at FPR 1e-9 over all pairs of probes and gallery, and identification (Sec. 3.3, Table 8).

    python eval/trillionpairs.py --features features.bin --labels labels.txt
    python eval/trillionpairs.py --features features.bin --labels labels.txt --fpr 1e-8 1e-9 --json trillionpairs.json
    python eval/trillionpairs.py --features features.bin --model models/r100-arcface-emore/model,1 \\
        --images IMAGES --list testdata_lmk.txt

features.bin has four int32 (rows, columns, bytes a row, 5), then a row of float32 an image. This is also the file that
the benchmark's judges take. labels.txt has a line a row: an identity's number, or -1 for the gallery.
With --model, the feature file is first written from the images of a list: a path a line, with ten numbers where the
picture is not an aligned face. If the command is killed, the same command resumes. Without --labels that is all.
Thresholds are exact. Identification is this project's reading of the benchmark; no document defines it.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse

from datasets.formats.opencv_matrix import Matrix
from eval.networks.flags import add_network_flags, network_of
from eval.protocols import submission, trillionpairs
from eval.reporting import results
from eval.reporting.paper_numbers import paper
from runtime import Failure, run_command, shown
from runtime.files import check_folder_of
from runtime.flags import rate_of_one_digit

READING = "this project's reading"


def parse_arguments(arguments=None):
    """Read the command's flags; ends the process with status 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--features", required=True, metavar="FILE", help="the feature file; with --model it is written")
    add("--labels", metavar="FILE", help="the identity of each row, -1 for the gallery")
    add("--fpr", type=rate_of_one_digit, nargs="+", default=[trillionpairs.VERIFICATION], metavar="RATE",
        help="false positive rates of verification (default: 1e-9)")
    add("--identification-fpr", type=rate_of_one_digit, nargs="+", metavar="RATE",
        default=[trillionpairs.IDENTIFICATION],
        help="false positive rates of identification, among the probes (default: 1e-3)")
    add_network_flags(parser)
    add("--images", metavar="DIR", help="with --model: the folder of the images")
    add("--list", metavar="FILE", help="with --model: the images in the order of the rows, probes first")
    add("--no-flip", action="store_true", help="a single crop of each image, as the paper says, in place of the sum "
        "with the mirror image")
    add("--json", metavar="OUT", help="write the result to this file, too")
    options = parser.parse_args(arguments)
    if options.model and not (options.images and options.list):
        parser.error("--model needs --images and --list")
    if not options.model and (options.images or options.list or options.no_flip):
        parser.error("--images, --list and --no-flip are for --model; a feature file is evaluated as it is")
    if not options.model and not options.labels:
        parser.error("give --labels to evaluate the features, or --model to write them")
    if options.json and not options.labels:
        parser.error("--json needs --labels: without them nothing is evaluated")
    return options


def write_features(options):
    """Write the feature file, unless it is there, and return the network."""
    listed = submission.read_list(options.list)
    if not os.path.isdir(options.images):
        raise Failure(f"{shown(options.images)} is no folder: name the folder of the images with --images")
    if options.labels:
        trillionpairs.read_labels(options.labels, len(listed.names))
    network = network_of(options)
    submission.write(options.features, network, not options.no_flip, listed, options.images)
    print(f"[trillionpairs]{shown(options.features)}: {len(listed.names)} features of {network.embedder.dimension} "
          f"numbers, {os.path.getsize(options.features)} bytes", flush=True)
    return network


def main(arguments=None):
    """Write or evaluate features of Trillion-Pairs."""
    options = parse_arguments(arguments)
    check_folder_of(options.json, "--json")
    check_folder_of(options.features, "--features")
    network = write_features(options) if options.model else None
    if not options.labels:
        return
    features = Matrix(options.features)
    labels = trillionpairs.read_labels(options.labels, len(features))
    found = trillionpairs.evaluate(features, labels, sorted(set(options.fpr), reverse=True),
                                   sorted(set(options.identification_fpr), reverse=True), "probes × gallery")
    print(f"[trillionpairs]{found['probes']} probes, {found['gallery']} images in the gallery, "
          f"{found['genuine_pairs']} genuine pairs, {found['impostor_pairs']} impostor pairs")
    for fpr, tpr in found["tpr"].items():
        print(f"[trillionpairs]verification: TPR at FPR {fpr}: {tpr:.5f} (threshold {found['thresholds'][fpr]:.6f})")
    for fpr, tpr in found["identification"].items():
        print(f"[trillionpairs]identification at FPR {fpr}: {tpr:.5f} (threshold "
              f"{found['identification_thresholds'][fpr]:.6f}; {READING})")
    print(f"[trillionpairs]identification without a threshold: {found['rank1']:.5f} ({READING})")
    row = paper("table8")["rows"]["MS1MV2"]
    print(f"[trillionpairs]paper (Table 8, MS1MV2, ResNet100, %): identification at FPR 1e-03 {row[0]}, verification "
          f"at FPR 1e-09 {row[1]}", flush=True)
    values = {key: found[key] for key in ("tpr", "identification", "thresholds", "identification_thresholds", "rank1")}
    evaluation = results.of_benchmark(
        {"name": "trillionpairs", "identification": READING, "fpr": sorted(set(options.fpr)),
         "identification_fpr": sorted(set(options.identification_fpr))}, values,
        {"path": os.path.abspath(options.features), "labels": os.path.abspath(options.labels),
         **{key: found[key] for key in ("probes", "gallery", "genuine_pairs", "impostor_pairs")}},
        network and network.checkpoint, (not options.no_flip) if network else None, network and network.engine)
    if network:
        results.keep(network.prefix, "trillionpairs", evaluation)
    if options.json:
        results.write_object(options.json, "trillionpairs", evaluation)


if __name__ == "__main__":
    run_command(main)
