"""Symbols and checkpoints of this project, in an environment that has MXNet 1.9.1 and NumPy 1.23 and nothing else."""
import shutil
import subprocess

import numpy as np
import pytest

from eval.networks import checkpoints
from recognition.config.networks import NETWORKS
from runtime import mx
from symbols import get_symbol

pytestmark = [pytest.mark.slow, pytest.mark.network]

# What anybody can write who has MXNet. Prefixes come as arguments; the outputs go beside the checkpoints.
SCRIPT = """
import sys
import mxnet as mx
import numpy as np
assert mx.__version__ == "1.9.1" and np.__version__ == "1.23.5"
images = mx.nd.array(np.load(sys.argv[1]))
for prefix in sys.argv[2:]:
    symbol, args, auxs = mx.model.load_checkpoint(prefix, 0)
    executor = symbol.bind(mx.cpu(), dict(args, data=images), aux_states=auxs, grad_req="null")
    np.save(prefix + "-alone.npy", executor.forward(is_train=False)[0].asnumpy())
"""
SAMPLES = ("y1", "m05", "mnas025", "vargfacenet", "r50")


@pytest.fixture(scope="module")
def alone(another_python, tmp_path_factory):
    """Python of an environment with MXNet's own wheel from PyPI."""
    folder = tmp_path_factory.mktemp("alone") / "environment"
    subprocess.run([another_python("3.11", "3.10", "3.9", "3.8"), "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    done = subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "mxnet==1.9.1",
                           "numpy==1.23.5"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip cannot install MXNet: {(done.stderr.strip().splitlines() or ['it does not say why'])[-1]}")
    yield python
    shutil.rmtree(folder)


def test_checkpoints_load_there_and_give_the_same_embeddings(alone, tmp_path, request):
    rng = np.random.RandomState(0)
    images = rng.randint(0, 256, (2, 3, 112, 112)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    prefixes = []
    for name in SAMPLES:
        symbol = get_symbol(**NETWORKS[name])
        args, _, auxs = symbol.infer_shape(data=(1, 3, 112, 112))
        params = {key: mx.nd.array(rng.normal(0, 0.1, shape) + ("gamma" in key))
                  for key, shape in zip(symbol.list_arguments(), args) if key != "data"}
        states = {key: mx.nd.array(rng.uniform(0.5, 1.5, shape))
                  for key, shape in zip(symbol.list_auxiliary_states(), auxs)}
        prefixes.append(tmp_path / name)
        checkpoints.save(str(prefixes[-1]), 0, symbol, params, states)
    if (request.config.rootpath.parent / "shared").is_dir():
        prefixes.append(request.getfixturevalue("published"))
    subprocess.run([alone, "-c", SCRIPT, tmp_path / "images.npy", *prefixes], check=True, cwd=tmp_path)
    for prefix in prefixes:
        symbol, args, auxs = checkpoints.load(str(prefix), 0)
        executor = symbol.bind(mx.cpu(), dict(args, data=mx.nd.array(images)), aux_states=auxs, grad_req="null")
        here, there = executor.forward(is_train=False)[0].asnumpy(), np.load(f"{prefix}-alone.npy")
        assert np.abs(here).max() > 0
        np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-4 * np.abs(there).max(), err_msg=prefix.name)
