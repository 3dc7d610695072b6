"""Parameter files that this project writes: whole or not there, and read back as they were written."""
import os
import resource

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.networks import checkpoint_files
from runtime import mx

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@settings(max_examples=40, deadline=None)
@given(arrays=st.dictionaries(st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=12),
                              st.tuples(SHAPES, st.sampled_from(["float32", "float64", "float16", "int32", "uint8"])),
                              min_size=1, max_size=5))
def test_size_is_foreseen_and_arrays_come_back(tmp_path_factory, arrays):
    """The size that tells a whole file from a cut one is that of MXNet's own writer."""
    path = tmp_path_factory.mktemp("arrays") / "a.params"
    values = {name: mx.nd.array(np.random.RandomState(0).uniform(0, 9, shape), dtype=dtype)
              for name, (shape, dtype) in arrays.items()}
    checkpoint_files.save_arrays(path, values)
    assert path.stat().st_size == checkpoint_files.saved_size(values)
    back = mx.nd.load(str(path))
    assert set(back) == set(values)
    for name in values:
        np.testing.assert_array_equal(back[name].asnumpy(), values[name].asnumpy())


@pytest.mark.parametrize("limit", [1000, 5000, 200000])
def test_a_disk_that_fills_leaves_the_older_file(tmp_path, limit):
    """A limit on file sizes stands for the disk; MXNet itself does not notice the loss of a file's last 4 kB."""
    path = tmp_path / "model.params"
    checkpoint_files.save_arrays(path, {"arg:w": mx.nd.ones((3,))})
    before = path.read_bytes()
    new = {"arg:w": mx.nd.ones(((limit + 600) // 4,))}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match="No space left"):
            checkpoint_files.save_arrays(path, new)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["model.params"]
