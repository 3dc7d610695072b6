"""Results of a verification by subgroup: pairs of people, or of images, that share an attribute."""
import re

import numpy as np

from datasets.formats import text
from datasets.formats.image_lists import quoted
from eval.measures.uncertainty import accuracy_interval
from runtime import Failure

MOST = 50  # attributes; more are no groups
BOTH = " / "  # between the two attributes of a group
FORM = "`identity,attribute` or `image,attribute` in the first line, then a number and an attribute a line"


def read_attributes(path, identities):
    """Read a file of attributes for the images of a verification file.

    The first line says what the numbers are: `image,attribute` or `identity,attribute`. Without such a line they are
    those of images. Images are numbered from 0 to 2N−1 in the order of the file: pair i has the images 2i and 2i+1.
    Identities are numbered by their first image (`datasets.formats.verification_file.identities`). An example of a line
    is ``12,over 60``.

    Parameters
    ----------
    path : str
    identities : int array, shape (2N,)
        The identity of each image.

    Returns
    -------
    list of (str or None), length 2N
        The attribute of each image; None where the file has none for it.

    Raises
    ------
    Failure
        The file is missing, has another form, a number that is none of the images or identities, two attributes for
        one number, an attribute with " / " in it, or more than 50 attributes.
    """
    by, found, first = "image", {}, True
    for number, line in text.lines(path, strict=True, missing=f"--attributes takes lines of {FORM}"):
        if not line.strip():
            continue
        name, comma, attribute = (part.strip() for part in line.partition(","))
        if first and name.lower() in ("image", "identity") and attribute.lower() == "attribute":
            by, first = name.lower(), False
            continue
        first = False
        count = len(identities) if by == "image" else int(np.max(identities, initial=-1)) + 1
        if not comma or not attribute or not re.fullmatch("[0-9]{1,9}", name):
            raise Failure(f"{quoted(str(path))}: line {number} reads {quoted(line[:60])}, where {FORM} is expected; "
                          f"for a verification file an {by} is a number")
        if BOTH in attribute:
            raise Failure(f"{quoted(str(path))}: line {number} has an attribute with '{BOTH}', which divides the two "
                          "attributes of a pair in the results: write it otherwise, such as a/b")
        if int(name) >= count:
            raise Failure(f"{quoted(str(path))}: line {number} names {by} {name}, where the verification file has "
                          f"those from 0 to {count - 1}")
        if found.setdefault(int(name), attribute) != attribute:
            raise Failure(f"{quoted(str(path))}: line {number} gives {by} {name} a second attribute: leave one out")
        if len(set(found.values())) > MOST:
            raise Failure(f"{quoted(str(path))} has more than {MOST} different attributes, which are no groups: put "
                          "them into classes, such as bands of ages")
    if not found:
        raise Failure(f"{quoted(str(path))} has no attributes: {FORM} is expected")
    return [found.get(one) for one in (range(len(identities)) if by == "image" else np.asarray(identities).tolist())]


def groups_of(attributes):
    """Return the pairs of each subgroup: those of two images of one attribute, and those of two different ones.

    Parameters
    ----------
    attributes : list of (str or None), length 2N

    Returns
    -------
    dict of str to int array
        Numbers of pairs. A group of two attributes is called ``"a / b"``. One attribute comes before two, in
        alphabetical order; pairs with an image without an attribute are in no group.
    """
    found = {}
    for pair, ends in enumerate(zip(attributes[0::2], attributes[1::2])):
        if None not in ends:
            found.setdefault(tuple(sorted(set(ends))), []).append(pair)
    return {BOTH.join(group): np.array(found[group])
            for group in sorted(found, key=lambda group: (len(group), group))}


def of_groups(groups, right, issame, ends):
    """Return what verification gives for each subgroup, at the thresholds of the whole set's folds.

    Parameters
    ----------
    groups : dict of str to int array
        From `groups_of`.
    right, issame : arrays of bool, shape (N,)
        Which pairs are judged rightly (`eval.measures.pairs.judged_right`), and which are genuine.
    ends : int array, shape (N, 2)
        The identities of each pair's images.

    Returns
    -------
    dict of str to dict
        `pairs`, `genuine`, `impostors`; `accuracy`, the share of the pairs that is judged rightly; `interval` ([low,
        high], 95 %, or None with a `reason`), with its `unit` and `method` (`eval.measures.uncertainty.Interval`);
        `tar` and `far`, the shares of genuine and impostor pairs that are called the same, None without such pairs.
    """
    found = {}
    for name, pairs in groups.items():
        own, same = right[pairs], issame[pairs]
        interval = accuracy_interval(own, ends=ends[pairs])
        found[name] = {
            "pairs": len(pairs), "genuine": int(same.sum()), "impostors": int((~same).sum()),
            "accuracy": float(own.mean()), **as_entries(interval),
            "tar": float(own[same].mean()) if same.any() else None,
            "far": float((~own[~same]).mean()) if not same.all() else None}
    return found


def as_entries(interval):
    """Return an interval as entries of a result: `interval`, `unit` and `method`, and `reason` where there is none."""
    both = None if interval.low is None else [interval.low, interval.high]
    return {"interval": both, "unit": interval.unit, "method": interval.method,
            **({"reason": interval.reason} if both is None else {})}
