"""The dataset of a run: found, checked against its table entry, or explained."""
import os

import numpy as np

from datasets.formats import records
from datasets.identities.selection import image_labels
from recognition.data.images import LARGE
from runtime import Failure


def check_dataset(config):
    """Check the dataset of a run.

    Returns
    -------
    int
        The number of classes, as the record's `property` has it.

    Raises
    ------
    runtime.Failure
        Saying where the dataset is looked for and how to get it, or what is wrong with its files.
    """
    path = config.dataset_path
    record = path if path.endswith(".rec") else os.path.join(path, "train.rec")
    if not os.path.exists(record):
        raise Failure(f"the dataset {config.dataset} is not there: {record} is missing; "
                      f"{config.how}, or name its folder with --dataset-path")
    layout = records.read_layout(record)
    about = os.path.join(os.path.dirname(record), "property")
    if layout.classes is None:
        raise Failure(f"{about} is missing: it is one line, classes,height,width, such as 85742,112,112; "
                      f"`python datasets/check.py --repair {record}` writes it")
    if (layout.height, layout.width) != (112, 112):
        raise Failure(f"{about} says {layout.height}×{layout.width}: the networks take 112×112")
    if config.num_classes not in (None, layout.classes):
        print(f"note: {path} has {layout.classes} identities, where {config.num_classes} were published; "
              "the file decides")
    warn_about_identities(layout)
    return layout.classes


def warn_about_identities(layout):
    """Print a warning where what the record holds teaches little: one identity, or classes without an image.

    Of a large file the identity records alone are read, where it has any.
    """
    found = _classes_with_images(layout)
    if not found:
        return
    if found == 1:
        print(f"warning: all images of {layout.record} are of one identity: nothing that tells people apart can be "
              "learnt from them; take a record of several identities", flush=True)
    elif found < layout.classes:
        print(f"warning: {layout.classes - found} of {layout.classes} classes of {layout.record} have no image: "
              "nothing is learnt of them, and their weights take memory and time; `python datasets/convert.py complete "
              f"{layout.record} OUT` renumbers the classes without gaps", flush=True)


def _classes_with_images(layout):
    """Return how many classes have an image, or None where that is not cheap to know, or the file is damaged."""
    try:
        if layout.size <= LARGE:
            labels = np.unique(image_labels(layout))
            return int(np.sum(labels < layout.classes))
        if len(layout.identities):
            ranges = records.read_identities(layout)
            return min(layout.classes, int(np.sum(ranges[:, 1] > ranges[:, 0])))
    except Failure:  # training says it, or does without what is damaged
        pass
    return None
