"""The step schedule: the rate is divided by ten at given numbers of batches (Sec. 3.1), and what is said of it."""
from runtime import gluoncv

LRScheduler, LRSequential = gluoncv.utils.LRScheduler, gluoncv.utils.LRSequential
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

def rate_changes(lr, lr_steps):
    """Return a callable for reports that prints the original's line when the rate changes."""
    def tell(report):
        if report.step in lr_steps:
            print(f"lr change to {rate_after(lr, lr_steps, report.step):g}", flush=True)
    return tell


def hint_about_batch(config):
    """Say once what the linear rule would make of the rate where the batch is not the schedule's own."""
    published = config.published_batch_size
    if published and config.batch_size != published:
        print(f"note: the schedule was published for a batch of {published}; at {config.batch_size} the linear rule "
              f"would scale its rate to {config.published_lr * config.batch_size / published:g} (now {config.lr:g})")
