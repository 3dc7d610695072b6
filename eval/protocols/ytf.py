"""The protocol of YouTube Faces: videos compared by their templates, folds by the list of pairs (Table 4)."""
import numpy as np

from datasets.formats.image_lists import quoted
from eval.measures.pairs import auc, distances, kfold_accuracy
from runtime import Failure


def rows_of(splits, names, path):
    """Return the rows of the pairs' videos.

    Parameters
    ----------
    splits : eval.protocols.ytf_files.Splits
    names : sequence of str, length V
    path : str
        What messages call the file with these videos.

    Returns
    -------
    int64 array, shape (2, N)

    Raises
    ------
    Failure
        A video is there twice, or one of the list is missing.
    """
    rows = {name: row for row, name in enumerate(names)}
    if len(rows) < len(names):
        twice = next(name for row, name in enumerate(names) if rows[name] != row)
        raise Failure(f"{path} has the video {quoted(twice)} twice: give each video one name")
    missing = [name for name in splits.videos if name not in rows]
    if missing:
        raise Failure(f"{path} lacks {len(missing)} of the {len(splits.videos)} videos of {splits.path}, such as "
                      f"{quoted(missing[0])}: add them, or take the list that belongs to these videos")
    return np.array([[rows[name] for name in side] for side in (splits.first, splits.second)], np.int64)


def without(splits, missing):
    """Return a list without the pairs of some videos."""
    kept = [number for number, pair in enumerate(zip(splits.first, splits.second)) if not missing.intersection(pair)]
    return splits._replace(split=splits.split[kept], first=[splits.first[number] for number in kept],
                           second=[splits.second[number] for number in kept], issame=splits.issame[kept])


def check_folds(splits):
    """Raise Failure where pairs do not make two folds."""
    if len(np.unique(splits.split)) < 2:
        raise Failure(f"{splits.path}: the pairs that are left are of {len(np.unique(splits.split))} splits, and two "
                      "are needed")


def note_of(splits):
    """Return why the accuracy is not to be trusted: a fold that lacks a kind of pair; None where it is."""
    lacking = [f"split {fold} has no {kind} pairs" for fold in np.unique(splits.split).tolist()
               for kind, same in (("genuine", True), ("impostor", False))
               if not np.any(splits.issame[splits.split == fold] == same)]
    return "; ".join(lacking) or None


def evaluate(splits, templates, rows):
    """Verify pairs of videos.

    Parameters
    ----------
    splits : eval.protocols.ytf_files.Splits
    templates : array, shape (V, D)
    rows : int array, shape (2, N)
        From `rows_of`.

    Returns
    -------
    dict
        `accuracy` and `std` over the folds of the list, `accuracies` and `thresholds` (squared distances) of each,
        `false_negatives` and `false_positives` over all folds, `auc` (NaN where one kind of pair is missing), and
        `accuracy_by_lines`: the original's, whose folds are consecutive parts of the list. It is the same number
        where the list is in the order of its splits and these are of one size.
    """
    dist = distances(templates[rows[0]], templates[rows[1]])
    accuracies, thresholds = kfold_accuracy(dist, splits.issame, splits.split)
    by_lines = accuracies if splits.consecutive else \
        kfold_accuracy(dist, splits.issame, len(accuracies))[0]
    threshold = thresholds[np.unique(splits.split, return_inverse=True)[1]].astype(dist.dtype)
    same = dist < threshold
    return {"accuracy": float(accuracies.mean()), "std": float(accuracies.std()), "auc": auc(dist, splits.issame),
            "accuracies": accuracies.tolist(), "thresholds": thresholds.tolist(),
            "false_negatives": int(np.sum(~same & splits.issame)),
            "false_positives": int(np.sum(same & ~splits.issame)),
            "accuracy_by_lines": float(np.mean(by_lines))}
