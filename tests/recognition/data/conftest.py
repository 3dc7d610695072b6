"""What several tests of the training data share."""
import itertools

import numpy as np
import pytest


@pytest.fixture(scope="session")
def admissible():
    """The semi-hard triplets by a loop over all pairs: admissible(embeddings, identities, alpha, max_ap)."""
    def find(embeddings, identities, alpha, max_ap=0.0):
        """Return {(anchor, positive): the negatives that may be drawn}, by the definition."""
        unit = [row / np.linalg.norm(row) for row in np.asarray(embeddings, np.float64)]
        apart = np.array([[((one - other) ** 2).sum() for other in unit] for one in unit])
        found = {}
        for a, p in itertools.combinations(range(len(unit)), 2):
            near = apart[a, p]
            if identities[a] != identities[p] or (max_ap > 0 and near > max_ap):
                continue
            negatives = {n for n in range(len(unit)) if identities[n] != identities[a]
                         and near < apart[a, n] < near + alpha}
            if negatives:
                found[a, p] = negatives
        return found
    return find
