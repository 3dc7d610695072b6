"""Training from beginning to end, in the order in which things happen."""
import contextlib
import math
import os
import signal
import zlib

from eval.networks.embedder import Embedder
from recognition.config.tables import LOSS_NUMBERS, TRIPLET_NUMBERS, global_batch, loss_settings, network_settings
from recognition.data.check import check_dataset
from recognition.data.images import train_iterator
from recognition.data.triplets import TripletIterator
from recognition.losses import classification, triplet
from recognition.reporting.angle_trace import AngleTrace
from recognition.reporting.progress import TimeLeft, print_plain_lines, training_metrics
from recognition.training import optimizer, pretrained
from recognition.training import state as checkpoints
from recognition.training.room import check_room
from recognition.training.schedule import rate_after
from recognition.training.validation import Best, Verifier
from runtime import Failure, mx
from runtime.devices import describe, parse_context
from runtime.locks import alone
from symbols import get_symbol
from symbols.lowering import lower

# What a resumed run must share with the one that it goes on with.
_SAME = ("network", "loss", "dataset", "emb_size", "num_classes", "batch_size", "seed", *LOSS_NUMBERS,
         *TRIPLET_NUMBERS)


# Shapes of inputs, for what does not depend on the size of a batch.
INPUTS = {"data": (6, 3, 112, 112), "softmax_label": (6,), classification.STEP: (6,)}


def initializer(net_name):
    """Return the original's initialiser for a network's weights; slopes and classifier carry their own."""
    if net_name in ("fresnet", "fmobilefacenet"):
        return mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2)
    return mx.init.Xavier(rnd_type="uniform", factor_type="in", magnitude=2)


def seed_everything(seed, step):
    """Seed MXNet's random numbers, which can be set but not read, for the batches after `step`."""
    mx.random.seed(zlib.crc32(f"{seed},{step}".encode()))


class Interrupts:
    """Turns Ctrl-C and the terminate signal into a flag that the loop sees between two steps."""

    def __enter__(self):
        self.arrived = None
        self.before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _note(self, number, frame):
        if self.arrived is not None:  # asked twice: at once
            raise KeyboardInterrupt
        self.arrived = signal.Signals(number).name

    def __exit__(self, *exception):
        for number, handler in self.before.items():
            signal.signal(number, handler)


def training_symbol(config, embedding):
    """Return the symbol that a run trains: the embedding network under the head of its loss."""
    head = triplet if "triplet_distance" in config else classification
    return head.training_symbol(embedding, config.num_classes, **loss_settings(config))


def build_module(config, contexts, batches, embedding):
    """Return the bound module of the training symbol, in the form that runs fastest on its devices."""
    symbol = training_symbol(config, embedding)
    inputs = list(batches.provide_data)
    if classification.STEP in symbol.list_arguments():
        inputs.append(mx.io.DataDesc(classification.STEP, (batches.batch_size,)))
    shapes = {entry.name: entry.shape for entry in inputs + batches.provide_label}
    if all(context.device_type == "cpu" for context in contexts):
        symbol = lower(symbol, training=True, shapes=shapes)
    module = mx.mod.Module(symbol, context=contexts, data_names=[entry.name for entry in inputs],
                           label_names=["softmax_label"])
    module.bind(data_shapes=inputs, label_shapes=batches.provide_label)
    return module


class Run:
    """A training run: the module and where it stands.

    Attributes
    ----------
    step : int
        Batches done.
    due, final : bool
        Whether the verification of this step, and the saving that goes with it, is still to be done; whether that
        step is the run's last.
    state : str or None
        The state that was saved after this step.
    best : recognition.training.validation.Best
    folder : str
        Where its checkpoints go.
    angles : recognition.reporting.angle_trace.AngleTrace or None
        With --trace-angles.
    held : callable
        Returns what the data holds beside its position, as arrays by name: the triplets of a bag.
    restored : dict
        What it held in the state that the run was resumed from.
    """

    def __init__(self, config, module, embedding, folder):
        self.config, self.module, self.embedding, self.folder = config, module, embedding, folder
        self.step, self.best, self.embedder = 0, Best(config.ckpt), None
        self.due, self.final, self.state, self.place = False, False, None, None
        self.angles = AngleTrace() if config.trace_angles else None
        self.held, self.restored = dict, {}

    def start(self, kvstore):
        """Initialise, from a checkpoint where one is named, or resume. Return (epoch, batch) in the data."""
        arrays, progress, epoch, batch = {}, None, 0, 0
        loaded = {"arg": {}, "aux": {}, "mom": {}, "ang": {}, "bag": {}}
        if self.config.resume:
            arrays, progress = checkpoints.load_state(self.folder)
            self._check_same(progress["config"])
            for key, value in arrays.items():
                loaded[key[:3]][key[4:]] = value
            self.step, epoch, batch = progress["step"], progress["epoch"], progress["batch"]
            self.best.restore(progress["best"])
            self.due = progress.get("due", False)  # older states were written after verifying
            self.final = self.step == progress["config"]["max_steps"]
            self.state, self.place = checkpoints.states(self.folder)[-1], (epoch, batch)
            self.restored = loaded["bag"]
            if self.angles:
                self.angles.restore({name: value.asnumpy() for name, value in loaded["ang"].items()})
            print(f"resuming the run in {self.folder} after step {self.step}", flush=True)
        elif self.config.pretrained:
            loaded["arg"], loaded["aux"] = pretrained.load(
                self.config.pretrained, self.config.pretrained_epoch, self.embedding,
                classification.parameter_shapes(self.module.symbol, self.config.num_classes, self.config.emb_size),
                self.config.pretrained_partial)
        seed_everything(self.config.seed, self.step)
        self.module.init_params(initializer(self.config.net_name), arg_params=loaded["arg"], aux_params=loaded["aux"],
                                allow_missing=progress is None)
        optimizer.install(self.module, self.config, kvstore, done=self.step)
        optimizer.restore_momentum(self.module, loaded["mom"])
        return epoch, batch

    def _check_same(self, before):
        differing = [f"{name} was {before.get(name)}, now {self.config.get(name)}"
                     for name in _SAME if before.get(name) != self.config.get(name)]
        if differing:
            raise Failure(f"--resume goes on with the run in {self.folder}, but {'; '.join(differing)}: "
                          "give the flags it was started with, or start without --resume")

    def forward_backward(self, data):
        """Run a batch, telling the step to the losses that change with it."""
        if classification.STEP in self.module.data_names:
            data.data.append(mx.nd.full(data.label[0].shape, self.step))
        self.module.forward_backward(data)

    def trace(self):
        """Keep the angles of the step that was just done."""
        if self.angles:
            cosine = self.module.get_outputs()[self.module.output_names.index("target_cosine_output")]
            self.angles.add(self.step, cosine.asnumpy())

    def parameters(self):
        """Return (arg_params, aux_params) as they are after the last step.

        BatchNorm's backward writes its moving statistics without MXNet's engine knowing of it: those that are read
        while it still runs can be a step behind.
        """
        mx.nd.waitall()
        return self.module.get_params()

    def save_state(self, epoch, batch):
        """Write what resuming from here needs. What is random after a state depends on its step alone."""
        arg_params, aux_params = self.parameters()
        arrays = {f"arg:{name}": value for name, value in arg_params.items()}
        arrays.update({f"aux:{name}": value for name, value in aux_params.items()})
        arrays.update({f"mom:{name}": value for name, value in optimizer.momentum(self.module).items()})
        arrays.update({f"bag:{name}": value for name, value in self.held().items()})
        if self.angles:
            arrays.update({f"ang:{name}": mx.nd.array(values, dtype=values.dtype)
                           for name, values in self.angles.state().items()})
            self.angles.write(self.folder)
        self.place = epoch, batch
        self.state = checkpoints.save_state(self.folder, self.step, arrays, self._progress())
        seed_everything(self.config.seed, self.step)

    def _progress(self):
        """Return the plain values of a state."""
        epoch, batch = self.place
        return {"epoch": epoch, "batch": batch, "best": self.best.state(), "due": self.due,
                "config": dict(self.config)}

    def current_embedder(self, arg_params, aux_params):
        """Return the embedding network with these parameters, on the first device."""
        if self.embedder is None:
            self.embedder = Embedder(self.embedding, arg_params, aux_params, ctx=self.module._context[0])
        else:
            self.embedder.set_params(arg_params, aux_params)
        return self.embedder

    def embed(self, images):
        """Return the embeddings (N, D) of images, as `eval.networks.embedder.Embedder` takes them, after the last step.

        Binding that network anew takes less than the training module, whose graph is not fused, would lose.
        """
        return self.current_embedder(*self.parameters())(images)

    def keep(self, verifier, epoch, batch, state_due, interrupts):
        """Save the state where it is due, then verify where that is due.

        The state comes first, so that it is there if the verification fails or the process is killed. It says that
        the verification is due; when the verification is done, the state's best accuracies are brought up to date.
        """
        self.state = None  # of this step there is none yet
        if state_due:
            self.save_state(epoch, batch)
        if not self.due:
            return
        try:
            self.verify_due(verifier)
        except Exception:
            if self.state is None:
                with contextlib.suppress(Exception):  # what went wrong first is what to tell
                    self.save_state(epoch, batch)
            raise
        if interrupts.arrived and self.state is None:
            self.save_state(epoch, batch)

    def verify_due(self, verifier):
        """Do the verification that is due, and note that in the state of this step, if there is one."""
        self.verify_and_save(verifier, self.final)
        self.due = False
        if self.state:
            checkpoints.write_progress(self.state, self.step, self._progress())

    def verify_and_save(self, verifier, final=False):
        """Verify on every set, save as --ckpt says, and report the best so far."""
        arg_params, aux_params = self.parameters()
        accuracies = verifier(self.current_embedder(arg_params, aux_params) if verifier.sets else None, self.step)
        epoch = self.best.epoch_to_save(accuracies, final)
        if epoch is not None:
            print(f"saving {epoch}", flush=True)
            checkpoints.save_network(os.path.join(self.folder, "model"), epoch, self.embedding, arg_params, aux_params)
            checkpoints.save_classifier(self.folder, epoch, arg_params)
        print(f"[{self.step}]Accuracy-Highest: {self.best.last:1.5f}", flush=True)


def hint_about_batch(config):
    """Say once what the linear rule would make of the rate where the batch is not the schedule's own."""
    published = config.published_batch_size
    if published and config.batch_size != published:
        print(f"note: the schedule was published for a batch of {published}; at {config.batch_size} the linear rule "
              f"would scale its rate to {config.published_lr * config.batch_size / published:g} (now {config.lr:g})")


def open_data(config, devices, part, parts):
    """Return the iterator over a worker's training data: of images, or of the triplets that its loss takes."""
    common = {"classes": config.num_classes, "mirror": config.mirror, "seed": config.seed,
              "num_workers": config.num_workers, "part": part, "parts": parts}
    batch_size = config.batch_size // parts
    if "triplet_distance" not in config:
        return train_iterator(config.dataset_path, batch_size, augmentation=config.augmentation, **common)
    return TripletIterator(config.dataset_path, batch_size, devices, augmentation=config.augmentation,
                           alpha=config.triplet_alpha, max_ap=config.triplet_max_ap, bag_size=config.triplet_bag_size,
                           images_per_identity=config.images_per_identity, **common)


def train(config):
    """Train as a configuration of `recognition.config.tables.build` says.

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
    global_batch(config, len(contexts), workers)
    check_dataset(config)
    verifier = Verifier(config.dataset_path, config.targets, config.explicit_targets)
    if verifier.missing:
        print(f"note: not verified on {', '.join(verifier.missing)}: no such .bin in {config.dataset_path}")
    folder = os.path.join(config.models_root, f"{config.network}-{config.loss}-{config.dataset}")
    embedding = get_symbol(config.net_name, **network_settings(config))
    with contextlib.ExitStack() as held:
        failure = None
        if rank == 0:  # it alone writes
            try:
                held.enter_context(alone(folder, "name another folder with --models-root"))
                check_room(config, folder, training_symbol(config, embedding), INPUTS)
            except Failure as error:
                failure = error
        _begin_together(kvstore, failure)
        _train(config, contexts, kvstore, rank, workers, verifier, folder, embedding)
    return folder


def _begin_together(kvstore, failure):
    """Raise the Failure of the first worker, where there is one, in each worker: none is left waiting for it."""
    if not isinstance(kvstore, str):
        failures = mx.nd.array([failure is not None])
        kvstore.init("failures", mx.nd.zeros(1))
        kvstore.push("failures", failures)
        kvstore.pull("failures", out=failures)
        if failure is None and failures.asscalar():
            raise Failure("the first worker cannot begin, for the reason that it says")
    if failure is not None:
        raise failure


def _train(config, contexts, kvstore, rank, workers, verifier, folder, embedding):
    """Train in a folder that is held."""
    batches = open_data(config, len(contexts), rank, workers)
    module = build_module(config, contexts, batches, embedding)
    run = Run(config, module, embedding, folder)
    if isinstance(batches, TripletIterator):
        batches.embed, run.held = run.embed, batches.state
    epoch, batch = run.start(kvstore)
    hint_about_batch(config)
    if rank == 0:
        checkpoints.write_json(os.path.join(folder, "config.json"), dict(config))
        if run.due:  # the process was killed before
            run.verify_due(verifier)
    if config.max_steps and run.step >= config.max_steps:
        print(f"the run in {folder} is at step {run.step} already: raise --max-steps to go on")
        return
    with Interrupts() as interrupts:
        _loop(run, batches, verifier, epoch, batch, rank == 0, interrupts)


def _loop(run, batches, verifier, epoch, batch, saves, interrupts):
    """Train from the batch `batch` of `epoch` until the run's end."""
    config, module = run.config, run.module
    metrics = training_metrics(module.output_names)
    speedometer = mx.callback.Speedometer(config.batch_size, config.frequent, auto_reset=False)
    left = TimeLeft(config.batch_size, config.max_steps, config.frequent)
    batches.start(epoch, batch, **run.restored)
    while True:
        metrics.reset()
        for data in batches:
            if data.pad and batch:  # the images left over; they come in the next epoch's order
                break
            run.forward_backward(data)
            module.update()
            module.update_metric(metrics, data.label)
            loss = module.get_outputs()[2].asnumpy().mean()
            run.step += 1
            if not math.isfinite(loss):
                raise Failure(f"the loss is {loss} after step {run.step}: lower --lr, or start with --loss softmax and "
                              f"continue with --pretrained; what was saved in {run.folder} is kept")
            run.trace()
            speedometer(mx.model.BatchEndParam(epoch=epoch, nbatch=batch, eval_metric=metrics, locals=None))
            left.step(run.step, loss)
            batch += 1
            if run.step in config.lr_steps:
                print(f"lr change to {rate_after(config.lr, config.lr_steps, run.step):g}", flush=True)
            final = run.step == config.max_steps
            left.pause()
            if saves:
                run.due, run.final = final or run.step % config.verbose == 0, final
                state_due = (config.save_every and run.step % config.save_every == 0) or final or interrupts.arrived
                run.keep(verifier, epoch, batch, state_due, interrupts)
            left.resume()
            if interrupts.arrived:
                raise Failure(f"stopped by {interrupts.arrived} after step {run.step}; the same command with --resume "
                              "goes on")
            if final:
                return
        epoch, batch = epoch + 1, 0
        batches.reset()
