"""Running Table 2: every loss under one budget, each run in a process of its own, resumable run by run.

A run is one loss with one seed. It lies in `RUNS/seed-S/NETWORK-LOSS-DATASET/`: what it was asked to be
(`run.json`), the trainer's lines (`train.log`), its checkpoint, and, when it is done, `result.json`.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from eval.reporting import results
from recognition.config.build import build
from recognition.config.losses import LOSSES
from recognition.config.settings import of_the_result
from recognition.reporting.progress import clock
from recognition.training.state import states
from runtime import ROOT, Failure
from runtime.files import write_json
from runtime.locks import alone

OWN_FLAGS = ("network", "loss", "dataset", "models_root", "pretrained", "ckpt", "verbose", "save_every", "resume",
             "seed", "targets", "frequent")
"""Flags of `recognition/train.py` that are set here."""
PERIOD = 60  # seconds between lines of progress


class Run:
    """One loss trained with one seed.

    Parameters
    ----------
    loss : str
    seed : int
    folder : str
        Where its checkpoint goes.
    config : dict
        Its settings, of `recognition.config.build.build`.
    sets : list of str
        Names of the verification sets that judge it.
    flip : bool
        As for `eval.protocols.pairs.verify`.
    start : Run, optional
        The run whose network it starts from.
    root : str
        The folder with `recognition/train.py` and `eval/verification.py`.
    """

    def __init__(self, loss, seed, folder, config, sets, flip, start=None, root=ROOT):
        self.root = root
        self.loss, self.seed, self.folder, self.config, self.flip, self.start = loss, seed, folder, config, flip, start
        self.settings = of_the_result(config)
        self.settings.update(start=start and start.loss, sets=sets, flip=flip)
        self.failure, self.begun = None, 0
        self.process, self.resumes = None, False

    def __str__(self):
        return f"{self.loss}, seed {self.seed}"

    def path(self, name):
        return os.path.join(self.folder, name)

    def result(self):
        """Return what the finished run gave, or None.

        Raises
        ------
        Failure
            The folder holds a run with other settings.
        """
        before = _read(self.path("run.json"))
        differing = [f"{name} was {before[name]!r}, now {value!r}" for name, value in _plain(self.settings).items()
                     if name in before and before[name] != value]
        if differing:
            raise Failure(f"{self.folder} holds a run with other settings ({'; '.join(differing[:3])}): name another "
                          "folder with --runs, or remove this one")
        return _read(self.path("result.json")) or None

    def step(self):
        """Return how many steps are done, as the trainer's log says."""
        try:
            with open(self.path("train.log"), "rb") as file:
                file.seek(max(0, os.path.getsize(self.path("train.log")) - 20000))
                found = re.findall(rb"^step (\d+) of ", file.read(), re.M)
        except OSError:
            return 0
        return int(found[-1]) if found else 0

    def launch(self, flags, threads, lock):
        """Begin the training process, from where an interrupted one stopped, or anew."""
        os.makedirs(self.folder, exist_ok=True)
        self.resumes = bool(states(self.folder))
        if not self.resumes:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path("train.log"))
        write_json(self.path("run.json"), _plain(self.settings))
        steps = self.config["max_steps"]
        command = [
            "recognition/train.py", "--network", self.config["network"], "--loss", self.loss,
            "--dataset", self.config["dataset"], "--seed", str(self.seed), *flags, "--max-steps", str(steps),
            "--models-root", os.path.dirname(self.folder), "--target", "", "--ckpt", "2", "--verbose", str(steps),
            "--frequent", str(max(1, steps // 50)), "--save-every", str(max(1, steps // 5))]
        if self.resumes:
            command.append("--resume")
        elif self.start:
            command += ["--pretrained", self.start.path("model"), "--pretrained-epoch", "1"]
        self.begun = self.step()
        self.process = _launch(self.root, command, self.path("train.log"), threads, lock)

    def verify(self, folder, threads, lock):
        """Verify the final network in a process of its own; return the measures of each set in the folder.

        Raises Failure where that fails.
        """
        out = self.path("verification.json")
        command = ["eval/verification.py", "--model", f"{self.path('model')},1", "--data-dir", folder, "--target",
                   ",".join(self.settings["sets"]), "--json", out, *([] if self.flip else ["--no-flip"])]
        process = _launch(self.root, command, self.path("verification.log"), threads, lock)
        try:
            if process.wait():
                raise Failure(_last_line(self.path("verification.log")))
        finally:
            _end([process])
        return {name: {**{key: values[key] for key in ("accuracy", "std", "auc", "xnorm")},
                       "tar": results.tar_of(values)}
                for name, values in results.values_by_name(_read(out)).items()}


def _plain(value):
    """Return a value as JSON gives it back."""
    return json.loads(json.dumps(value))


def _read(path):
    """Return what a JSON file holds; an empty dict where it is missing or damaged."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def _last_line(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _launch(root, command, log, threads, lock):
    """Begin a command of the repository at `root`, its lines going to a file."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    with open(log, "ab") as file:
        return subprocess.Popen([sys.executable, os.path.join(root, command[0]), *command[1:]], stdout=file,
                                stderr=subprocess.STDOUT, env=environment,
                                pass_fds=[lock] if os.name == "posix" else [])


def _end(processes):
    """Ask processes that still run to save and end, and wait for them."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        process.terminate()
    for process in running:
        process.wait()


def plan(losses, seeds, network, dataset, flags, runs, sets, flip=True, triplets_from=None, root=ROOT):
    """Return the runs of a table, seed by seed, so that a whole table of one seed is there first.

    Parameters
    ----------
    losses : list of str
    seeds : list of int
    network, dataset : str
    flags : dict
        Further ones for `recognition/train.py`, as `recognition.config.build.build` takes them.
    runs : str
        The folder of all.
    sets, flip
        As for `Run`.
    triplets_from : str, optional
        A loss of those, at whose network the losses of triplets alone start.
    root
        As for `Run`.

    Raises
    ------
    Failure
        A run would have no end, or a name is unknown.
    """
    planned = []
    order = sorted(losses, key=lambda loss: loss != triplets_from)
    for seed in seeds:
        first = None
        for loss in order:
            config = build(network, loss, dataset, dict(flags, seed=seed))
            if not config.max_steps:
                raise Failure(f"the dataset {dataset} has no last step of its own: give --max-steps")
            folder = os.path.join(runs, f"seed-{seed}", f"{network}-{loss}-{dataset}")
            starts = triplets_from and not LOSSES[loss].has_classifier
            run = Run(loss, seed, folder, config, sets, flip, first if starts else None, root)
            first = run if loss == triplets_from else first
            planned.append(run)
    return planned


def _interrupt(*_):
    raise KeyboardInterrupt


def work(planned, folder, runs, flags=(), jobs=1, done=lambda: None):
    """Do the runs that are not done, and keep what each gives.

    Parameters
    ----------
    planned : list of Run
        A run that fails keeps the reason in `failure`, and the others go on; the next time it is tried again.
    folder : str
        Where the verification files are.
    runs : str
        The folder of all runs.
    flags : list of str
        Further ones for `recognition/train.py`, as on its command line.
    jobs : int
        Processes at a time, among which this process's threads are divided.
    done : callable
        Called when a run has ended.

    Raises
    ------
    Failure
        A folder holds a run with other settings, or another table is at work there.
    KeyboardInterrupt
        After the processes have saved and ended.
    """
    threads = max(1, int(os.environ["OMP_NUM_THREADS"]) // jobs)
    with alone(runs, "name another folder with --runs") as lock:  # processes of a killed table keep it
        waiting = [run for run in planned if not run.result()]
        print(f"{len(planned) - len(waiting)} of {len(planned)} runs are done already; {jobs} at a time, {threads} "
              f"thread{'s' * (threads > 1)} each", flush=True)
        progress, running = _Progress(waiting), []
        handler = signal.signal(signal.SIGTERM, _interrupt)
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    run = next((run for run in waiting if not run.start or run.start not in waiting + running), None)
                    if run is None:  # all wait for one that runs
                        break
                    waiting.remove(run)
                    if run.start and not run.start.result():
                        run.failure = f"it starts from the network of {run.start}, which is not there"
                        done()
                        continue
                    run.launch(flags, threads, lock)
                    progress.launched(run)
                    print(f"{'going on with' if run.resumes else 'training'} {run}", flush=True)
                    running.append(run)
                for run in [run for run in running if run.process.poll() is not None]:
                    if run.process.returncode and run.resumes:  # what it was to go on from is of no use
                        shutil.rmtree(run.path("state"), ignore_errors=True)
                        run.launch(flags, threads, lock)
                        progress.launched(run)
                        continue
                    running.remove(run)
                    _finish(run, folder, threads, lock)
                    done()
                progress.show(waiting, running)
                time.sleep(0.2)
        finally:
            _end([run.process for run in running])
            signal.signal(signal.SIGTERM, handler)


def _finish(run, folder, threads, lock):
    """Keep what a run gave whose training has ended."""
    try:
        if run.process.returncode:
            raise Failure(_last_line(run.path("train.log")))
        sets = run.verify(folder, threads, lock)
        write_json(run.path("result.json"), {"loss": run.loss, "seed": run.seed, "flip": run.flip, "sets": sets,
                                             "config": _plain(run.config), "start": run.settings["start"]})
        shutil.rmtree(run.path("state"), ignore_errors=True)  # several times the network's size
        print(f"{run}: " + ", ".join(f"{name} {100 * found['accuracy']:.2f} %" for name, found in sets.items()),
              flush=True)
    except Failure as failure:
        run.failure = str(failure)
        print(f"{run} failed: {failure}", flush=True)


class _Progress:
    """Says every minute how far the table is and how long the rest will take."""

    def __init__(self, waiting):
        self.steps = sum(run.config["max_steps"] for run in waiting)
        self.begun = self.shown = time.monotonic()
        self.before = {}

    def launched(self, run):
        """Note what a resumed run had done before, which is no measure of the pace."""
        self.before[run] = run.begun

    def show(self, waiting, running):
        if time.monotonic() - self.shown < PERIOD or not running:
            return
        self.shown = time.monotonic()
        left = sum(run.config["max_steps"] for run in waiting) + sum(
            run.config["max_steps"] - run.step() for run in running)
        pace = (self.steps - sum(self.before.values()) - left) / (self.shown - self.begun)
        about = f", about {clock(left / pace)} left for the table" if pace > 0 else ""
        print("; ".join(f"{run}: step {run.step()} of {run.config['max_steps']}" for run in running)
              + f"; {len(waiting)} runs wait{about}", flush=True)
