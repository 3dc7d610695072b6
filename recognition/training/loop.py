"""The training loop.

Nothing in a step waits for its own result. Step k is shown to the reporters after step k+1 was handed to MXNet's
engine, so the device has work while Python reads numbers and fetches the next batch. Where something needs the network
as it is after step k (a verification, a state, the end), step k is shown at once instead.
"""
from recognition.training.report import Report


def loop(learner, batches, step, epoch, batch, due, after_step):
    """Train until the step at which "end" is due, or until a reporter raises.

    Parameters
    ----------
    learner : recognition.training.learner.Learner
    batches : iterable
        Batches of an epoch, with `reset()` to begin the next. It stands at `batch` of `epoch`.
    step, epoch, batch : int
        Steps done, and the epoch and batch that come next.
    due : callable
        Given a step's number, returns the frozenset of what is to happen after it (`report.Report`).
    after_step : list of callables
        Each gets the `Report` of every step, in the order of the steps.
    """
    def show(report):
        for tell in after_step if report else ():
            tell(report)

    waiting = None
    while True:
        for data in batches:
            if data.pad and batch:  # the images left over; they come in the next epoch's order
                break
            outputs = learner.step(data)
            step, batch = step + 1, batch + 1
            show(waiting)
            waiting = report = Report(step, epoch, batch, outputs, data.label[0], due(step))
            if report.due:
                show(waiting)
                waiting = None
            if "end" in report.due:
                return
        epoch, batch = epoch + 1, 0
        batches.reset()
