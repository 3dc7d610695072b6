"""What several tests of tools/ share."""
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from datasets.formats import verification_file
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
