"""Embed the images of a record, a verification file or a folder into a file of embeddings.

    python tools/embed.py --model models/r100-arcface-emore/model,1 --data datasets/faces_emore --output emore.npz
    python tools/embed.py --model ../y1/model,0 --data lfw.bin --output lfw.npz
    python tools/embed.py --model ../y1/model,0 --data FOLDER --output folder.npz

The labels are the record's; those of a verification file's images follow from its genuine pairs, which hold one person
each (a person whose images no genuine pairs connect counts as several); those of a folder, FOLDER/person/*.jpg, are its
people's places in the alphabet. What people are called goes along: the folders' names, or the record's identities.txt.
The output is what datasets/overlap.py and datasets/merge.py read. In memory is a batch
of a record, or a verification file; of a folder, the embeddings of all.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from datasets.formats import embeddings, identity_names, records, verification_file
from datasets.identities.selection import image_labels
from eval.networks.labelled import embed_record
from eval.networks.recogniser import Recogniser, add_flags, people
from runtime import Failure, run_command
from runtime.locks import alone_with

BATCH = 256  # images in memory


def embed_pairs(recogniser, path):
    """Return (blocks, labels, names) of the different images of a verification file."""
    images, issame = verification_file.read(path)
    first, numbers = verification_file.distinct(images)
    first, ends = first.tolist(), numbers.reshape(-1, 2)[issame]
    joined = coo_matrix((np.ones(len(ends)), ends.T), shape=(len(first), len(first)))
    _, labels = connected_components(joined, directed=False)

    def blocks():
        bar = tqdm(first, desc=path, unit="image", leave=False, disable=None)
        decoded = (verification_file.decode([images[place]], recogniser.image_shape[1], path, place) for place in bar)
        held = []
        for one in decoded:
            held.append(one)
            if len(held) == BATCH:
                yield recogniser(np.concatenate(held))
                held = []
        if held:
            yield recogniser(np.concatenate(held))
    return blocks(), labels, [f"image {place}" for place in first]


def embed_folder(recogniser, folder):
    """Return (blocks, labels, names) of the photographs of a folder; says which could not be used."""
    found, labels, names = [], [], []
    listed = people(folder)
    bar = tqdm(total=sum(len(paths) for _, paths in listed), desc=folder, unit="photograph", leave=False, disable=None)
    for label, (_, paths) in enumerate(listed):
        for path in paths:
            bar.update()
            try:
                found.append(recogniser(recogniser.face(path, folder)[None]))
            except Failure as failure:
                bar.write(f"left out: {failure}", file=sys.stdout)
                continue
            labels.append(label)
            names.append(os.path.relpath(path, folder))
    bar.close()
    if not found:
        raise Failure(f"{folder}: no photograph could be used, for the reasons above")
    return found, labels, names


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_flags(parser)
    parser.add_argument("--data", required=True, help="a record's folder or .rec, a .bin, or a folder of photographs")
    parser.add_argument("--output", required=True, metavar="FILE.npz")
    parser.add_argument("--no-flip", action="store_true", help="a single crop of each face, as in the paper")
    options = parser.parse_args(arguments)
    prefix, epoch = options.model
    place = os.path.dirname(os.path.abspath(options.output))
    if not options.output.endswith(".npz") or not os.path.isdir(place):
        raise Failure(f"{options.output}: name a file that ends in .npz, in a folder that is there")
    if not os.path.exists(options.data):
        raise Failure(f"{options.data} is missing: --data takes a record's folder, a .bin file or a folder of "
                      "photographs")
    with alone_with(options.output, "name another file with --output"):
        embed(options, prefix, epoch)


def embed(options, prefix, epoch):
    """Write the embeddings as the flags say, by the checkpoint `prefix`, `epoch`."""
    recogniser = Recogniser(prefix, epoch, options.ctx, not options.no_flip, options.aligned)
    if options.data.endswith(".rec") or os.path.exists(os.path.join(options.data, "train.rec")):
        layout, names = records.read_layout(options.data), None
        labels = image_labels(layout)
        known = identity_names.of_record(layout.record, labels)
        blocks = (block for block, _ in embed_record(recogniser, options.data, BATCH, progress=True))
    elif os.path.isdir(options.data):
        blocks, labels, names = embed_folder(recogniser, options.data)
        everybody = [person for person, _ in people(options.data)]
        known = {label: everybody[label] for label in dict.fromkeys(labels)}
    else:
        (blocks, labels, names), known = embed_pairs(recogniser, options.data), {}
    embeddings.write(options.output, blocks, labels, names, **embeddings.identity_arrays(known))
    print(f"{options.output}: {len(labels)} embeddings of {len(np.unique(labels))} identities")


if __name__ == "__main__":
    run_command(main)
