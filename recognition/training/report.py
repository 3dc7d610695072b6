"""What is known of one training step, read from the device only when somebody asks."""
import functools

import numpy as np


class Report:
    """A step that was handed to MXNet.

    Reading `losses`, `predictions` or `cosines` waits until the device has finished the step. The loop therefore shows
    a report only after it has handed over the next step (`recognition.training.loop`).

    Parameters
    ----------
    step : int
        Steps done with this one, counted over the whole run.
    epoch, batch : int
        The epoch, from 0, and how many of its batches are done with this one.
    outputs : dict of str to list of mx.nd.NDArray
        As `recognition.training.learner.Learner.step` returns them: an array a device.
    label : mx.nd.NDArray
        The batch's labels, shape (B,).
    due : frozenset of str
        What is to happen after this step, decided when it was handed over: of "verify", "save", "end" and "stop".
        If it is not empty, no further step has been handed over yet, so the network is the one after this step.
    """

    def __init__(self, step, epoch, batch, outputs, label, due=frozenset()):
        self.step, self.epoch, self.batch, self.due = step, epoch, batch, due
        self._outputs, self._label = outputs, label

    def _read(self, name):
        return np.concatenate([np.atleast_1d(array.asnumpy()) for array in self._outputs[name]])

    @functools.cached_property
    def losses(self):
        """The mean of each loss over the devices, by its name, the main loss first: {"ce_loss": 39.8}."""
        return {name: self._read(name).mean() for name in self._outputs if name.endswith("_loss")}

    @property
    def loss(self):
        """The main loss: the cross entropy, or the triplet loss where there is no classifier."""
        return next(iter(self.losses.values()))

    @functools.cached_property
    def predictions(self):
        """The class of each sample's largest logit, shape (B,); None without a classifier."""
        return self._read("prediction") if "prediction" in self._outputs else None

    @functools.cached_property
    def cosines(self):
        """The cosine of each embedding with its class centre, shape (B,); None without --trace-angles."""
        return self._read("target_cosine") if "target_cosine" in self._outputs else None

    @functools.cached_property
    def labels(self):
        """The class of each sample, shape (B,)."""
        return self._label.asnumpy()
