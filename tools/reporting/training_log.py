"""What the lines of `recognition/train.py` say about the course of a run."""
import re
from typing import NamedTuple

from datasets.formats import text

NUMBER = r"([-+]?(?:[0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?|nan|inf))"
STEP = re.compile(rf"step ([0-9]{{1,12}})(?: of [0-9]+)?: loss {NUMBER}, {NUMBER} images/s")
LINE = re.compile(rf"Epoch\[[0-9]+\] Batch ?\[.*\bacc={NUMBER}")
VERIFIED = re.compile(rf"\[([^\]]{{1,200}})\]\[([0-9]{{1,12}})\]Accuracy(?:-Flip)?: {NUMBER}\+-{NUMBER}")
RATE = re.compile(rf"lr change to {NUMBER}")


class Course(NamedTuple):
    """The course of a run.

    Attributes
    ----------
    loss, speed : dict of int to float
        By step: the loss, and images a second.
    accuracy : dict of int to float
        By step: the accuracy of the margin logits, the original's `acc`.
    verified : dict of str to dict of int to (float, float)
        By set and step: accuracy and its deviation over the folds.
    rates : dict of int to float
        The learning rate from a step on.
    """

    loss: dict
    speed: dict
    accuracy: dict
    verified: dict
    rates: dict


def read(path):
    """Return the course of a run from its log.

    Other lines are passed over. A resumed run says some steps again: the last line of a step counts.

    Parameters
    ----------
    path : str
        The lines of `recognition/train.py`, such as ``step 200 of 1000: loss 12.3456, 80.1 images/s, 0:10:00 left``.

    Returns
    -------
    Course

    Raises
    ------
    runtime.Failure
        The file is missing, or it is no text.
    """
    course, acc = Course({}, {}, {}, {}, {}), None
    for _, line in text.lines(path, missing="--log takes the lines of recognition/train.py"):
        step, own, verified, rate = (form.match(line) for form in (STEP, LINE, VERIFIED, RATE))
        if own:
            acc = float(own.group(1))
        elif step:
            at = int(step.group(1))
            course.loss[at], course.speed[at] = float(step.group(2)), float(step.group(3))
            if acc is not None:  # the original's line stands before that of the same step
                course.accuracy[at], acc = acc, None
        elif verified:
            name, at, *values = verified.groups()
            course.verified.setdefault(name, {})[int(at)] = tuple(map(float, values))
        elif rate:
            course.rates[max(course.loss, default=0)] = float(rate.group(1))
    return course
