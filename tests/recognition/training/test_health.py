"""Losses that are not finite end the run, and say at which step."""
from types import SimpleNamespace

import numpy as np
import pytest

from recognition.training.health import FiniteLoss
from runtime import Failure


def report(**losses):
    return SimpleNamespace(step=7, losses={name: np.float32(value) for name, value in losses.items()})


def test_finite_losses_pass():
    for value in (0.0, -3.0, 3e38):
        FiniteLoss("lower --lr")(report(ce_loss=value, inter_loss=-value))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("name", ["ce_loss", "intra_loss"])
def test_any_loss_that_is_not_finite_ends_the_run(name, value):
    with pytest.raises(Failure) as failure:
        FiniteLoss("lower --lr")(report(**{"ce_loss": 1.0, name: float(value)}))
    assert str(failure.value) == f"the loss is {value} after step 7: lower --lr"
