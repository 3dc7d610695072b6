"""The replicated learner: what it hands over, on one device and on two, and that it waits for nothing."""
import threading

import numpy as np
import pytest
from easydict import EasyDict

from recognition.losses.objective import training_symbol
from recognition.training.replicated import ReplicatedLearner
from runtime import Failure, mx

CLASSES, SIZE = 5, 8
CONFIG = EasyDict(net_name="fresnet", seed=0, lr=0.05, lr_steps=[7], wd=0.0005, mom=0.9)


def network(normalised):
    """Return a small network with a convolution, optionally a batch normalisation, and an embedding."""
    body = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=4, name="conv")
    if normalised:
        body = mx.sym.BatchNorm(body, fix_gamma=False, eps=2e-5, name="bn")
    body = mx.sym.LeakyReLU(body, act_type="prelu", name="relu")
    return mx.sym.FullyConnected(body, num_hidden=SIZE, name="fc1")


def learner(devices=1, batch=8, loss=None, normalised=False):
    embedding = network(normalised)
    objective = training_symbol(embedding, CLASSES, **(loss or {"loss_m2": 0.5, "loss_s": 16.0, "emb_size": SIZE}))
    contexts = [mx.cpu(index) for index in range(devices)]
    return ReplicatedLearner(embedding, objective, CONFIG, contexts, batch, "device")


def batches(count, batch=8):
    rng = np.random.RandomState(0)
    for _ in range(count):
        images = rng.uniform(0, 255, (batch, 3, 112, 112)) / 255
        yield mx.io.DataBatch([mx.nd.array(images)], [mx.nd.array(rng.randint(0, CLASSES, batch))])


def parameters(one):
    return {name: value.asnumpy() for name, value in {**one.embedding()[0], **one.classifier()}.items()}


def test_two_devices_at_half_the_batch_follow_one_device():
    """After 20 steps with a change of rate; there is no batch normalisation, whose statistics are each device's own."""
    one, two = learner(1), learner(2)
    one.initialise()
    start = parameters(one)
    two.initialise({name: mx.nd.array(value) for name, value in start.items()})
    losses = {1: [], 2: []}
    for data in batches(20):
        for number, each in ((1, one), (2, two)):
            outputs = each.step(data)
            assert len(outputs["ce_loss"]) == number
            losses[number].append(np.mean([loss.asscalar() for loss in outputs["ce_loss"]]))
    np.testing.assert_allclose(losses[2], losses[1], rtol=1e-4)
    first, second = parameters(one), parameters(two)
    for name in first:
        scale = np.abs(first[name]).max()
        np.testing.assert_allclose(second[name], first[name], rtol=0, atol=1e-4 * scale, err_msg=name)
    assert not np.allclose(first["conv_weight"], start["conv_weight"], rtol=1e-2)


def test_a_state_continues_bit_for_bit():
    whole, first, second = learner(normalised=True), learner(normalised=True), learner(normalised=True)
    whole.initialise()
    first.initialise()
    given = list(batches(6))
    for data in given:
        whole.step(data)
    for data in given[:3]:
        first.step(data)
    second.restore(first.state(), 3)
    for data in given[3:]:
        second.step(data)
    assert second.done == 6
    for part, arrays in whole.state().items():
        for name, value in arrays.items():
            np.testing.assert_array_equal(second.state()[part][name].asnumpy(), value.asnumpy(), err_msg=name)


def test_outputs_stay_when_the_next_step_is_handed_over():
    one = learner()
    one.initialise()
    first, second = batches(2)
    kept = one.step(first)
    one.step(second)
    late = {name: values[0].asnumpy() for name, values in kept.items()}
    other = learner()
    other.initialise()
    for name, values in other.step(first).items():
        np.testing.assert_array_equal(values[0].asnumpy(), late[name], err_msg=name)
    assert set(late) == {"prediction", "ce_loss"} and late["prediction"].shape == (8,)


def test_triplets_alone_need_no_label():
    one = learner(batch=6, loss={"loss_name": "triplet", "triplet_distance": "euclidean", "triplet_alpha": 0.3})
    one.initialise()
    outputs = one.step(next(batches(1, 6)))
    assert set(outputs) == {"triplet_loss"} and one.classifier() == {}


GATE, ENTERED = threading.Event(), threading.Event()


class Gate(mx.operator.CustomOp):
    """Passes its input on, once the gate is open: an engine as slow as a test needs."""

    def forward(self, is_train, req, in_data, out_data, aux):
        ENTERED.set()
        assert GATE.wait(60)
        self.assign(out_data[0], req[0], in_data[0])

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        self.assign(in_grad[0], req[0], out_grad[0])


@mx.operator.register("gate")
class GateProperty(mx.operator.CustomOpProp):
    def create_operator(self, context, shapes, types):
        return Gate()


def test_handing_over_does_not_wait_for_the_result():
    """The first step is held up inside MXNet's engine, and the second is handed over all the same."""
    embedding = mx.sym.FullyConnected(mx.sym.Custom(mx.sym.Variable("data"), op_type="gate"), num_hidden=SIZE,
                                      name="fc1")
    objective = training_symbol(embedding, CLASSES, loss_m2=0.5, emb_size=SIZE)
    one = ReplicatedLearner(embedding, objective, CONFIG, [mx.cpu()], 8, "device")
    one.initialise()
    GATE.clear()
    handed = []

    def train():
        handed.extend(one.step(data) for data in batches(2))
    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    assert ENTERED.wait(60)
    thread.join(60)
    held = not thread.is_alive() and len(handed) == 2 and not GATE.is_set()
    GATE.set()
    thread.join(60)
    assert held, "a step waited for its own result"
    assert all(np.isfinite(outputs["ce_loss"][0].asscalar()) for outputs in handed)


def test_a_state_of_another_network_is_refused():
    one, other = learner(), learner()
    one.initialise()
    one.step(next(batches(1)))
    state = one.state()
    state["optimizer"]["conv_weight"] = mx.nd.zeros((2, 2))
    with pytest.raises(Failure, match="momentum of conv_weight"):
        other.restore(state, 1)
