"""The check that embeddings are numbers."""
import numpy as np

from runtime import Failure


def check_finite(embeddings, name=""):
    """Raise Failure, whose line begins with `name`, where an embedding holds NaN or infinity."""
    if not np.isfinite(embeddings).all():
        raise Failure(f"{name + ': ' if name else ''}the network gives embeddings that are not finite; its training "
                      "had diverged, so take an earlier checkpoint")
