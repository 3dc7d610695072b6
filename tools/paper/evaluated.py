"""The verification of a checkpoint as tables and figures take it: read where it is kept, else computed and kept."""
import functools
import sys

from datasets.formats import verification_file
from eval.networks import checkpoints
from eval.networks.embedder import Embedder
from eval.networks.engines.by_mxnet import ByMXNet
from eval.protocols import pairs
from eval.protocols.folds import distrust_of
from eval.reporting import results
from runtime import shown


class Checkpoint:
    """A checkpoint whose network is bound to a device only where something has to be computed.

    Parameters
    ----------
    prefix : str
    epoch : int
    context : mx.Context, optional
    """

    def __init__(self, prefix, epoch, context=None):
        self.prefix, self.epoch, self.context = prefix, epoch, context
        self._parts = checkpoints.load(prefix, epoch)
        self.fingerprint = checkpoints.fingerprint(*self._parts[1:])

    @functools.cached_property
    def embedder(self):
        return Embedder(ByMXNet(*self._parts, self.context))

    def verified(self, name, path, flip, folds=10, fewer=False, progress=False):
        """Return the evaluation of this network on a verification file, and the kinds of its pairs.

        Parameters
        ----------
        name, path : str
            Of the verification file.
        flip : bool
        folds : int
        fewer : bool
            Whether a file of fewer pairs than folds gets a fold a pair.

        Returns
        -------
        evaluation : dict
            As `eval.reporting.results` describes it.
        issame : array of bool, shape (N,)

        Raises
        ------
        Failure
            As `eval.protocols.pairs.verify`.
        """
        images, issame = verification_file.read(path)
        folds, data = min(folds, len(issame)) if fewer else folds, results.data_of(path, len(issame))
        found = results.find(self.prefix, name, self.fingerprint, flip, folds, data)
        if found:
            print(f"{shown(name)}: from {shown(results.place(self.prefix, name))}", file=sys.stderr, flush=True)
            return found, issame
        result = pairs.verify(self.embedder, images, issame, folds, flip, path, progress)
        made = results.of_pairs(result, {"prefix": self.prefix, "epoch": self.epoch, "fingerprint": self.fingerprint},
                                data, distrust_of(issame, folds))
        results.keep(self.prefix, name, made)
        return made, issame
