"""From embeddings of images to those of templates, and the scores of pairs of templates: IJB-B and IJB-C.

An image's embedding counts as the switches say: the embedding of its mirror image is added to it (*F*), it is
normalised unless its norm is kept (*N*), and it is multiplied by the detector's score (*D*). A media is the mean of its
images, a template the *sum* of its medias, normalised. The paper's plain centre of single crops (Table 7) is N0D0F0:
no norms, no detector score, no mirror image.

Results equal those of the original's scripts to the last bit, whatever the size of a block: images and medias are
float32 and are added in order, templates and scores are float64. So templates of the same images have equal scores, and
FARs of equal scores are those of the original.
"""
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.preprocessing import normalize
from tqdm import tqdm

from runtime import Failure, cores, shown

ROWS = 8192  # images in memory: 16 MB at 512-D, and a template has to fit
PAIRS = 256  # pairs multiplied at a time: 2 MB in float64 at 512-D, so that they stay in the processor's cache
SHARE = 1 << 18  # pairs that a thread takes at a time


def _images(rows, plain, mirrored, scores, keep_norms, name):
    """Return the embeddings of images as they count, float32."""
    def refuse(wrong, what):
        if wrong.any():
            raise Failure(f"{shown(name)}: row {rows[np.argmax(wrong)] + 1} {what}")
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused
        found = np.asarray(plain[rows], np.float32)
        if mirrored is not None:
            found = found + np.asarray(mirrored[rows], np.float32)
        added = " once its mirror image is added" * (mirrored is not None)
        refuse(~np.isfinite(found).all(axis=1), f"is not finite{added}: embed that image again; a network whose "
               "training diverged gives such numbers")
        if not keep_norms:
            norms = np.sqrt(np.sum(found ** 2, -1, keepdims=True))
            refuse(norms[:, 0] == 0, "is zero and cannot be normalised: embed that image again, or give --keep-norms")
            refuse(np.isinf(norms[:, 0]), "is too large to be normalised in float32: embed that image again")
            found = found / norms
        return found if scores is None else found * scores[rows][:, None]


def _sums(starts, embeddings):
    """Return the sums of consecutive rows, added in order in float32; `starts` (K + 1,) are the bounds of the sums."""
    count = starts[-1]
    # SciPy adds the rows one after the other. reduceat would add them in another order and far more slowly.
    chosen = csr_matrix((np.ones(count, np.float32), np.arange(count), starts), shape=(len(starts) - 1, count))
    return chosen @ embeddings


def embed_templates(images, plain, mirrored=None, keep_norms=False, detector_score=False, name="embeddings",
                    rows=ROWS, progress=False):
    """Return the embeddings of all templates.

    Every row is read once, in the order of the templates, which is the order of the rows in the published files. So
    `plain` and `mirrored` may be memory-mapped files larger than the memory.

    Parameters
    ----------
    images : eval.protocols.ijb_files.Images
    plain : array, shape (N, D)
        An embedding for each image, not normalised.
    mirrored : array, shape (N, D), optional
        Those of the mirror images, to be added.
    keep_norms, detector_score : bool
        The switches N and D.
    name : str
        What messages call the embeddings.
    rows : int
        Images read at a time; more where one template has more.
    progress : bool
        Whether to show progress on stderr, where that is a terminal.

    Returns
    -------
    templates : int64 array, shape (T,)
        Their numbers, ascending.
    embeddings : float64 array, shape (T, D)
        Unit vectors. A template whose medias cancel out stays zero.

    Raises
    ------
    Failure
        An embedding is not finite, is zero or too large and has to be normalised, or a template's sum overflows.
    """
    order = np.lexsort((images.medias, images.templates))  # stable: images of a media stay in the file's order
    templates, medias = images.templates[order], images.medias[order]
    new_template = np.append(True, templates[1:] != templates[:-1])
    new_media = new_template | np.append(True, medias[1:] != medias[:-1])
    starts = np.append(np.flatnonzero(new_template), len(order))
    media_starts = np.append(np.flatnonzero(new_media), len(order))
    scores = images.scores if detector_score else None
    sums, begin = np.zeros((len(starts) - 1, plain.shape[1])), 0
    with tqdm(total=len(order), desc="templates", unit="image", leave=False, disable=None if progress else True) as bar:
        while begin < len(starts) - 1:
            # As many whole templates as fit, and at least one.
            end = max(begin + 1, int(np.searchsorted(starts, starts[begin] + rows, side="right")) - 1)
            first, last = starts[begin], starts[end]
            found = _images(order[first:last], plain, mirrored, scores, keep_norms, name)
            bounds = media_starts[np.searchsorted(media_starts, first):np.searchsorted(media_starts, last) + 1]
            means = _sums(bounds - first, found) / np.diff(bounds)[:, None].astype(np.float32)
            sums[begin:end] = _sums(np.searchsorted(bounds, starts[begin:end + 1]), means)
            if not np.isfinite(sums[begin:end]).all():
                lost = templates[starts[begin + np.argmin(np.isfinite(sums[begin:end]).all(axis=1))]]
                raise Failure(f"{shown(name)}: the sum over the images of template {lost} is too large for float32: "
                              "leave out --keep-norms, or embed its images again")
            bar.update(last - first)
            begin = end
    return templates[new_template], normalize(sums, copy=False)


def pair_scores(templates, first, second, threads=None, progress=False):
    """Return the inner products of pairs of templates: float64 array, shape (P,).

    Parameters
    ----------
    templates : float64 array, shape (T, D)
    first, second : int arrays, shape (P,)
        Places of templates.
    threads : int, optional
        By default one for each processor.
    progress : bool
        Whether to show progress on stderr, where that is a terminal.
    """
    templates, scores = np.ascontiguousarray(templates), np.empty(len(first))

    def share(begin):
        stop = min(begin + SHARE, len(first))
        # Neighbours that share a template find it in the processor's cache: a file goes by its first template.
        order = np.argsort(second[begin:stop], kind="stable")
        ones, others, found = first[begin:stop][order], second[begin:stop][order], np.empty(stop - begin)
        left, right = np.empty((2, PAIRS, templates.shape[1]))
        for low in range(0, len(found), PAIRS):
            high = min(low + PAIRS, len(found))
            one, other = left[:high - low], right[:high - low]
            np.take(templates, ones[low:high], axis=0, out=one, mode="clip")
            np.take(templates, others[low:high], axis=0, out=other, mode="clip")
            # A matrix product would give sums in an order that depends on the block.
            np.add.reduce(np.multiply(one, other, out=one), axis=-1, out=found[low:high])
        scores[begin:stop][order] = found
        return stop - begin
    with ThreadPoolExecutor(threads or cores()) as pool, tqdm(
            total=len(first), desc="pairs", unit="pair", unit_scale=True, leave=False,
            disable=None if progress else True) as bar:
        for done in pool.map(share, range(0, len(first), SHARE)):
            bar.update(done)
    return scores
