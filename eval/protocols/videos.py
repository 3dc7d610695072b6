"""Templates of videos with a network, kept in a store that a killed run resumes.

The network gets the frames of several videos in one stream, because most videos do not fill its last batch. A video's
template is computed as its frames are read (`eval.protocols.video_templates`): in memory are the embeddings of some
hundred frames, or of one video.
"""
import contextlib
import hashlib
import os
import sys

import cv2
import numpy as np
from tqdm import tqdm

from datasets.faces.reader import NotAligned
from datasets.formats.embeddings import Embeddings
from datasets.formats.image_lists import quoted
from datasets.formats.images import Unusable
from eval.measures.finite import check_finite
from eval.networks import store
from eval.networks.sources import Batch, Source
from eval.protocols.video_templates import of_frames
from runtime.locks import alone_with

FRAMES = 512  # of consecutive videos that are embedded together; a kill costs at most these, or one video


class Videos(Source):
    """Videos as a source of the store. The place of "images" in its batches take templates, float32 (n, D).

    Parameters
    ----------
    path : str
        What messages call the videos.
    names : list of str
    frames : list
        For each video the paths of its frames, or what else `read` takes.
    read : callable
        From an entry of `frames` to its pictures: an iterable of RGB uint8 (size, size, 3), None for a frame without
        a usable face. Raises Failure where the whole work has to end.
    embedder : eval.networks.embedder.Embedder
    kind : str
        What messages call such a source. It has to tell how faces were made.
    counts : list of int, optional
        About how many pictures each video has, where that is not the number of its entries.
    """

    unit, certain, none = "frame", False, "no video has a usable frame"

    def __init__(self, path, names, frames, read, embedder, kind="folder of videos", counts=None):
        super().__init__(path, embedder.image_shape[1])
        self.kind, self.names, self.people = kind, names, {}
        self.labels = np.arange(len(names))
        self._frames, self._read, self._embedder = frames, read, embedder
        self.counts = counts or [len(listed) for listed in frames]

    @property
    def digest(self):
        """Of the names, sizes and times of all frames."""
        digest = hashlib.sha256(f"{self.kind} {self.size} {FRAMES}\n".encode())
        for name, listed in zip(self.names, self._frames):
            digest.update(f"{name} {len(listed)}\n".encode("utf-8", "surrogateescape"))
            for path in listed:
                with contextlib.suppress(OSError):
                    status = os.stat(path)
                    digest.update(os.fsencode(os.path.basename(path))
                                  + f"\0{status.st_size} {status.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def _rows(self, start):
        raise NotImplementedError("videos come in batches")

    def _groups(self):
        """Return (first video, past the last) of those that are embedded together."""
        edges, held = [0], 0
        for video, count in enumerate(self.counts, 1):
            held += count
            if held >= FRAMES or video == len(self.counts):
                edges.append(video)
                held = 0
        return list(zip(edges, edges[1:]))

    def batches(self, start=0, batch=None, progress=False):
        """Yield `Batch`es of templates, for the same videos together wherever a run begins."""
        with tqdm(total=sum(self.counts), initial=sum(self.counts[:start]), desc=str(self.path), unit=self.unit,
                  leave=False, disable=None if progress else True) as bar:
            for first, past in self._groups():
                if past > start:
                    yield self._templates(max(first, start), past, bar)

    def _templates(self, first, past, bar):
        """Return the `Batch` of the videos from `first` up to `past`."""
        owners = []

        def pictures():
            for video in range(first, past):
                read = left_out = 0
                for read, picture in enumerate(self._read(self._frames[video]), 1):
                    if picture is None:
                        left_out += 1
                    else:
                        owners.append(video)
                        yield picture[None]
                    bar.update(read <= self.counts[video])
                bar.update(max(0, self.counts[video] - read))
                if left_out:
                    tqdm.write(f"{quoted(self.names[video])}: {left_out} of {read} frames show no usable "
                               "face and are left out", file=sys.stderr)
        found = self._embedder(pictures())
        check_finite(found, self.path)
        places = np.unique(np.array(owners, np.int64))
        rows = [of_frames(found[np.array(owners) == video]).astype(np.float32) for video in places]
        templates = np.stack(rows) if rows else np.empty((0, self._embedder.dimension), np.float32)
        return Batch(places, self.labels[places], templates, past)


def face_frames(reader, root):
    """Return a function that reads a list of pictures, for `Videos`; a picture without a usable face becomes None.

    Parameters
    ----------
    reader : datasets.faces.reader.Reader
    root : str
        The folder that the pictures have to be in.
    """
    def read(paths):
        for path in paths:
            try:
                yield reader(path, root)
            except NotAligned:  # all the others are as wrong
                raise
            except Unusable:
                yield None
    return read


def face_video(reader, every=1):
    """Return a function that reads one video file, for `Videos`; a frame without a usable face becomes None.

    Parameters
    ----------
    reader : datasets.faces.reader.Reader
    every : int
        Of so many frames, the first is used.
    """
    def read(paths):
        path, = paths
        video = cv2.VideoCapture(os.fspath(path))
        try:
            number = 0
            while video.grab():
                if number % every == 0:
                    whole, pixels = video.retrieve()
                    try:
                        yield reader.face(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)) if whole else None
                    except NotAligned as error:
                        raise NotAligned(f"{quoted(path)} {error}") from None
                    except Unusable:
                        yield None
                number += 1
        finally:
            video.release()
    return read


class _Templates:
    """What the store takes for a network: the templates are made already."""

    flip = False

    def __init__(self, network):
        self.prefix, self.epoch, self.fingerprint = network.prefix, network.epoch, network.fingerprint
        self.embedder, self.engine = network.embedder, network.embedder.engine

    def __call__(self, templates):
        return templates


def store_name(start, network, videos):
    """Return the name of a store of these videos' templates by this network, which is no other store's name.

    For example, `evaluations/ytf-0001` becomes `evaluations/ytf-0001-1f2e3d4c.npy`.
    """
    engine = network.embedder.engine
    named = hashlib.sha256(f"{network.fingerprint} {engine.name} {engine.rows} {videos.digest}".encode()).hexdigest()
    return f"{start}-{named[:8]}.npy"


def kept(path, network, videos, progress=False):
    """Return the templates of videos, computed as far as they are not in the store yet.

    Parameters
    ----------
    path : str
        `X.npy`, the store.
    network : eval.networks.trained.Trained
    videos : Videos
    progress : bool

    Returns
    -------
    names : list of str
        The videos that have a usable frame.
    templates : float32 array, shape (their number, D)

    Raises
    ------
    Failure
        As `eval.networks.store.write`; or another process writes the store.
    """
    with alone_with(path, "name another file with --output"):
        state = store.write(path, _Templates(network), videos, progress=progress)
    left_out = set(state.left_out)
    templates = np.concatenate([block for _, block in Embeddings(path).blocks()])
    return [name for place, name in enumerate(videos.names) if place not in left_out], templates
