"""Embeddings against MXNet's Module on the plain graph, and how the stream of images is taken."""
import weakref

import numpy as np
import pytest

from eval.networks.checkpoints import load
from eval.networks.embedder import Embedder
from eval.networks.engines.by_mxnet import ByMXNet
from runtime import Failure, mx


def network(seed=0):
    """A small network with everything that the lowering and MXNet's fusion touch."""
    net = (mx.sym.Variable("data") - 127.5) * 0.0078125
    net = mx.sym.Convolution(net, num_filter=8, kernel=(3, 3), stride=(4, 4), name="conv")
    net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn")
    net = mx.sym.LeakyReLU(net, act_type="prelu", name="relu")
    net = mx.sym.Pooling(net, kernel=(3, 3), stride=(3, 3), pool_type="avg", name="pool")
    net = mx.sym.BatchNorm(mx.sym.FullyConnected(net, num_hidden=6, name="pre_fc1"), fix_gamma=True, name="fc1")
    rng = np.random.RandomState(seed)
    shapes, _, states = net.infer_shape(data=(1, 3, 16, 20))
    args = {name: mx.nd.array(rng.normal(0, 1, shape) / np.sqrt(np.prod(shape[1:])))
            for name, shape in zip(net.list_arguments(), shapes) if name != "data"}
    return net, args, {name: mx.nd.array(rng.uniform(0.5, 1.5, shape))
                       for name, shape in zip(net.list_auxiliary_states(), states)}


def by_module(symbol, args, auxs, images):
    module = mx.mod.Module(symbol, label_names=None, context=mx.cpu())
    module.bind([("data", (len(images), *images.transpose(0, 3, 1, 2).shape[1:]))], for_training=False)
    module.set_params(args, auxs)
    module.forward(mx.io.DataBatch([mx.nd.array(images.transpose(0, 3, 1, 2))]), is_train=False)
    return module.get_outputs()[0].asnumpy()


def faces(count, shape=(16, 20, 3)):
    return np.random.RandomState(count).randint(0, 256, (count, *shape)).astype(np.uint8)


def embedder_of(parts, batch_size=8):
    return Embedder(ByMXNet(*parts, batch_size=batch_size, image_shape=(3, 16, 20)))


@pytest.mark.parametrize("count", [1, 7, 8, 16, 19])
def test_equals_the_plain_graph(count):
    parts, images = network(), faces(count)
    embedder = embedder_of(parts)
    for _ in range(2):
        found = embedder(images)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, by_module(*parts, images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8])
def test_both_flips(batch_size):
    parts, images = network(), faces(11)
    embedder = embedder_of(parts, batch_size)
    plain, mirrored = embedder.both_flips(images)
    np.testing.assert_allclose(plain, by_module(*parts, images), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mirrored, by_module(*parts, images[:, :, ::-1]), rtol=1e-4, atol=1e-5)
    plain, mirrored = embedder.both_flips(iter([images[:3], images[3:4], images[4:]]))
    np.testing.assert_allclose(mirrored, by_module(*parts, images[:, :, ::-1]), rtol=1e-4, atol=1e-5)


def test_embed():
    parts, images = network(), faces(11)
    plain, mirrored = by_module(*parts, images), by_module(*parts, images[:, :, ::-1])
    np.testing.assert_allclose(embedder_of(parts).embed(images, flip=True), plain + mirrored, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(embedder_of(parts).embed(images, flip=False), plain, rtol=1e-4, atol=1e-5)
    parts[1]["pre_fc1_bias"][2] = np.nan
    for flip in (True, False):
        with pytest.raises(Failure, match="^lfw: the network gives embeddings that are not finite; its training had "
                                          "diverged, so take an earlier checkpoint$"):
            embedder_of(parts).embed(images, flip, "lfw")


def test_no_images():
    embedder = embedder_of(network())
    for nothing in (faces(0), [], iter([]), [faces(0)]):
        assert embedder(nothing).shape == (0, 6)
    assert [part.shape for part in embedder.both_flips([])] == [(0, 6), (0, 6)]
    assert embedder(faces(0)).dtype == np.float32


def test_other_parameters():
    parts, others, images = network(0), network(1), faces(11)
    embedder = embedder_of(parts)
    embedder(images)
    for symbol, args, auxs in (others, parts, (parts[0], parts[1], others[2])):
        embedder.engine.set_params(args, auxs)
        np.testing.assert_allclose(embedder(images), by_module(symbol, args, auxs, images), rtol=1e-4, atol=1e-5)


def test_missing_parameters():
    symbol, args, auxs = network()
    embedder = embedder_of((symbol, args, auxs))
    with pytest.raises(ValueError, match="conv_bias"):
        embedder.engine.set_params({name: array for name, array in args.items() if name != "conv_bias"}, auxs)
    with pytest.raises(ValueError, match="bn_moving_var"):
        embedder_of((symbol, args, {}))


def test_memory_is_bounded_by_a_batch():
    alive = []

    def stream():
        for number in range(40):
            assert sum(reference() is not None for reference in alive) <= 5, number
            batch = faces(4)
            alive.append(weakref.ref(batch))
            yield batch
    assert embedder_of(network())(stream()).shape == (160, 6)


@pytest.mark.parametrize("images", [np.zeros((2, 16, 20, 3), np.float32), np.zeros((2, 3, 16, 20), np.uint8),
                                    np.zeros((16, 20, 3), np.uint8)])
def test_what_is_no_batch_of_images(images):
    with pytest.raises(ValueError, match="uint8"):
        embedder_of(network())(images)


def test_the_published_checkpoint(published):
    parts, images = load(published, 0), faces(5, (112, 112, 3))
    found = Embedder(ByMXNet(*parts, batch_size=4))(images)
    wanted = by_module(*parts, images)
    assert found.shape == (5, 128)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
