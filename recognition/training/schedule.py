"""The step schedule: the rate is divided by ten at given numbers of batches (Sec. 3.1)."""
import sys


def _schedulers():
    """Return gluon-cv's schedulers. It refuses to be imported beside PyTorch 2, which is out of sight meanwhile."""
    hidden = sys.modules.get("torch")
    sys.modules["torch"] = None
    try:
        from gluoncv.utils import LRScheduler, LRSequential
    finally:
        del sys.modules["torch"]
        if hidden is not None:
            sys.modules["torch"] = hidden
    return LRScheduler, LRSequential


LRScheduler, LRSequential = _schedulers()
FACTOR = 0.1


def step_schedule(lr, steps):
    """Return the scheduler for MXNet's optimizers: `lr`, times 0.1 once each number of batches in `steps` is done.

    The optimizer asks with the number of the batch it is updating for, counted from 1: batch `step` still has
    the higher rate and the next one the lower.
    """
    first_lower = [step + 1 for step in steps]
    length = (first_lower[-1] if first_lower else 0) + 2  # past its length a schedule stays as it is
    schedule = LRSequential([LRScheduler("step", base_lr=lr, niters=length, step_iter=first_lower,
                                         step_factor=FACTOR)])
    schedule.base_lr = lr  # what the optimizer compares its own rate with
    return schedule


def rate_after(lr, steps, done):
    """Return the rate of the batch that follows `done` batches."""
    return step_schedule(lr, steps)(done + 1)
