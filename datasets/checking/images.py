"""Every image of a file: decoded on all cores, measured and hashed, in little memory."""
import collections
import contextlib
import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from datasets.formats import images
from runtime import cores

CHUNK = 256  # images that a thread takes at a time
LARGEST = 1 << 22  # pixels, 12 MB of them: of an image that is opened; training takes crops of 112×112
CONSTANT = 4.0  # grey levels of 255: the standard deviation below which an image has nearly one colour


class Inspection(NamedTuple):
    """What is known of each image, 28 bytes of it; zeros where there is none.

    Attributes
    ----------
    sizes : ndarray of uint32, shape (N, 2)
        Height and width, as MXNet's iterator gives the image.
    spreads : ndarray of float32, shape (N,)
        Standard deviation over the pixels, in grey levels, of the channel where it is largest.
    digests : ndarray of uint64, shape (N, 2)
        128 bits of a hash of size and pixels.
    problems : list of (int, str)
        Row and what is wrong with the image.
    damaged : list of (int, str)
        Row and what libjpeg says of an image that it decodes all the same.
    lacking : list of (int, str)
        Row and format of an image that is decoded here, but not by MXNet (`images.lacking`).
    """

    sizes: np.ndarray
    spreads: np.ndarray
    digests: np.ndarray
    problems: list
    damaged: list
    lacking: list

    def repeated(self):
        """Yield the rows (ascending) of each group of images whose pixels are the same."""
        rows = np.flatnonzero(self.sizes[:, 0])
        digests = self.digests[rows]
        order = np.lexsort((rows, digests[:, 1], digests[:, 0]))
        rows, digests = rows[order], digests[order]
        ends = np.flatnonzero(np.append(np.any(digests[1:] != digests[:-1], axis=1), True)) + 1
        starts = np.append(0, ends)[:-1]
        for group in np.flatnonzero(ends - starts > 1):
            yield rows[starts[group]:ends[group]]


def inspect(read, count, workers=None, name="images"):
    """Look at every image of a file.

    Parameters
    ----------
    read : callable
        Given a range of rows, yields the encoded image of each, or None where there is none to be looked at. It is
        called on several threads, once for each row, and again for damaged images.
    count : int
        The number of rows.
    workers : int or None
        Threads; by default one a core. Decoding and hashing leave Python's lock.
    name : str
        What the progress bar says. It tells the time left, on stdout, and only of a long run where that is no terminal.

    Returns
    -------
    Inspection
    """
    found = Inspection(np.zeros((count, 2), np.uint32), np.zeros(count, np.float32), np.zeros((count, 2), np.uint64),
                       [], [], [])
    chunks = [range(begin, min(begin + CHUNK, count)) for begin in range(0, count, CHUNK)]
    waiting, loud, workers = collections.deque(), [], workers or cores()
    with images.complaints() as heard, contextlib.ExitStack() as stack:
        slow = 0 if sys.stdout.isatty() else 15
        bar = stack.enter_context(tqdm(total=count, desc=name, unit="image", leave=False, file=sys.stdout,
                                       mininterval=slow or 0.5, delay=slow))
        pool = stack.enter_context(ThreadPoolExecutor(workers))

        def look(chunk):
            for row, image in zip(chunk, read(chunk)):
                if image is not None:
                    _look_at(found, row, image)

        def finish():
            waiting[0][1].result()
            if heard():  # it may be about any of those that run
                loud.extend(chunk for chunk, _ in waiting)
            bar.update(len(waiting.popleft()[0]))

        for chunk in chunks:  # few at a time, so that Ctrl-C does not wait for all
            waiting.append((chunk, pool.submit(look, chunk)))
            if len(waiting) > 2 * workers:
                finish()
        while waiting:
            finish()
        for chunk in sorted(set(loud), key=lambda chunk: chunk.start):  # singly: nobody says which image it is about
            for row, image in zip(chunk, read(chunk)):
                if image is not None and found.sizes[row, 0]:
                    images.decode_as_mxnet(image, LARGEST)
                    damage = heard()
                    found.damaged.extend([(row, damage)] * bool(damage))
    found.problems.sort()
    found.lacking.sort()
    return found


def _look_at(found, row, image):
    """Fill in the row of one image."""
    try:
        pixels = images.decode_as_mxnet(image, LARGEST)
    except images.Unusable as unusable:
        found.problems.append((row, str(unusable)))
        return
    name = images.lacking(image)
    if name:
        found.lacking.append((row, name))
    found.sizes[row] = images.size_in_training(image)
    found.spreads[row] = cv2.meanStdDev(pixels)[1].max()
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(pixels)
    found.digests[row] = np.frombuffer(digest.digest(), np.uint64)
