"""The pictures of IJB-B and IJB-C as a source of aligned faces: `loose_crop/`, aligned by the list's five points."""
import hashlib
import os

import numpy as np

from datasets.faces.align import align
from datasets.formats import images
from datasets.formats.image_lists import quoted
from eval.networks.sources import Source
from runtime import Failure, shown


class LooseCrops(Source):
    """The images of a target, one a row of the list. Labels are the numbers of the templates.

    Parameters
    ----------
    paths : eval.protocols.ijb_files.Layout
    listed : eval.protocols.ijb_files.Images
    size : int

    Raises
    ------
    Failure
        The folder of pictures is missing. While reading: a picture is missing or cannot be aligned. Rows are joined by
        their number, so none can be left out.
    """

    kind = "IJB images"

    def __init__(self, paths, listed, size=112):
        super().__init__(paths.crops, size)
        if not os.path.isdir(paths.crops):
            raise Failure(f"{shown(paths.crops)} is missing: --root has to hold the pictures in loose_crop/; or give "
                          "--embeddings")
        self.names, self._points, self._list = listed.names, listed.points, paths.images
        self.labels, self.people = listed.templates, {}

    @property
    def digest(self):
        """The list's names and points, and each picture's size and time.

        Raises
        ------
        Failure
            A picture is missing. That is said before hours of embedding, and not in their middle.
        """
        digest, facts = hashlib.sha256(f"{self.size}\n".encode()), {}
        for name in self.names:
            if name not in facts:
                try:
                    status = os.stat(os.path.join(self.path, name))
                    facts[name] = status.st_size, status.st_mtime_ns
                except (OSError, ValueError):
                    place = self.names.index(name)
                    raise Failure(f"{quoted(os.path.join(self.path, name))} is missing; row {place + 1} of "
                                  f"{shown(self._list)} names it") from None
            digest.update(os.fsencode(name) + f"\0{facts[name]}\n".encode())
        digest.update(np.ascontiguousarray(self._points, "<f8").tobytes())
        return digest.hexdigest()

    def _rows(self, start):
        for place in range(start, len(self.names)):
            path = os.path.join(self.path, self.names[place])
            try:
                pixels = images.decode(images.read(path, self.path), images.PHOTOGRAPH)
                face = align(pixels, self._points[place], self.size)
            except images.Unusable as error:
                raise Failure(f"{quoted(path)} {error}; row {place + 1} of {shown(self._list)} names it") from None
            yield self.labels[place].item(), face
