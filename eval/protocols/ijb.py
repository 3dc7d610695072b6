"""The protocols of IJB-B and IJB-C, from templates to numbers: 1:1 verification and 1:N identification (Table 7).

What identification means differs between two protocols of the original, and both are given by name:
`eval.measures.identification` says how each reads its rates. Where the original's script would stop, a protocol gives a
reason instead of numbers.
"""
from typing import NamedTuple

import numpy as np

from eval.measures import identification, rates
from eval.protocols import ijb_files, ijb_templates

FARS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
FPIRS = (1e-2, 1e-1)
RANKS = (1, 5, 10)
TABLE7_FAR = 1e-4
CURVE_FARS = tuple(float(f"{rate:.6g}") for rate in np.logspace(-6, 0, 61))  # for Figure 9, ten a decade


class Switches(NamedTuple):
    """How an image counts in its template: the original's N, D and F.

    Attributes
    ----------
    keep_norms : bool
        N1. N0 normalises each image first. (The original's newer script `ijb_evals.py` names it the other way round.)
    detector_score : bool
        D1: multiplied by the detector's score.
    flip : bool
        F1: the mirror image's embedding is added.
    """

    keep_norms: bool = False
    detector_score: bool = False
    flip: bool = False

    @property
    def name(self):
        """Such as "N0D0F0", the paper's plain centre."""
        return f"N{self.keep_norms:d}D{self.detector_score:d}F{self.flip:d}"


def keyed(names, values):
    """Return a dict of rates or ranks to plain numbers, with the keys of the JSON."""
    return {f"{name:.0e}" if isinstance(name, float) else str(name): float(value)
            for name, value in zip(names, values)}


def verification(scores, issame, fars=FARS):
    """Return the numbers of 1:1 verification.

    Parameters
    ----------
    scores : float array, shape (P,)
    issame : bool array, shape (P,)
    fars : sequence of float

    Returns
    -------
    dict
        `tar` and `tar_strict` by FAR, `far`, the FAR of the point that `tar` was read at, `auc`, and `roc`: `far` and
        `tar` of the strict curve, for pictures. All are NaN, and `roc` is None, where the pairs are of one kind only.
    """
    issame = np.asarray(issame, bool)
    if issame.all() or not issame.any():
        nothing = keyed(fars, np.full(len(fars), np.nan))
        return {"tar": nothing, "tar_strict": nothing, "far": nothing, "auc": np.nan, "roc": None}
    curve = rates.roc(scores, issame)
    far, tar = rates.nearest_points(curve, fars)
    return {"tar": keyed(fars, tar), "tar_strict": keyed(fars, rates.tar_strict(scores, issame, fars)),
            "far": keyed(fars, far), "auc": rates.area(curve),
            "roc": {"far": list(CURVE_FARS), "tar": rates.tar_strict(scores, issame, CURVE_FARS).tolist()}}


def one_gallery(probes, gallery, probe_subjects, gallery_subjects, fpirs=FPIRS, ranks=RANKS, progress=None):
    """Return the numbers of the protocol with both galleries as one, or why the original's script would stop.

    Parameters
    ----------
    probes : float64 array, shape (P, D)
        Unit vectors.
    gallery : float64 array, shape (G, D)
        The templates of both galleries, each once, in ascending order of their numbers.
    probe_subjects, gallery_subjects : int arrays, shape (P,), (G,)

    Returns
    -------
    values : dict or None
        `rank` by k, `tpir` and `threshold` by FPIR, `probes` and `gallery`, their numbers.
    reason : str or None
    """
    mates = identification.mates_of(probe_subjects, gallery_subjects)
    odd = np.flatnonzero(mates != 1)
    if len(odd):
        return None, (f"{len(odd)} of {len(mates)} probes have no mate or several in the gallery, such as subject "
                      f"{probe_subjects[odd[0]]} with {mates[odd[0]]}: this protocol needs one for each probe")
    keep = identification.kept(len(probes), fpirs)
    if len(probes) * (len(gallery) - 1) < keep:
        return None, f"a FPIR of {max(fpirs)} takes {keep} scores of two subjects, and there are fewer"
    found = identification.search(probes, gallery, probe_subjects, gallery_subjects, "first", keep, progress=progress)
    tpir, thresholds = identification.tpir_of_all_scores(found, fpirs)
    return {"rank": keyed(ranks, identification.rank_rates(found, ranks)), "tpir": keyed(fpirs, tpir),
            "threshold": keyed(fpirs, thresholds), "probes": len(probes), "gallery": len(gallery)}, None


def _stops(mates, size, number):
    """Return why the original's script would stop at a gallery, or None."""
    if not mates.any():
        return f"no probe has a mate in gallery {number}"
    if mates.all():
        return f"every probe has a mate in gallery {number}, so that no probe can be a false positive"
    several = np.unique(mates[mates > 0])
    if len(several) > 1:
        return f"some probes have {several[0]} mate and others {several[-1]} in gallery {number}"
    if several[0] == size:
        return f"gallery {number} has no other subject than the probes'"
    return None


def mean_of_two(probes, galleries, probe_subjects, galleries_subjects, fpirs=FPIRS, ranks=RANKS, progress=None):
    """Return the numbers of the protocol with each gallery apart, or why the original's script would stop.

    Parameters
    ----------
    probes : float64 array, shape (P, D)
    galleries : pair of float64 arrays, shape (G, D)
        The templates of each gallery in ascending order of their numbers.
    probe_subjects : int array, shape (P,)
    galleries_subjects : pair of int arrays, shape (G,)

    Returns
    -------
    values : dict or None
        `rank` by k (hits of both galleries over all probes), `tpir` and `tpir_strict` by FPIR, means of the two
        galleries, and `galleries`: for each, `hits` by k, `mated`, `tpir`, `tpir_strict` and `threshold`.
    reason : str or None
    """
    parts = []
    for number, (gallery, subjects) in enumerate(zip(galleries, galleries_subjects), 1):
        reason = _stops(identification.mates_of(probe_subjects, subjects), len(gallery), number)
        if reason:
            return None, reason
        found = identification.search(probes, gallery, probe_subjects, subjects, "last", progress=progress)
        tpir, thresholds = identification.tpir_of_unmated(found, fpirs)
        strict, _ = identification.tpir_strict(found, fpirs)
        parts.append({"hits": {str(k): identification.hits(found, k) for k in ranks},
                      "mated": int(np.count_nonzero(found.mated)), "gallery": len(gallery),
                      "tpir": keyed(fpirs, tpir), "tpir_strict": keyed(fpirs, strict),
                      "threshold": keyed(fpirs, thresholds)})
    means = {name: {key: (parts[0][name][key] + parts[1][name][key]) / 2 for key in parts[0][name]}
             for name in ("tpir", "tpir_strict")}
    return {"rank": {str(k): sum(part["hits"][str(k)] for part in parts) / len(probes) for k in ranks}, **means,
            "probes": len(probes), "galleries": parts}, None


def identify(templates, embeddings, galleries, probes, fpirs=FPIRS, ranks=RANKS, progress=False):
    """Return the numbers of both protocols of 1:N identification.

    Parameters
    ----------
    templates : int64 array, shape (T,)
        Numbers of all templates, ascending.
    embeddings : float64 array, shape (T, D)
    galleries : pair of eval.protocols.ijb_files.Subjects
    probes : eval.protocols.ijb_files.Subjects
    fpirs, ranks : sequences
    progress : bool

    Returns
    -------
    values : dict
        `one_gallery` and `mean_of_two`: dict, or None where the original's script would stop.
    reasons : dict of str to str
        Why, for each that is None.
    """
    def of(subjects):
        return embeddings[ijb_files.places_of(subjects, templates)]
    both, first = np.unique(np.concatenate([one.templates for one in galleries]), return_index=True)
    names = np.concatenate([one.subjects for one in galleries])[first]
    searched = of(probes.templates)
    found = {
        "one_gallery": one_gallery(searched, of(both), probes.subjects, names, fpirs, ranks,
                                   "one gallery" if progress else None),
        "mean_of_two": mean_of_two(searched, [of(one.templates) for one in galleries], probes.subjects,
                                   [one.subjects for one in galleries], fpirs, ranks,
                                   "two galleries" if progress else None)}
    return ({name: values for name, (values, _) in found.items()},
            {name: reason for name, (_, reason) in found.items() if reason})


def evaluate(images, pairs, galleries, probes, plain, mirrored, switches, name="embeddings", progress=False):
    """Return all numbers of a target, from embeddings of its images.

    Parameters
    ----------
    images, pairs, galleries, probes
        As `eval.protocols.ijb_files` reads them.
    plain, mirrored, name, progress
        As for `eval.protocols.ijb_templates.embed_templates`.
    switches : Switches
        Of `flip`, the embeddings say themselves.

    Returns
    -------
    values : dict
        Those of `verification` and of `identify`.
    reasons : dict of str to str

    Raises
    ------
    Failure
        As `embed_templates`.
    """
    templates, embeddings = ijb_templates.embed_templates(
        images, plain, mirrored, switches.keep_norms, switches.detector_score, name, progress=progress)
    scores = ijb_templates.pair_scores(embeddings, pairs.first, pairs.second, progress=progress)
    values = verification(scores, pairs.issame)
    kinds = {} if 0 < np.count_nonzero(pairs.issame) < len(pairs.issame) else dict.fromkeys(
        ("tar", "tar_strict", "far", "auc", "roc"), "the pairs are all genuine or all impostors")
    del scores
    found, reasons = identify(templates, embeddings, galleries, probes, progress=progress)
    return {**values, **found}, {**kinds, **reasons}
