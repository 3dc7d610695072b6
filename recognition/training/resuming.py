"""What a run saves of itself, and how it resumes: every owner makes and restores its own part of the state."""
from recognition.config.settings import differences
from recognition.training import state
from recognition.training.initialisation import seed_mxnet
from runtime import Failure, mx


class Resuming:
    """Writes a run's states and restores them.

    In a job of several workers the first one alone writes states, and every worker restores the same one. All of them
    restore network, momentum and position. `best` and `angles` matter to the first alone. A bag of triplets is the
    first's; the others mine theirs again (`recognition.data.triplets`).

    Parameters
    ----------
    folder : str
        The run's folder.
    config : EasyDict
        The settled configuration.
    learner : recognition.training.learner.Learner
        Owns the parts `network` and `optimizer`.
    batches : iterator
        Owns `data`: with `state()` and `start(epoch, batch, **state)`.
    best : recognition.training.best.Best
    angles : recognition.reporting.angle_trace.AngleTrace or None
        Owns `angles`.
    """

    def __init__(self, folder, config, learner, batches, best, angles=None):
        self.folder, self.config = folder, config
        self.learner, self.batches, self.best, self.angles = learner, batches, best, angles
        self.last, self.step = None, None  # path and step of the newest state

    def __call__(self, report):
        """Write a state where one is due."""
        if "save" in report.due:
            self.save(report)

    def save(self, report):
        """Write the state of after a step, unless it is there. What is random after it depends on its step alone."""
        if report.step == self.step:
            return
        parts = {**self.learner.state(), "data": self.batches.state()}
        if self.angles is not None:
            parts["angles"] = {name: mx.nd.array(values, dtype=values.dtype)
                               for name, values in self.angles.state().items()}
            self.angles.write(self.folder)
        self.last = state.save(self.folder, report.step, parts, {
            "epoch": report.epoch, "batch": report.batch, "best": self.best.state(),
            "due": "verify" in report.due, "config": dict(self.config)})
        self.step = report.step
        seed_mxnet(self.config.seed, report.step)

    def note_verified(self, step):
        """Keep in the state of a step, if there is one, that it was verified."""
        if step == self.step:
            state.note_verified(self.last, self.best.state())

    def restore(self):
        """Restore the newest state that is whole, and return its progress (`recognition.training.state.State`).

        Raises
        ------
        runtime.Failure
            There is none, or it is of a run with other settings.
        """
        found = state.load(self.folder)
        differing = differences(found.progress["config"], self.config)
        if differing:
            raise Failure(f"--resume goes on with the run in {self.folder}, but {'; '.join(differing)}: "
                          "give the flags it was started with, or start without --resume")
        self.last, self.step = found.path, found.step
        self.learner.restore(found.parts, found.step)
        self.best.restore(found.progress["best"])
        if self.angles is not None:
            self.angles.restore({name: value.asnumpy() for name, value in found.parts.get("angles", {}).items()})
        print(f"resuming the run in {self.folder} after step {found.step}", flush=True)
        self.batches.start(found.progress["epoch"], found.progress["batch"], **found.parts.get("data", {}))
        return found.progress
