"""The loops in Python that verification is compared with."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.measures import pairs as measures
from tools.benchmarking import verification_loops


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_loops_equal_measures(data):
    pairs = data.draw(st.integers(20, 60))
    nfolds = data.draw(st.integers(2, 10))
    # Coarse distances, so that ties and repeated rates occur.
    dist = np.array(data.draw(st.lists(st.integers(0, 80), min_size=pairs, max_size=pairs)), np.float32) / 20
    issame = np.arange(pairs) % 2 == 0
    far = data.draw(st.sampled_from([1e-3, 0.05, 0.3, 1.0]))
    for ours, loops in zip(measures.kfold_accuracy(dist, issame, nfolds),
                           verification_loops.accuracy(dist, issame, nfolds)):
        assert np.array_equal(ours, loops)
    assert measures.kfold_tar(dist, issame, far, nfolds) == verification_loops.tar(dist, issame, far, nfolds)
