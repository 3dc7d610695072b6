"""Which labels are classes, and what to say of a label that is none.

A class is a whole number from 0: class 3 of 10 is the fourth of 0, 1, …, 9. A label is the class of an image, or an
array that begins with the class.
"""
import numpy as np

from runtime import Failure

LARGEST = 1 << 24  # float32, in which a record keeps labels and counts, holds every whole number up to here


def is_class(labels, classes=None):
    """Tell which numbers are classes.

    Parameters
    ----------
    labels : float or array of any shape
    classes : int or None
        How many classes there are, such as 85742. None where that is not known: below 2^24 then.

    Returns
    -------
    bool or array of bool
        False for NaN and infinities too.
    """
    return (labels >= 0) & (labels < (classes or LARGEST)) & (labels == np.floor(labels))


def no_class(label, where, classes=None, known="the classes"):
    """Return what is wrong with a label that is not a class, as text without advice.

    An example is ``train.rec: image 3 has the label 10, which is not one of the classes 0 to 9``.

    Parameters
    ----------
    label : float
    where : str
        What has the label, such as ``train.rec: image 3``.
    classes : int or None
        As for `is_class`.
    known : str
        What classes are called here.
    """
    range_ = f"0 to {classes - 1}" if classes else "0, 1, 2, …"
    return f"{where} has the label {label:g}, which is not one of {known} {range_}"


def class_of(label, where, classes=None, known="the classes"):
    """Return the class that an image's label in a record is or begins with, an int.

    Parameters
    ----------
    label : float or array
        As a record has it.
    where, classes, known
        As for `no_class`.

    Raises
    ------
    Failure
        The label is not a class.
    """
    number = float(np.ravel(label)[0])
    if not is_class(number, classes):
        raise Failure(f"{no_class(number, where, classes, known)}; its `property` is wrong, or the record is damaged: "
                      "`python datasets/check.py` on it says which")
    return int(number)
