"""What is wrong with a verification file: its images, its pairs and its folds."""
import numpy as np

from datasets.checking.images import CONSTANT, inspect
from datasets.formats import verification_file
from datasets.formats.folds import are_even, fold_counts, usable_folds
from datasets.formats.images import DECODER

ANEW = "make the file anew with `python datasets/pairs.py`"
MOST_NAMED = 12  # folds in one message


def fold_faults(issame, folds=10):
    """Return what keeps accuracy, TAR and FAR of consecutive folds from being comparable, as a list of texts.

    Parameters
    ----------
    issame : array of bool, shape (N,)
    folds : int
    """
    issame = np.asarray(issame, dtype=bool)
    if issame.all() or not issame.any():
        kind = "impostor" if issame.all() else "genuine"
        return [f"there are no {kind} pairs, so accuracy means nothing and there is no TAR at a FAR"]
    genuine, impostors = fold_counts(issame, folds)
    faults = []
    for kind, counts in (("genuine", genuine), ("impostor", impostors)):
        lacking = [str(fold + 1) for fold in np.flatnonzero(counts == 0)]
        if len(lacking) > MOST_NAMED:
            faults.append(f"{len(lacking)} of {folds} folds without {kind} pairs")
        elif lacking:
            faults.append(f"fold{'s' * (len(lacking) > 1)} {', '.join(lacking)} of {folds} without {kind} pairs")
    if not faults and (np.ptp(genuine) or np.ptp(impostors)):
        faults.append(f"its {folds} folds are not alike: {genuine.min()} to {genuine.max()} genuine and "
                      f"{impostors.min()} to {impostors.max()} impostor pairs")
    return faults


def check_verification_file(path, findings, workers=None, size=112, folds=10):
    """Check a verification file whole.

    Parameters
    ----------
    path : str or os.PathLike
    findings : datasets.checking.findings.Findings
        Gets what is wrong.
    workers : int or None
        Threads; by default one a core.
    size : int
        Height and width that images have to have.
    folds : int

    Returns
    -------
    str
        What the file holds.

    Raises
    ------
    runtime.Failure
        It cannot be read at all.
    """
    encoded, issame = verification_file.read(path)
    places, numbers = verification_file.distinct(encoded)
    found = inspect(lambda rows: (encoded[places[row]] for row in rows), len(places), workers, str(path))
    for row, problem in found.problems:
        findings.error("images", f"{path}: image {places[row]} {problem}: {ANEW}")
    for row, name in found.lacking:
        findings.warning(f"{name} pictures", f"{path}: image {places[row]} is a {name} picture, a format that "
                         f"{DECODER} lacks: the original cannot read it, and it is read here; {ANEW} for the original")
    for row in np.flatnonzero((found.sizes[:, 0] > 0) & np.any(found.sizes != size, axis=1)):
        height, width = found.sizes[row]
        findings.error("sizes", f"{path}: image {places[row]} is {width}×{height} where {size}×{size} is needed: "
                       f"{ANEW} --align from the photographs")
    for row, problem in found.damaged:
        findings.warning("damaged images", f"{path}: image {places[row]} is damaged ({problem}): {ANEW}")
    for row in np.flatnonzero((found.sizes[:, 0] > 0) & (found.spreads < CONSTANT)):
        findings.warning("blank images", f"{path}: image {places[row]} has nearly one colour (standard deviation "
                         f"{found.spreads[row]:.1f} of 255): look at its original")
    _check_pairs(path, findings, numbers.reshape(-1, 2), issame, found)
    _check_folds(path, findings, issame, folds)
    return (f"{path}: {len(issame)} pairs, {np.sum(issame)} genuine and {np.sum(~issame)} impostor, "
            f"of {len(places)} images")


def _check_folds(path, findings, issame, folds):
    """Find folds that are too few, or lack a kind of pair, or differ by more than their sizes make necessary."""
    fewer = f"verify with `python eval/verification.py --nfolds {usable_folds(issame, folds - 1) or 1}`"
    if len(issame) < folds:
        findings.warning("folds", f"{path}: {len(issame)} pairs do not make {folds} folds: take more pairs, or {fewer}")
        return
    counts = fold_counts(issame, folds)
    if not counts.any(axis=1).all():
        advice = "add pairs of that kind"
    elif counts.sum(axis=1).min() < folds:
        advice = f"add pairs of that kind, or {fewer}"
    elif counts.all() and are_even(issame, folds):
        return
    else:
        advice = ("keep the folds of the published pairs, or make the file anew with `python datasets/pairs.py`, which "
                  "deals the pairs of your own list over the folds")
    for fault in fold_faults(issame, folds):
        findings.warning("folds", f"{path}: {fault}: {advice}")


def _check_pairs(path, findings, pairs, issame, found):
    """Find pairs of an image with itself, and pairs that come twice. `pairs` (N, 2) has the rows of `found`."""
    alike = np.arange(len(found.sizes))  # of images with the same pixels, the row of the first
    for group in found.repeated():
        alike[group] = group[0]
    seen = {}
    for pair, (same, ends) in enumerate(zip(issame, np.sort(alike[pairs]).tolist())):
        ends = tuple(ends)
        kind = "genuine" if same else "impostor"
        if ends[0] == ends[1]:
            findings.warning("identical images", f"{path}: pair {pair} ({kind}) is one image twice: "
                             "take another image of the person, or leave the pair out")
        elif ends in seen:
            before = seen[ends]
            differs = "" if issame[before] == same else ", there as the opposite"
            findings.warning("repeated pairs", f"{path}: pair {pair} ({kind}) is pair {before} again{differs}: "
                             "leave one of them out")
        seen.setdefault(ends, pair)
