"""Writing records anew from others: images left out, identities renumbered or joined.

Images are copied byte for byte, one at a time. An image of a format that MXNet's decoder lacks, such as WebP, becomes a
PNG. In memory are a few hundred bytes of numbers for each, not the images.
"""
import contextlib
import itertools
import os
import struct

import numpy as np
from tqdm import tqdm

from datasets.formats import identity_names, images, records
from datasets.formats.labels import class_of, is_class
from runtime import Failure

_HEAD = records.FRAME.size + records.HEADER.size + 4  # bytes of a record as far as the first label of an array


def image_labels(layout):
    """Read the class of each image of a record, and nothing else of it.

    Parameters
    ----------
    layout : datasets.formats.records.Layout

    Returns
    -------
    int64 array, shape (N,)
        In the order of the images' keys.

    Raises
    ------
    Failure
        A record is damaged, or a label is not a whole number from 0.
    """
    labels = np.empty(len(layout.images), np.float64)
    with open(layout.record, "rb") as file:
        for row, offset in enumerate(layout.offsets_of(layout.images).tolist()):
            head = os.pread(file.fileno(), _HEAD, offset)
            magic, length = records.FRAME.unpack_from(head.ljust(_HEAD, b"\0"))
            if magic == records.MAGIC and len(head) == _HEAD and _HEAD - records.FRAME.size <= length < 1 << 29:
                flag, label = records.HEADER.unpack_from(head, records.FRAME.size)[:2]
                labels[row] = struct.unpack("<f", head[-4:])[0] if flag else label
            else:  # in several parts, which is rare, or damaged
                content = records.read_record(file, layout.record, offset, layout.size)[0]
                labels[row] = np.ravel(records.unpack(layout.record, offset, content)[0])[0]
    for row in np.flatnonzero(~is_class(labels))[:1].tolist():
        class_of(labels[row], f"{layout.record}: record {layout.images[row]}")
    return labels.astype(np.int64)


def check_belongs(layout, labels, embeddings):
    """Fail unless a file of embeddings is of the images of a record, in their order.

    Parameters
    ----------
    layout : datasets.formats.records.Layout
    labels : int64 array, shape (N,)
        As from `image_labels`.
    embeddings : datasets.formats.embeddings.Embeddings
    """
    if not np.array_equal(labels, embeddings.labels):
        raise Failure(f"{embeddings.path} does not belong to {layout.record}: it has {len(embeddings)} images, and the "
                      f"record {len(labels)}, or their labels differ; make it with tools/embed.py --data "
                      f"{os.path.dirname(layout.record)}")


def write_selection(output, layouts, labels, progress=True, old=None, names=None):
    """Write one record, in the full original layout, of chosen images of others under new labels.

    Parameters
    ----------
    output : str or os.PathLike
        The folder to write.
    layouts : list of datasets.formats.records.Layout
    labels : list of int arrays, shapes (N_k,)
        The identity of each image in the order of its record's keys; −1 leaves it out. Identities are written in
        ascending order of these numbers, and renumbered from 0 without a gap. An identity's images are in the order
        of the records.
    progress : bool
        Whether to show progress and the time left on stderr, where that is a terminal.
    old : list of int arrays, shapes (N_k,), or None
        The records' own labels of their images, where they have been read already.
    names : list of dict of int to str, or None
        The names of the records' own identities, where they have been read already. `identities.txt` in `output` has
        names, sources and old labels (`datasets.formats.identity_names`).

    Returns
    -------
    images, classes : int
        How many were written.

    Raises
    ------
    Failure
        Nothing is left, the records are of different image sizes, or `output` is one of them.
    """
    folders = [os.path.dirname(layout.record) for layout in layouts]
    if any(os.path.realpath(output) == os.path.realpath(folder) for folder in folders):
        raise Failure(f"{output} is the folder that is read: name another one with --output")
    sizes = {(layout.height, layout.width) for layout in layouts}
    if len(sizes) > 1 or None in sizes.copy().pop():
        raise Failure(f"{', '.join(folders)}: the records need a `property` each (one line, classes,height,width), and "
                      "images of one size")
    source = np.repeat(np.arange(len(labels)), [len(own) for own in labels])
    row = np.concatenate([np.arange(len(own)) for own in labels])
    joined = np.concatenate(labels)
    kept = np.flatnonzero(joined >= 0)
    if not kept.size:
        raise Failure(f"{output}: no image is left to write; give a higher --threshold")
    kept = kept[np.argsort(joined[kept], kind="stable")]
    classes = np.unique(joined[kept], return_inverse=True)[1]
    copied = _copied(layouts, folders, source[kept], row[kept], classes)
    bar = tqdm(copied, desc=os.path.basename(os.path.abspath(output)), total=len(kept), unit="image", leave=False,
               disable=None if progress else True)
    written = records.write(output, bar, *sizes.pop())
    if old is None:
        old = [image_labels(layout) for layout in layouts]
    if names is None:
        names = [identity_names.of_record(layout.record, own) for layout, own in zip(layouts, old)]
    identity_names.write(output, _origins(classes, source[kept], np.concatenate(old)[kept], names, folders))
    return written


def _origins(classes, sources, old, names, folders):
    """Yield (label, images, [(name, folder, old label), …]) of the identities that are written, given the class, the
    number of the source and the old label of each image.
    """
    order = np.lexsort((old, sources, classes))
    table = np.stack([classes, sources, old], axis=1)[order]
    begins = np.flatnonzero(np.append(True, np.any(table[1:] != table[:-1], axis=1)))
    rows = zip(table[begins].tolist(), np.diff(np.append(begins, len(table))).tolist())
    for label, own in itertools.groupby(rows, key=lambda row: row[0][0]):
        own = list(own)
        yield label, sum(images for _, images in own), [(names[source].get(one, ""), folders[source], one)
                                                        for (_, source, one), _ in own]


def _copied(layouts, folders, sources, rows, classes):
    """Yield (label, image, path) for `records.write`; the path tells the source's folder and the key there."""
    widths = {layout.label_width for layout in layouts}
    further = len(widths) == 1  # the numbers behind the class are kept where all images have as many
    offsets = [layout.offsets_of(layout.images) for layout in layouts]
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(layout.record, "rb")) for layout in layouts]
        for source, row, identity in zip(sources.tolist(), rows.tolist(), classes.tolist()):
            layout, offset = layouts[source], int(offsets[source][row])
            content = records.read_record(files[source], layout.record, offset, layout.size)[0]
            label, image = records.unpack(layout.record, offset, content)
            if not image:
                raise Failure(f"{layout.record}: record {layout.images[row]} holds no image; get the file again")
            try:
                image = images.for_record(image)
            except images.Unusable as unusable:
                raise Failure(f"{layout.record}: record {layout.images[row]}: its image {unusable}") from None
            if np.ndim(label) and further:
                identity = [identity, *label[1:].tolist()]
            yield identity, image, f"{folders[source]}/{layout.images[row]}"
