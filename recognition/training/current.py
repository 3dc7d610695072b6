"""The embedding network as it is at this moment of training, ready to embed."""
from eval.networks.embedder import Embedder
from eval.networks.engines.by_mxnet import ByMXNet


class CurrentNetwork:
    """Embeds with the parameters that a learner has reached.

    Re-binding the inference graph costs less than embedding with the unfused training graph.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        The embedding network.
    learner : recognition.training.learner.Learner
    context : mx.Context
    """

    def __init__(self, symbol, learner, context):
        self._symbol, self._learner, self._context = symbol, learner, context
        self._engine = None

    def embedder(self):
        """Return an Embedder with the parameters of after the last step."""
        arg_params, aux_params = self._learner.embedding()
        if self._engine is None:
            self._engine = ByMXNet(self._symbol, arg_params, aux_params, ctx=self._context)
        else:
            self._engine.set_params(arg_params, aux_params)
        return Embedder(self._engine)

    def __call__(self, images):
        """Return the embeddings (N, D) of images, which are as `Embedder` takes them."""
        return self.embedder()(images)
