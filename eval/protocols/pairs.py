"""Verification of pairs of faces as the original does it, and the lines in which it reports."""
import math

import numpy as np
from easydict import EasyDict
from sklearn.preprocessing import normalize

from eval.measures.pairs import FAR, auc, distances, eer, kfold_accuracy, kfold_tar, unknown_rates
from eval.networks.embedder import summed
from eval.networks.sources import Encoded
from runtime import Failure


def _embed(embedder, images, flip, name, progress):
    """Return the embeddings of a set, (2N, D), and the mean norm of those of which they are the sums.

    Of encoded images, those that occur in several pairs go through the network once.
    """
    places = slice(None)
    if isinstance(images, (list, tuple)) and all(isinstance(image, bytes) for image in images):
        source = Encoded(images, name, embedder.image_shape[1])
        places = source.places
        # One image a batch: the next one is decoded while the network runs.
        images = (batch.images for batch in source.batches(batch=1, progress=progress))
    parts = embedder.both_flips(images) if flip else (embedder(images),)
    parts = [part[places] for part in parts]
    norms = [np.linalg.norm(part.astype(np.float64), axis=1) for part in parts]
    return summed(parts, name), float(np.mean(norms)) if len(parts[0]) else math.nan


def verify(embedder, images, issame, nfolds=10, flip=True, name="the set", progress=False):
    """Verify pairs of faces by the protocol of LFW, as the original does.

    Parameters
    ----------
    embedder : eval.networks.embedder.Embedder
    images : list of bytes, or uint8 array (2N, height, width, 3), or an iterable of batches of such
        Encoded images as `datasets.formats.verification_file.read` gives them, or RGB; 2i and 2i+1 are pair i.
    issame : array of bool, shape (N,)
    nfolds : int
        Folds are consecutive.
    flip : bool
        Whether an image's embedding is the sum of those of the image and its mirror image (the original), or that
        of the image alone (the paper).
    name : str
        What messages call the set.
    progress : bool
        Whether to show progress on stderr, where that is a terminal.

    Returns
    -------
    EasyDict
        ``xnorm``, the mean norm of the embeddings that the network gave, over both flips; ``accuracy`` and ``std``,
        mean and deviation over the folds; ``accuracies`` and ``thresholds`` (squared distances), one for each fold;
        ``tar``, ``tar_std`` and ``far`` at a FAR of 1e-3 on the other folds, NaN with the reason in ``no_tar`` and
        ``no_far`` where they cannot be computed; ``auc`` and ``eer``, NaN with the reason in ``no_auc``;
        ``distances`` (N,) and the normalised ``embeddings`` (2N, D) behind them; ``issame``; ``flip``.

    Raises
    ------
    Failure
        Fewer pairs than folds, a number of images that does not fit, embeddings that are not finite.
    """
    issame = np.asarray(issame, dtype=bool)
    if len(issame) < nfolds:
        raise Failure(f"{name}: {len(issame)} pairs do not make {nfolds} folds: take a file of at least {nfolds} "
                      "pairs, or leave the set out of --target")
    embeddings, xnorm = _embed(embedder, images, flip, name, progress)
    if len(embeddings) != 2 * len(issame):
        raise Failure(f"{name}: {len(embeddings)} images, where {len(issame)} pairs need {2 * len(issame)}")
    dist = distances(embeddings[0::2], embeddings[1::2])
    accuracies, thresholds = kfold_accuracy(dist, issame, nfolds)
    tar, tar_std, far = kfold_tar(dist, issame, FAR, nfolds)
    no_tar, no_far = unknown_rates(issame, nfolds)
    return EasyDict(xnorm=xnorm, accuracy=float(accuracies.mean()), std=float(accuracies.std()),
                    accuracies=accuracies, thresholds=thresholds, tar=tar, tar_std=tar_std, far=far, no_tar=no_tar,
                    no_far=no_far, auc=auc(dist, issame), eer=eer(dist, issame), no_auc=_no_auc(issame),
                    distances=dist, issame=issame, embeddings=normalize(embeddings), flip=flip)


def format_lines(name, step, result):
    """Return a result as the original's lines, which other tools parse.

    Parameters
    ----------
    name : str
        The set, such as lfw.
    step : int or None
        The step of training, or None for the command's lines: those begin ``[lfw]`` in place of ``[lfw][2000]``,
        have an ``Accuracy`` (that of the single crop; 0 where it was not asked for, as in the original) before
        ``Accuracy-Flip``, and end with a line on TAR that the original does not have.
    result : EasyDict
        From `verify`.

    Returns
    -------
    list of str
    """
    head = f"[{name}]" if step is None else f"[{name}][{step}]"
    accuracy = f"{result.accuracy:1.5f}+-{result.std:1.5f}"
    lines = [f"{head}XNorm: {result.xnorm:f}"]
    if not result.flip:
        lines.append(f"{head}Accuracy: {accuracy}")
    else:
        lines += [f"{head}Accuracy: 0.00000+-0.00000"] * (step is None) + [f"{head}Accuracy-Flip: {accuracy}"]
    return lines + [f"{head}TAR@FAR=1e-3: {_tar(result)}"] * (step is None)


def format_auc(name, result):
    """Return the line on the area under the ROC curve, which the original does not have.

    It reads ``[lfw]AUC: 0.99930``, or says why there is no AUC.
    """
    return f"[{name}]AUC: " + (f"cannot be computed: {result.no_auc}" if result.no_auc else f"{result.auc:1.5f}")


def _no_auc(issame):
    """Return why a set has no AUC as text; empty if it has one."""
    return next((f"the set has no {kind} pairs" for kind, pairs in (("genuine", issame), ("impostor", ~issame))
                 if not pairs.any()), "")


def _tar(result):
    """Return TAR and the FAR that came with it as text, or why they cannot be computed."""
    if result.no_tar:
        return f"cannot be computed: {result.no_tar}"
    return f"{result.tar:1.5f}+-{result.tar_std:1.5f} (FAR " + \
        (f"cannot be computed: {result.no_far})" if result.no_far else f"{result.far:1.5f})")
