"""The engine `mxnet`: the graph lowered for speed on a CPU, as it is on a GPU."""
import numpy as np

from eval.networks.engines.engine import Engine
from runtime import mx
from symbols.inference import for_inference


class ByMXNet(Engine):
    """A network that MXNet runs.

    On a CPU the graph is lowered for speed, and MXNet fuses convolutions with what follows them (folding batch
    normalisation beforehand gains nothing then). Embeddings agree with the plain graph's to float32 accuracy.

    Parameters
    ----------
    symbol : mx.Symbol
        Image → embedding, with the input `data`, as `eval.networks.checkpoints.load` gives it.
    arg_params, aux_params : dict of str to mx.nd.NDArray
        May hold more than the symbol needs.
    ctx : mx.Context
        The CPU by default.
    batch_size : int, optional
        How many images the network gets at a time (one more where odd, so that flips come in pairs). 16 on CPUs, where
        more take more memory and no less time, and 64 on GPUs, unless given.
    image_shape : tuple
        (channels, height, width).
    """

    name = "mxnet"

    def __init__(self, symbol, arg_params, aux_params, ctx=None, batch_size=None, image_shape=(3, 112, 112)):
        self.ctx = ctx or mx.cpu()
        if batch_size is None:
            batch_size = 16 if self.ctx.device_type == "cpu" else 64
        if batch_size < 1:
            raise ValueError(f"a batch of {batch_size} images")
        self.image_shape = tuple(image_shape)
        self.rows = batch_size + batch_size % 2
        self._symbol = symbol
        self._full = self._last = None  # executors: of full batches, and of the last, smaller one
        self.set_params(arg_params, aux_params)

    @property
    def dimension(self):
        return int(np.prod(self._full.outputs[0].shape[1:]))

    def set_params(self, arg_params, aux_params):
        """Give the network other parameters, for instance those that training has reached.

        Parameters
        ----------
        arg_params, aux_params : dict of str to mx.nd.NDArray

        Raises
        ------
        ValueError
            One that the network needs is missing.
        """
        symbol = self._symbol
        missing = [name for name in symbol.list_arguments() if name not in arg_params and name != "data"]
        missing += [name for name in symbol.list_auxiliary_states() if name not in aux_params]
        if missing:
            raise ValueError(f"parameters that the network needs are missing: {', '.join(missing)}")
        if self.ctx.device_type == "cpu":
            symbol, arg_params = for_inference(symbol, arg_params, {"data": (1, *self.image_shape)})
        # Bound again, since on CPUs the operators that MXNet fuses keep weights of their first run.
        self._full = self._last = None
        self._full = symbol.simple_bind(self.ctx, grad_req="null", data=(self.rows, *self.image_shape))
        self._full.copy_params_from(arg_params, aux_params, allow_extra_params=True)

    def start(self, data):
        if len(data) == self.rows:
            executor = self._full
        else:
            if self._last is None or len(self._last.arg_dict["data"]) != len(data):
                # It shares the memory of the full one; kept, for all sets of a run may end in such a batch.
                self._last = self._full.reshape(data=data.shape)
            executor = self._last
        executor.arg_dict["data"][:] = data
        output = executor.forward(is_train=False)[0]
        return lambda: output.asnumpy().reshape(len(output), -1).astype(np.float32, copy=False)
