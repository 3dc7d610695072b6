"""Make a verification file, as `lfw.bin`, from a list of pairs and the images that it names.

    python datasets/pairs.py --pairs pairs.txt --root lfw --output lfw.bin --align
    python datasets/pairs.py --pairs mine.csv --root photographs --output mine.bin --align
    python datasets/pairs.py --pairs cfp-dataset --root cfp-dataset --output cfp_fp.bin --align
    python datasets/pairs.py --pairs AgeDB/04_FINAL_protocol_30_years.mat --root AgeDB --output agedb_30.bin --align
    python datasets/pairs.py --pairs calfw/pairs_CALFW.txt --root calfw --output calfw.bin --align

Lists are LFW's pairs.txt; lines `first,second,1|0` (or Yes/No, True/False, same/different), with or without a heading;
CFP's Protocol/Split/FP; AgeDB's protocol; CALFW's and CPLFW's two lines a pair. Published folds are kept. The pairs of
your own list are dealt over ten folds, so that each fold has its share of both kinds; --keep-order keeps their order.
Without --align, images have to be faces aligned to 112x112 already, and are taken byte for byte where they are JPEG or
PNG.
Where an image cannot be used nothing is written, or with --skip-failed, what keeps all folds equal.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse
import itertools
import shutil

import numpy as np
from tqdm import tqdm

from datasets.checking.pairs import fold_faults
from datasets.faces import detector
from datasets.faces.crops import Settings, make_faces
from datasets.formats import verification_file
from datasets.formats.folds import FOLDS, are_even, deal, fold_counts, usable_folds
from datasets.formats.image_lists import Entry, finder
from datasets.formats.pair_lists import LAYOUTS, read_pairs
from runtime import Failure, cores, run_command, shown
from runtime.locks import alone_with

SHOWN = 20  # images that cannot be used, one a line


def locate(choices, root, find=None):
    """Return the first of an image's possible paths that is there, also one that Windows wrote (`listing.finder(root)`,
    made here where `find` is None); the first of all where none is.
    """
    find = find or finder(root)
    return next((path for path in map(find, choices) if os.path.lexists(os.path.join(root, path))), choices[0])


def make_images(names, root, output, align, workers=None):
    """Make the faces of images, on several processes.

    Parameters
    ----------
    names : list of str
        Paths under `root`, each once.
    root, output : str
        The folder of images, and the file that is made: beside it lie, until it is whole, the faces that are done, so
        that a run that was killed goes on.
    align : bool
        Whether faces are found and aligned; else images are taken as they are.
    workers : int or None
        Processes; None for one a core.

    Returns
    -------
    faces : dict of str to bytes
    failures : dict of str to str
        What is wrong with those that cannot be used.
    """
    faces, failures = {}, {}
    # PNG, where an image has to be encoded without having been changed, keeps it as it is.
    settings = Settings(root, detect=align, quality=95 if align else None)
    entries = [Entry(name, "", not align) for name in names]
    slow = 0 if sys.stdout.isatty() else 15
    results = make_faces(entries, settings, _work(output), workers or cores())
    for name, result in zip(names, tqdm(results, total=len(names), unit="image", leave=False, file=sys.stdout,
                                        mininterval=slow or 0.5, delay=slow)):
        if result.failure:
            failures[name] = result.failure
        else:
            faces[name] = result.image
    return faces, failures


def _work(output):
    """Return the folder where what is done lies until the output is whole."""
    return os.path.join(os.path.dirname(os.path.abspath(output)), f".{os.path.basename(output)}.work")


def kept_pairs(usable, issame, folds=None):
    """Choose pairs so that all folds stay equal, where some pairs cannot be used.

    Every fold keeps as many genuine pairs as the fold with the fewest usable ones, and so with impostor pairs: the
    first ones of each. A list without folds of its own loses the unusable pairs alone, unless its tenths are alike.

    Parameters
    ----------
    usable, issame : array of bool, shape (N,)
    folds : int or None
        Consecutive folds of equal size, where the list has them.

    Returns
    -------
    ndarray of int64
        The numbers of the pairs that are kept, ascending.
    """
    usable, issame = np.asarray(usable, bool), np.asarray(issame, bool)
    if folds is None and len(issame) % FOLDS == 0 and not np.ptp(fold_counts(issame, FOLDS), axis=1).any():
        folds = FOLDS
    if folds is None:
        return np.flatnonzero(usable)
    kept = []
    for same in (True, False):
        parts = [part[usable[part] & (issame[part] == same)] for part in np.split(np.arange(len(issame)), folds)]
        each = min(len(part) for part in parts)
        kept += [part[:each] for part in parts]
    return np.sort(np.concatenate(kept))


def needs_dealing(issame, folds, layout):
    """Whether the pairs of a list have to be dealt over ten folds.

    A list of one's own needs it unless its tenths have equal shares already, as LFW's pairs in another form have. A
    published list needs it only if it names no folds and a tenth of it lacks a kind.

    Parameters
    ----------
    issame : array of bool, shape (N,)
    folds : int or None
    layout : str
        As a `datasets.formats.pair_lists.PairList` has them.
    """
    issame = np.asarray(issame, bool)
    if folds is not None or len(issame) < FOLDS or issame.all() or not issame.any():
        return False
    return not are_even(issame, FOLDS) if layout == "list" else not fold_counts(issame, FOLDS).all()


def build(pairs, root, output, align=False, skip_failed=False, workers=None, keep_order=False):
    """Write a verification file.

    Parameters
    ----------
    pairs : datasets.formats.pair_lists.PairList
    root, output : str
    align, skip_failed : bool
    workers : int or None
        Processes; None for one a core.
    keep_order : bool
        Whether pairs are written in the list's order although its tenths differ.

    Returns
    -------
    issame : ndarray of bool
        Of the pairs that were written, in their order.
    faces : int
        How many images they are.

    Raises
    ------
    Failure
        An image cannot be used, and `skip_failed` is not set; or none can.
    """
    output = os.path.abspath(output)
    if os.path.isdir(output) or not os.path.isdir(os.path.dirname(output)):
        raise Failure(f"{shown(output)} cannot be written: --output names a file in a folder that is there")
    if not os.path.isdir(root):
        raise Failure(f"{shown(root)} is not a folder: --root names the one that the list's images are in")
    if align:
        detector.mtcnn()  # where it is missing, say so before anything is done
    find = finder(root)
    named = [tuple(locate(choices, root, find) for choices in pair) for pair in pairs.pairs]
    names = list(dict.fromkeys(name for pair in named for name in pair))
    with alone_with(output, "name another file with --output"):
        os.makedirs(_work(output), exist_ok=True)
        faces, failures = make_images(names, root, output, align, workers)
        for name, reason in itertools.islice(failures.items(), SHOWN):
            print(shown(f"failed: {name} {reason}"))
        if len(failures) > SHOWN:
            print(f"failed: {len(failures) - SHOWN} more")
        if failures and not skip_failed:
            if not align:  # what took long is kept for the next run
                shutil.rmtree(_work(output))
            name, reason = next(iter(failures.items()))
            raise Failure(shown(f"{len(failures)} of {len(names)} images cannot be used, and nothing was written: "
                                f"{os.path.join(root, name)} {reason}; mend them, or leave their pairs out with "
                                "--skip-failed"))
        usable = np.array([first in faces and second in faces for first, second in named])
        kept = kept_pairs(usable, pairs.issame, pairs.folds) if failures else np.arange(len(named))
        if not len(kept):
            raise Failure(f"no pair whose images can be used is left in each fold: nothing was written; look at "
                          f"the images in {shown(root)}")
        if failures:
            print(f"{np.sum(~usable)} pairs cannot be used, and {np.sum(usable) - len(kept)} more are left out to keep "
                  "the folds equal")
        if not keep_order and needs_dealing(pairs.issame[kept], pairs.folds, pairs.layout):
            kept = kept[deal(pairs.issame[kept], FOLDS)]
            genuine, impostors = fold_counts(pairs.issame[kept], FOLDS)
            print(f"the pairs are dealt over {FOLDS} folds, each with {_span(genuine)} genuine and {_span(impostors)} "
                  "impostor pairs; --keep-order keeps the list's order")
        issame = pairs.issame[kept]
        written = [name for pair in kept for name in named[pair]]
        verification_file.write(output, [faces[name] for name in written], issame)
        shutil.rmtree(_work(output))
    return issame, len(set(written))


def _span(counts):
    """Return counts as text: `15`, or `15 to 16` where they differ."""
    return f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"


def fold_notes(issame, folds, dealing):
    """Return what is wrong with the folds of the pairs that were written, and what to do, as a list of texts.

    Parameters
    ----------
    issame : array of bool, shape (N,)
    folds : int
    dealing : bool
        Whether the pairs would have been dealt without --keep-order.
    """
    fewer = f"verify with --nfolds {usable_folds(issame, folds - 1) or 1}"
    if len(issame) < folds:
        return [f"{len(issame)} pairs are too few for {folds} folds: {fewer}"]
    faults, counts = fold_faults(issame, folds), fold_counts(issame, folds)
    if not counts.any(axis=1).all():
        return [f"{fault}: add pairs of that kind" for fault in faults]
    if dealing:
        return [f"{fault}: leave out --keep-order" for fault in faults]
    if not counts.all():
        few = counts.sum(axis=1).min() < folds
        return [f"{fault}: {'add pairs of that kind, or ' if few else ''}{fewer}" for fault in faults]
    return [] if are_even(issame, folds) else faults


def parser():
    """Return the parser of the command's flags."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--pairs", required=True, metavar="FILE", help="the list of pairs; for CFP its folder")
    flags.add_argument("--root", required=True, metavar="IMAGES", help="the folder that the list's images are in")
    flags.add_argument("--output", required=True, metavar="NAME.bin", help="the file to write")
    flags.add_argument("--align", action="store_true", help="find the faces and align them to 112x112")
    flags.add_argument("--layout", choices=LAYOUTS, help="the list's form (default: found out from the list)")
    flags.add_argument("--skip-failed", action="store_true", help="leave out pairs whose images cannot be used, and of "
                       "each fold so many others that all stay equal")
    flags.add_argument("--keep-order", action="store_true", help="write the pairs of your own list in its order "
                       "(default: deal them over ten folds)")
    flags.add_argument("--num-workers", type=int, metavar="N", help="processes (default: one a core)")
    return flags


def main(arguments=None):
    """Read the list, write the file, and say what is in it."""
    usage = parser()
    args = usage.parse_args(arguments)
    if args.num_workers is not None and args.num_workers < 1:
        usage.error("--num-workers is at least 1")
    pairs = read_pairs(args.pairs, args.layout)
    issame, faces = build(pairs, args.root, args.output, args.align, args.skip_failed, args.num_workers,
                          args.keep_order)
    folds = pairs.folds or FOLDS
    print(shown(f"{args.output}: {len(issame)} pairs, {np.sum(issame)} genuine and {np.sum(~issame)} impostor, of "
                f"{faces} images"))
    if folds != FOLDS:
        print(f"its folds are {folds}: verify with --nfolds {folds}")
    for note in fold_notes(issame, folds, needs_dealing(issame, pairs.folds, pairs.layout)):
        print(f"note: {note}")


if __name__ == "__main__":
    run_command(main)
