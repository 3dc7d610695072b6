"""Drawn datasets of the published layout, for measuring where no real one is at hand."""
import os

import cv2
import numpy as np

from datasets.formats import records
from tools.benchmarking.contenders import drawn_images

QUALITY = 95  # makes the drawn images 5.4 kB each, as those of emore are


def write_record(folder, images, identities=10):
    """Write a record of drawn images, the same number for each identity but for a rest."""
    encoded = [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
               for image in drawn_images(images)]
    records.write(folder, ((number * identities // images, image, f"{number}.jpg")
                           for number, image in enumerate(encoded)))


def _record(label, image_bytes=0, key=0):
    """Return the beginning of a record, without the bytes of its image."""
    labels = np.asarray(label, "<f4") if np.ndim(label) else np.empty(0, "<f4")
    head = records.HEADER.pack(len(labels), 0.0 if len(labels) else label, key, 0) + labels.tobytes()
    return records.FRAME.pack(records.MAGIC, len(head) + image_bytes) + head


def write_sparse_record(folder, images, identities, image_bytes=5200, chunk=1 << 20):
    """Write index, property and a record file of the right size, in which no image is stored.

    The record has its header, the beginning of the first image, and the identities; between them is a hole, so that
    a file of tens of gigabytes takes a few megabytes of the disk.

    Parameters
    ----------
    folder : str
    images, identities : int
        The images are spread over the identities in runs of nearly equal length.
    image_bytes : int
        Size of an encoded image, a multiple of 4.
    """
    os.makedirs(folder, exist_ok=True)
    first, past = images + 1, images + 1 + identities
    header = _record((first, past))
    image = len(_record(0.0)) + image_bytes
    identity = len(_record((1, 2)))
    start = len(header) + images * image
    edges = 1 + np.arange(identities + 1, dtype=np.int64) * images // identities
    with open(os.path.join(folder, "train.rec"), "wb") as file:
        file.write(header)
        file.write(_record(0.0, image_bytes, 1))
        file.seek(start)
        file.write(b"".join(_record(ends, key=first + row) for row, ends in enumerate(zip(edges, edges[1:]))))
    offsets = np.concatenate([[0], len(header) + np.arange(images, dtype=np.int64) * image,
                              start + np.arange(identities, dtype=np.int64) * identity])
    with open(os.path.join(folder, "train.idx"), "w", encoding="ascii") as file:
        for begin in range(0, past, chunk):
            file.write("".join(f"{key}\t{offset}\n" for key, offset
                               in enumerate(offsets[begin:begin + chunk].tolist(), begin)))
    with open(os.path.join(folder, "property"), "w", encoding="ascii") as file:
        file.write(f"{identities},112,112\n")
