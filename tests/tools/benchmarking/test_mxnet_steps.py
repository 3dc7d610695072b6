"""The steps that are timed do what they are named after."""
import numpy as np
import pytest

from tools.benchmarking import mxnet_steps


@pytest.mark.slow
def test_steps_train_and_embed():
    for make in (mxnet_steps.train_ours, mxnet_steps.train_plain):
        step = make("mnas025", 2, 10)
        step()
        step()
    ours, plain = (make("mnas025", 2)() for make in (mxnet_steps.embed_ours, mxnet_steps.embed_plain))
    assert ours.shape == plain.shape == (2, 256)
    assert np.abs(ours - plain).max() <= 1e-4 * np.abs(plain).max()
