"""A learner that holds the whole network on every device: MXNet's Module, on one machine or several."""
from recognition.losses import classification
from recognition.training import optimizer
from recognition.training.initialisation import initializer, seed_mxnet
from recognition.training.learner import Learner
from runtime import mx
from symbols.lowering import lower

_OUTPUT = "_output"


def bind(symbol, contexts, batch_size, image_shape=(3, 112, 112)):
    """Return the bound module of a training symbol, in the form that runs fastest on its devices.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        As `recognition.losses.objective.training_symbol` returns it.
    contexts : list of mx.Context
    batch_size : int
        Images over all devices of this worker.
    image_shape : tuple
        (channels, height, width).
    """
    arguments = symbol.list_arguments()
    inputs = [mx.io.DataDesc("data", (batch_size, *image_shape))]
    inputs += [mx.io.DataDesc(classification.STEP, (batch_size,))] * (classification.STEP in arguments)
    labels = [mx.io.DataDesc("softmax_label", (batch_size,))] * ("softmax_label" in arguments)
    if all(context.device_type == "cpu" for context in contexts):
        symbol = lower(symbol, training=True, shapes={entry.name: entry.shape for entry in inputs + labels})
    module = mx.mod.Module(symbol, context=contexts, data_names=[entry.name for entry in inputs],
                           label_names=[entry.name for entry in labels])
    module.bind(data_shapes=inputs, label_shapes=labels or None)
    return module


class ReplicatedLearner(Learner):
    """The whole network on each device; devices and workers add their gradients up.

    Parameters
    ----------
    embedding : mx.sym.Symbol
        The embedding network.
    objective : mx.sym.Symbol
        What is minimised, `recognition.losses.objective.training_symbol` of that network.
    config : EasyDict
        A settled configuration: `net_name seed lr lr_steps wd mom`.
    contexts : list of mx.Context
    batch_size : int
        Images over all devices of this worker.
    kvstore : str or mx.kv.KVStore
    """

    def __init__(self, embedding, objective, config, contexts, batch_size, kvstore):
        self.config, self.kvstore, self.done = config, kvstore, 0
        self.module = bind(objective, contexts, batch_size)
        self._embedding = set(embedding.list_arguments()) | set(embedding.list_auxiliary_states())

    def initialise(self, arg_params=None, aux_params=None):
        """Start from weights of the run's seed, with those of a checkpoint where they are given."""
        self._start(arg_params, aux_params, {}, 0, allow_missing=True)

    def restore(self, state, done):
        """Continue from a state after `done` steps; every rank restores the network and the momentum."""
        parts = {"arg": {}, "aux": {}}
        for name, value in state["network"].items():
            kind, _, plain = name.partition(":")
            parts[kind][plain] = value
        self._start(parts["arg"], parts["aux"], state["optimizer"], done, allow_missing=False)

    def _start(self, arg_params, aux_params, momentum, done, allow_missing):
        seed_mxnet(self.config.seed, done)
        self.module.init_params(initializer(self.config.net_name), arg_params=arg_params or {},
                                aux_params=aux_params or {}, allow_missing=allow_missing, allow_extra=allow_missing)
        optimizer.install(self.module, self.config, self.kvstore, done=done)
        optimizer.restore_momentum(self.module, momentum)
        self.done = done

    def replace(self, arg_params):
        """Give some of the network's parameters other values; their momentum stays."""
        current, aux_params = self._parameters()
        self.module.set_params({**current, **arg_params}, aux_params)

    def step(self, batch):
        """Hand over one step; a loss that changes with the step is told how many were done."""
        if classification.STEP in self.module.data_names:
            batch.data.append(mx.nd.full(batch.label[0].shape, self.done))
        self.module.forward_backward(batch)
        self.module.update()
        self.done += 1
        return self._outputs()

    def _outputs(self):
        """Return copies of what reporters read. The module's own arrays are overwritten by the next step, and MXNet's
        engine runs these copies before it.
        """
        found = {}
        for name, arrays in zip(self.module.output_names, self.module.get_outputs(merge_multi_context=False)):
            name = name[:-len(_OUTPUT)]
            if name == "softmax":
                found["prediction"] = [mx.nd.argmax(array, axis=1) for array in arrays]
            elif name.endswith("_loss") or name == "target_cosine":
                found[name] = [array.copy() for array in arrays]
        return found

    def _parameters(self):
        """Return (arg_params, aux_params) as they are after the last step.

        BatchNorm's backward writes its moving statistics without telling MXNet's engine: statistics that are read
        while it still runs can be one step behind.
        """
        mx.nd.waitall()
        return self.module.get_params()

    def embedding(self):
        """Return (arg_params, aux_params) of the embedding network."""
        return tuple({name: value for name, value in params.items() if name in self._embedding}
                     for params in self._parameters())

    def classifier(self):
        """Return the classifier's parameters, those whose names begin with fc7_."""
        return {name: value for name, value in self._parameters()[0].items() if name.startswith("fc7_")}

    def state(self):
        """Return the parameters, named arg:… and aux:…, and the momentum of each parameter."""
        arg_params, aux_params = self._parameters()
        network = {f"arg:{name}": value for name, value in arg_params.items()}
        network.update({f"aux:{name}": value for name, value in aux_params.items()})
        return {"network": network, "optimizer": optimizer.momentum(self.module)}
