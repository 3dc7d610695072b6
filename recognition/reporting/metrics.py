"""The original's line of accuracy and loss, `Epoch[0] Batch [0-20]	Speed: …	acc=…	lossvalue=…`."""
import logging
import sys

import numpy as np

from runtime import mx


def print_plain_lines():
    """Send the lines of MXNet's callbacks to standard output, as they are."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class Loss(mx.metric.Loss):
    """MXNet's mean of losses, summed in float64. NumPy 2, left to itself, adds a float32 to Python's 0.0 in float32."""

    def reset(self):
        super().reset()
        self.sum_metric = self.global_sum_metric = np.float64(0)


class OriginalLine:
    """Prints the original's line every `frequent` batches, with MXNet's own metrics and Speedometer.

    `acc` is the accuracy of the margin logits. It is low for long, and rightly so: a margin is what makes its logits
    wrong. `lossvalue` is the main loss; further losses come under their own names. Without a classifier there is no
    `acc`.

    Parameters
    ----------
    batch_size : int
        Images a step.
    frequent : int
        Batches between lines.
    """

    def __init__(self, batch_size, frequent):
        self._speedometer = mx.callback.Speedometer(batch_size, frequent, auto_reset=False)
        self._metrics = {}

    def _metric(self, name, kind):
        if name not in self._metrics:
            self._metrics[name] = kind(name=name)
        return self._metrics[name]

    def __call__(self, report):
        """Count a step, and print the line where it is due; an epoch starts the means again."""
        if report.batch == 1:
            for metric in self._metrics.values():
                metric.reset()
        if report.predictions is not None:
            self._metric("acc", mx.metric.Accuracy).update([mx.nd.array(report.labels)],
                                                           [mx.nd.array(report.predictions)])
        for place, (name, loss) in enumerate(report.losses.items()):
            self._metric(name if place else "lossvalue", Loss).update(None, [mx.nd.array([loss])])
        together = mx.metric.CompositeEvalMetric(list(self._metrics.values()))
        self._speedometer(mx.model.BatchEndParam(epoch=report.epoch, nbatch=report.batch - 1, eval_metric=together,
                                                 locals=None))
