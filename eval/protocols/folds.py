"""Whether the folds of a verification set give an accuracy that can be trusted."""
from datasets.checking.pairs import fold_faults
from datasets.formats.folds import fold_counts, usable_folds


def distrust_of(issame, nfolds):
    """Return why the k-fold accuracy of a set is not to be trusted, and what to do, as text; None if it is.

    A fold that lacks a kind of pair is judged by a threshold that comes from another mixture of pairs.
    """
    counts = fold_counts(issame, nfolds)
    if counts.all():
        return None
    reason = f"the {nfolds}-fold accuracy is not to be trusted: {'; '.join(fold_faults(issame, nfolds))}."
    if not counts.any(axis=1).all():
        return f"{reason} Add pairs of that kind."
    few = counts.sum(axis=1).min() < nfolds
    build = "Add pairs of that kind" if few else \
        "Build the file again with `python datasets/pairs.py`, which deals the pairs over the folds"
    fewer = usable_folds(issame, nfolds - 1)
    return f"{reason} {build}{f', or verify with --nfolds {fewer}' if fewer else ', or go by the AUC'}."
