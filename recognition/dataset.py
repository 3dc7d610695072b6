"""The dataset of a run: found, checked against its table entry, or explained."""
import os

from datasets import records
from runtime import Failure


def check_dataset(config):
    """Check the dataset of a run, and settle `num_classes` in its configuration.

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
    config.num_classes = layout.classes
