"""The protocol of iQIYI-VID: test clips ranked for each training identity, MAP of the first 100 (Table 9)."""
import hashlib

import numpy as np

from datasets.formats.image_lists import quoted
from eval.measures import retrieval
from eval.protocols.video_templates import normalised
from runtime import Failure


def is_test(name, train, test):
    """Whether a clip is ranked: a clip of the test's ground truth, or one that is not for training or validation.

    Clips of nobody, which are in no ground truth, are ranked, too.

    Parameters
    ----------
    name : str
    train, test : set of str
        Clips of the two ground truths.
    """
    return name in test or (name not in train and "_TRAIN_" not in name and "_VAL_" not in name)


def clips_of(truth):
    """Return the set of all clips of a ground truth."""
    return {name for names in truth.values() for name in names}


def training_rows(train, names):
    """Return the rows of training clips, and whose they are.

    Parameters
    ----------
    train : dict of int to list of str
    names : sequence of str
        A row's clip. A clip may have several rows, and several identities.

    Returns
    -------
    rows, owners : int64 arrays
        `owners` are places in the order of `train`.
    """
    places = {}
    for row, name in enumerate(names):
        places.setdefault(name, []).append(row)
    pairs = [(row, owner) for owner, clips in enumerate(train.values()) for name in clips
             for row in places.get(name, ())]
    return tuple(np.array(pairs, np.int64).reshape(-1, 2).T)


def centres(templates, rows, owners, identities):
    """Return the centre of each identity, the normalised mean of its clips' templates.

    Returns
    -------
    float64 array, shape (identities, D)
        Zero for an identity without clips.
    """
    sums = np.zeros((identities, templates.shape[1]))
    for row, owner in zip(rows.tolist(), owners.tolist()):
        sums[owner] += templates[row]
    return normalised(sums)[0]


class Cosines:
    """Cosines of queries with templates, as `eval.measures.retrieval.rank` takes them.

    Equal templates get equal scores: a matrix product may differ in the last bit between two equal columns, and the
    names would not decide then. Products with templates that occur several times are computed once and kept.

    Parameters
    ----------
    queries : array, shape (Q, D)
    templates : array, shape (N, D)
    rows : int array, shape (n,)
        The rows of `templates` that are ranked.
    """

    def __init__(self, queries, templates, rows):
        self._queries, self._templates, self._rows = queries, templates, rows
        hashed = {}
        for place, row in enumerate(rows.tolist()):
            hashed.setdefault(hashlib.sha256(templates[row].tobytes()).digest(), []).append(place)
        shared = [places for places in hashed.values() if len(places) > 1]
        self._group = np.full(len(rows), -1, np.int64)
        for group, places in enumerate(shared):
            self._group[places] = group
        self._products = queries @ templates[rows[[places[0] for places in shared]]].T if shared else None

    def __call__(self, places):
        """Return the scores (Q, n) of some of the rows."""
        scores = self._queries @ self._templates[self._rows[places]].T
        groups = self._group[places]
        shared = groups >= 0
        if shared.any():
            scores[:, shared] = self._products[:, groups[shared]]
        return scores


def rank(identities, names, score, usable=None, progress=False):
    """Rank clips for each identity.

    Parameters
    ----------
    identities : sequence of int, length Q
    names : sequence of str, length n
    score : callable
        From places (m,) to scores (Q, m).
    usable : bool array, shape (Q,), optional
        Identities without a training clip are not ranked.

    Returns
    -------
    dict of int to list of str
    """
    found = retrieval.rank(np.array(names, dtype=str), score, len(identities), progress=progress)
    return {identity: clips for place, (identity, clips) in enumerate(zip(identities, found))
            if usable is None or usable[place]}


def check_names(names, train, test, path):
    """Raise Failure where no clip of the one or the other ground truth is among the names."""
    there = set(names)
    for truth, kind in ((train, "training"), (test, "test")):
        clips = clips_of(truth)
        if not clips & there:
            example = f"; it has {quoted(str(names[0]))}" if len(names) else ""
            raise Failure(f"{path} has none of the {len(clips)} {kind} clips of the ground truth{example}: names have "
                          "to be equal, with their extension")
