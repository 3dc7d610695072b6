"""A trained network as commands use it: opened, on an engine, ready to embed."""
import functools
import os
import sys

from eval.networks.checkpoints import is_onnx
from eval.networks.embedder import Embedder
from eval.networks.engines import choice
from eval.networks.models import open_model

FEW = 4  # images at a time where a command embeds a few, and finding what is fastest would take longer


class Trained:
    """A network that `--model` names.

    Parameters
    ----------
    prefix : str
        Of a checkpoint, or the path of an ONNX file.
    epoch : int
    ctx : str, optional
        `cpu` or `gpu:N`; by default the first GPU that can be used, else the CPU.
    batch_size : int, optional
        How many images the network gets at a time; by default what is fastest.
    engine : str
        `auto`, or one of `eval.networks.engines.choice.ENGINES`.
    input_scale : str, optional
        One of `eval.networks.onnx_files.SCALES`, for ONNX files.
    few : bool
        Whether only a few images will be embedded. Nothing is measured then.

    Attributes
    ----------
    embedder : eval.networks.embedder.Embedder
    fingerprint : str
        Tells this network from others.
    engine : str
        The name of the engine in use.

    Raises
    ------
    argparse.ArgumentTypeError
        `ctx` does not name one device.
    Failure
        The device, the engine or the network cannot be used.
    """

    def __init__(self, prefix, epoch, ctx=None, batch_size=None, engine=choice.AUTO, input_scale=None, few=False):
        gpu = choice.device_of(ctx, engine)
        model = open_model(prefix, epoch, input_scale)
        self.prefix, self.epoch, self.fingerprint = prefix, epoch, model.fingerprint
        built = _engine(model, gpu, engine, batch_size, few)
        self.engine, self.embedder = built.name, Embedder(built)

    @property
    def name(self):
        """What messages call it."""
        return self.prefix if is_onnx(self.prefix) else f"{self.prefix}, epoch {self.epoch}"

    @property
    def flag(self):
        """What `--model` takes for it."""
        return flag_of(self.prefix, self.epoch)

    @property
    def checkpoint(self):
        """What results say of it: a dict with `prefix`, `epoch` and `fingerprint`."""
        return {"prefix": self.prefix, "epoch": self.epoch, "fingerprint": self.fingerprint}

    @property
    def image_shape(self):
        """(channels, height, width) of a face."""
        return self.embedder.image_shape


def flag_of(prefix, epoch):
    """Return what `--model` takes for a prefix and an epoch."""
    return os.fspath(prefix) if is_onnx(prefix) else f"{prefix},{epoch}"


def _engine(model, gpu, engine, batch_size, few):
    """Return the engine that is asked for or chosen, with the model."""
    if engine != choice.AUTO and batch_size:
        return choice.build(model, engine, batch_size, gpu)
    if few and engine == choice.AUTO:
        name, _ = choice.remembered(model, gpu) or (choice.first_available(model, gpu), None)
        return choice.build(model, name, batch_size or FEW, gpu)
    if few:
        return choice.build(model, engine, FEW, gpu)
    name, size = choice.choose(model, gpu, None if engine == choice.AUTO else [engine])
    built = choice.build(model, name, batch_size or size, gpu)
    if engine == choice.AUTO:
        _say_once(f"engine: {name}, {built.rows} image{'s' * (built.rows > 1)} at a time")
    return built


@functools.cache
def _say_once(line):
    print(line, file=sys.stderr, flush=True)
