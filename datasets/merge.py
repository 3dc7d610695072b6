"""Join several records to one, as the paper does with MS1MV2 and Asian-DeepGlint (Table 8).

    python datasets/merge.py datasets/faces_emore datasets/faces_asian --output datasets/faces_both
    python datasets/merge.py A B --embeddings A.npz B.npz --same merge --output AB --list same.tsv

Labels of the second record follow those of the first, and so on. With embeddings of each record (tools/embed.py, all by
one network), identities of a later record that earlier ones have too are found by their centres, as datasets/overlap.py
finds them, and merged into the earlier identity, dropped, or kept apart. Each is compared with the nearest identity of
all earlier records: two identities of one record are never joined with each other through a third that both resemble.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse
from typing import NamedTuple

import numpy as np

from datasets.formats import identity_names, records
from datasets.formats.embeddings import Embeddings, check_comparable
from datasets.identities.centres import Identities
from datasets.identities.selection import check_belongs, image_labels, write_selection
from datasets.identities.similarity import nearest
from datasets.overlap import SAME, write_table
from runtime import run_command
from runtime.flags import cosine
from runtime.locks import alone


class Same(NamedTuple):
    """An identity of a later record that an earlier one has too."""

    cosine: float
    record: str
    identity: int
    earlier_record: str
    earlier_identity: int
    images: int
    name: str = ""
    earlier_name: str = ""


def find_same(sets, names, threshold, people=None):
    """Find the identities of later sets that earlier ones have too.

    Parameters
    ----------
    sets : list of datasets.identities.centres.Identities
    names : list of str
        What the sets are called.
    threshold : float
        Least cosine similarity of the centres.
    people : list of dict of int to str, or None
        What the identities of each set are called: label → name.

    Returns
    -------
    same : list of Same
    matches : list of int64 arrays, shapes (C_k, 2)
        For each identity of each set, the set and the place of the earlier identity that it is; −1, −1 where it is
        nobody's.
    """
    same, matches, people = [], [], people or [{}] * len(sets)
    for number, later in enumerate(sets):
        match, best = np.full((len(later.labels), 2), -1, np.int64), np.full(len(later.labels), -np.inf, np.float32)
        for before in range(number):
            places, cosines = nearest(later.centres, sets[before].centres)
            better = (cosines >= threshold) & (cosines > best)
            match[better] = np.stack([np.full(better.sum(), before), places[better]], axis=1)
            best[better] = cosines[better]
        for place in np.flatnonzero(match[:, 0] >= 0):
            before, earlier = match[place]
            own, other = int(later.labels[place]), int(sets[before].labels[earlier])
            same.append(Same(float(best[place]), names[number], own, names[before], other, int(later.counts[place]),
                             people[number].get(own, ""), people[before].get(other, "")))
        matches.append(match)
    return same, matches


def new_labels(labels, matches=None, same="keep"):
    """Return the labels of a joined record.

    Parameters
    ----------
    labels : list of int64 arrays, shapes (N_k,)
        Of each record's images.
    matches : list of int64 arrays, shapes (C_k, 2), or None
        As `find_same` gives them; None where identities were not compared.
    same : {"merge", "drop", "keep"}

    Returns
    -------
    list of int64 arrays, shapes (N_k,)
        −1 for images that are left out.
    """
    joined, tables, start = [], [], 0
    for number, own in enumerate(labels):
        known, place = np.unique(own, return_inverse=True)
        table = start + np.arange(len(known))
        start += len(known)
        if matches is not None and same != "keep":
            for identity in np.flatnonzero(matches[number][:, 0] >= 0):
                before, earlier = matches[number][identity]
                # An earlier identity that was dropped or merged itself passes on where its images went.
                table[identity] = tables[before][earlier] if same == "merge" else -1
        tables.append(table)
        joined.append(table[place])
    return joined


def parse_arguments(arguments=None):
    """Read the command's flags; ends the process with status 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", nargs="+", metavar="DIR", help="the folders of the records, in order")
    parser.add_argument("--output", required=True, metavar="DIR", help="the folder to write")
    parser.add_argument("--embeddings", nargs="+", metavar="FILE", help="embeddings of each record, in the same order")
    parser.add_argument("--same", choices=("merge", "drop", "keep"), help="what becomes of an identity that an earlier "
                        "record has too (default: merge with --embeddings)")
    parser.add_argument("--threshold", type=cosine, default=SAME, help="least cosine similarity of the centres of two "
                        "identities that are taken for one (default: %(default)s)")
    parser.add_argument("--list", metavar="TSV", help="write the identities found twice to this file")
    options = parser.parse_args(arguments)
    if len(options.records) < 2:
        parser.error("name two records or more")
    if options.embeddings and len(options.embeddings) != len(options.records):
        parser.error(f"{len(options.embeddings)} files of embeddings for {len(options.records)} records: give one each")
    if not options.embeddings and (options.list or options.same in ("merge", "drop")):
        parser.error("identities are found by their embeddings: give --embeddings (tools/embed.py makes them)")
    options.same = options.same or ("merge" if options.embeddings else "keep")
    return options


def _compare(options, layouts, labels, people):
    """Return what `find_same` finds in the records' embeddings."""
    files = [Embeddings(path) for path in options.embeddings]
    for place, (layout, own, file) in enumerate(zip(layouts, labels, files)):
        check_belongs(layout, own, file)
        for earlier in files[:place]:
            check_comparable(earlier, file, "all")
    sets = [Identities(file, progress=True) for file in files]
    return find_same(sets, options.records, options.threshold, people)


def main(arguments=None):
    options = parse_arguments(arguments)
    with alone(options.output, "name another folder with --output"):
        join(options)


def join(options):
    """Write the joined record as the flags say."""
    layouts = [records.read_layout(record) for record in options.records]
    labels = [image_labels(layout) for layout in layouts]
    for record, own in zip(options.records, labels):
        print(f"{record}: {len(own)} images of {len(np.unique(own))} identities")
    people = [identity_names.of_record(layout.record, own) for layout, own in zip(layouts, labels)]
    matches = None
    if options.embeddings:
        same, matches = _compare(options, layouts, labels, people)
        done = {"merge": "merged into the earlier ones", "drop": "dropped", "keep": "kept apart"}[options.same]
        print(f"{len(same)} identities ({sum(one.images for one in same)} images) are in an earlier record too, by a "
              f"cosine of the centres of {options.threshold:g} or more: {done}")
        if options.list:
            write_table(options.list, same, Same)
    images, classes = write_selection(options.output, layouts, new_labels(labels, matches, options.same),
                                      old=labels, names=people)
    print(f"{options.output}: {images} images of {classes} identities; copy the .bin files that training verifies on "
          "into it")


if __name__ == "__main__":
    run_command(main)
