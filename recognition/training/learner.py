"""What the training loop needs of a model, whatever devices or machines it is spread over."""
import abc


class Learner(abc.ABC):
    """A network with its classifier, loss and optimizer.

    Attributes
    ----------
    done : int
        Steps done, over the whole run.
    """

    @abc.abstractmethod
    def step(self, batch):
        """Hand one training step to MXNet's engine, without waiting for it.

        Parameters
        ----------
        batch : mx.io.DataBatch
            `data` (B, 3, 112, 112) and `softmax_label` (B,).

        Returns
        -------
        dict of str to list of mx.nd.NDArray
            An array a device: every output whose name ends in `_loss` (1,), the main loss first; `prediction` (B,),
            the class of the largest logit, if there is a classifier; `target_cosine` (B,) if it is traced. They stay
            as they are when further steps are handed over.
        """

    @abc.abstractmethod
    def embedding(self):
        """Return (arg_params, aux_params) of the embedding network after the last step, dicts of NDArrays."""

    @abc.abstractmethod
    def classifier(self):
        """Return the classifier's parameters after the last step by name, a dict of NDArrays; empty without one."""

    @abc.abstractmethod
    def state(self):
        """Return what resuming needs, by owner: {"network": {name: NDArray}, "optimizer": {name: NDArray}}."""

    @abc.abstractmethod
    def restore(self, state, done):
        """Continue from what `state` returned after `done` steps.

        Raises runtime.Failure where the arrays do not fit the network.
        """
