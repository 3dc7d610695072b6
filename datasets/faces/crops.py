"""Faces made from pictures on all cores, and kept as shards, so that a run that was killed goes on where it was.

A shard holds the results of some consecutive entries. Its name has a digest of all that they follow from: each file's
path, size and time, its points, and the settings. So what has changed is made anew, and what has not is not.
"""
import collections
import contextlib
import functools
import hashlib
import json
import multiprocessing
import os
import signal
import threading
import zlib
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple, Optional

import cv2

from datasets.faces.align import align, check_points, find_face
from datasets.faces.detector import PACKAGE, mtcnn
from datasets.formats import images
from runtime import Failure
from runtime.files import whole_file

CHUNK = 128  # entries of a shard: some seconds of work where faces are detected
FORM = 1  # of the shards; another one makes them all anew


class Settings(NamedTuple):
    """How faces are made.

    Attributes
    ----------
    root : str
        The folder of images.
    detect : bool
        Whether points are detected where none are given.
    quality : int or None
        Of JPEG; None for PNG.
    pad : bool
        Whether pictures smaller than the crop are widened by repeating their outer rows and columns.
    size : int
        Side of the crop, in pixels.
    """

    root: str
    detect: bool = False
    quality: Optional[int] = 95
    pad: bool = False
    size: int = 112


class Result(NamedTuple):
    """What came of an entry.

    Attributes
    ----------
    image : bytes
        The encoded face; empty where it failed.
    failure, note : str
        Why it failed, and what is worth knowing of one that did not, or "".
    points : list of float
        x1 y1 … x5 y5 by which it was aligned; empty where it was not.
    """

    image: bytes
    failure: str = ""
    note: str = ""
    points: list[float] = ()


def make_face(image, settings, aligned=True, points=None, detect=None):
    """Make the face of one picture.

    Parameters
    ----------
    image : bytes
        The picture, encoded.
    settings : Settings
    aligned : bool
        Whether it is a crop already. One that is a JPEG of the right size, upright, with one or three channels, is
        returned byte for byte, and so is such a PNG where PNG is made.
    points : array_like, shape (5, 2), or None
        Where the face is; None detects it.
    detect : callable or None
        As `datasets.faces.detector.mtcnn()` returns it.

    Returns
    -------
    Result

    Raises
    ------
    images.Unusable
        It cannot be read, or shows no face, or is a crop of another size.
    """
    size, note = settings.size, ""
    if aligned:
        about = images.header(image)
        sides = about.height, about.width
        if max(sides) > size or (min(sides) < size and not settings.pad):
            raise images.Unusable(f"is {about.width}×{about.height}, where a face aligned to {size}×{size} is needed: "
                                  "aligning makes one of it (--align)")
        pixels = images.decode(image)  # what is copied has to decode as well
        kept = about.kind == "jpg" or (about.kind == "png" and settings.quality is None)
        if kept and about.plain and about.orientation == 1 and sides == (size, size):
            return Result(image)
        return Result(images.encode(widen(pixels, size), settings.quality))
    pixels = images.decode(image, images.PHOTOGRAPH)
    if points is None:
        face, number = find_face(pixels, detect)
        points = face.points
        note = f"shows {number} faces; the largest and most central was taken" if number > 1 else ""
    else:
        check_points(points, *pixels.shape[:2])
    return Result(images.encode(align(pixels, points, size), settings.quality), "", note,
                  [float(number) for point in points for number in point])


def widen(pixels, size):
    """Put smaller pixels in the middle of a square, repeating the outer rows and columns: faces keep their proportions,
    which beats resizing.
    """
    rows, columns = (size - side for side in pixels.shape[:2])
    return cv2.copyMakeBorder(pixels, rows // 2, rows - rows // 2, columns // 2, columns - columns // 2,
                              cv2.BORDER_REPLICATE)


@functools.lru_cache(maxsize=1)
def _detector():
    """Return this process's detector."""
    return mtcnn()


def _try(entry, settings, heard):
    """Return the Result of an entry, whatever is wrong with it."""
    heard()
    try:
        image = images.read(os.path.join(settings.root, entry.path), settings.root)
        if not entry.aligned and entry.points is None and not settings.detect:
            raise images.Unusable("is not aligned and has no landmarks: --align finds them")
        detect = _detector() if settings.detect else None
        result = make_face(image, settings, entry.aligned, entry.points, detect)
    except images.Unusable as unusable:
        return Result(b"", str(unusable))
    except MemoryError:
        return Result(b"", "takes more memory than there is")
    damage = heard()
    return result._replace(note=f"is damaged ({damage})") if damage else result


def _digest(entries, settings):
    """Return what the results of entries follow from, as hexadecimal digits."""
    digest = hashlib.sha256(repr((FORM, settings, PACKAGE, cv2.__version__)).encode("utf-8", "surrogateescape"))
    for entry in entries:
        try:
            about = os.stat(os.path.join(settings.root, entry.path))
            state = about.st_size, about.st_mtime_ns
        except (OSError, ValueError):
            state = None
        points = None if entry.points is None else entry.points.tobytes()
        digest.update(repr((entry.path, entry.aligned, points, state)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def read_shard(path):
    """Return the Results in a shard, or None where it is missing or damaged."""
    try:
        with open(path, "rb") as file:
            about = json.loads(file.readline())
            content = file.read()
    except (FileNotFoundError, ValueError):
        return None
    if zlib.crc32(content) != about["sum"]:
        return None
    results, at = [], 0
    for length, failure, note, points in about["results"]:
        results.append(Result(content[at:at + length], failure, note, points))
        at += length
    return results


def make_shard(work, number, entries, settings):
    """Make the shard of some entries, unless it is there, and return its path. Runs in a worker process."""
    path = os.path.join(work, f"{number:07d}-{_digest(entries, settings)}")
    if read_shard(path) is None:
        with images.complaints() as heard:
            results = [_try(entry, settings, heard) for entry in entries]
        content = b"".join(result.image for result in results)
        about = {"sum": zlib.crc32(content), "results": [(len(result.image), *result[1:]) for result in results]}
        with whole_file(path) as file:
            file.write(json.dumps(about).encode() + b"\n" + content)
    return path


def _begin_worker():
    """Make a worker end with its parent, however that ends, and use one core."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it at once, without a traceback
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def make_faces(entries, settings, work, workers):
    """Make the faces of entries on several processes.

    Parameters
    ----------
    entries : sequence of Entry
    settings : Settings
    work : str
        The folder for shards.
    workers : int
        Processes. Each holds one picture and one shard's faces; this one holds a shard.

    Yields
    ------
    Result
        For each entry, in their order, whatever the number of workers.

    Raises
    ------
    Failure
        A worker was killed.
    """
    # Neither way forks this process, whose libraries may have threads.
    context = multiprocessing.get_context(
        "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn")
    waiting = collections.deque()
    with ProcessPoolExecutor(workers, context, _begin_worker) as pool, contextlib.ExitStack() as stack:
        stack.callback(lambda: [future.cancel() for future, _ in waiting])
        for begin in range(0, len(entries) + (2 * workers + 1) * CHUNK, CHUNK):
            if begin < len(entries):
                chunk = entries[begin:begin + CHUNK]
                waiting.append((pool.submit(make_shard, work, begin // CHUNK, chunk, settings), chunk))
            if waiting and (len(waiting) > 2 * workers or begin >= len(entries)):
                future, chunk = waiting.popleft()
                try:
                    results = read_shard(future.result())
                except BrokenProcessPool:
                    raise Failure(f"a worker process was killed at one of the images from {chunk[0].path} on, perhaps "
                                  "for want of memory: run it again, with fewer --num-workers") from None
                if results is None:
                    raise Failure(f"a file in {work} was changed meanwhile: run it again")
                yield from results
