"""Build a training record from a folder of photographs, one folder for each identity.

    python datasets/folder.py photographs datasets/mine --align
    python datasets/folder.py crops datasets/mine --min-images 3
    python datasets/folder.py photographs datasets/mine --landmarks landmarks.csv
    python datasets/folder.py datasets/mine --lst faces.lst --root photographs

IMAGES/identity/*.jpg (or jfif, png, pgm, ppm, webp, bmp, tif) become OUT/train.rec, train.idx, train.lst and property,
with labels 0, 1, … in the sorted order of the identities' names. Beside them: report.txt, what was left out or failed,
and why; identities.txt, each label's name; landmarks.tsv, the points by which faces were aligned; contact.jpg, some
faces.
The same command goes on after a kill: what was done is kept in OUT/.work until OUT is whole.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import argparse
import collections
import contextlib
import itertools
import shutil
import unicodedata

import numpy as np
from tqdm import tqdm

from datasets.faces import detector, landmarks
from datasets.faces.crops import Settings, make_faces
from datasets.formats import image_lists, images
from datasets.formats.image_lists import Entry, quoted
from runtime import Failure, cores, run_command
from runtime.files import whole_file
from runtime.locks import alone

WORK = ".work"
SHEET = (5, 8)  # rows and columns of the contact sheet


class Report:
    """What was used, and what was not and why, while a record is built.

    Attributes
    ----------
    lines : list of (str, str, str)
        `failed`, `left out` or `note`; the image or identity; the reason.
    identities : list of (str, int)
        Name and number of images of each label.
    """

    def __init__(self):
        self.lines, self.identities = [], []
        self._sheet, self._every, self._seen = [], 1, 0

    def add(self, kind, name, reason):
        """Add a line."""
        self.lines.append((kind, str(name), reason))

    @property
    def used(self):
        """How many images were used."""
        return sum(number for _, number in self.identities)

    def show(self, image):
        """Count a used face, and keep it for the contact sheet where it is its turn: evenly over all of them."""
        if self._seen % self._every == 0:
            self._sheet.append(image)
        self._seen += 1
        if len(self._sheet) == 2 * SHEET[0] * SHEET[1]:
            self._sheet, self._every = self._sheet[::2], 2 * self._every

    def sheet(self, size):
        """Return the contact sheet, RGB, of faces whose order is the record's."""
        rows, columns = SHEET
        every = max(1, -(-len(self._sheet) // (rows * columns)))
        faces = [images.decode(image) for image in self._sheet[::every]]
        rows = max(1, -(-len(faces) // columns))
        sheet = np.full((rows * (size + 2) + 2, columns * (size + 2) + 2, 3), 255, np.uint8)
        for place, face in enumerate(faces):
            top, left = (2 + (size + 2) * side for side in divmod(place, columns))
            sheet[top:top + size, left:left + size] = face
        return sheet

    def summary(self):
        """Return how many images were used, failed and were left out, and the commonest reasons."""
        counts = collections.Counter(kind for kind, _, _ in self.lines)
        lines = [f"{self.used} images of {len(self.identities)} identities used, {counts['failed']} failed, "
                 f"{counts['left out']} left out, {counts['note']} to look at"]
        for (kind, reason), number in collections.Counter((line[0], line[2]) for line in self.lines).most_common(5):
            lines.append(f"  {number} {kind}: {reason}")
        return lines

    def write(self, folder):
        """Write report.txt, whose lines after the summary are kind, name and reason, divided by tabs."""
        with whole_file(os.path.join(folder, "report.txt"), "w") as file:
            file.writelines(f"# {quoted(line)}\n" for line in self.summary())
            file.writelines(f"{kind}\t{quoted(name)}\t{quoted(reason)}\n" for kind, name, reason in self.lines)

    def write_names(self, folder):
        """Write identities.txt: label, number of images and name of each identity, divided by tabs."""
        with whole_file(os.path.join(folder, "identities.txt"), "w") as file:
            file.writelines(f"{label}\t{number}\t{quoted(name)}\n"
                            for label, (name, number) in enumerate(self.identities))


def find_images(root, report, leave=None):
    """Find the images of a folder of identities.

    Parameters
    ----------
    root : str
    report : Report
        Gets what is left out. Hidden files and folders are not mentioned.
    leave : str or None
        A folder that is none of an identity: the output.

    Returns
    -------
    list of Entry
        Sorted by identity, then by name, as Python sorts strings.

    Raises
    ------
    Failure
        There is no such folder, or no image in its folders.
    """
    if not os.path.isdir(root):
        raise Failure(f"{root} is not a folder: name one that has a folder of images for each identity")
    entries, alike, real = [], {}, os.path.realpath(root)
    for identity in sorted(os.listdir(root)):
        folder = os.path.join(root, identity)
        if identity.startswith(".") or (leave and os.path.realpath(folder) == os.path.realpath(leave)):
            continue
        if not os.path.isdir(folder):
            report.add("left out", identity, "lies outside of the identities' folders")
            continue
        if os.path.commonpath([os.path.realpath(folder), real]) != real:
            report.add("left out", identity, "is a link that leads out of the folder of images")
            continue
        try:
            names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
        except OSError as error:
            report.add("left out", identity, f"cannot be read ({os.strerror(error.errno).lower()})")
            continue
        other = alike.setdefault(unicodedata.normalize("NFC", identity).casefold(), identity)
        if other != identity:
            report.add("note", identity, f"reads like {quoted(other)}: perhaps one identity in two folders")
        before = len(entries)
        for name in names:
            path = f"{identity}/{name}"
            if os.path.isdir(os.path.join(folder, name)):
                report.add("left out", path, "is a folder within an identity's folder")
            elif not name.lower().endswith(images.SUFFIXES):
                report.add("left out", path, "is not named as a picture is")
            else:
                entries.append(Entry(path, identity, None))
        if len(entries) == before:
            report.add("left out", identity, "has no images")
    if not entries:
        raise Failure(f"{root} has no images in folders: it has to hold a folder for each identity, "
                      f"{os.path.join(root, 'identity', 'image.jpg')}")
    return entries


def list_images(path, root, report):
    """Read the images of a list (`landmarks.read_list`), sorted by label; one that is named twice counts once.

    Names are relative to `root`, or within it; those that Windows wrote are looked for there (`listing.finder`).
    """
    entries, known, real, find = [], {}, os.path.abspath(root), image_lists.finder(root)
    for entry in sorted(landmarks.read_list(path), key=lambda entry: entry.identity):
        if os.path.isabs(entry.path):  # one outside of the root will be refused when it is read
            entry = entry._replace(path=os.path.relpath(entry.path, real))
        entry = entry._replace(path=find(entry.path))
        if entry.path not in known:
            known[entry.path] = entry.identity
            entries.append(entry)
        elif known[entry.path] == entry.identity:
            report.add("left out", entry.path, "is named twice")
        else:
            report.add("left out", entry.path, f"is named for label {known[entry.path]} and {entry.identity}")
    return entries


def build(entries, output, settings, report=None, min_images=1, workers=None, progress=False):
    """Build a dataset's folder.

    Parameters
    ----------
    entries : list of Entry
        Those of an identity follow each other; labels are given in their order.
    output : str or os.PathLike
        The folder to write.
    settings : datasets.faces.crops.Settings
    report : Report or None
        What has been left out already.
    min_images : int
        Identities with fewer images, of those that could be used, are left out.
    workers : int or None
        Processes; None for one a core. The files written are the same for any number.
    progress : bool
        Whether to show progress and the time left on stdout.

    Returns
    -------
    Report

    Raises
    ------
    Failure
        No image could be used; the report is written. Or the disk is full, or another process builds there.
    """
    from datasets.formats import records  # here, for worker processes import this file and do without MXNet
    report, work = report or Report(), os.path.join(output, WORK)
    if len(entries) >= records.LARGEST:
        raise Failure(f"{len(entries)} images are too many for one record file: make several")
    if settings.detect:
        detector.mtcnn()  # where it is missing, say so before anything is done
    with alone(output, "name another folder"):
        os.makedirs(work, exist_ok=True)
        with contextlib.ExitStack() as stack:
            bar = stack.enter_context(tqdm(total=len(entries), unit="image", file=sys.stdout, disable=not progress,
                                           mininterval=0.5 if sys.stdout.isatty() else 15))
            points = stack.enter_context(whole_file(os.path.join(output, "landmarks.tsv"), "w"))
            results = make_faces(entries, settings, work, workers or cores())
            stack.callback(results.close)
            records.write(output, _labelled(_counted(zip(entries, results), bar), output, report, min_images, points),
                          settings.size, settings.size)
            bar.close()
            report.write(output)
            report.write_names(output)
            with whole_file(os.path.join(output, "contact.jpg")) as file:
                file.write(images.encode(report.sheet(settings.size)))
        if not os.path.getsize(os.path.join(output, "landmarks.tsv")):
            os.unlink(os.path.join(output, "landmarks.tsv"))
        shutil.rmtree(work)
    return report


def _counted(pairs, bar):
    for pair in pairs:
        bar.update()
        yield pair


def _labelled(pairs, output, report, least, points):
    """Yield (label, image, path) of the faces to write, in order; holds no more than `least` of them."""
    for identity, own in itertools.groupby(pairs, key=lambda pair: pair[0].identity):
        held, number, label = [], 0, len(report.identities)
        for entry, result in own:
            if result.failure:
                report.add("failed", entry.path, result.failure)
                continue
            if result.note:
                report.add("note", entry.path, result.note)
            number += 1
            held.append((entry, result))
            if number < least:
                continue
            for entry, result in held:
                if len(result.points):
                    points.write("\t".join([quoted(entry.path), *(f"{at:.4f}" for at in result.points)]) + "\n")
                report.show(result.image)
                yield label, result.image, entry.path
            held = []
        if number >= max(1, least):
            report.identities.append((str(identity), number))
        else:
            report.add("left out", identity, f"has {number} usable images, fewer than {max(1, least)}"
                       if number else "has no usable image")
    if not report.identities:
        report.write(output)
        reasons = collections.Counter(reason for kind, _, reason in report.lines if kind == "failed").most_common(1)
        why = f"most often because it {reasons[0][0]}" if reasons else "identities have too few"
        raise Failure(f"no image could be used, {why}; {os.path.join(output, 'report.txt')} has the reason of each")


def parser():
    """Return the parser of the command's flags."""
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__.split("\n", 2)[2],
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("images", metavar="IMAGES", nargs="?", help="a folder with a folder for each identity")
    flags.add_argument("output", metavar="OUT", help="the folder to write")
    flags.add_argument("--align", action="store_true", help="find the faces and align them (without it and "
                       "--landmarks, images have to be aligned crops)")
    flags.add_argument("--landmarks", metavar="FILE", help="where faces are: lines of a path within IMAGES and ten "
                       "numbers, x y of eyes, nose, mouth corners; with --align, faces that it lacks are looked for")
    flags.add_argument("--lst", metavar="FILE", help="take images and labels from a list: "
                       "aligned, path, label or MXNet's index, label, path")
    flags.add_argument("--root", metavar="DIR", help="the folder that the list's paths are relative to and have to lie "
                       "in (default: IMAGES, or the list's own)")
    flags.add_argument("--min-images", type=int, default=1, metavar="N", help="leave out identities with fewer")
    flags.add_argument("--quality", type=int, default=95, metavar="Q", help="of JPEG, 1 to 100 (default: 95)")
    flags.add_argument("--png", action="store_true", help="write PNG, without loss, where an image has to be encoded")
    flags.add_argument("--pad", action="store_true", help="widen crops that are smaller than 112x112")
    flags.add_argument("--num-workers", type=int, default=cores(), metavar="N", help="processes (default: one a core)")
    return flags


def main(arguments=None):
    flags = parser()
    args = flags.parse_intermixed_args(arguments)
    if not 1 <= args.quality <= 100:
        flags.error(f"--quality {args.quality} is not between 1 and 100")
    if args.min_images < 1 or args.num_workers < 1:
        flags.error("--min-images and --num-workers are at least 1")
    if not args.images and not args.lst:
        flags.error("name the folder of images and the folder to write")
    if args.root and not args.lst:
        flags.error("--root goes with --lst")
    root = args.root or args.images or os.path.dirname(os.path.abspath(args.lst))
    if os.path.realpath(root) == os.path.realpath(args.output):
        flags.error("OUT has to be another folder than that of the images")
    report = Report()
    entries = list_images(args.lst, root, report) if args.lst else find_images(root, report, args.output)
    crops = not (args.align or args.landmarks)
    entries = [entry._replace(aligned=crops and entry.points is None) if entry.aligned is None else entry
               for entry in entries]
    if args.landmarks:
        known = landmarks.read_landmarks(args.landmarks, root)
        entries = [entry._replace(points=known.pop(entry.path, entry.points)) for entry in entries]
        for path in known:
            report.add("note", path, f"is in {args.landmarks} and is none of the images")
    settings = Settings(os.path.abspath(root), args.align, None if args.png else args.quality, args.pad)
    try:
        build(entries, args.output, settings, report, args.min_images, args.num_workers, progress=True)
    except KeyboardInterrupt:
        raise Failure("interrupted; the same command goes on where it was") from None
    print("\n".join(report.summary()))
    print(f"{args.output} is written; report.txt there says the reason of each image that is not in it")


if __name__ == "__main__":
    run_command(main)
