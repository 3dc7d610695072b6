"""The drawn records: whole, and sparse ones of the published size."""
import sys

import numpy as np

from datasets.formats import records
from recognition.data.images import train_iterator
from tools.benchmarking import synthetic


def test_drawn_record_is_read_whole(tmp_path):
    synthetic.write_record(tmp_path, 25, identities=3)
    assert [label for _, label, _ in records.iterate(tmp_path)] == [n * 3 // 25 for n in range(25)]
    assert sum(5 - batch.pad for batch in train_iterator(tmp_path, 5, num_workers=1)) == 25


def test_sparse_record_has_the_published_layout(tmp_path):
    synthetic.write_sparse_record(tmp_path, 1000, 7, image_bytes=40000, chunk=300)
    layout = records.read_layout(tmp_path)
    identities = records.read_identities(layout)
    assert (layout.images, layout.identities, layout.classes) == (range(1, 1001), range(1001, 1008), 7)
    assert identities[0, 0] == 1 and identities[-1, 1] == 1001 and np.array_equal(identities[1:, 0], identities[:-1, 1])
    assert np.all(np.diff(identities) >= 142)
    assert layout.size > 40e6
    if sys.platform == "linux":
        assert (tmp_path / "train.rec").stat().st_blocks * 512 < 1e6
