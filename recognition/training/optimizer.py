"""The optimizer, and its momentum in and out of a module by parameter name.

MXNet pickles optimizer states; kept as arrays by name they load without unpickling, and on any number of devices.
"""
import os

from recognition.training.schedule import step_schedule
from runtime import Failure, mx


@mx.optimizer.register
class ArrayWiseSGD(mx.optimizer.SGD):
    """MXNet's SGD with an operator for each array: on a CPU its operator for several takes nearly twice the time."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.aggregate_num = 0

    def update_multi_precision(self, index, weight, grad, state):
        """Take a step: `weight` and its momentum `state`, None where there is none, change in place."""
        self._update_count(index)
        settings = {"lr": self._get_lr(index), "wd": self._get_wd(index), "rescale_grad": self.rescale_grad,
                    "lazy_update": False, "out": weight}
        if state is None:
            mx.nd.sgd_update(weight, grad, **settings)
        else:
            mx.nd.sgd_mom_update(weight, grad, state, momentum=self.momentum, **settings)


def install(module, config, kvstore, done=0):
    """Give a bound module its SGD with momentum, decay and steps of Sec. 3.1.

    SoftmaxOutput's gradient is a device's mean already, so gradients are scaled by one over the devices, of all
    workers. MXNet's rule leaves biases and betas without decay.

    Parameters
    ----------
    module : mx.mod.Module
    config : EasyDict
        `lr lr_steps wd mom`.
    kvstore : str or mx.kv.KVStore
    done : int
        Batches that were done before, where the schedule goes on.
    """
    workers = getattr(kvstore, "num_workers", 1)
    if workers > 1:
        # The servers add gradients up and each worker takes the same step. They could take it themselves, but then
        # the momentum would be theirs, out of reach, and gluon-cv's scheduler does not load in a server process.
        os.environ["MXNET_UPDATE_ON_KVSTORE"] = "0"
    settings = {"learning_rate": config.lr, "momentum": config.mom, "wd": config.wd,
                "rescale_grad": 1.0 / (len(module._context) * workers), "begin_num_update": done,
                "lr_scheduler": step_schedule(config.lr, config.lr_steps)}
    on_cpus = all(context.device_type == "cpu" for context in module._context)
    module.init_optimizer(kvstore=kvstore, optimizer="arraywisesgd" if on_cpus else "sgd", optimizer_params=settings)
    if workers > 1:  # all begin with the first worker's weights
        for name, values in zip(module._exec_group.param_names, module._exec_group.param_arrays):
            kvstore.pull(name, values)


def _updater(module):
    """Return the updater that holds the momentum, or None where a server of a dist_ kvstore does."""
    if module._update_on_kvstore:
        return module._kvstore._updater
    return module._updater


def _indices(module):
    """Return for each parameter's name the indices under which the updater knows it, one a device."""
    names = module._exec_group.param_names
    if module._update_on_kvstore:
        return {name: [name, position] for position, name in enumerate(names)}
    devices = len(module._context)
    return {name: [position * devices + device for device in range(devices)] for position, name in enumerate(names)}


def momentum(module):
    """Return the momentum of each parameter as {name: NDArray}; empty before the first step."""
    updater = _updater(module)
    if updater is None:
        return {}
    found = {}
    for name, indices in _indices(module).items():
        state = next((updater.states[index] for index in indices if index in updater.states), None)
        if state is not None:
            found[name] = state
    return found


def restore_momentum(module, arrays):
    """Put momentum back as `momentum` gave it.

    Raises runtime.Failure where a shape differs from the parameter's.
    """
    updater = _updater(module)
    if updater is None:
        return
    shapes = {name: values[0].shape for name, values in zip(module._exec_group.param_names,
                                                            module._exec_group.param_arrays)}
    for name, indices in _indices(module).items():
        if name not in arrays:
            continue
        if arrays[name].shape != shapes[name]:
            raise Failure(f"the state's momentum of {name} has shape {arrays[name].shape}, the network's "
                          f"{shapes[name]}: resume with the flags that the run was started with")
        for index in indices:
            updater.states[index] = arrays[name].copyto(mx.cpu())
            updater.states_synced[index] = False
