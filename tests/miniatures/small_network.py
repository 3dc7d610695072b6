"""A network small enough to be computed by hand: means of 16×16 pixels, then one dense layer."""
import cv2
import numpy as np

from runtime import mx


def save(prefix, seed=0, dimension=16):
    """Write a checkpoint, epoch 1, and return its weight (dimension, 147)."""
    net = mx.sym.Pooling(mx.sym.Variable("data") - 127.5, kernel=(16, 16), stride=(16, 16), pool_type="avg")
    net = mx.sym.FullyConnected(net, num_hidden=dimension, name="fc1")
    weight = np.random.RandomState(seed).normal(size=(dimension, 147)).astype(np.float32)
    mx.model.save_checkpoint(str(prefix), 1, net, {"fc1_weight": mx.nd.array(weight),
                                                   "fc1_bias": mx.nd.zeros(dimension)}, {})
    return weight


def embedding(weight, image):
    """Return the embedding of an RGB image (112, 112, 3) in float64."""
    means = (image.astype(np.float64) - 127.5).reshape(7, 16, 7, 16, 3).mean(axis=(1, 3))
    return weight.astype(np.float64) @ means.transpose(2, 0, 1).ravel()


def face(person, number):
    """Return a pattern of a person's own, with noise: RGB uint8 (112, 112, 3)."""
    coarse = np.random.RandomState(person).randint(0, 256, (7, 7, 3)).astype(np.float32)
    random = np.random.RandomState(1000 + 200 * person + number)
    coarse = coarse + random.normal(0, 170, coarse.shape)  # two pictures of one person differ in more than grain
    noise = random.normal(0, 10, (112, 112, 3))
    return np.clip(cv2.resize(coarse.astype(np.float32), (112, 112), interpolation=cv2.INTER_CUBIC) + noise, 0,
                   255).astype(np.uint8)
