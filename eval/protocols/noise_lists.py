"""The refined MegaFace protocol: two lists of wrong images, and what takes the place of their features.

Every feature gets one more number. It is 0 for clean images. A noisy distractor gets 100, which puts it far from all
probes by Euclidean distance. A noisy probe's feature becomes the sum of its person's clean features, plus a little
noise, normalised. So files of 2,064 bytes become files of 2,068.
"""
import os
import sys
from typing import NamedTuple

import numpy as np

from datasets.formats import text
from runtime import Failure, shown

FAR_AWAY = 100.0
SPREAD = 0.001


class Noise(NamedTuple):
    """A noise list.

    Attributes
    ----------
    path : str
    names : set of str
    """

    path: str
    names: set


def read(path, distractors):
    """Read a noise list.

    Parameters
    ----------
    path : str
        Text with a name a line; lines that begin with # are comments.
    distractors : bool
        Whether a line with tabs has its name in the second column, and a name is the last three parts of a path.
        In FaceScrub's list a name is the image's file name. Names are compared as they stand, with their endings, as
        the original does.

    Raises
    ------
    Failure
        The file is missing or no text.
    """
    names = set()
    for _, line in text.lines(path, missing="the refined protocol needs it; get it with the feature lists"):
        if line.startswith("#"):
            continue
        fields = line.strip().split("\t")
        names.add(fields[1].strip() if distractors and len(fields) > 1 else line.strip())
    return Noise(os.fspath(path), names)


def matched(noise, names, what):
    """Return which of the images a noise list names, and say so on stdout; say on stderr where it names none.

    Parameters
    ----------
    noise : Noise
    names : list of str
        As they stand in the list.
    what : str
        Such as "distractors".

    Returns
    -------
    bool array, shape (N,)
    """
    found = np.array([name in noise.names for name in names], bool)
    hits = len({name for name in names if name in noise.names})
    print(f"[megaface]noise list {shown(noise.path)}: {hits} of its {len(noise.names)} names match {what}", flush=True)
    if not hits:
        example, own = next(iter(sorted(noise.names)), None), names[0] if names else None
        hint = f": it has names such as {shown(example)}, and {what} are called {shown(own)}" if example and own else ""
        endings = [os.path.splitext(name)[1] for name in (example or "", own or "")]
        if hint and endings[0] != endings[1]:
            hint += f"; the endings {shown(endings[0])} and {shown(endings[1])} differ"
        print(f"note: no name of {shown(noise.path)} matches {what}{hint}. These results do not follow the "
              "refined protocol", file=sys.stderr, flush=True)
    return found


def probes(features, folders, noisy, seed=0):
    """Return the refined features of probes.

    Parameters
    ----------
    features : float32 array, shape (N, D)
        In the order of FaceScrub's list; an image listed twice counts twice, as in the original.
    folders : list of str
        The person of each.
    noisy : bool array, shape (N,)
    seed : int
        Of NumPy's old generator, which the original draws from without a seed.

    Returns
    -------
    float32 array, shape (N, D + 1)

    Raises
    ------
    Failure
        All images of a person are noisy, so that nothing can take their place.
    """
    made = np.zeros((len(features), features.shape[1] + 1), np.float32)
    made[~noisy, :-1] = features[~noisy]
    sums, random = {}, np.random.RandomState(seed)
    for row in np.flatnonzero(~noisy):
        sums[folders[row]] = sums[folders[row]] + made[row] if folders[row] in sums else made[row].copy()
    lost = sorted({folders[row] for row in np.flatnonzero(noisy)} - set(sums))
    if lost:
        more = f", and of {len(lost) - 1} more" if lost[1:] else ""
        raise Failure(f"all images of {shown(lost[0])}{more} are on the noise list: the refined protocol replaces them "
                      "by the person's clean images, and there are none; take the person off the list of probes, or "
                      "check the noise list")
    for row in np.flatnonzero(noisy):
        noise = np.zeros(made.shape[1], np.float32)
        noise[:-1] = random.uniform(-SPREAD, SPREAD, features.shape[1])
        total = sums[folders[row]] + noise
        made[row] = total / np.linalg.norm(total)
    return made


def distractor_numbers(noisy):
    """Return the further number of each distractor: float32, shape (N,)."""
    return np.where(noisy, np.float32(FAR_AWAY), np.float32(0))
