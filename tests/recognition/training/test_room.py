"""What a run will keep, against what it does keep."""
import os

import numpy as np
import pytest

from recognition.config.build import build
from recognition.training import room, state
from runtime import mx


def bytes_in(folder):
    return sum(os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(folder) for name in names)


def test_sizes_are_those_of_the_files(tmp_path):
    data = mx.sym.Variable("data")
    net = mx.sym.BatchNorm(mx.sym.FullyConnected(data, num_hidden=5, name="fc1"), name="bn")
    symbol = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=7, no_bias=True, name="fc7"),
                                  mx.sym.Variable("softmax_label"), name="softmax")
    arguments, states = room.parameter_shapes(symbol, {"data": (2, 3), "softmax_label": (2,), "step": (2,)})
    assert arguments == {"fc1_weight": (5, 3), "fc1_bias": (5,), "bn_gamma": (5,), "bn_beta": (5,),
                         "fc7_weight": (7, 5)}
    assert states == {"bn_moving_mean": (5,), "bn_moving_var": (5,)}
    arrays = {f"{kind}:{name}": mx.nd.zeros(shape) for kind, shapes in (("arg", arguments), ("aux", states))
              for name, shape in shapes.items()}
    mx.nd.save(str(tmp_path / "network"), arrays)
    mx.nd.save(str(tmp_path / "momentum"), {name: mx.nd.zeros(shape) for name, shape in arguments.items()})
    network, momentum = (os.path.getsize(tmp_path / name) for name in ("network", "momentum"))
    assert room.sizes(arguments, states) == (network, network + momentum)
    assert room.sizes(arguments, states, momentum=False) == (network, network)


@pytest.mark.parametrize("before", [0, 1, 2, 3])
@pytest.mark.parametrize("writes", [0, 1, 2, 3, 5])
def test_the_fullest_moment(tmp_path, monkeypatch, before, writes):
    """Measured while states are written, when each is whole and before an older one goes."""
    def arrays(size):
        return {"network": {"arg:a": mx.nd.zeros((size,))}}

    for step in range(before):
        state.save(str(tmp_path), 100 + step, arrays(5000 + 1000 * step), {})
    if before == 3:  # a killed process left the beginning of a state
        (tmp_path / "state" / state.WRITING).mkdir()
        (tmp_path / "state" / state.WRITING / "network.params").write_bytes(bytes(3000))
    wanted = room.needed(str(tmp_path), 0, os.path.getsize(_save(tmp_path / "x", arrays(9000)["network"])), writes)
    os.unlink(tmp_path / "x")
    begun, fullest, rename = bytes_in(tmp_path), [0], os.rename
    monkeypatch.setattr(os, "rename", lambda *paths: (fullest.append(bytes_in(tmp_path) - begun), rename(*paths)))
    for step in range(writes):
        state.save(str(tmp_path), step, arrays(9000), {})
    assert abs(wanted - max(fullest)) < 1000  # progress.json


def _save(path, arrays):
    mx.nd.save(str(path), arrays)
    return path


def test_what_is_replaced_counts(tmp_path):
    assert room.needed(str(tmp_path), 5000, 100, 3) == 5300
    (tmp_path / "model-0001.params").write_bytes(bytes(3000))
    (tmp_path / ".fc7-0001.part.params").write_bytes(bytes(500))
    (tmp_path / "model-0002.params").write_bytes(bytes(9000))
    assert room.needed(str(tmp_path), 5000, 100, 3) == 1800
    assert room.needed(str(tmp_path), 0, 100, 3) == 300


@pytest.mark.parametrize("max_steps, save_every, step, writes", [
    (0, 5, 0, 3), (0, 0, 0, 1), (10, 0, 0, 1), (10, 5, 0, 2), (11, 5, 0, 3), (11, 5, 5, 2), (11, 5, 10, 1),
    (11, 5, 11, 0), (10, 20, 0, 1)])
def test_how_many_states(max_steps, save_every, step, writes):
    config = build("y1", "arcface", "orl", {"max_steps": max_steps, "save_every": save_every})
    assert room._writes(config, step) == writes
    if max_steps:
        saved = [number for number in range(step + 1, max_steps + 1)
                 if number == max_steps or (save_every and number % save_every == 0)]
        assert np.size(saved) == writes


def test_a_states_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "state").write_text("")
    config = build("y1", "arcface", "orl", {})
    with pytest.raises(room.Failure, match="state cannot be written: .*--models-root"):
        room.check_room(config, str(tmp_path), mx.sym.Variable("data"), {"data": (1,)})
