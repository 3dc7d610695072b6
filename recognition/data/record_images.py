"""Look at the images of a record before training: their format and their size, from their headers alone.

MXNet's iterator takes the middle of an image that is larger than training's, and enlarges a smaller one, without a
word. It fails at an image of a format that its decoder lacks, which can be hours after the start.
"""
import numpy as np

from datasets.formats import images
from datasets.formats.records import read_record, unpack
from runtime import Failure

SAMPLE = 1000  # images of a large record that are looked at: 2 s where each takes a disk 2 ms


def check_images(layout, size=None, says="`property` says", sample=None):
    """Fail unless MXNet can decode the images of a record and all have one size.

    Parameters
    ----------
    layout : datasets.formats.records.Layout
    size : (int, int) or None
        Height and width in pixels, as training's iterator has to see them. None takes the size of the first image.
    says : str
        Who says so, for the message: "`property` says" or "training takes".
    sample : int or None
        How many images to look at, spread over the file; None looks at all.

    Raises
    ------
    Failure
        An image is of another size or of a format that MXNet's decoder lacks, or it is no image. The message names
        its record.
    """
    keys = np.asarray(layout.images)
    offsets = layout.offsets_of(keys)
    with open(layout.record, "rb") as file:
        for row in _spread(len(keys), sample):
            key, offset = int(keys[row]), int(offsets[row])
            image = unpack(layout.record, offset, read_record(file, layout.record, offset, layout.size)[0])[1]
            found = _size(layout.record, f"record {key} at byte {offset}", image)
            if size is None:
                size, says = found, f"record {key} is"
            if found != tuple(size):
                raise Failure(f"{layout.record}: the image of record {key} at byte {offset} is {found[1]}×{found[0]}, "
                              f"where {says} {size[1]}×{size[0]}: make the record anew at one size with "
                              f"datasets/folder.py --align; `python datasets/check.py {layout.record}` lists all such")


def _size(record, name, image):
    """Return an image's (height, width) in training."""
    if not image:
        raise Failure(f"{record}: {name} is not an image: it is empty; `python datasets/check.py {record}` lists all "
                      "like it; get the file again")
    lacking = images.lacking(image)
    if lacking:
        raise Failure(f"{record}: an image cannot be decoded: {name} is a {lacking} picture, which {images.DECODER} "
                      f"lacks; `python datasets/convert.py complete {record} OUT` writes such pictures as PNG, and "
                      f"`python datasets/check.py {record}` lists them")
    try:
        return images.size_in_training(image)
    except images.Unusable as unusable:
        raise Failure(f"{record}: an image cannot be decoded: {name} {unusable}; `python datasets/check.py {record}` "
                      "lists all like it; get the file again") from None


def _spread(count, sample):
    """Return ascending rows of `count`: all, or one from each of `sample` equal runs.

    The place within a run is drawn, the same each time: with a fixed step, each second image could be passed over.
    """
    if sample is None or sample >= count:
        return range(count)
    edges = np.arange(sample + 1) * count // sample
    return np.random.RandomState(0).randint(edges[:-1], edges[1:]).tolist()
