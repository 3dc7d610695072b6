"""SGD as the trainer installs it, against the rule in float64 NumPy."""
import numpy as np
import pytest
from easydict import EasyDict

from recognition.losses import objective
from recognition.training import optimizer
from runtime import mx

CONFIG = EasyDict(lr=0.1, lr_steps=[2], mom=0.9, wd=0.0005)
MULTIPLIERS = {"dense_weight": (1, 1), "norm_gamma": (1, 1), "norm_beta": (1, 0), "dense_bias": (1, 0),
               "fc7_weight": (1, 1), "fc7_bias": (2, 0)}  # of the rate and of the decay


def module(devices, kvstore):
    """Return a small network with every kind of parameter, bound on so many CPU devices."""
    hidden = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=6, name="dense")
    hidden = mx.sym.BatchNorm(hidden, fix_gamma=False, name="norm")
    symbol = objective.training_symbol(hidden, 5, loss_name="softmax", emb_size=6)
    net = mx.mod.Module(symbol, context=[mx.cpu(n) for n in range(devices)], label_names=["softmax_label"])
    net.bind([("data", (8, 4))], [("softmax_label", (8,))])
    mx.random.seed(0)
    net.init_params(mx.init.Normal(0.3))
    optimizer.install(net, CONFIG, kvstore)
    return net


def gradients(net):
    """Return the mean over devices of each parameter's gradient."""
    group = net._exec_group
    return {name: np.mean([grad.asnumpy().astype(np.float64) for grad in grads], axis=0)
            for name, grads in zip(group.param_names, group.grad_arrays)}


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("kvstore", ["device", "local"])
def test_steps_follow_the_rule(devices, kvstore):
    net = module(devices, kvstore)
    rng = np.random.RandomState(0)
    velocity = dict.fromkeys(MULTIPLIERS, 0.0)
    for step in range(1, 5):
        before = {name: value.asnumpy().astype(np.float64) for name, value in net.get_params()[0].items()}
        batch = mx.io.DataBatch([mx.nd.array(rng.normal(size=(8, 4)))], [mx.nd.array(rng.randint(0, 5, 8))])
        net.forward_backward(batch)
        mx.nd.waitall()
        grads = gradients(net)
        net.update()
        after = net.get_params()[0]
        rate = CONFIG.lr * (0.1 if step > 2 else 1)
        for name, (rate_mult, decay_mult) in MULTIPLIERS.items():
            step_of = rate * rate_mult * (grads[name] + CONFIG.wd * decay_mult * before[name])
            velocity[name] = CONFIG.mom * velocity[name] - step_of
            np.testing.assert_allclose(after[name].asnumpy(), before[name] + velocity[name], rtol=2e-4, atol=1e-6,
                                       err_msg=f"{name} at step {step}")


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("kvstore", ["device", "local"])
def test_momentum_goes_out_and_in(devices, kvstore):
    """A second module with the first one's weights and momentum takes the same next step."""
    rng = np.random.RandomState(0)
    batches = [mx.io.DataBatch([mx.nd.array(rng.normal(size=(8, 4)))], [mx.nd.array(rng.randint(0, 5, 8))])
               for _ in range(4)]
    one, other = module(devices, kvstore), module(devices, kvstore)
    for batch in batches[:3]:
        one.forward_backward(batch)
        one.update()
    saved = {name: value.copy() for name, value in optimizer.momentum(one).items()}
    assert set(saved) == set(MULTIPLIERS)
    mx.nd.waitall()
    arg_params, aux_params = ({k: v.copy() for k, v in table.items()} for table in one.get_params())
    other = mx.mod.Module(one.symbol, context=[mx.cpu(n) for n in range(devices)], label_names=["softmax_label"])
    other.bind([("data", (8, 4))], [("softmax_label", (8,))])
    other.init_params(arg_params=arg_params, aux_params=aux_params)
    optimizer.install(other, CONFIG, kvstore, done=3)
    optimizer.restore_momentum(other, saved)
    for net in (one, other):
        net.forward_backward(batches[3])
        net.update()
    for name, value in one.get_params()[0].items():
        np.testing.assert_array_equal(value.asnumpy(), other.get_params()[0][name].asnumpy(), err_msg=name)
