"""What is printed while training: the original's line, and how long the rest will take."""
import logging
import sys
import time

from runtime import mx


def training_metrics(outputs=("softmax_output", "ce_loss_output")):
    """Return the metrics under the names of the original's lines: `acc` of the margin logits, and `lossvalue`,
    the cross entropy. Low accuracy for long is right: a margin is what makes its logits wrong.

    Parameters
    ----------
    outputs : sequence of str
        Names of the training symbol's outputs. Without a classifier there is no `acc`, and `lossvalue` is the first
        loss; further losses come under their own names.
    """
    metrics = mx.metric.CompositeEvalMetric()
    if "softmax_output" in outputs:
        metrics.add(mx.metric.Accuracy(name="acc", output_names=["softmax_output"], label_names=["softmax_label"]))
    losses = [output for output in outputs if output.endswith("_loss_output")]
    for output, name in zip(losses, ["lossvalue", *(output[:-len("_output")] for output in losses[1:])]):
        metrics.add(mx.metric.Loss(name=name, output_names=[output], label_names=[]))
    return metrics


def print_plain_lines():
    """Send the lines of MXNet's callbacks to standard output, as they are."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def clock(seconds):
    """Return a duration as h:mm:ss."""
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


class TimeLeft:
    """Says how far a run is, its pace, and how long the rest takes at that pace.

    Parameters
    ----------
    batch_size : int
        Images a step.
    end : int
        The step at which the run ends; 0 where it has no end.
    frequent : int
        Steps between lines.
    """

    def __init__(self, batch_size, end, frequent):
        self.batch_size, self.end, self.frequent = batch_size, end, frequent
        self.busy, self.steps = 0.0, 0
        self.begun = time.perf_counter()

    def pause(self):
        """Stop the clock, for what is not training: verifying and saving."""
        self.busy += time.perf_counter() - self.begun

    def resume(self):
        self.begun = time.perf_counter()

    def step(self, step, loss):
        """Count a finished step, and print the line where it is due."""
        self.steps += 1
        if step % self.frequent and step != self.end:
            return
        each = (self.busy + time.perf_counter() - self.begun) / self.steps
        left = f", {clock((self.end - step) * each)} left" if self.end else ""
        of = f" of {self.end}" if self.end else ""
        print(f"step {step}{of}: loss {loss:.4f}, {self.batch_size / each:.1f} images/s{left}", flush=True)
