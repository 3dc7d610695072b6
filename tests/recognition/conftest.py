"""A dataset small enough to train on within a test."""
import cv2
import numpy as np
import pytest

from datasets import records, verification_file


def face(identity, number):
    """Return a JPEG of a smooth random pattern, an identity's own with a little noise."""
    coarse = np.random.RandomState(identity).randint(40, 216, (7, 7, 3)).astype(np.float32)
    noise = np.random.RandomState(1000 + 50 * identity + number).normal(0, 8, (112, 112, 3))
    image = np.clip(cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC) + noise, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", image)[1].tobytes()


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    """A dataset of 6 identities with 4 images each, and a verification file `tiny.bin` of other ones, 20 pairs."""
    folder = tmp_path_factory.mktemp("faces")
    records.write(folder, [(identity, face(identity, number), f"{identity}/{number}.jpg")
                           for identity in range(6) for number in range(4)])
    images, issame = [], []
    for pair in range(20):
        images += [face(20 + pair % 5, 2 * pair), face(20 + pair % 5 + pair % 2, 2 * pair + 1)]
        issame.append(pair % 2 == 0)
    verification_file.write(folder / "tiny.bin", images, issame)
    return folder
