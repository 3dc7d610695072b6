"""Embeddings of the images of a labelled record."""
import numpy as np
from tqdm import tqdm

from datasets.formats import records
from datasets.formats.labels import class_of
from datasets.formats.verification_file import decode


def label_of(value, where, classes=None):
    """Return an image's identity from its label in a record, as `datasets.formats.labels.class_of` does."""
    return class_of(value, where, classes, known="its identities")


def embed_record(embedder, path, batch=256, progress=False):
    """Embed the images of a record, as single crops (Sec. 3.1).

    Parameters
    ----------
    embedder : eval.networks.embedder.Embedder
    path : str or os.PathLike
        A dataset's folder, or a record file.
    batch : int
        How many images are in memory at a time.
    progress : bool
        Whether to show progress on stderr, where that is a terminal.

    Yields
    ------
    embeddings : float32 array, shape (B, D)
        Not normalised.
    labels : int array, shape (B,)

    Raises
    ------
    Failure
        The record is missing or damaged, an image cannot be decoded, or a label is not one of its identities.
    """
    layout = records.read_layout(path)
    images, labels = [], []
    for key, label, image in tqdm(records.iterate(layout), total=len(layout.images), desc=str(path), unit="image",
                                  leave=False, disable=None if progress else True):
        labels.append(label_of(label, f"{layout.record}: image {key}", layout.classes))
        images.append(decode([image], embedder.image_shape[1], layout.record, key))
        if len(images) == batch:
            yield embedder(np.concatenate(images)), np.array(labels)
            images, labels = [], []
    if images:
        yield embedder(np.concatenate(images)), np.array(labels)
