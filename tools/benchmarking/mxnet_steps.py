"""What the benchmark times of this project and of plain MXNet: functions that make a step, itself a function."""
import os
import time

import cv2
import numpy as np

from datasets.formats.records import read_layout
from eval.networks.embedder import Embedder
from eval.networks.engines.by_mxnet import ByMXNet
from recognition.config.build import build
from recognition.config.losses import loss_settings
from recognition.config.networks import network_settings
from recognition.data.images import sidecar, train_iterator
from recognition.losses import classification
from recognition.losses.objective import training_symbol
from recognition.training import optimizer
from recognition.training.initialisation import initializer
from recognition.training.replicated import bind
from runtime import mx
from symbols import get_symbol
from symbols.graph import rewrite
from symbols.lowering import FACES, flatten_before_dense
from tools.benchmarking.contenders import drawn, drawn_images


def _config(network, batch, classes, loss="arcface"):
    return build(network, loss, "emore", {"num_classes": classes, "batch_size": batch, "lr": 0.01})


def _symbol(config):
    return get_symbol(config.net_name, **network_settings(config))


def _objective(config, embedding):
    return training_symbol(embedding, config.num_classes, **loss_settings(config))


def _train_step(module, batch, classes):
    images = mx.nd.array(drawn_images(batch).transpose(0, 3, 1, 2))
    data = mx.io.DataBatch(data=[images], label=[mx.nd.arange(batch) % classes])

    def step():
        module.forward_backward(data)
        module.update()
        mx.nd.waitall()
    return step


def train_ours(network, batch, classes):
    """Return a function that trains one step on drawn images as `recognition.training.run` does."""
    config = _config(network, batch, classes)
    module = bind(_objective(config, _symbol(config)), [mx.cpu()], batch)
    module.init_params(initializer(config.net_name))
    optimizer.install(module, config, "device")
    return _train_step(module, batch, classes)


def train_plain(network, batch, classes):
    """Return a function that trains one step with the symbol as it is saved, and MXNet's optimizer by default."""
    config = _config(network, batch, classes)
    symbol = _objective(config, _symbol(config))
    module = mx.mod.Module(symbol, context=mx.cpu(), data_names=["data"], label_names=["softmax_label"])
    module.bind(data_shapes=[("data", (batch, 3, 112, 112))], label_shapes=[("softmax_label", (batch,))])
    module.init_params(initializer(config.net_name))
    module.init_optimizer(optimizer="sgd", optimizer_params={
        "learning_rate": config.lr, "momentum": config.mom, "wd": config.wd, "rescale_grad": 1.0})
    return _train_step(module, batch, classes)


def filled(network):
    """Return (symbol, arg_params, aux_params) of a network with drawn parameters."""
    symbol = _symbol(_config(network, 1, 1))
    shapes, _, states = symbol.infer_shape(data=(1, 3, 112, 112))
    return (symbol, {name: mx.nd.array(drawn(name, shape)) for name, shape in zip(symbol.list_arguments(), shapes)
                     if name != "data"},
            {name: mx.nd.array(drawn(name, shape)) for name, shape in zip(symbol.list_auxiliary_states(), states)})


def embed_ours(network, batch):
    """Return a function that embeds one batch of drawn images with our Embedder: uint8 (B, H, W, 3) → (B, D)."""
    embedder = Embedder(ByMXNet(*filled(network), batch_size=batch))
    images = drawn_images(batch)
    return lambda: embedder(images)


def embed_plain(network, batch):
    """Return the same with the symbol as it is saved. MXNET_SUBGRAPH_BACKEND says whether MXNet fuses operators.

    One node is added, without which the fused graph fails in its second run on processors with AVX-512.
    """
    symbol, args, auxs = filled(network)
    symbol = rewrite(symbol, [flatten_before_dense], FACES)
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=(batch, 3, 112, 112))
    executor.copy_params_from(args, auxs)
    images = drawn_images(batch)

    def step():
        executor.arg_dict["data"][:] = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
        return executor.forward(is_train=False)[0].asnumpy()
    return step


def heads_alone(batch, emb_size, classes, rounds):
    """Return a function that compares the head of a loss with that of softmax, without a network before them.

    Given a loss's name, it lets the two go forward and backward in turns, and gives the seconds of each turn:
    {"softmax": […], "loss": […]}. A shift is added to the drawn embeddings and has a gradient, as the network before
    a head would.
    """
    embeddings = mx.nd.random.normal(shape=(batch, emb_size))
    label = mx.nd.arange(batch) * (classes // batch) if classes > batch else mx.nd.arange(batch) % classes

    def make(loss):
        config = build("r50", loss, "emore", {"num_classes": classes, "batch_size": batch, "emb_size": emb_size})
        shift = mx.sym.Variable("shift_bias", shape=(1, emb_size))
        embedding = mx.sym.broadcast_add(mx.sym.Variable("data"), shift)
        module = bind(_objective(config, embedding), [mx.cpu()], batch, (emb_size,))
        module.init_params(mx.init.Normal(0.01))
        inputs = [embeddings] + [mx.nd.zeros((batch,))] * (classification.STEP in module.data_names)
        data = mx.io.DataBatch(data=inputs, label=[label])

        def step():
            module.forward_backward(data)
            mx.nd.waitall()
        return step

    softmax = make("softmax")

    def compare(loss):
        seconds = {"softmax": [], "loss": []}
        steps = {"softmax": softmax, "loss": make(loss)}
        for turn in range(rounds + 1):
            for name, step in steps.items():
                begun = time.perf_counter()
                step()
                if turn:  # the first is for warming up
                    seconds[name].append(time.perf_counter() - begun)
        return seconds
    return compare


def read_ours(folder, batch, num_workers):
    """Return a function that reads one epoch of a record with our iterator, and gives the number of images."""
    batches = train_iterator(folder, batch, num_workers=num_workers)

    def step():
        count = 0
        for data in batches:
            data.data[0].wait_to_read()
            count += batch - data.pad
        batches.reset()
        return count
    return step


def read_loop(folder, batch):
    """Return a function that does the same with a loop in Python: in random order, decoded by OpenCV, mirrored."""
    random = np.random.RandomState(0)
    layout = read_layout(folder)
    index = os.path.join(folder, "train.idx")
    reader = mx.recordio.MXIndexedRecordIO(index, layout.record, "r")
    keys = np.array(layout.images)

    def step():
        random.shuffle(keys)
        count = 0
        for begin in range(0, len(keys), batch):
            images = np.empty((batch, 3, 112, 112), np.float32)
            labels = np.empty(batch, np.float32)
            for place, key in enumerate(keys[begin:begin + batch].tolist()):
                header, content = mx.recordio.unpack(reader.read_idx(key))
                image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
                images[place] = (image[:, ::-1] if random.rand() < 0.5 else image).transpose(2, 0, 1)
                labels[place] = header.label
                count += 1
            mx.io.DataBatch([mx.nd.array(images)], [mx.nd.array(labels)])
        mx.nd.waitall()
        return count
    return step


def _peak_memory():
    """Return the most memory that this process has held, in bytes; None where the system does not say.

    Not by getrusage, whose figure a process inherits from the one that started it.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))
    except OSError:
        return None


def index(folder):
    """Return a function that reads a record's index and writes the sidecar, as training's start does.

    It gives the peak memory of its process, in bytes, and the seconds of the two.
    """
    def step():
        begun = time.perf_counter()
        layout = read_layout(folder)
        read = time.perf_counter()
        path = sidecar(layout, 0, 1, cache_dir=os.path.join(folder, "sidecar"))
        written = time.perf_counter()
        os.unlink(path)
        return {"peak_bytes": _peak_memory(), "read": read - begun, "write": written - read}
    return step
