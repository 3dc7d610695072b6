"""MegaFace's challenge 1: rank-1 and TAR at FAR 1e-6 among a million distractors (Sec. 3.3, Table 6, Figure 8).

    python eval/megaface.py --root MEGAFACE --features FEATURES --algorithm arc
    python eval/megaface.py --root MEGAFACE --features FEATURES --algorithm arc --refined --sizes 1000000
    python eval/megaface.py --root MEGAFACE --features FEATURES --algorithm r100 --model models/r100/model,1
    python eval/megaface.py --root MEGAFACE --features FEATURES --algorithm arc --results OUT --picture OUT/cmc

MEGAFACE holds data/ (facescrub_lst, megaface_lst, facescrub_noises.txt, megaface_noises.txt) and templatelists/
(facescrub_features_list.json, megaface_features_list.json_N_SET). FEATURES holds one file an image, as the devkit takes
them: facescrub/PERSON/IMAGE_ALGORITHM.bin and megaface/A/B/IMAGE_ALGORITHM.bin.
With --model, features that are missing are first written from the images. If the command is killed, the same command
resumes. Results then go to evaluations/megaface.json beside the checkpoint.
--refined leaves out what the noise lists name. The picture is Figure 8: PICTURE.png and PICTURE.svg.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse
import json
import re

import numpy as np

from datasets.faces.reader import Reader
from datasets.formats.opencv_matrix import Picked
from eval.networks.flags import add_network_flags, network_of
from eval.protocols import megaface, megaface_features, megaface_files, noise_lists
from eval.reporting import results
from eval.reporting.paper_numbers import paper
from runtime import Failure, run_command, shown
from runtime.files import check_folder_of
from runtime.flags import number, rate_of_one_digit

OURS = {("small", False): "CASIA, R50, ArcFace", ("small", True): "CASIA, R50, ArcFace, R",
        ("large", False): "MS1MV2, R100, ArcFace", ("large", True): "MS1MV2, R100, ArcFace, R"}


def sizes(text):
    """Read `10,100` as a list of numbers of distractors. Serves as the `type` of an argparse flag."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found or not all(re.fullmatch("[1-9][0-9]{0,8}", part) for part in found):
        raise argparse.ArgumentTypeError(f"{text!r} does not name numbers of distractors, such as 10,100")
    return [int(part) for part in found]


def algorithm(text):
    """Read the part of the features' names that tells their algorithm."""
    if not text or "/" in text or "\0" in text or text.startswith("."):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be part of a file's name")
    return text


def images(text):
    """Read a number of training images, such as 5800000."""
    if not re.fullmatch("[0-9]{1,12}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of images")
    return int(text)


def parse_arguments(arguments=None):
    """Read the command's flags; ends the process with status 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--root", required=True, metavar="DIR", help="the folder of data/ and templatelists/")
    add("--features", required=True, metavar="DIR", help="the folder of the feature files")
    add("--algorithm", required=True, type=algorithm, metavar="NAME", help="the last part of the feature files' names")
    add("--refined", action="store_true", help="apply the noise lists")
    add("--seed", type=number, default=0, help="draws the noise of noisy probes' features (default 0)")
    add("--sizes", type=sizes, metavar="N,N,…", help="numbers of distractors (default: all in templatelists/)")
    add("--fars", type=rate_of_one_digit, nargs="+", default=list(megaface.FARS), metavar="FAR",
        help="default: 1e-1 to 1e-6")
    add_network_flags(parser)
    add("--facescrub-images", metavar="DIR", help="images of facescrub_lst (default: ROOT/data/facescrub_images)")
    add("--megaface-images", metavar="DIR", help="images of megaface_lst (default: ROOT/data/megaface_images)")
    add("--align", action="store_true", help="images are whole pictures: find and align their faces")
    add("--no-flip", action="store_true", help="a single crop of each image, as the paper says, in place of the "
        "original's sum with the mirror image")
    add("--training-images", type=images, metavar="N", help="images that the network was trained on: fewer than "
        "500,000 make the protocol small")
    add("--results", metavar="DIR", help="write the devkit's result files to this folder")
    add("--picture", metavar="STEM", help="draw CMC and ROC of all sets to STEM.png and STEM.svg")
    add("--refined-features", metavar="DIR", help="with --refined: also write the features, with their further number, "
        "as the devkit takes them")
    add("--json", metavar="OUT", help="write the result to this file, too")
    options = parser.parse_args(arguments)
    if options.refined_features and not options.refined:
        parser.error("--refined-features are written with --refined")
    if options.refined_features and os.path.realpath(options.refined_features) == os.path.realpath(options.features):
        parser.error("--refined-features has to be another folder than --features")
    if not options.model and (options.align or options.no_flip or options.facescrub_images or options.megaface_images):
        parser.error("--align, --no-flip and folders of images are for --model; features are evaluated as they are")
    return options


def training_images(options):
    """Return on how many images the network was trained, as far as that is known, else None."""
    if options.training_images is not None or not options.model:
        return options.training_images
    try:
        with open(os.path.join(os.path.dirname(options.model[0]), "config.json"), encoding="utf-8") as file:
            dataset = json.load(file).get("dataset")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    from datasets.published.table import DATASETS
    known = {one.key: one.images for one in DATASETS if one.purpose == "training"}
    text = known.get(dataset) if isinstance(dataset, str) else None
    match = re.fullmatch(r"([0-9.,]+)([KM]?)", text or "")
    return match and int(float(match[1].replace(",", "")) * {"": 1, "K": 1_000, "M": 1_000_000}[match[2]])


def check_places(options):
    """Fail where something could not be written at the end."""
    check_folder_of(options.json, "--json")
    check_folder_of(options.picture, "--picture")
    for folder, flag in ((options.results, "--results"), (options.refined_features, "--refined-features")):
        if folder and os.path.lexists(folder) and not os.path.isdir(folder):
            raise Failure(f"{shown(folder)} is no folder: name another one with {flag}")
        if folder:
            os.makedirs(folder, exist_ok=True)


def write_features(options, network, lists):
    """Write the features that are missing, of the images in `lists`: kind → (paths, Listed)."""
    flip = not options.no_flip
    megaface_features.claim(options.features, options.algorithm, megaface_features.facts_of(network, flip),
                            {kind: listed.names for kind, (_, listed) in lists.items()})
    reader = Reader(network.embedder.image_shape[1], not options.align, "align it first, or give --align")
    for kind, folder in (("facescrub", options.facescrub_images), ("megaface", options.megaface_images)):
        folder = folder or os.path.join(options.root, "data", f"{kind}_images")
        paths, listed = lists[kind]
        written = megaface_features.write_missing(network, flip, reader, options.features, kind, folder, paths,
                                                  listed.names, options.algorithm)
        print(f"[megaface]features of {kind}: {written} written, {len(set(listed.names)) - written} there already",
              flush=True)


def lists_of(options, probes, sets):
    """Return kind → (paths, Listed) of the images whose features are needed.

    The refined protocol sums the features of all images in FaceScrub's list, so it needs them all.
    """
    lists = {}
    for kind in megaface_files.KINDS:
        lists[kind] = megaface_files.read_lst(options.root, kind)
    needed = {name for one in sets for name in megaface_files.read_distractors(one).names} if options.sizes else None
    if needed is not None:
        paths, listed = lists["megaface"]
        places = [place for place, name in enumerate(listed.names) if name in needed]
        lists["megaface"] = ([paths[place] for place in places],
                             listed._replace(names=[listed.names[place] for place in places]))
    missing = set(probes.names) - set(lists["facescrub"][1].names)
    if missing:
        raise Failure(f"{shown(lists['facescrub'][1].path)} lacks {len(missing)} of the probes of "
                      f"{shown(probes.path)}, such as {shown(sorted(missing)[0])}: the lists do not belong together")
    return lists


def read_probes(options, probes, noise):
    """Return the probes' features (N, D), or (N, D + 1) and refined."""
    read = megaface_files.read_features
    if noise is None:
        return read(options.features, "facescrub", probes.names, options.algorithm)
    _, listed = megaface_files.read_lst(options.root, "facescrub")
    folders, files = zip(*(name.split("/") for name in listed.names))
    noisy = noise_lists.matched(noise, list(files), "probes")
    features = noise_lists.probes(read(options.features, "facescrub", listed.names, options.algorithm), list(folders),
                                  noisy, options.seed)
    places = {name: place for place, name in enumerate(listed.names)}  # the last of equals, as files are overwritten
    missing = [name for name in probes.names if name not in places]
    if missing:
        raise Failure(f"{shown(listed.path)} lacks {len(missing)} of the probes of {shown(probes.path)}, such as "
                      f"{shown(missing[0])}: the lists do not belong together")
    if options.refined_features:
        megaface_features.write_refined(options.refined_features, {"facescrub": (listed.names, features)},
                                        options.algorithm)
    return features[[places[name] for name in probes.names]]


def read_distractors(options, sets, dimension, noise):
    """Return the features of all distractors of all sets, and for each set their places."""
    largest = max(sets, key=lambda one: one.number)
    names = megaface_files.read_distractors(largest).names
    places, index = {}, None
    for one in sets:
        own = megaface_files.read_distractors(one).names if one != largest else names
        if own == names[:len(own)]:  # sets are nested
            places[one] = np.arange(len(own))
            continue
        if index is None:
            names, index = list(names), {}
            for place, name in enumerate(names):
                index.setdefault(name, place)
        for name in own:
            if name not in index:
                index[name] = len(names)
                names.append(name)
        places[one] = np.array([index[name] for name in own])
    del index
    noisy = noise_lists.matched(noise, names, "distractors") if noise else None
    features = megaface_files.read_features(options.features, "megaface", names, options.algorithm, dimension,
                                            int(noise is not None))
    if noise:
        features[:, -1] = noise_lists.distractor_numbers(noisy)
        if options.refined_features:
            megaface_features.write_refined(options.refined_features, {"megaface": (names, features)},
                                            options.algorithm)
    return features, places


def lines_of(one, outcome, refined):
    """Return the lines that say what a set of distractors gives."""
    name = f"[megaface{' refined' if refined else ''}][{one.number} distractors, set {one.set}]"
    values = outcome.values
    rank, strict = values["rank"], values["rank_strict"]
    lines = [f"{name}rank 1: {rank['1']:.5f}, 5: {rank['5']:.5f}, 10: {rank['10']:.5f}"]
    if rank != strict:
        lines.append(f"{name}rank 1 with ties against the probe: {strict['1']:.5f}, 5: {strict['5']:.5f}, 10: "
                     f"{strict['10']:.5f}")
    lines.append(f"{name}TAR at FAR " + ", ".join(f"{far}: {tar:.5f}" for far, tar in values["tar_strict"].items()))
    return lines


def paper_line(protocol, refined):
    """Return the line of the paper's values for a protocol; of both protocols where it is not known."""
    rows = paper("table6")["rows"]
    return "[megaface]paper (Table 6, a million distractors, %): " + "; ".join(
        f"{kind}: {OURS[kind, refined]}: rank 1 {rows[OURS[kind, refined]][0]}, TAR at FAR 1e-06 "
        f"{rows[OURS[kind, refined]][1]}" for kind in ("small", "large") if protocol in (kind, None))


def main(arguments=None):
    """Evaluate features, or a network, on MegaFace."""
    options = parse_arguments(arguments)
    check_places(options)
    probes = megaface_files.read_template_list(
        os.path.join(options.root, "templatelists", "facescrub_features_list.json"), "facescrub")
    sets = megaface_files.distractor_sets(options.root, options.sizes)
    noise = {kind: noise_lists.read(os.path.join(options.root, "data", f"{kind}_noises.txt"), kind == "megaface")
             if options.refined else None for kind in megaface_files.KINDS}
    network = None
    if options.model:
        lists = lists_of(options, probes, sets)
        network = network_of(options)
        write_features(options, network, lists)
    protocol = megaface.protocol_of(training_images(options))
    print(f"[megaface]protocol: {protocol or 'small or large is not known: give --training-images N'}; "
          f"{'refined by the noise lists' if options.refined else 'original lists'}", flush=True)
    features = read_probes(options, probes, noise["facescrub"])
    pairs = megaface.genuine_pairs(features, probes.people)
    print(f"[megaface]{len(probes.names)} probes of {len(set(probes.people))} people, {len(pairs.scores)} ordered "
          "genuine pairs", flush=True)
    if not len(pairs.scores):
        raise Failure(f"{shown(probes.path)}: no person has two images, so there is nothing to find")
    distractors, places = read_distractors(options, sets, features.shape[1] - int(options.refined), noise["megaface"])
    values, curves = {"by_distractors": {}}, []
    for one in sets:
        own = distractors[:one.number] if np.array_equal(places[one], np.arange(one.number)) else Picked(
            distractors, places[one])
        outcome = megaface.evaluate(features, pairs, own, sorted(set(options.fars), reverse=True),
                                    bool(options.results or options.picture), f"{one.number} distractors")
        print("\n".join(lines_of(one, outcome, options.refined)), flush=True)
        values["by_distractors"].setdefault(str(one.number), outcome.values)
        if len({other.set for other in sets if other.number == one.number}) > 1:
            values.setdefault("by_set", {})[f"{one.number}_{one.set}"] = outcome.values
        curve = (np.array([range(len(outcome.cmc)), outcome.cmc]), np.array(outcome.roc))
        curves.append((f"{options.algorithm}, {one.number} distractors", *curve))
        if options.results:
            megaface_files.write_result(megaface_files.result_path(options.results, options.algorithm, one.number,
                                                                   one.set), outcome.cmc, *outcome.roc)
    print(paper_line(protocol, options.refined), flush=True)
    if options.picture:
        from eval.reporting.cmc_roc import write
        print(" and ".join(write(options.picture, curves, "MegaFace, refined" if options.refined else "MegaFace")))
    evaluation = results.of_benchmark(
        {"name": "megaface", "refined": options.refined, "protocol": protocol, "seed": options.seed,
         "sizes": sorted({one.number for one in sets}), "fars": sorted(set(options.fars))},
        values, {"path": os.path.abspath(options.root), "features": os.path.abspath(options.features),
                 "algorithm": options.algorithm, "probes": len(probes.names), "genuine_pairs": len(pairs.scores),
                 "sets": [f"{one.number}_{one.set}" for one in sets]},
        network and network.checkpoint, (not options.no_flip) if network else None, network and network.engine)
    if network:
        results.keep(network.prefix, "megaface", evaluation)
    if options.json:
        results.write_object(options.json, "megaface", evaluation)


if __name__ == "__main__":
    run_command(main)
