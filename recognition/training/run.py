"""A training run from beginning to end, in the order in which things happen."""
import contextlib
import os

from recognition.config.build import settle
from recognition.config.losses import loss_settings
from recognition.config.networks import network_settings
from recognition.data.batches import open_batches
from recognition.data.check import check_dataset
from recognition.losses.classification import STEP, parameter_shapes
from recognition.losses.objective import training_symbol
from recognition.reporting.angle_trace import AngleTrace
from recognition.reporting.metrics import OriginalLine, print_plain_lines
from recognition.reporting.progress import TimeLeft
from recognition.training import pretrained
from recognition.training.best import Best
from recognition.training.current import CurrentNetwork
from recognition.training.health import FiniteLoss
from recognition.training.interrupts import Interrupts
from recognition.training.loop import loop
from recognition.training.replicated import ReplicatedLearner
from recognition.training.resuming import Resuming
from recognition.training.room import check_room
from recognition.training.schedule import hint_about_batch, rate_changes
from recognition.training.validation import Validation, Verifier
from runtime import Failure, mx
from runtime.devices import describe, parse_context
from runtime.files import write_json
from runtime.locks import alone
from symbols import get_symbol

INPUTS = {"data": (6, 3, 112, 112), "softmax_label": (6,), STEP: (6,)}
"""Shapes of inputs, for what does not depend on the size of a batch."""


def run_folder(config):
    """Return the folder of a run's checkpoints."""
    return os.path.join(config.models_root, f"{config.network}-{config.loss}-{config.dataset}")


def print_configuration(config):
    """Print every setting of a run, a line each."""
    for name in sorted(config):
        if name != "how":
            print(f"{name}: {config[name]}")


def due_after(config, saves, interrupts):
    """Return the function that tells what is to happen after a step (`recognition.training.report.Report`).

    Parameters
    ----------
    config : EasyDict
    saves : bool
        Whether this worker verifies and saves: the first one does.
    interrupts : recognition.training.interrupts.Interrupts
    """
    def due(step):
        end, stop = step == config.max_steps, interrupts.arrived is not None
        happens = {"end": end, "stop": stop,
                   "verify": saves and (end or step % config.verbose == 0),
                   "save": saves and (end or stop or (bool(config.save_every) and step % config.save_every == 0))}
        return frozenset(name for name, now in happens.items() if now)
    return due


def begin(config, symbol, objective, learner, batches, resuming):
    """Start the learner and the data: from a state, a checkpoint, or nothing. Return the progress of the state."""
    nothing_done = {"step": 0, "epoch": 0, "batch": 0, "due": False}
    if config.resume:
        return {**nothing_done, **resuming.restore()}
    start = ()
    if config.pretrained:
        classifier = parameter_shapes(objective, config.num_classes, config.emb_size)
        start = pretrained.load(config.pretrained, config.pretrained_epoch, symbol, classifier,
                                config.pretrained_partial)
    learner.initialise(*start)
    batches.start(0)
    return nothing_done


def train(config, at_end=None):
    """Train as a configuration of `recognition.config.build` says, and settle what it leaves open.

    Parameters
    ----------
    config : EasyDict
    at_end : callable, optional
        Gets the learner when the run has reached its end.

    Returns
    -------
    str
        The folder of the run's checkpoints.

    Raises
    ------
    runtime.Failure
        For data, verification files, checkpoints or devices that cannot be used, a folder that another process writes
        to or that has too little room, all before the first step; for a loss that stops being finite, and when
        interrupted: always with the last checkpoint whole.
    """
    print_plain_lines()
    contexts = parse_context(config.ctx)
    print(f"devices: {describe(contexts)}", flush=True)
    distributed = config.kvstore.startswith("dist")
    kvstore = mx.kv.create(config.kvstore) if distributed else config.kvstore
    rank, workers = (kvstore.rank, kvstore.num_workers) if distributed else (0, 1)
    settle(config, len(contexts), workers)
    config.num_classes = check_dataset(config)
    print_configuration(config)
    verifier = Verifier(config.dataset_path, config.targets, config.explicit_targets)
    if verifier.missing:
        print(f"note: not verified on {', '.join(verifier.missing)}: no such .bin in {config.dataset_path}")
    folder = run_folder(config)
    symbol = get_symbol(config.net_name, **network_settings(config))
    objective = training_symbol(symbol, config.num_classes, **loss_settings(config))
    with held(folder, config, objective, kvstore, rank):
        learner = ReplicatedLearner(symbol, objective, config, contexts, config.batch_size // workers, kvstore)
        current = CurrentNetwork(symbol, learner, contexts[0])
        batches = open_batches(config, len(contexts), rank, workers, current)
        best, angles = Best(config.ckpt), AngleTrace() if config.trace_angles else None
        resuming = Resuming(folder, config, learner, batches, best, angles)
        validation = Validation(verifier, best, current, symbol, learner, resuming)
        progress = begin(config, symbol, objective, learner, batches, resuming)
        hint_about_batch(config)
        if rank == 0:
            write_json(os.path.join(folder, "config.json"), dict(config))
            if progress["due"]:  # the process was killed before
                validation.verify(progress["step"], final=progress["step"] == progress["config"]["max_steps"])
                resuming.note_verified(progress["step"])
        if config.max_steps and progress["step"] >= config.max_steps:
            print(f"the run in {folder} is at step {progress['step']} already: raise --max-steps to go on")
            return folder
        with Interrupts() as interrupts:
            left = TimeLeft(config.batch_size, config.max_steps, config.frequent)
            after_step = [
                FiniteLoss("lower --lr, or start with --loss softmax and continue with --pretrained; what was saved in "
                           f"{folder} is kept"),
                *([angles] if angles else []), OriginalLine(config.batch_size, config.frequent), left,
                rate_changes(config.lr, config.lr_steps), left.without(resuming), left.without(validation),
                interrupts.stop]
            loop(learner, batches, progress["step"], progress["epoch"], progress["batch"],
                 due_after(config, rank == 0, interrupts), after_step)
        if at_end is not None:
            at_end(learner)
    return folder


@contextlib.contextmanager
def held(folder, config, objective, kvstore, rank):
    """Hold the run's folder for the first worker, which alone writes there, once there is room for what it keeps.

    Raises
    ------
    runtime.Failure
        In every worker where the first one cannot begin: none is left waiting for it.
    """
    with contextlib.ExitStack() as stack:
        failure = None
        if rank == 0:
            try:
                stack.enter_context(alone(folder, "name another folder with --models-root"))
                check_room(config, folder, objective, INPUTS)
            except Failure as error:
                failure = error
        if not isinstance(kvstore, str):
            failures = mx.nd.array([failure is not None])
            kvstore.init("failures", mx.nd.zeros(1))
            kvstore.push("failures", failures)
            kvstore.pull("failures", out=failures)
            if failure is None and failures.asscalar():
                raise Failure("the first worker cannot begin, for the reason that it says")
        if failure is not None:
            raise failure
        yield
