"""Measure how fast networks train and embed here: our lowered graphs against the plain ones.

    python tools/benchmark.py
    python tools/benchmark.py --networks y1,r50 --rounds 5 --json benchmark.json

The graphs take turns within one run, and the ratio is of their medians: on a shared machine only ratios hold.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import argparse
import statistics
import time

import numpy as np
from easydict import EasyDict

from eval.embedding import Embedder
from recognition import config as tables
from recognition import heads, optimizer
from recognition.checkpoints import write_json
from recognition.trainer import initializer
from runtime import Failure, mx, run_command
from symbols import get_symbol
from symbols.lowering import lower

BATCHES = {"y1": 16, "r50": 8}
CLASSES = 1000


def training_step(network, batch, lowered):
    """Return a function that trains one step of a network with the ArcFace head on random images.

    It is the trainer's graph and optimizer, or the symbol as it is saved and MXNet's defaults.
    """
    settings = {**tables.NETWORKS[network]}
    embedding = get_symbol(settings.pop("net_name"), **settings)
    symbol = heads.training_symbol(embedding, CLASSES, loss_s=64.0, loss_m2=0.5,
                                   emb_size=settings.get("emb_size", 512))
    shapes = {"data": (batch, 3, 112, 112), "softmax_label": (batch,)}
    if lowered:
        symbol = lower(symbol, training=True, shapes=shapes)
    module = mx.mod.Module(symbol, context=mx.cpu(), data_names=["data"], label_names=["softmax_label"])
    module.bind(data_shapes=[("data", shapes["data"])], label_shapes=[("softmax_label", shapes["softmax_label"])])
    module.init_params(initializer(tables.NETWORKS[network]["net_name"]))
    if lowered:
        optimizer.install(module, EasyDict(lr=0.01, lr_steps=[], mom=0.9, wd=5e-4), "device")
    else:
        module.init_optimizer(optimizer="sgd", optimizer_params={
            "learning_rate": 0.01, "momentum": 0.9, "wd": 5e-4, "rescale_grad": 1.0})
    data = mx.io.DataBatch(data=[mx.nd.random.uniform(0, 255, shapes["data"])],
                           label=[mx.nd.arange(batch) % CLASSES])

    def step():
        module.forward_backward(data)
        module.update()
        mx.nd.waitall()
    return step


def embedding_step(network, batch, lowered):
    """Return a function that embeds one batch of random images, by our Embedder or the plain symbol."""
    settings = {**tables.NETWORKS[network]}
    symbol = get_symbol(settings.pop("net_name"), **settings)
    arg_shapes, _, aux_shapes = symbol.infer_shape(data=(batch, 3, 112, 112))
    args = {name: mx.nd.random.normal(0, 0.05, shape) for name, shape in zip(symbol.list_arguments(), arg_shapes)}
    auxs = {name: mx.nd.ones(shape) for name, shape in zip(symbol.list_auxiliary_states(), aux_shapes)}
    images = np.random.RandomState(0).randint(0, 256, (batch, 112, 112, 3)).astype(np.uint8)
    del args["data"]
    if lowered:
        embedder = Embedder(symbol, args, auxs, batch_size=batch)
        return lambda: embedder(images)
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=(batch, 3, 112, 112))
    executor.copy_params_from(dict(args, data=mx.nd.array(images.transpose(0, 3, 1, 2))), auxs)

    def step():
        executor.forward(is_train=False)[0].wait_to_read()
    return step


def compare(make, network, batch, rounds):
    """Return the images a second of the lowered and of the plain graph, which take turns."""
    steps = [make(network, batch, lowered) for lowered in (True, False)]
    seconds = ([], [])
    for turn in range(rounds + 1):
        for step, taken in zip(steps, seconds):
            begun = time.perf_counter()
            step()
            if turn:  # the first is for warming up
                taken.append(time.perf_counter() - begun)
    return [batch / statistics.median(taken) for taken in seconds]


def main():
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument("--networks", default="y1,r50", help="comma-separated (default y1,r50)")
    flags.add_argument("--batch-size", type=int, help="images a batch (default: y1 16, r50 8, others 8)")
    flags.add_argument("--rounds", type=int, default=5, help="steps of each graph (default 5)")
    flags.add_argument("--json", help="write the figures to this file as well")
    arguments = flags.parse_args()
    networks = [name.strip() for name in arguments.networks.split(",") if name.strip()]
    for name in networks:
        if name not in tables.NETWORKS:
            raise Failure(f"unknown network {name!r}; known: {', '.join(tables.NETWORKS)}")
    if arguments.rounds < 1 or (arguments.batch_size is not None and arguments.batch_size < 1):
        flags.error("--rounds and --batch-size are at least 1")

    print(f"{os.environ['OMP_NUM_THREADS']} threads, images a second, medians of {arguments.rounds} steps")
    print(f"{'':10} {'':9} {'batch':>5} {'lowered':>9} {'plain':>9} {'ratio':>7}")
    rows = []
    for work, make in (("train", training_step), ("embed", embedding_step)):
        for network in networks:
            batch = arguments.batch_size or BATCHES.get(network, 8)
            lowered, plain = compare(make, network, batch, arguments.rounds)
            print(f"{network:10} {work:9} {batch:5} {lowered:9.2f} {plain:9.2f} {lowered / plain:7.2f}", flush=True)
            rows.append({"network": network, "work": work, "batch": batch, "lowered": lowered, "plain": plain,
                         "ratio": lowered / plain})
    if arguments.json:
        write_json(arguments.json, {"threads": int(os.environ["OMP_NUM_THREADS"]), "rows": rows})


if __name__ == "__main__":
    run_command(main)
