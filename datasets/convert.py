"""Convert between record files and folders of images, without loss: images keep their bytes, labels their numbers.

    python datasets/convert.py unpack datasets/faces_emore FOLDER    FOLDER/label/number.jpg and FOLDER/images.lst
    python datasets/convert.py pack FOLDER OUT                       and back, to train.rec .idx .lst and property
    python datasets/convert.py complete images.rec OUT               what im2rec wrote, in the layout for training

An image of a format that MXNet's decoder lacks, such as WebP or PPM, goes into a record as PNG, with the same pixels.
To take photographs, to align, or to encode anew, use datasets/folder.py.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import argparse
import collections
import shutil

import numpy as np
from tqdm import tqdm

from datasets.formats import identity_names, images, records
from datasets.formats.image_lists import finder, read_list
from datasets.formats.labels import class_of
from runtime import Failure, run_command, shown
from runtime.files import whole_file
from runtime.locks import NAME, alone

LIST = "images.lst"
OTHER = "name another folder"


def _numbers(label):
    """Return a label as text: the shortest numbers that read back as the same float32."""
    return "\t".join(np.format_float_positional(number, trim="-") for number in np.ravel(np.float32(label)))


def _bar(entries, what, total, progress):
    return tqdm(entries, desc=what, total=total, unit="image", file=sys.stdout, leave=False,
                disable=None if progress else True)  # None: where it is a terminal


def unpack(record, folder, progress=False):
    """Write the images of a record as files: `label/number.jpg`, each with the bytes that the record has.

    Parameters
    ----------
    record : str or os.PathLike
        A dataset's folder or a record file, also one of images alone.
    folder : str or os.PathLike
        Must not be there, or be empty. It appears when all is written; what a killed run wrote, in `folder` with
        `.part` behind it, is kept and gone on with.
    progress : bool
        Whether to show progress on stdout.

    Returns
    -------
    int
        The number of images.

    Raises
    ------
    Failure
        The record is damaged, has a label that is no class, or the folder is not empty.
    """
    layout = records.read_layout(record)
    folder = os.path.abspath(folder)
    if os.path.lexists(folder) and not (os.path.isdir(folder) and not os.listdir(folder)):
        raise Failure(f"{folder} is there already: name a folder that is not")
    part, width = folder + ".part", len(str(int(np.max(layout.images))))
    with alone(part, OTHER):
        with whole_file(os.path.join(part, LIST), "w") as lines:
            for key, label, image in _bar(records.iterate(layout), "unpacking", len(layout.images), progress):
                identity = class_of(label, f"{layout.record}: image {key}")
                if not image:
                    raise Failure(f"{layout.record}: record {key} holds no image; "
                                  f"`python datasets/check.py {layout.record}` lists all like it")
                path = f"{identity:08d}/{key:0{width}d}.{_suffix(image)}"
                _write(os.path.join(part, path), image)
                lines.write(f"{key}\t{_numbers(label)}\t{path}\n")
        names = identity_names.beside(layout.record)
        if names and os.path.isfile(names):  # labels keep their numbers, so names stay right
            shutil.copyfile(names, os.path.join(part, identity_names.FILE))
        if os.path.isdir(folder):
            os.rmdir(folder)
        os.rename(part, folder)  # with the lock in it, so that nobody else takes the folder before it has its name
        os.unlink(os.path.join(folder, NAME))
    return len(layout.images)


def _suffix(image):
    """Return the usual suffix of an encoded image; `bin` where it is none that is known."""
    try:
        return images.header(image).kind.replace("pnm", "ppm")
    except images.Unusable:
        return "bin"


def _write(path, content):
    """Write a file, unless it is there with this content. Whole files of few kilobytes, each brought to the disk before
    the next, would take a hundred times as long; their folder's name tells that they are whole.
    """
    try:
        with open(path, "rb") as file:
            if file.read() == content:
                return
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def pack(folder, output, progress=False):
    """Write a record from the files that `unpack` wrote, with their bytes as they are.

    Parameters
    ----------
    folder : str or os.PathLike
        Its `images.lst` has lines `number, label, path` divided by tabs, as MXNet's im2rec reads them. Lines may be
        taken out or added.
    output : str or os.PathLike
        The folder of the record.
    progress : bool
        Whether to show progress on stdout.

    Returns
    -------
    images, classes : int

    Raises
    ------
    Failure
        As `datasets.formats.image_lists.read_list`; or an image cannot be read, or is of another size than the first.
    """
    entries, folder = read_list(os.path.join(folder, LIST)), os.path.abspath(folder)
    find = finder(folder)

    def read(row):
        path = find(entries[row].path)
        try:
            return images.read(os.path.join(folder, path), folder)
        except images.Unusable as unusable:
            raise Failure(f"{os.path.join(folder, path)} {unusable}") from None

    labels = [entry.labels or [entry.identity] for entry in entries]
    names = identity_names.read(identity_names.beside(os.path.join(folder, "train.rec")))
    return _regroup(labels, read, lambda row: entries[row].path, output, folder, progress, names)


def complete(record, output, progress=False):
    """Write a file of images alone, as MXNet's im2rec makes it, in the layout for training: a header record, the images
    of one identity after another, identity records and `property`. A file that has all that is written anew.

    Parameters
    ----------
    record : str or os.PathLike
        The record file; its index may be missing.
    output : str or os.PathLike
        Another folder than that of the record. `identities.txt` there has a line for each class: the new number, how
        many images it has, the number it had. Where the record has an `identities.txt`, its names come along
        (`datasets.formats.identity_names`).
    progress : bool
        Whether to show progress on stdout.

    Returns
    -------
    images, classes : int

    Raises
    ------
    Failure
        The file is damaged, has a label that is no class, or images of several sizes.
    """
    layout = records.read_layout(record)
    if os.path.realpath(os.path.dirname(layout.record)) == os.path.realpath(output):
        raise Failure(f"{output} holds the record that is read: name another folder to write")
    labels = [label for _, label, _ in _bar(records.iterate(layout), "reading labels", len(layout.images), progress)]
    offsets = layout.offsets_of(layout.images)
    with open(layout.record, "rb") as file:
        def read(row):
            offset = int(offsets[row])
            content, _ = records.read_record(file, layout.record, offset, layout.size)
            return records.unpack(layout.record, offset, content)[1]

        names = identity_names.read(identity_names.beside(layout.record))
        return _regroup(labels, read, lambda row: f"image {layout.images[row]}", output, layout.record,
                        progress, names)


def _regroup(labels, read, name, output, source, progress, names):
    """Write a record of images sorted by class, as they were within one; classes become 0, 1, … where some are missing.

    `read(row)` gives the bytes of an image of the source, `name(row)` what to call it; `labels` has a value a row.
    `names` has label → name of the source's identities and a note, as `identity_names.read` returns them.
    """
    own = np.array([class_of(label, f"{source}: {name(row)}") for row, label in enumerate(labels)])
    classes, new, counts = np.unique(own, return_inverse=True, return_counts=True)
    order = np.argsort(own, kind="stable").tolist()
    became_png = collections.Counter()

    def usable(row):
        """Return an image that training can read, and its sides."""
        return _usable(read(row), f"{source}: {name(row)}", became_png)

    height, width = usable(order[0])[1]
    became_png.clear()

    def ordered():
        for row in _bar(order, "writing", len(order), progress):
            image, sides = usable(row)
            if sides != (height, width):
                raise Failure(f"{source}: {name(row)} is {sides[1]}×{sides[0]}, where others are {width}×{height}: "
                              "unpack the record, and make it anew with datasets/folder.py --align")
            label = np.array(labels[row], np.float32)
            label.reshape(-1)[0] = new[row]
            yield label if label.size > 1 else float(label.item()), image, name(row)

    written = records.write(output, ordered(), height, width)
    if progress:
        for kind, count in sorted(became_png.items()):
            print(f"{count} {kind} pictures became PNG, for {images.DECODER} lacks {kind}")
    known, note = names
    if note:
        print(shown(f"note: {note}"))
    rows = enumerate(zip(counts.tolist(), classes.tolist()))
    if known:
        folder = source if os.path.isdir(source) else os.path.dirname(source)
        identity_names.write(output, ((label, count, [(known.get(old, ""), folder, old)])
                                      for label, (count, old) in rows))
        return written
    with whole_file(os.path.join(output, identity_names.FILE), "w") as file:
        file.writelines(f"{label}\t{count}\t{old}\n" for label, (count, old) in rows)
    return written


def _usable(image, name, became_png):
    """Return an encoded image, as PNG where MXNet's decoder lacks its format, and its (height, width).

    `became_png` counts the PNGs by the format that they had.
    """
    try:
        kind = images.lacking(image)
        if kind:
            image = images.for_record(image)
            became_png[kind] += 1
        images.header(image)  # fails where the end is missing
        return image, images.size_in_training(image)
    except images.Unusable as unusable:
        raise Failure(f"{name} {unusable}; python datasets/check.py lists all such") from None


def parser():
    """Return the parser of the command's flags."""
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__.split("\n", 2)[2],
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("what", choices=("unpack", "pack", "complete"))
    flags.add_argument("source", metavar="FROM", help="a record, its folder, or an unpacked folder")
    flags.add_argument("output", metavar="TO", help="the folder to write")
    return flags


def main(arguments=None):
    args = parser().parse_args(arguments)
    try:
        convert(args)
    except KeyboardInterrupt:
        raise Failure("interrupted; nothing was written half, and unpacking goes on where it was") from None


def convert(args):
    """Do what the flags say."""
    if args.what == "unpack":
        number = unpack(args.source, args.output, progress=True)
        print(f"{args.output}: {number} images, and {LIST}, with which `pack` makes the record again")
        return
    with alone(args.output, OTHER):
        number, classes = (pack if args.what == "pack" else complete)(args.source, args.output, progress=True)
    print(f"{args.output}: train.rec, train.idx, train.lst and property, {number} images of {classes} identities")


if __name__ == "__main__":
    run_command(main)
