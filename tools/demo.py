"""Watch a network learn to tell people apart, and judge it on people it has never seen.

    python tools/demo.py
    python tools/demo.py --seed 1

Installs the ORL faces, trains MobileFaceNet with ArcFace (Algorithm 1) on thirty people from nothing, verifies it on
the other ten, and draws the outcome beside that of the untrained network.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import argparse

from datasets import orl
from datasets.formats import verification_file
from eval.networks import checkpoints
from eval.networks.embedder import Embedder
from eval.networks.engines.by_mxnet import ByMXNet
from eval.protocols import pairs
from eval.reporting import plots
from recognition.config.build import build
from recognition.config.networks import network_settings
from recognition.training.initialisation import initializer, seed_mxnet
from recognition.training.run import train
from runtime import ROOT, mx, run_command
from symbols import get_symbol


def untrained(config):
    """Return an Embedder of the network as training finds it."""
    symbol = get_symbol(config.net_name, **network_settings(config))
    module = mx.mod.Module(symbol, data_names=["data"], label_names=None)
    module.bind(data_shapes=[("data", (1, 3, 112, 112))], for_training=False)
    seed_mxnet(config.seed, 0)
    module.init_params(initializer(config.net_name))
    return Embedder(ByMXNet(symbol, *module.get_params()))


def main(arguments=None):
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (default 0)")
    flags.add_argument("--output", default=os.path.join(ROOT, "models", "demo"),
                       help="where the checkpoint and the picture go (default models/demo)")
    arguments = flags.parse_args(arguments)

    print("== the ORL faces", flush=True)
    orl.install()
    print("== training MobileFaceNet (y1) with ArcFace on thirty people, from nothing", flush=True)
    config = build("y1", "arcface", "orl", {
       "seed": arguments.seed, "models_root": arguments.output, "ctx": "cpu"})
    folder = train(config)

    print("== verifying on ten people it has never seen", flush=True)
    images, issame = verification_file.read(os.path.join(config.dataset_path, "orl.bin"))
    trained = pairs.verify(Embedder(ByMXNet(*checkpoints.load(*checkpoints.newest(folder)))), images, issame)
    before = pairs.verify(untrained(config), images, issame)
    for name, result in (("untrained", before), ("trained", trained)):
        print(f"{name}:")
        for line in pairs.format_lines("orl", None, result):
            print(f"  {line}")
    picture = os.path.join(arguments.output, "demo.png")
    plots.verification_picture(picture, [("untrained", before.distances), ("trained", trained.distances)], issame)
    print(f"held-out accuracy {trained.accuracy:.4f} (untrained {before.accuracy:.4f}); the picture is {picture}")


if __name__ == "__main__":
    run_command(main)
