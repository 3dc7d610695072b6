"""Semi-hard triplets within a bag of embeddings (FaceNet's mining, as the original does it)."""
import numpy as np

BLOCK_BYTES = 64 << 20
ROUNDING = 1e-12  # of squared distances in float64: equal ones differ by less, and equal is not farther


def normalised(embeddings):
    """Return embeddings (N, D) in float64, each of length one; zero stays zero."""
    embeddings = np.asarray(embeddings, np.float64)
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.where(norms > 0, norms, 1.0)


def genuine_pairs(identities):
    """Return all pairs of one identity, int64 (P, 2): each once, the earlier image first, as anchor."""
    identities = np.asarray(identities)
    order = np.argsort(identities, kind="stable")
    starts = np.flatnonzero(np.diff(identities[order], prepend=np.nan) != 0)
    pairs = [np.empty((0, 2), np.int64)]
    for members in np.split(order, starts[1:]):
        first, second = np.triu_indices(len(members), 1)
        pairs.append(np.stack([members[first], members[second]], 1))
    return np.concatenate(pairs)


def squared_distances(embeddings, rows):
    """Return the squared Euclidean distances of some rows to all, (R, N), from float64 embeddings (N, D)."""
    lengths = (embeddings ** 2).sum(1)
    return np.maximum(lengths[rows, None] + lengths - 2 * embeddings[rows] @ embeddings.T, 0.0)


def semi_hard(embeddings, identities, alpha, rng, max_ap=0.0, block_bytes=BLOCK_BYTES):
    """Mine a bag: for each genuine pair, one negative at random among the semi-hard ones.

    With squared Euclidean distances d of normalised embeddings, for both triplet losses, these are the images n
    of other identities with d(a, p) < d(a, n) < d(a, p) + alpha. A pair that has none gives no triplet.

    Parameters
    ----------
    embeddings : array, shape (N, D)
        Need not be normalised.
    identities : array, shape (N,)
    alpha : float
    rng : numpy.random.Generator
        What is drawn does not depend on the size of blocks.
    max_ap : float
        Pairs that are farther apart than this squared distance are left out; 0 is no limit.
    block_bytes : int
        Distances are computed for so many pairs at a time that a block of them, float64, takes no more (one row at
        least). What is needed in all is some three blocks, the normalised embeddings in float64 and the pairs.

    Returns
    -------
    triplets : int64 array, shape (T, 3)
        Anchor, positive and negative as rows of the bag, in the order of the pairs.
    genuine, impostor : float
        The mean squared distance of genuine pairs, and that of their anchors to other identities' images.

    Notes
    -----
    A bag of 7200 images, whose distances in one piece would take 415 MB in float64, is done in blocks of 1165 pairs.
    """
    embeddings, identities = normalised(embeddings), np.asarray(identities)
    pairs = genuine_pairs(identities)
    draws = rng.random(len(pairs))
    negatives = np.full(len(pairs), -1, np.int64)
    apart, others, count = 0.0, 0.0, 0
    size = max(1, int(block_bytes // (8 * max(1, len(identities)))))
    for begin in range(0, len(pairs), size):
        anchors, positives = pairs[begin:begin + size].T
        rows, row = np.unique(anchors, return_inverse=True)
        distances = squared_distances(embeddings, rows)[row]
        genuine = distances[np.arange(len(anchors)), positives]
        differ = identities[anchors, None] != identities
        apart += genuine.sum()
        others += distances[differ].sum()
        count += np.count_nonzero(differ)
        distances -= genuine[:, None]
        fine = differ & (distances > ROUNDING) & (distances < alpha)
        if max_ap > 0:
            fine &= (genuine <= max_ap)[:, None]
        # The k-th of a pair's admissible negatives, k uniform.
        found = np.flatnonzero(fine)
        counts = fine.sum(1)
        some = np.flatnonzero(counts)
        k = (draws[begin + some] * counts[some]).astype(np.int64)
        negatives[begin + some] = found[(np.cumsum(counts) - counts)[some] + k] % len(identities)
    kept = negatives >= 0
    triplets = np.concatenate([pairs[kept], negatives[kept, None]], 1)
    return triplets, apart / max(1, len(pairs)), others / max(1, count)
