"""Verification while training, the best so far, and the policy of saving."""
import os

from datasets.formats import verification_file
from eval.protocols import pairs as protocol
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
        if targets is None:
            targets = sorted(name[:-4] for name in os.listdir(folder) if name.endswith(".bin"))
        self.paths = {name: os.path.join(folder, f"{name}.bin") for name in targets}
        self.missing = [name for name, path in self.paths.items() if not os.path.isfile(path)]
        if explicit and self.missing:
            there = ", ".join(sorted(name[:-4] for name in os.listdir(folder) if name.endswith(".bin"))) or "none"
            raise Failure(f"{self.paths[self.missing[0]]} is missing: put it there, or name with --target other "
                          f"verification sets of that folder (there: {there})")
        self.sets = {name: _read(path) for name, path in self.paths.items() if name not in self.missing}

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


class Best:
    """The best verification so far, and whether and under which number to save.

    Best is the highest accuracy on the last verification set; on a tie, the highest sum over all.

    Parameters
    ----------
    policy : int
        --ckpt: 0 never saves; 1 saves at a new best; 2 at each verification; 3 at a new best, always as epoch 1.
    """

    def __init__(self, policy):
        self.policy = policy
        self.last, self.total, self.count = 0.0, 0.0, 0

    def epoch_to_save(self, accuracies, final=False):
        """Take a verification's accuracies; return the epoch to save under, or None.

        The `final` step is saved as well. Under policy 3, where it is not the best, it is epoch 2, so that
        the best is kept. Without verification sets there is no best, and each occasion counts as one.
        """
        self.count += 1
        last, total = (accuracies[-1], sum(accuracies)) if accuracies else (self.last, self.total)
        best = (last, total) >= (self.last, self.total)
        if best:
            self.last, self.total = last, total
        if self.policy == 0:
            return None
        if self.policy == 3:
            return 1 if best else 2 if final else None
        return self.count if best or final or self.policy == 2 else None

    def state(self):
        """Return what resuming needs, as plain values."""
        return {"last": self.last, "total": self.total, "count": self.count}

    def restore(self, state):
        self.last, self.total, self.count = state["last"], state["total"], state["count"]
