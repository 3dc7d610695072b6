"""A classifier of clips: three fully connected layers on clips' templates (Table 9, "+ MLP").

The layers have 1024, 1024 and K outputs. Each of the first two has batch normalisation and PReLU, and a shortcut where
its input has as many numbers as its output. Class 0 is nobody; class k is the k-th identity. Training is SGD with
softmax cross-entropy: rate 0.2, a tenth of it from epoch 30 and a hundredth from epoch 35, of 40 epochs, weight decay
5e-4. Batches of 512 and a momentum of 0.9 are this project's choice. What is drawn follows from the seed alone, and the
state after each epoch is kept, so that a run that was killed resumes and ends with the same numbers.
"""
import hashlib
import os
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from datasets.formats.embeddings import Archive, write_arrays
from runtime import Failure, mx, shown

HALVINGS = 5  # of the rate, after epochs that end in values that are not finite
_LARGEST = 1 << 31


class Settings(NamedTuple):
    """How a classifier is trained.

    Attributes
    ----------
    epochs : int
    rate : float
        Of SGD.
    drops : tuple of int
        Epochs, from 0, from which the rate is a tenth of what it was.
    decay : float
        Of the weights of the three layers.
    """

    epochs: int = 40
    rate: float = 0.2
    drops: tuple = (30, 35)
    momentum: float = 0.9
    decay: float = 5e-4
    batch: int = 512
    units: tuple = (1024, 1024)
    seed: int = 0


class _Layer(mx.gluon.HybridBlock):
    """A fully connected layer, batch normalisation, PReLU, and a shortcut where the sizes agree."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self._shortcut = inputs == outputs
        with self.name_scope():
            self.dense = mx.gluon.nn.Dense(outputs, in_units=inputs, use_bias=False)
            self.norm = mx.gluon.nn.BatchNorm(in_channels=outputs)
            self.slope = self.params.get("slope", shape=(1, outputs))

    def hybrid_forward(self, F, x, slope):
        hidden = self.norm(self.dense(x))
        # PReLU as two rectifiers: MXNet 1.9.1's own operator can give a wrong gradient of the slope.
        hidden = F.relu(hidden) - F.broadcast_mul(slope, F.relu(-hidden))
        return hidden + x if self._shortcut else hidden


class Classifier:
    """The network, on one device.

    Parameters
    ----------
    dimension : int
        D.
    classes : int
        With class 0.
    settings : Settings
    ctx : mx.Context, optional
        The CPU by default.
    """

    def __init__(self, dimension, classes, settings=None, ctx=None):
        self.settings, self.ctx = settings or Settings(), ctx or mx.cpu()
        sizes = [dimension, *self.settings.units]
        self.net = mx.gluon.nn.HybridSequential()
        for inputs, outputs in zip(sizes, sizes[1:]):
            self.net.add(_Layer(inputs, outputs))
        self.net.add(mx.gluon.nn.Dense(classes, in_units=sizes[-1]))
        self.net.initialize(ctx=self.ctx)
        self.net.hybridize()
        self.params = list(self.net.collect_params().values())
        random = np.random.RandomState([self.settings.seed, 1])
        self.restore([self._drawn(param, random) for param in self.params])

    @staticmethod
    def _drawn(param, random):
        """Return what a parameter is at the start."""
        if param.name.endswith("_weight"):
            return random.normal(0, np.sqrt(2 / param.shape[1]), param.shape).astype(np.float32)
        value = 0.25 if param.name.endswith("_slope") else float(param.name.endswith(("_gamma", "_var")))
        return np.full(param.shape, value, np.float32)

    def state(self):
        """Return all parameters and running statistics as float32 arrays, in a fixed order."""
        return [param.data(self.ctx).asnumpy() for param in self.params]

    def restore(self, state):
        """Take parameters and running statistics from `state()`."""
        for param, value in zip(self.params, state):
            param.set_data(mx.nd.array(value, ctx=self.ctx))

    def probabilities(self, features, rows=4096):
        """Return the softmax outputs: float32 array, shape (N, classes).

        Parameters
        ----------
        features : array, shape (N, D)
        rows : int
            Features of a batch.
        """
        outputs = [mx.nd.softmax(self.net(mx.nd.array(features[first:first + rows], ctx=self.ctx))).asnumpy()
                   for first in range(0, len(features), rows)]
        return np.concatenate(outputs) if outputs else np.empty((0, self.params[-1].shape[0]), np.float32)

    def epoch(self, features, labels, number, momenta, scale=1.0):
        """Train for one epoch and return the mean loss.

        Parameters
        ----------
        features : float32 array, shape (N, D)
        labels : int array, shape (N,)
        number : int
            From 0. It decides the rate, and with the seed the order.
        momenta : list of mx.nd.NDArray
            Of SGD, one a parameter; changed.
        scale : float
            What the rate is multiplied by.
        """
        settings = self.settings
        rate = scale * settings.rate * 0.1 ** sum(number >= drop for drop in settings.drops)
        order = np.random.RandomState([settings.seed, 2, number]).permutation(len(features))
        loss, total = mx.gluon.loss.SoftmaxCrossEntropyLoss(), mx.nd.zeros(1, ctx=self.ctx)
        for rows in np.array_split(order, -(-len(order) // settings.batch)):  # no small batch at the end
            x = mx.nd.array(features[rows], ctx=self.ctx)
            y = mx.nd.array(labels[rows], ctx=self.ctx)
            with mx.autograd.record():
                losses = loss(self.net(x), y)
            losses.backward()
            total += losses.sum()
            for param, momentum in zip(self.params, momenta):
                if param.grad_req != "null":
                    decay = settings.decay if param.name.endswith("_weight") else 0.0
                    weight = param.data(self.ctx)
                    mx.nd.sgd_mom_update(weight, param.grad(self.ctx), momentum, out=weight, lr=rate, wd=decay,
                                         momentum=settings.momentum, rescale_grad=1 / len(rows))
        return float(total.asscalar()) / len(order)


def _digest(features, labels, classes, settings):
    """Return what tells one training from another."""
    digest = hashlib.sha256(f"{features.shape} {classes} {tuple(settings)}".encode())
    digest.update(np.ascontiguousarray(features, "<f4").data)
    digest.update(np.ascontiguousarray(labels, "<i8").data)
    return digest.hexdigest()


def _read(path, digest, shapes):
    """Return (epochs done, scale, state, momenta) of a kept training, None where there is none.

    Raises Failure where the file is of another training, or damaged.
    """
    if not os.path.lexists(path):
        return None
    archive = Archive(path, "remove it, and the same command trains again")
    if archive.read("digest", "U").tolist() != [digest]:
        raise Failure(f"{shown(path)} is of another training (other clips, identities, seed or epochs): remove it, or "
                      "name another folder with --output")
    parts = []
    for letter in "pm":
        arrays = [archive.read(f"{letter}{place}", "f", len(shape)) for place, shape in enumerate(shapes)]
        wrong = [place for place, shape in enumerate(shapes) if arrays[place].shape != shape]
        if wrong:
            raise archive.damaged(f"its {letter}{wrong[0]} has the shape {arrays[wrong[0]].shape}")
        parts.append(arrays)
    done, scale = archive.read("epochs", "i"), archive.read("scale", "f")
    if len(done) != 1 or len(scale) != 1:
        raise archive.damaged("it does not tell its epochs")
    return int(done[0]), float(scale[0]), *parts


def train(features, labels, classes, settings=None, start=None, ctx=None, progress=False):
    """Train a classifier, or resume its training.

    Parameters
    ----------
    features : float array, shape (N, D)
        Templates, or other features, finite.
    labels : int array, shape (N,)
        1 … classes − 1, or 0 for nobody.
    classes : int
    settings : Settings, optional
    start : str, optional
        What the name of the file begins with that keeps the training's state after each epoch. Eight digits that tell
        this training from others follow, and `.npz`.
    ctx : mx.Context, optional
    progress : bool
        Whether to show epochs with the time left on stderr, where that is a terminal.

    Returns
    -------
    Classifier

    Raises
    ------
    Failure
        The file is of another training or damaged; the training diverges also at a 32nd of its rate.
    """
    settings = settings or Settings()
    features = np.ascontiguousarray(features, np.float32)
    classifier = Classifier(features.shape[1], classes, settings, ctx)
    shapes = [param.shape for param in classifier.params]
    digest = _digest(features, labels, classes, settings) if start else None
    path = f"{start}-{digest[:8]}.npz" if start else None
    kept = _read(path, digest, shapes) if path else None
    done, scale, state, momenta = kept or (0, 1.0, classifier.state(), [np.zeros(shape, "f") for shape in shapes])
    classifier.restore(state)
    with tqdm(total=settings.epochs, initial=done, desc=f"network of seed {settings.seed}", unit="epoch", leave=False,
              disable=None if progress else True) as bar:
        while done < settings.epochs:
            working = [mx.nd.array(value, ctx=classifier.ctx) for value in momenta]
            loss = classifier.epoch(features, labels, done, working, scale)
            found = classifier.state()
            if np.isfinite(loss) and all(np.isfinite(value).all() for value in found):
                done, state, momenta = done + 1, found, [value.asnumpy() for value in working]
                bar.update()
                bar.set_postfix(loss=f"{loss:.3f}")
                if path:
                    write_arrays(path, {"digest": np.array([digest]), "epochs": np.array([done]),
                                        "scale": np.array([scale]),
                                        **{f"p{place}": value for place, value in enumerate(state)},
                                        **{f"m{place}": value for place, value in enumerate(momenta)}})
                continue
            scale /= 2
            if scale < 0.5 ** HALVINGS:
                raise Failure(f"the network of seed {settings.seed} diverges in epoch {done + 1}, also at a rate of "
                              f"{settings.rate * scale * 2:.4g}: the features may not be what they should")
            tqdm.write(f"epoch {done + 1} of the network of seed {settings.seed} ends in values that are not finite; "
                       "it is repeated at half the rate")
            classifier.restore(state)
    return classifier
