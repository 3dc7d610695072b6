"""PyTorch's networks against our symbols, with the same weights; in a process of its own, beside no other library."""
import json
import subprocess
import sys

import numpy as np
import pytest

from recognition.config.networks import NETWORKS
from runtime import mx
from symbols import get_symbol
from tools.benchmarking.contenders import drawn_images

pytest.importorskip("torch", reason="PyTorch is not installed")

EMBED = """
import sys
import numpy as np, torch
from tools.benchmarking import torch_networks
network, weights, out, training = sys.argv[1:]
weights = np.load(weights)
model = torch_networks.build(network)
names = torch_networks.parameters(model)
assert set(names) == set(weights.files) - {"images"}, set(names) ^ set(weights.files)
torch_networks.fill(model, lambda name, shape: weights[name].reshape(shape))
model.train(training == "1")
for memory_format in torch_networks.FORMATS:
    images = torch.from_numpy(weights["images"]).contiguous(memory_format=memory_format)
    with torch.no_grad():
        embeddings = model.to(memory_format=memory_format)(images)
    np.save(out, embeddings.numpy())
count = sum(weight.numel() for weight in model.parameters())
print(count)
"""


def weights_of(symbol, images):
    """Return drawn values of every kind by name, so that no layer is a mere copy of its input."""
    random = np.random.RandomState(3)
    shapes, _, states = symbol.infer_shape(data=images.shape)
    found = {"images": images}
    for name, shape in [*zip(symbol.list_arguments(), shapes), *zip(symbol.list_auxiliary_states(), states)]:
        if name == "data":
            continue
        if name.endswith(("_gamma", "_var")):
            low, high = (0.1, 0.4) if "relu" in name else (0.8, 1.2)
            found[name] = random.uniform(low, high, shape)
        elif name.endswith(("_beta", "_bias", "_mean")):
            found[name] = random.normal(0, 0.05, shape)
        else:
            found[name] = random.normal(0, np.sqrt(1.8 / np.prod(shape[1:])), shape)
    # MXNet takes the embedding's scale for 1, whatever is stored.
    found["fc1_gamma"] = np.ones(symbol.infer_shape(data=images.shape)[1][0][1])
    return {name: value.astype(np.float32) for name, value in found.items()}


@pytest.mark.parametrize("network, training", [("y1", False), ("y1", True), ("y2", False), ("r50", False)])
def test_same_embeddings_and_parameters(network, training, tmp_path, root):
    settings = dict(NETWORKS[network])
    symbol = get_symbol(settings.pop("net_name"), **settings)
    weights = weights_of(symbol, drawn_images(4).transpose(0, 3, 1, 2).astype(np.float32))
    np.savez(tmp_path / "weights.npz", **weights)
    done = subprocess.run([sys.executable, "-c", EMBED, network, str(tmp_path / "weights.npz"),
                           str(tmp_path / "out.npy"), str(int(training))], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr

    # Bound without gradients, MXNet fuses batch normalisation away, in training as well.
    executor = symbol.simple_bind(mx.cpu(), grad_req="write" if training else "null", data=weights["images"].shape)
    executor.copy_params_from({name: mx.nd.array(weights[name]) for name in symbol.list_arguments() if name in weights},
                              {name: mx.nd.array(weights[name]) for name in symbol.list_auxiliary_states()})
    ours = executor.forward(is_train=training, data=mx.nd.array(weights["images"]))[0].asnumpy()
    theirs = np.load(tmp_path / "out.npy")
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 2e-3 * np.abs(ours).max()
    shapes = dict(zip(symbol.list_arguments(), symbol.infer_shape(data=(1, 3, 112, 112))[0]))
    assert int(done.stdout) == sum(int(np.prod(shape)) for name, shape in shapes.items() if name != "data")


TRAIN = """
import json
import torch
from tools.benchmarking import torch_networks
head = torch_networks.ArcFace(8, 5)
x = torch.randn(6, 8, dtype=torch.float64, requires_grad=True)
head = head.double()
label = torch.arange(6) % 5
logits = head(x, label)
logits.sum().backward()
step = torch_networks.train("y1", 2, 5)
step()
print(json.dumps([x.tolist(), head.weight.tolist(), label.tolist(), logits.tolist()]))
"""


def test_head_is_algorithm_1(root):
    done = subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    x, weight, label, logits = map(np.array, json.loads(done.stdout))
    x, weight = (values / np.linalg.norm(values, axis=1, keepdims=True) for values in (x, weight))
    wanted = x @ weight.T
    rows = np.arange(len(x))
    wanted[rows, label] = np.cos(np.arccos(wanted[rows, label]) + 0.5)
    assert np.allclose(logits, 64 * wanted, atol=1e-6)
