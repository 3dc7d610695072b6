"""Verification while training, and what is saved after it."""
import contextlib
import os

from datasets.formats import verification_file
from eval.networks import checkpoints
from eval.protocols import pairs as protocol
from eval.protocols.targets import sets_in
from runtime import Failure


class Verifier:
    """Verifies a network on the verification files of a dataset.

    Parameters
    ----------
    folder : str
        The dataset's folder, or its record file.
    targets : list of str
        Names of the files NAME.bin, in the order in which they are reported; None for all that are there.
    explicit : bool
        Whether the user named these targets, so that each has to be there.

    Attributes
    ----------
    missing : list of str
        Targets without a file.

    Raises
    ------
    runtime.Failure
        A file cannot be used for a verification, as far as a quick look tells, or a target that the user named is
        missing.
    """

    def __init__(self, folder, targets, explicit=False):
        folder = folder if os.path.isdir(folder) else os.path.dirname(folder)
        self.paths, self.missing = sets_in(folder, targets)
        if explicit and self.missing:
            there = ", ".join(sets_in(folder)[0]) or "none"
            raise Failure(f"{os.path.join(folder, self.missing[0])}.bin is missing: put it there, or name with "
                          f"--target other verification sets of that folder (there: {there})")
        self.sets = {name: _read(path) for name, path in self.paths.items()}

    def __call__(self, embedder, step):
        """Print the original's lines for each set and return the accuracies, in order."""
        accuracies = []
        for name, (images, issame) in self.sets.items():
            result = protocol.verify(embedder, images, issame, name=self.paths[name])
            for line in protocol.format_lines(name, step, result):
                print(line, flush=True)
            accuracies.append(float(result.accuracy))
        return accuracies


def _read(path):
    """Return the images and pairs of a verification file that a verification can use."""
    try:
        images, issame = verification_file.read(path)
        verification_file.check_usable(images, issame, path)
    except Failure as failure:
        raise Failure(f"{failure}; or leave the set out with --target") from None
    return images, issame


class Validation:
    """Verifies on every set when that is due, saves a checkpoint as --ckpt says, and reports the best so far.

    Parameters
    ----------
    verifier : Verifier
    best : recognition.training.best.Best
    current : recognition.training.current.CurrentNetwork
    symbol : mx.sym.Symbol
        The embedding network, which checkpoints hold.
    learner : recognition.training.learner.Learner
    resuming : recognition.training.resuming.Resuming
        Writes the states, and is told what was verified.
    """

    def __init__(self, verifier, best, current, symbol, learner, resuming):
        self.verifier, self.best, self.current = verifier, best, current
        self.symbol, self.learner, self.resuming = symbol, learner, resuming

    def __call__(self, report):
        """Verify after a step at which it is due. A state of that step is there before, or after a failure."""
        if "verify" not in report.due:
            return
        try:
            self.verify(report.step, final="end" in report.due)
        except Exception:
            with contextlib.suppress(Exception):  # what went wrong first is what to tell
                self.resuming.save(report)
            raise
        self.resuming.note_verified(report.step)

    def verify(self, step, final=False):
        """Verify the network as it is after a step."""
        accuracies = self.verifier(self.current.embedder(), step) if self.verifier.sets else []
        epoch = self.best.epoch_to_save(accuracies, final)
        if epoch is not None:
            print(f"saving {epoch}", flush=True)
            checkpoints.save(os.path.join(self.resuming.folder, "model"), epoch, self.symbol, *self.learner.embedding())
            checkpoints.save_classifier(self.resuming.folder, epoch, self.learner.classifier())
        print(f"[{step}]Accuracy-Highest: {self.best.last:1.5f}", flush=True)
