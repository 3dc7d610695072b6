"""Two workers and a server over loopback."""
import os
import re
import socket
import subprocess
import sys

import numpy as np
import pytest

from recognition.training.state import states
from runtime import mx

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(root):
    """Return the environment of a scheduler and a server, which are stopped in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = dict(os.environ, OMP_NUM_THREADS="1", DMLC_PS_ROOT_URI="127.0.0.1", DMLC_PS_ROOT_PORT=str(port),
                       DMLC_NUM_WORKER="2", DMLC_NUM_SERVER="1", DMLC_NODE_HOST="127.0.0.1")
    started = [subprocess.Popen([sys.executable, "-c", "from runtime import mx"], cwd=root,
                                env=dict(environment, DMLC_ROLE=role), stderr=subprocess.DEVNULL)
               for role in ("scheduler", "server")]
    yield environment
    for process in started:
        process.kill()
        process.wait()


# Trains as the command does, and keeps each worker's weights at the end: only the first worker saves its own.
WORKER = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from recognition.config.build import build
from recognition.training.run import train
def keep(learner):
    params = {**learner.embedding()[0], **learner.classifier()}
    np.savez(sys.argv[4], **{name: value.asnumpy() for name, value in params.items()})
train(build("mnas025", "arcface", "tiny", {
    "dataset_path": sys.argv[2], "models_root": sys.argv[3], "per_batch_size": 3, "max_steps": 5, "lr": 0.01,
    "frequent": 1, "num_workers": 1, "kvstore": "dist_sync", "ctx": "cpu"}), at_end=keep)
"""


def test_two_workers_take_the_same_steps(cluster, root, faces, tmp_path):
    """Each trains on its own half, both end with the same weights, and the first one saves."""
    if not mx.runtime.Features().is_enabled("DIST_KVSTORE"):
        pytest.skip("this MXNet has no distributed kvstore")
    workers = [subprocess.Popen(
        [sys.executable, "-c", WORKER, str(root), str(faces), str(tmp_path / str(number)),
         str(tmp_path / f"{number}.npz")], env=dict(cluster, DMLC_ROLE="worker"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for number in range(2)]
    outputs = [process.communicate(timeout=240) for process in workers]
    for process, (out, error) in zip(workers, outputs):
        assert process.returncode == 0, error
        assert re.search(r"^step 5 of 5: loss \d", out, re.M)
    losses = [re.findall(r"loss ([\d.]+)", out) for out, _ in outputs]
    assert losses[0] != losses[1]  # they see different images
    one, other = (np.load(tmp_path / f"{number}.npz") for number in range(2))
    for name in one.files:
        assert np.isfinite(one[name]).all()
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    saved = [states(str(tmp_path / str(number) / "mnas025-arcface-tiny")) for number in range(2)]
    assert sorted(map(len, saved)) == [0, 1] and sum("saving 1" in out for out, _ in outputs) == 1
    momentum = mx.nd.load(os.path.join((saved[0] or saved[1])[0], "optimizer.params"))
    assert set(one.files) == set(momentum)
