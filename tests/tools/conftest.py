"""What several tests of tools/ share."""
import json
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from datasets.formats import verification_file
from eval import verification
from eval.reporting import results
from recognition.reporting.angle_trace import AngleTrace
from runtime import mx


class World(NamedTuple):
    """A small network and people for it.

    Attributes
    ----------
    folder : pathlib.Path
        Has `people/p N/`, four people with three faces each, and `pairs.bin`, a verification file of other people.
    model : str
        The checkpoint, as --model takes it.
    weight : np.ndarray
        Of its dense layer, (16, 147).
    """

    folder: Path
    model: str
    weight: np.ndarray

    @staticmethod
    def save(prefix, seed):
        """Write a checkpoint of a network; return what --model takes, and its weight (16, 147)."""
        net = mx.sym.Pooling(mx.sym.Variable("data") - 127.5, kernel=(16, 16), stride=(16, 16), pool_type="avg")
        net = mx.sym.FullyConnected(net, num_hidden=16, name="fc1")
        weight = mx.nd.array(np.random.RandomState(seed).normal(size=(16, 147)))
        mx.model.save_checkpoint(str(prefix), 1, net, {"fc1_weight": weight, "fc1_bias": mx.nd.zeros(16)}, {})
        return f"{prefix},1", weight.asnumpy()

    @staticmethod
    def face(person, number):
        """Return a pattern of a person's own, with noise: RGB uint8 (112, 112, 3)."""
        coarse = np.random.RandomState(person).randint(0, 256, (7, 7, 3)).astype(np.float32)
        noise = np.random.RandomState(99 + 20 * person + number).normal(0, 10, (112, 112, 3))
        return np.clip(cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC) + noise, 0, 255).astype(np.uint8)

    @classmethod
    def encoded(cls, person, number):
        """Return that face as PNG."""
        return cv2.imencode(".png", cls.face(person, number)[:, :, ::-1])[1].tobytes()

    def expected(self, image, flip=True):
        """Return the embedding of a face in float64: means of 16×16 pixels, then the dense layer."""
        def once(pixels):
            means = (pixels.astype(np.float64) - 127.5).reshape(7, 16, 7, 16, 3).mean(axis=(1, 3))
            return self.weight.astype(np.float64) @ means.transpose(2, 0, 1).ravel()
        total = once(image) + once(image[:, ::-1]) if flip else once(image)
        return total / np.linalg.norm(total)


@pytest.fixture
def world(tmp_path):
    """A checkpoint, a folder of four people with three faces each, and a verification file of other people."""
    world = World(tmp_path, *World.save(tmp_path / "model", 0))
    for person in range(4):
        (tmp_path / "people" / f"p {person}").mkdir(parents=True)
        for number in range(3):
            (tmp_path / "people" / f"p {person}" / f"{number}.png").write_bytes(world.encoded(person, number))
    pairs = [(10 + pair % 6, 10 + (pair + (pair // 6 % 2) * (1 + pair % 5)) % 6) for pair in range(60)]
    verification_file.write(tmp_path / "pairs.bin", [world.encoded(one, number) for first, second in pairs
                                                     for one, number in ((first, 0), (second, 1))],
                            [first == second for first, second in pairs])
    return world


LOG = """devices: cpu
Epoch[0] Batch [0-20]\tSpeed: 80.10 samples/sec\tacc=0.000000\tlossvalue=21.500000
step 20 of 60: loss 21.5000, 80.1 images/s, 0:10:00 left
[pairs][30]XNorm: 12.100000
[pairs][30]Accuracy-Flip: 0.81000+-0.03000
lr change to 0.01
Epoch[0] Batch [20-40]\tSpeed: 80.10 samples/sec\tacc=0.125000\tlossvalue=18.250000
step 40 of 60: loss 18.2500, 80.1 images/s, 0:05:00 left
[pairs][60]Accuracy-Flip: 0.92000+-0.02500
Epoch[0] Batch [40-60]\tSpeed: 80.10 samples/sec\tacc=0.500000\tlossvalue=9.000000
step 60 of 60: loss 9.0000, 80.1 images/s, 0:00:00 left
"""
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def run_of_page(world, capsys):
    """A run: two verification files by the command, one with the paper's numbers, IJB-C, a log, angles and settings."""
    folder = world.folder
    (folder / "lfw.bin").write_bytes((folder / "pairs.bin").read_bytes())
    (folder / "attributes.csv").write_text("identity,attribute\n" + "".join(
        f"{one},{HOSTILE if one % 2 else 'plain'}\n" for one in range(6)))
    verification.main(["--model", world.model, "--target", str(folder / "lfw.bin"), "--compare", world.model,
                       "--attributes", str(folder / "attributes.csv")])
    verification.main(["--model", world.model, "--target", str(folder / "pairs.bin"), "--no-flip"])
    capsys.readouterr()
    checkpoint = {"prefix": str(folder / "model"), "epoch": 1, "fingerprint": "0" * 64}
    values = {"tar": {"1e-04": 0.9565}, "tar_strict": {"1e-04": 0.9561}, "one_gallery": None,
              "mean_of_two": {"rank": {"1": 0.95}, "tpir": {"1e-02": 0.9}}}
    results.keep(folder / "model", "ijbc", results.of_benchmark(
        {"name": "ijb"}, values, {"path": "/ijb"}, checkpoint, False, "mxnet", {"one_gallery": f"no mate {HOSTILE}"}))
    (folder / "train.log").write_text(LOG)
    (folder / "config.json").write_text(json.dumps({"network": "r100", "loss": "arcface", "dataset": "emore",
                                                    "emb_size": 512, "note": HOSTILE, "lr_steps": [1, 2]}))
    trace = AngleTrace()
    for step in range(1, 30):
        trace.add(step, np.full(8, step / 40))
    trace.write(folder)
    return folder
