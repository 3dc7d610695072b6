"""The original's line, against what MXNet's own Module and Speedometer print of the same numbers."""
import logging
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from recognition.reporting.metrics import OriginalLine
from runtime import mx

BATCH, CLASSES, FREQUENT, EPOCHS, BATCHES = 6, 4, 2, 2, 5


@pytest.fixture
def lines(caplog):
    """Return the lines that were logged since the last call, the speed left out."""
    caplog.set_level(logging.INFO)

    def read():
        found = [re.sub(r"Speed: \d+\.\d\d samples", "Speed: N samples", line) for line in caplog.messages]
        caplog.clear()
        return found
    return read


def drawn():
    """Return scores (B, n) and labels (B,) for each batch of each epoch."""
    rng = np.random.RandomState(0)
    return [[(rng.normal(size=(BATCH, CLASSES)), rng.randint(0, CLASSES, BATCH)) for _ in range(BATCHES)]
            for _ in range(EPOCHS)]


def print_as_module():
    """Let MXNet's Module compute and count, and its Speedometer print, as the original does.

    Returns [(epoch, batch, labels, predictions, loss)] of the batches, the batch counted from 1.
    """
    data, label = mx.sym.Variable("data"), mx.sym.Variable("softmax_label")
    loss = mx.sym.mean(-mx.sym.pick(mx.sym.log_softmax(data, axis=1), label, axis=1))
    module = mx.mod.Module(mx.sym.Group([mx.sym.SoftmaxOutput(data, label, name="softmax"),
                                         mx.sym.BlockGrad(loss, name="loss")]), context=mx.cpu())
    module.bind([("data", (BATCH, CLASSES))], [("softmax_label", (BATCH,))], for_training=False)
    module.init_params()
    metric = mx.metric.CompositeEvalMetric([
        mx.metric.Accuracy(name="acc", output_names=["softmax_output"], label_names=["softmax_label"]),
        mx.metric.Loss(name="lossvalue", output_names=["loss_output"], label_names=[])])
    results, speedometer = [], mx.callback.Speedometer(BATCH, FREQUENT, auto_reset=False)
    for epoch, batches in enumerate(drawn()):
        metric.reset()
        for number, (scores, labels) in enumerate(batches):
            batch = mx.io.DataBatch([mx.nd.array(scores)], [mx.nd.array(labels)])
            module.forward(batch)
            module.update_metric(metric, batch.label)
            speedometer(mx.model.BatchEndParam(epoch=epoch, nbatch=number, eval_metric=metric, locals=None))
            probabilities, loss = (output.asnumpy() for output in module.get_outputs())
            results.append((epoch, number + 1, labels.astype(np.float32), probabilities.argmax(1), loss[0]))
    return results


def report(epoch, batch, labels, predictions, **losses):
    return SimpleNamespace(epoch=epoch, batch=batch, labels=labels, predictions=predictions, losses=losses)


def test_as_modules_own(lines):
    results = print_as_module()
    wanted, line = lines(), OriginalLine(BATCH, FREQUENT)
    for epoch, batch, labels, predictions, loss in results:
        line(report(epoch, batch, labels, predictions, ce_loss=loss))
    assert len(wanted) == EPOCHS * 2 and lines() == wanted
    assert re.fullmatch(r"Epoch\[1\] Batch \[0-4\]\tSpeed: N samples/sec\tacc=0\.\d{6}\tlossvalue=\d\.\d{6}",
                        wanted[-1])


def test_further_losses_come_under_their_own_names(lines):
    line, labels = OriginalLine(2, 1), np.array([0.0, 1.0])
    for batch, (first, second) in enumerate([(9.0, 1.0), (1.0, 2.0), (2.0, 6.0)], 1):
        line(report(0, batch, labels, np.array([0.0, 0.0]), ce_loss=first, intra_loss=second))
    assert lines()[-1] == "Epoch[0] Batch [0-2]\tSpeed: N samples/sec\tacc=0.500000\tlossvalue=4.000000" \
                          "\tintra_loss=3.000000"


def test_the_mean_of_many_losses_is_taken_in_float64(lines):
    """Summed in float32, the mean of these is printed as 40.084801."""
    losses = np.random.RandomState(0).uniform(30, 50, 3000).astype(np.float32)
    line = OriginalLine(2, 2999)
    for batch, loss in enumerate(losses, 1):
        line(report(0, batch, np.zeros(2), None, ce_loss=loss))
    assert lines()[-1].endswith(f"\tlossvalue={losses.astype(np.float64).mean():f}")


def test_without_a_classifier_there_is_no_accuracy(lines):
    line = OriginalLine(2, 1)
    for batch in (1, 2):
        line(report(0, batch, np.zeros(2), None, triplet_loss=0.25))
    assert lines() == ["Epoch[0] Batch [0-1]\tSpeed: N samples/sec\tlossvalue=0.250000"]


@pytest.mark.slow
def test_plain_lines_on_standard_output(root):
    code = ("import logging; from recognition.reporting.metrics import print_plain_lines\n"
            "logging.basicConfig(level=logging.ERROR); print_plain_lines(); logging.info('a line')")
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a line\n", "")
