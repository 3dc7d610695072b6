"""Embed the images of a record, a verification file or a folder into a file of embeddings.

    python tools/embed.py --model models/r100-arcface-emore/model,1 --data datasets/faces_emore --output emore.npy
    python tools/embed.py --model ../y1/model,0 --data lfw.bin --output lfw.npz
    python tools/embed.py --model ../y1/model,0 --data FOLDER --output folder.npz

The labels are the record's; those of a verification file's images follow from its genuine pairs, which hold one person
each (a person whose images no genuine pairs connect counts as several); those of a folder, FOLDER/person/*.jpg, are its
people's places in the alphabet. What people are called goes along: the folders' names, or the record's identities.txt.
The output is what datasets/overlap.py and datasets/merge.py read. In memory is a batch of a record, or a verification
file; of a folder that becomes an .npz, the embeddings of all.

An output FILE.npy is written over time, with FILE.json and FILE-labels.npz beside it. If the command is killed, the
same command resumes and ends with the same bytes.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse

import numpy as np

from datasets.formats import embeddings
from datasets.formats.embedding_store import read_state
from eval.networks import sources, store
from eval.networks.engines.choice import AUTO, ENGINES
from eval.networks.flags import network_of
from eval.networks.recogniser import Recogniser, add_flags
from runtime import Failure, run_command
from runtime.locks import alone_with


def source_of(path, recogniser):
    """Return the `eval.networks.sources.Source` at a path."""
    size = recogniser.image_shape[1]
    if path.endswith(".rec") or os.path.exists(os.path.join(path, "train.rec")):
        return sources.Record(path, size)
    if os.path.isdir(path):
        return sources.Folder(path, recogniser.face, recogniser.aligned, size)
    return sources.VerificationFile(path, size)


def write_archive(path, recogniser, source):
    """Write embeddings as an `.npz`, and return their labels."""
    places = []

    def blocks():
        for batch in source.batches(progress=True):
            if len(batch.images):
                places.extend(batch.places.tolist())
                yield recogniser(batch.images)
    rows = blocks()
    labels, names = source.labels, source.names
    if not source.certain:  # how many rows there are is known at the end
        rows = list(rows)
        if not rows:
            raise Failure(f"{source.path}: {source.none}")
        labels, names = labels[places], names and [names[place] for place in places]
    network = embeddings.Network(os.path.abspath(recogniser.prefix), str(recogniser.epoch), recogniser.fingerprint,
                                 recogniser.flip)
    embeddings.write(path, rows, labels, names, network=network.array(), **embeddings.identity_arrays(source.people))
    return labels


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_flags(parser)
    parser.add_argument("--data", required=True, help="a record's folder or .rec, a .bin, or a folder of photographs")
    parser.add_argument("--output", required=True, metavar="FILE.npy|FILE.npz")
    parser.add_argument("--no-flip", action="store_true", help="a single crop of each face, as in the paper")
    options = parser.parse_args(arguments)
    place = os.path.dirname(os.path.abspath(options.output))
    if not options.output.endswith((".npz", ".npy")) or not os.path.isdir(place):
        raise Failure(f"{options.output}: name a file that ends in .npz or .npy, in a folder that is there")
    if not os.path.exists(options.data):
        raise Failure(f"{options.data} is missing: --data takes a record's folder, a .bin file or a folder of "
                      "photographs")
    with alone_with(options.output, "name another file with --output"):
        embed(options)


def embed(options):
    """Write the embeddings as the flags say. A store that is there goes on with the engine that began it."""
    begun = read_state(options.output) if options.output.endswith(".npy") else None
    if begun and options.engine == AUTO and begun.engine in ENGINES:
        options.engine, options.batch_size = begun.engine, options.batch_size or begun.batch
    recogniser = Recogniser(network_of(options), not options.no_flip, options.aligned)
    source = source_of(options.data, recogniser)
    if options.output.endswith(".npy"):
        store.write(options.output, recogniser, source, progress=True)
        labels = embeddings.Embeddings(options.output).labels
    else:
        labels = write_archive(options.output, recogniser, source)
    print(f"{options.output}: {len(labels)} embeddings of {len(np.unique(labels))} identities")


if __name__ == "__main__":
    run_command(main)
