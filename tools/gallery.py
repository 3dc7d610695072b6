"""Enrol people from folders of photographs into a gallery, and search it with new photographs.

    python tools/gallery.py enrol family.npz FOLDER --model models/r100-arcface-emore/model,1
    python tools/gallery.py search family.npz new.jpg other.jpg
    python tools/gallery.py list family.npz

FOLDER has a folder for each person, `FOLDER/NAME/*.jpg`. A person's template is the sum of the unit embeddings of their
photographs, made a unit vector. Enrolling into a gallery that is there adds to it, replacing people of the same name. A
search answers "unknown" where even the nearest template is beyond the threshold that `eval/verification.py
--calibrate` measured for the checkpoint. That threshold is for comparing two faces: among P people, a stranger is taken
for one of them up to P times as often as its false accept rate says.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from datasets.formats import embeddings
from datasets.formats.image_lists import quoted
from eval.networks.flags import network_of
from eval.networks.recogniser import Recogniser, add_flags
from eval.networks.sources import people
from eval.reporting import calibration
from eval.reporting.calibration import how_to_calibrate, threshold_of
from runtime import Failure, run_command
from runtime.flags import cosine
from runtime.locks import alone_with

HOW = "make it with tools/gallery.py enrol"


class Gallery(NamedTuple):
    """People with their templates, and the network that made them.

    Attributes
    ----------
    templates : dict of str to (ndarray of float32 (D,), int)
        Each person's unit vector, and of how many photographs it was made.
    prefix, epoch, fingerprint
        Of the checkpoint.
    flip : bool
        Whether embeddings were sums over both flips.
    """

    templates: dict[str, tuple[np.ndarray, int]]
    prefix: str
    epoch: int
    fingerprint: str
    flip: bool


def write(path, gallery):
    """Write a gallery: a file of embeddings (`datasets.formats.embeddings`), with what is known of the network."""
    names = sorted(gallery.templates)
    embeddings.write(path, [np.stack([gallery.templates[name][0] for name in names])], np.arange(len(names)), names,
                     counts=np.array([gallery.templates[name][1] for name in names], np.int64),
                     network=np.array([gallery.prefix, str(gallery.epoch), gallery.fingerprint,
                                       "flip" if gallery.flip else "single crop"]))


def read(path):
    """Read a gallery.

    Raises
    ------
    Failure
        It is missing, damaged, or no gallery.
    """
    archive = embeddings.Archive(path, HOW)
    shape = archive.shape("embeddings", "f", 2)
    names, counts, network = (archive.read(name, kinds).tolist()
                              for name, kinds in (("names", "U"), ("counts", "iu"), ("network", "U")))
    if not len(names) == len(set(names)) == len(counts) == shape[0] or not names or len(network) != 4 \
            or not network[1].isdecimal() or not network[1].isascii() or len(network[1]) > 9:
        raise archive.damaged("its arrays are not those of a gallery")
    templates = np.concatenate([block for _, block in embeddings.Embeddings(path).blocks()])
    return Gallery(dict(zip(names, zip(templates, counts))), network[0], int(network[1]), network[2],
                   network[3] == "flip")


def _check_network(path, gallery, recogniser):
    if gallery.fingerprint != recogniser.fingerprint:
        raise Failure(f"{path} was made with another network ({quoted(gallery.prefix)}, epoch {gallery.epoch}), whose "
                      "embeddings mean something else: give that checkpoint with --model, or enrol into another file")


def enrol(options):
    """Enrol people, or add them to a gallery that is there, which no other process changes meanwhile."""
    with alone_with(options.gallery, "enrol into another file"):
        _enrol(options)


def _enrol(options):
    known = read(options.gallery) if os.path.exists(options.gallery) else None
    flip = known.flip if known else not options.no_flip
    recogniser = _recogniser(options, known, flip)
    templates, failed = dict(known.templates) if known else {}, []
    folders = people(options.folder)
    bar = tqdm(total=sum(len(paths) for _, paths in folders), unit="photograph", leave=False, disable=None)
    for person, paths in folders:
        faces = []
        for path in paths:
            bar.update()
            try:
                faces.append(recogniser.face(path, options.folder))
            except Failure as failure:
                failed.append(str(failure))
        if not faces:
            failed.append(f"{quoted(person)}: no photograph of this person could be used; not enrolled")
            continue
        total = recogniser(np.stack(faces)).sum(axis=0)
        again = " (again)" if person in templates else ""
        templates[person] = (total / np.linalg.norm(total), len(faces))
        bar.write(f"{quoted(person)}: {len(faces)} of {len(paths)} photographs{again}", file=sys.stdout)
    bar.close()
    for line in failed:
        print(f"left out: {line}")
    if not templates:
        raise Failure(f"{options.folder}: nobody could be enrolled, for the reasons above")
    write(options.gallery, Gallery(templates, os.path.abspath(recogniser.prefix), recogniser.epoch,
                                   recogniser.fingerprint, flip))
    print(f"{options.gallery}: {len(templates)} people")


def rank(gallery, embedding, top):
    """Return the people nearest to a unit embedding (D,): a list of (name, cosine), the nearest first."""
    names = list(gallery.templates)
    cosines = np.stack([gallery.templates[name][0] for name in names]) @ embedding
    return [(names[place], float(cosines[place])) for place in np.argsort(-cosines, kind="stable")[:top]]


def search(options):
    """Say for each photograph who it shows."""
    gallery = read(options.gallery)
    recogniser = _recogniser(options, gallery, gallery.flip)
    threshold = None if options.threshold is not None else threshold_of(recogniser, options.calibration)
    least = threshold["cosine"] if threshold else options.threshold
    if threshold:
        print(f"threshold: a cosine of {least:.4f}, for a {calibration.describe(threshold)}")
    elif least is None:
        print(how_to_calibrate(recogniser) + "; or give a cosine with --threshold")
    unusable = 0
    for path in options.images:
        try:
            ranking = rank(gallery, recogniser(recogniser.face(path)[None])[0], options.top)
        except Failure as failure:
            print(f"left out: {failure}")
            unusable += 1
            continue
        answer = "nearest" if least is None else quoted(ranking[0][0]) if ranking[0][1] > least else "unknown"
        print(f"{quoted(path)}: {answer} (" + ", ".join(f"{quoted(name)} {near:.4f}" for name, near in ranking) + ")")
    if unusable == len(options.images):
        raise Failure("none of these photographs could be searched with, for the reasons above")


def list_people(options):
    """Print who is in a gallery."""
    gallery = read(options.gallery)
    print(f"{options.gallery}: {len(gallery.templates)} people, by {quoted(gallery.prefix)}, epoch {gallery.epoch}"
          f"{'' if gallery.flip else ', single crops'}")
    for name, (_, count) in gallery.templates.items():
        print(f"  {quoted(name)}: {count} photograph{'s' * (count != 1)}")


def _recogniser(options, gallery, flip):
    """Return the network of the flags, or else of the gallery; Failure where the two differ."""
    options.model = options.model or (gallery.prefix, gallery.epoch)
    recogniser = Recogniser(network_of(options, few=True), flip, options.aligned)
    if gallery:
        _check_network(options.gallery, gallery, recogniser)
    return recogniser


def parse_arguments(arguments=None):
    """Read the command's flags; ends the process with status 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", metavar="enrol | search | list")
    commands.required = True
    one = commands.add_parser("enrol", help="add people to a gallery")
    one.add_argument("gallery", metavar="GALLERY.npz")
    one.add_argument("folder", metavar="FOLDER", help="has a folder of photographs for each person")
    add_flags(one, model_required=False)
    one.add_argument("--no-flip", action="store_true", help="a single crop of each face, as in the paper")
    one.set_defaults(do=enrol)
    one = commands.add_parser("search", help="say who photographs show")
    one.add_argument("gallery", metavar="GALLERY.npz")
    one.add_argument("images", nargs="+", metavar="IMAGE")
    add_flags(one, model_required=False)
    one.add_argument("--calibration", metavar="FILE", help="the threshold (default: that beside the checkpoint)")
    one.add_argument("--threshold", type=cosine, metavar="COSINE", help="a threshold of your own instead")
    one.add_argument("--top", type=int, default=3, choices=range(1, 101), metavar="N",
                     help="how many people to name (default: %(default)s)")
    one.set_defaults(do=search)
    one = commands.add_parser("list", help="say who is in it")
    one.add_argument("gallery", metavar="GALLERY.npz")
    one.set_defaults(do=list_people)
    options = parser.parse_args(arguments)
    if options.command == "enrol" and not options.model and not os.path.exists(options.gallery):
        parser.error("a new gallery needs --model PREFIX,EPOCH")
    return options


def main(arguments=None):
    options = parse_arguments(arguments)
    options.do(options)


if __name__ == "__main__":
    run_command(main)
