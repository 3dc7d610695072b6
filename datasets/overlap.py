"""Find the identities that a training set shares with test sets, and write the record without them (Sec. 3.1).

    python datasets/overlap.py train.npz lfw.npz facescrub.npz --list overlap.tsv
    python datasets/overlap.py train.npz lfw.npz --record datasets/faces_emore --output datasets/faces_strict
    python datasets/overlap.py train.npz --noise noise.tsv

The files are embeddings, which tools/embed.py makes. Two identities are taken for one where the cosine similarity of
their centres is at least --threshold. --noise lists likely label noise of the training set, by a rule of this project:
images far from the centre of their identity's other images, and identities whose centres are as near as one person's.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse
import contextlib
from typing import NamedTuple

import numpy as np

from datasets.formats import identity_names, records
from datasets.formats.embeddings import Embeddings, check_comparable
from datasets.formats.image_lists import quoted
from datasets.identities.centres import Identities, closest_images, far_images
from datasets.identities.selection import check_belongs, image_labels, write_selection
from datasets.identities.similarity import pairs_above
from runtime import run_command
from runtime.files import whole_file
from runtime.flags import cosine
from runtime.locks import alone

# The paper gives neither number. Measured on the ORL faces with the published MobileFaceNet: centres of the forty
# people have cosines up to 0.46, and centres of three images of one and of another person up to 0.51; centres of three
# and of three other images of one person are above 0.69 in 99 % of draws.
SAME = 0.6
# There, an image's cosine with the centre of its person's other nine was 0.375 at least, and with the centres of
# other people below 0.27 in 95 % of cases.
NOISE = 0.3
SHOWN = 10  # lines on the screen; the rest goes to the list


class Pair(NamedTuple):
    """Two identities that look like one, with the images that show it: of each, the nearest to the other's centre.

    `test` is the name of the test set, or that of the training set itself. `name` and `other_name` are what the two
    identities are called; "" where that is not known.
    """

    cosine: float
    identity: int
    image: str
    image_cosine: float
    test: str
    other: int
    other_image: str
    other_cosine: float
    name: str = ""
    other_name: str = ""


class Far(NamedTuple):
    """An image far from the centre of its identity's other images, and the nearest other identity."""

    image: str
    identity: int
    cosine: float
    nearest: int
    nearest_cosine: float
    name: str = ""
    nearest_name: str = ""


def find_pairs(train, identities, test, others, threshold):
    """List the identities of two sets, or of one, that look like one.

    Parameters
    ----------
    train, test : datasets.formats.embeddings.Embeddings
    identities, others : datasets.identities.centres.Identities
        Of them. The same object twice compares a set with itself.
    threshold : float
        Least cosine similarity of the centres.

    Returns
    -------
    list of Pair
        Most similar first.

    Raises
    ------
    Failure
        The embeddings are of two networks, or the threshold selects more pairs than can be meant.
    """
    check_comparable(train, test)
    itself = identities is others
    rows, columns, cosines = pairs_above(identities.centres, None if itself else others.centres, threshold,
                                         progress=True)
    images, near = closest_images(train, identities, rows, others.centres[columns])
    other_images, other_near = closest_images(test, others, columns, identities.centres[rows])
    name = os.path.basename(test.path)
    return [Pair(float(cosine), int(identities.labels[row]), train.name(image), float(one), name,
                 int(others.labels[column]), test.name(other_image), float(other),
                 train.identity_names.get(int(identities.labels[row]), ""),
                 test.identity_names.get(int(others.labels[column]), ""))
            for cosine, row, image, one, column, other_image, other
            in zip(cosines, rows, images, near, columns, other_images, other_near)]


def find_far(train, identities, threshold):
    """List the images of a set whose cosine with their identity's other images' centre is below a threshold.

    Returns
    -------
    list of Far
        Farthest first.
    """
    rows, cosines, others, near = far_images(train, identities, threshold)
    labels, names = identities.labels, train.identity_names
    return sorted((Far(train.name(row), int(train.labels[row]), float(cosine),
                       int(labels[other]) if other >= 0 else -1, float(value),
                       names.get(int(train.labels[row]), ""), names.get(int(labels[other]), "") if other >= 0 else "")
                   for row, cosine, other, value in zip(rows, cosines, others, near)), key=lambda far: far.cosine)


def write_table(path, rows, kind):
    """Write named tuples of one kind as lines of tab-separated columns, under a line of their names. The columns of
    identities' names, which come last, are left out where no identity has one.
    """
    called = sum(field.endswith("name") for field in kind._fields)
    width = len(kind._fields) - (0 if any(any(row[-called:]) for row in rows) else called)
    with whole_file(path, "w") as file:
        for row in [kind._fields, *rows]:
            cells = [f"{value:.4f}" if isinstance(value, float) else quoted(str(value)) for value in row[:width]]
            file.write("\t".join(cells) + "\n")


def _called(identity, name):
    """Return an identity's label, and its name where it has one."""
    return f"{identity} {quoted(name)}" if name else str(identity)


def _describe(pair):
    return (f"  {pair.cosine:.3f}  identity {_called(pair.identity, pair.name)} ({pair.image}, "
            f"{pair.image_cosine:.3f}) and {_called(pair.other, pair.other_name)} ({pair.other_image}, "
            f"{pair.other_cosine:.3f})")


def _show(heading, lines, path):
    print(heading)
    for line in lines[:SHOWN]:
        print(line)
    if len(lines) > SHOWN:
        print(f"  … and {len(lines) - SHOWN} more" + (f", all in {path}" if path else ""))


def remove(record, output, train, identities, names=None):
    """Write a record without some identities.

    Parameters
    ----------
    record, output : str or os.PathLike
        The folders read and written.
    train : datasets.formats.embeddings.Embeddings
        Of the record's images.
    identities : collection of int
        Their labels.
    names : dict of int to str or None
        Label → name of the record's identities; None reads the record's identities.txt.

    Returns
    -------
    images, classes : int
        How many were written.
    """
    layout = records.read_layout(record)
    labels = image_labels(layout)
    check_belongs(layout, labels, train)
    return write_selection(output, [layout], [np.where(np.isin(labels, list(identities)), -1, labels)], old=[labels],
                           names=None if names is None else [names])


def parse_arguments(arguments=None):
    """Read the command's flags; ends the process with status 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", help="embeddings of the training set")
    parser.add_argument("tests", nargs="*", help="embeddings of test sets, by the same network")
    parser.add_argument("--threshold", type=cosine, default=SAME, help="least cosine similarity of the centres of two "
                        "identities that are taken for one (default: %(default)s)")
    parser.add_argument("--list", metavar="TSV", help="write the pairs found, with their evidence, to this file")
    parser.add_argument("--record", metavar="DIR", help="the training set's record, to be written without them")
    parser.add_argument("--output", metavar="DIR", help="where to write it")
    parser.add_argument("--noise", metavar="TSV", help="write likely label noise of the training set to this file; "
                        "identities that look like one go to the same name with -identities before its extension")
    parser.add_argument("--noise-threshold", type=cosine, default=NOISE, help="an image whose cosine with the "
                        "centre of its identity's other images is less is listed as noise (default: %(default)s)")
    options = parser.parse_args(arguments)
    if bool(options.record) != bool(options.output):
        parser.error("--record and --output go together")
    if not options.tests and (options.record or options.list or not options.noise):
        parser.error("name the embeddings of a test set, or ask for --noise")
    return options


def _noise(options, train, identities):
    far = find_far(train, identities, options.noise_threshold)
    alike = find_pairs(train, identities, train, identities, options.threshold)
    stem, extension = os.path.splitext(options.noise)
    write_table(options.noise, far, Far)
    write_table(f"{stem}-identities{extension}", alike, Pair)
    _show(f"{len(far)} images are far from their identity's other images: cosine with their centre below "
          f"{options.noise_threshold:g}",
          [f"  {one.cosine:.3f}  {one.image} of identity {_called(one.identity, one.name)}; nearest to it is "
           f"{_called(one.nearest, one.nearest_name)} "
           f"({one.nearest_cosine:.3f})" for one in far], options.noise)
    _show(f"{len(alike)} pairs of identities look like one person: cosine of the centres {options.threshold:g} or more",
          [_describe(pair) for pair in alike], f"{stem}-identities{extension}")


def main(arguments=None):
    options = parse_arguments(arguments)
    with contextlib.ExitStack() as stack:
        if options.output:
            stack.enter_context(alone(options.output, "name another folder with --output"))
        compare(options)


def compare(options):
    """Compare the sets, and write what the flags ask for."""
    train = Embeddings(options.train)
    if options.record:  # its names are newer than those in the embeddings
        train.identity_names.update(identity_names.of_record(records.record_path(options.record), train.labels))
    tests = [Embeddings(path) for path in options.tests]
    for test in tests:  # before the minutes that large files take
        check_comparable(train, test)
    identities = Identities(train, progress=True)
    print(f"{train.path}: {len(train)} images of {len(identities.labels)} identities")
    found = []
    for path, test in zip(options.tests, tests):
        others = Identities(test, progress=True)
        pairs = find_pairs(train, identities, test, others, options.threshold)
        _show(f"{path}: {len({pair.identity for pair in pairs})} identities of {train.path} are among its "
              f"{len(others.labels)}: cosine of the centres {options.threshold:g} or more",
              [_describe(pair) for pair in pairs], options.list)
        found += pairs
    if options.list:
        write_table(options.list, found, Pair)
    if options.noise:
        _noise(options, train, identities)
    if options.record:
        images, classes = remove(options.record, options.output, train, {pair.identity for pair in found},
                                 train.identity_names)
        print(f"{options.output}: {images} images of {classes} identities, without {len(identities.labels) - classes}; "
              "copy the .bin files that training verifies on into it")


if __name__ == "__main__":
    run_command(main)
