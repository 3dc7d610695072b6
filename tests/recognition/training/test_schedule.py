"""The schedule as the optimizer sees it, against the rule written out."""
import os
import subprocess
import sys

import pytest

from recognition.training.schedule import rate_after, step_schedule
from runtime import mx


@pytest.mark.parametrize("steps", [[3, 5], [1], [], [2, 3, 9]])
def test_rate_of_every_batch(steps):
    """A weight with gradient 1 moves by each batch's rate."""
    optimizer = mx.optimizer.SGD(learning_rate=0.5, momentum=0.0, wd=0.0, lr_scheduler=step_schedule(0.5, steps))
    weight, updater = mx.nd.zeros(1), mx.optimizer.get_updater(optimizer)
    for batch in range(1, 14):
        before = weight.asscalar()
        updater(0, mx.nd.ones(1), weight)
        passed = sum(1 for step in steps if batch > step)
        assert before - weight.asscalar() == pytest.approx(0.5 * 0.1 ** passed, rel=1e-3, abs=1e-7)


def test_rate_after():
    assert rate_after(0.1, [100, 160], 99) == pytest.approx(0.1)
    assert rate_after(0.1, [100, 160], 100) == pytest.approx(0.01)
    assert rate_after(0.1, [100, 160], 100000) == pytest.approx(0.001)


@pytest.mark.slow
def test_beside_pytorch_2(root, tmp_path):
    """gluon-cv ends its import with an error where it finds a PyTorch that is newer than its own."""
    (tmp_path / "torch.py").write_text("__version__ = '2.13.0'\nclass Tensor: pass\n")  # which SciPy asks for
    script = "import torch, recognition.training.schedule, sys; print(sys.modules['torch'] is torch)"
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": f"{tmp_path}:{root}"},
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
