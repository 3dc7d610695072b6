"""Where images come from: a record, a verification file, or a folder of people, each as batches of decoded images.

A source is gone through from any of its places on, so that embedding can resume. A place is a number from 0. An image
that cannot be used is left out of its batch; its place stays counted.
"""
import abc
import contextlib
import hashlib
import os
import sys
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from datasets.formats import identity_names, images, records, verification_file
from datasets.formats.labels import class_of
from datasets.identities.selection import image_labels
from eval.networks.embedder import summed
from runtime import Failure

BATCH = 256  # images in memory


class Batch(NamedTuple):
    """Consecutive images of a source.

    Attributes
    ----------
    places : int64 array, shape (n,)
        The place of each image. Places of images that cannot be used are missing.
    labels : int64 array, shape (n,)
    images : uint8 array, shape (n, size, size, 3)
        RGB.
    end : int
        The place after the batch's last one, also where that one is missing.
    """

    places: np.ndarray
    labels: np.ndarray
    images: np.ndarray
    end: int


class Source(abc.ABC):
    """Images with labels and names.

    Attributes
    ----------
    kind : str
        What messages call such a source.
    path : str
    size : int
        Height and width of the images.
    labels : int64 array, shape (N,)
        The identity of each place.
    names : list of str, or None
        What each place is called.
    people : dict of int to str
        What identities are called: label → name, of those that have one.
    digest : str
        Tells this source from others, and from itself after a change.
    """

    kind, unit, batch, names = "images", "image", BATCH, None
    certain = True  # whether every place will give an image
    none = "there are no images"

    def __init__(self, path, size):
        self.path, self.size = path, size

    def __len__(self):
        return len(self.labels)

    @abc.abstractmethod
    def _rows(self, start):
        """Yield (label, image or None) of each place from `start` on."""

    def batches(self, start=0, batch=None, progress=False):
        """Yield the images as `Batch`.

        Parameters
        ----------
        start : int
            The place to begin with.
        batch : int, optional
            Places of a batch. `self.batch` by default.
        progress : bool
            Whether to show progress on stderr, where that is a terminal.

        Raises
        ------
        Failure
            The source is damaged.
        """
        batch, end, held = batch or self.batch, start, []
        rows = tqdm(self._rows(start), total=len(self), initial=start, desc=str(self.path), unit=self.unit, leave=False,
                    disable=None if progress else True)
        with contextlib.closing(rows):
            for end, (label, image) in enumerate(rows, start + 1):
                held.append((end - 1, label, image))
                if len(held) == batch:
                    yield self._batch(held, end)
                    held = []
        if held:
            yield self._batch(held, end)

    def _batch(self, held, end):
        used = [one for one in held if one[2] is not None]
        pixels = np.stack([image for _, _, image in used]) if used else np.empty((0, self.size, self.size, 3), np.uint8)
        return Batch(np.array([place for place, _, _ in used], np.int64),
                     np.array([label for _, label, _ in used], np.int64), pixels, end)


def label_of(value, where, classes=None):
    """Return an image's identity from its label in a record, as `datasets.formats.labels.class_of` does."""
    return class_of(value, where, classes, known="its identities")


class Record(Source):
    """The images of a labelled record.

    Parameters
    ----------
    path : str or os.PathLike
        A dataset's folder, or a record file.
    size : int

    Raises
    ------
    Failure
        The record is missing or damaged. While reading: an image cannot be decoded, or a label is not one of the
        record's identities.
    """

    kind = "record"

    def __init__(self, path, size=112):
        super().__init__(path, size)
        self.layout = records.read_layout(path)
        self._labels = self._people = None

    def __len__(self):
        return len(self.layout.images)

    @property
    def labels(self):
        if self._labels is None:
            self._labels = image_labels(self.layout)
        return self._labels

    @property
    def people(self):
        if self._people is None:
            self._people = identity_names.of_record(self.layout.record, self.labels)
        return self._people

    @property
    def digest(self):
        status, order = os.stat(self.layout.record), self.layout.offsets_of(self.layout.images)
        facts = f"{status.st_size} {status.st_mtime_ns} {self.size}\n".encode()
        return hashlib.sha256(facts + np.ascontiguousarray(order, "<i8").tobytes()).hexdigest()

    def _rows(self, start):
        layout = self.layout
        for key, label, image in records.iterate(layout._replace(images=layout.images[start:])):
            identity = label_of(label, f"{layout.record}: image {key}", layout.classes)
            yield identity, verification_file.decode([image], self.size, layout.record, key)[0]


class Encoded(Source):
    """The different images of a list of encoded ones, each once and each an identity of its own.

    Parameters
    ----------
    encoded : list of bytes
    path : str
        What messages call the list.
    size : int

    Attributes
    ----------
    places : int64 array, shape (number of images,)
        The place of each image of the list among the different ones.
    """

    kind = "verification file"

    def __init__(self, encoded, path, size=112):
        super().__init__(path, size)
        self._encoded = encoded
        self._first, self.places = verification_file.distinct(encoded)
        self.labels = np.arange(len(self._first))
        self.people = {}

    @property
    def names(self):
        """By the first place in the list."""
        return [f"image {number}" for number in self._first.tolist()]

    @property
    def digest(self):
        digest = hashlib.sha256(f"{self.size}\n".encode() + self.labels.astype("<i8").tobytes())
        for number in self._first.tolist():
            digest.update(f"{number} {len(self._encoded[number])}\n".encode() + self._encoded[number])
        return digest.hexdigest()

    def _rows(self, start):
        for number, label in zip(self._first[start:].tolist(), self.labels[start:].tolist()):
            # One at a time, so that a message names the image by its place in the file.
            yield label, verification_file.decode([self._encoded[number]], self.size, self.path, number)[0]


class VerificationFile(Encoded):
    """The different images of a verification file. Images that genuine pairs connect are of one identity.

    Raises
    ------
    Failure
        The file is missing or damaged. While reading: an image cannot be decoded.
    """

    def __init__(self, path, size=112):
        encoded, issame = verification_file.read(path)
        super().__init__(encoded, path, size)
        self.labels = verification_file.identities(encoded, issame)[self._first]


def people(folder):
    """List photographs of people: `FOLDER/person/*.jpg`.

    Returns
    -------
    list of (str, list of str)
        People in alphabetical order, with the paths of their pictures; none is empty.

    Raises
    ------
    Failure
        There is nobody.
    """
    if not os.path.isdir(folder):
        raise Failure(f"{folder} is no folder: name one that has a folder of photographs for each person")
    found = []
    for person in sorted(entry.name for entry in os.scandir(folder) if entry.is_dir()):
        place = os.path.join(folder, person)
        names = sorted(entry.name for entry in os.scandir(place) if entry.name.lower().endswith(images.SUFFIXES))
        found += [(person, [os.path.join(place, name) for name in names])] if names else []
    if not found:
        raise Failure(f"{folder} has no folders with photographs: there has to be one for each person, "
                      f"{os.path.join(folder, 'NAME')}/*.jpg")
    return found


class Folder(Source):
    """Photographs of people, `FOLDER/person/*.jpg`. An identity is a person's place in the alphabet.

    A photograph that cannot be used is left out, with a line on stdout that says why.

    Parameters
    ----------
    path : str
    face : callable
        As `eval.networks.recogniser.Recogniser.face`: (path, folder) → RGB uint8 (size, size, 3).
    aligned : bool
        Whether the pictures are aligned faces.
    size : int
    """

    unit, certain, none = "photograph", False, "no photograph could be used, for the reasons above"
    batch = 1  # finding a face takes far longer than embedding it

    def __init__(self, path, face, aligned=False, size=112):
        super().__init__(path, size)
        self.kind = "folder of aligned faces" if aligned else "folder of photographs"
        self._face, listed = face, people(path)
        self._paths = [place for _, places in listed for place in places]
        self.labels = np.repeat(np.arange(len(listed)), [len(places) for _, places in listed])
        self.people = {label: person for label, (person, _) in enumerate(listed)}

    @property
    def names(self):
        """Paths from the folder."""
        return [os.path.relpath(place, self.path) for place in self._paths]

    @property
    def digest(self):
        digest = hashlib.sha256(f"{self.kind} {self.size}\n".encode())
        for place, name in zip(self._paths, self.names):
            status = os.stat(place) if os.path.exists(place) else None
            facts = (status.st_size, status.st_mtime_ns) if status else None
            digest.update(os.fsencode(name) + f"\0{facts}\n".encode())
        return digest.hexdigest()

    def _rows(self, start):
        for place, label in zip(self._paths[start:], self.labels[start:].tolist()):
            try:
                image = self._face(place, self.path)
            except Failure as failure:
                tqdm.write(f"left out: {failure}", file=sys.stdout)
                image = None
            yield label, image


def embedded(embedder, source, progress=False):
    """Embed a source as single crops (Sec. 3.1).

    Parameters
    ----------
    embedder : eval.networks.embedder.Embedder
    source : Source
    progress : bool

    Yields
    ------
    embeddings : float32 array, shape (B, D)
        Not normalised.
    labels : int64 array, shape (B,)

    Raises
    ------
    Failure
        The source is damaged, or the network gives values that are not finite.
    """
    for batch in source.batches(progress=progress):
        yield summed((embedder(batch.images),)), batch.labels
