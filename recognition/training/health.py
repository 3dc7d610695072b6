"""When training goes wrong: what is noticed, and how the run ends."""
import math

from runtime import Failure


class FiniteLoss:
    """Ends the run at a loss that is not finite. No state of such a step is saved.

    Parameters
    ----------
    advice : str
        What the message says after naming the loss and the step.
    """

    def __init__(self, advice):
        self.advice = advice

    def __call__(self, report):
        """Raise runtime.Failure where a loss of the step is not finite."""
        for loss in report.losses.values():
            if not math.isfinite(loss):
                raise Failure(f"the loss is {loss} after step {report.step}: {self.advice}")
