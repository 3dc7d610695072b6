"""Writing a network in each format, and how far what was written agrees with the network itself."""
import warnings

import numpy as np

from eval.networks import checkpoints, to_onnx
from runtime import mx
from runtime.files import whole_path
from symbols.lowering import FACES
from tools.exporting import to_ncnn


def runner(symbol, arg_params, aux_params):
    """Return a function from images, float32 (B, 3, 112, 112), to a network's output, by MXNet on the CPU."""
    def run(images):
        executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=images.shape)
        executor.copy_params_from(arg_params, aux_params)
        return executor.forward(is_train=False, data=images)[0].asnumpy()
    return run


def export_params(prefix, *network):
    checkpoints.save(prefix, 0, *network)
    return runner(*mx.model.load_checkpoint(prefix, 0))


def export_gluon(prefix, *network):
    checkpoints.save(prefix, 0, *network)
    files = checkpoints.symbol_path(prefix), checkpoints.params_path(prefix, 0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Cannot decide type")  # it then takes float32, rightly
        block = mx.gluon.SymbolBlock.imports(files[0], ["data"], files[1])
    return lambda images: block(mx.nd.array(images)).asnumpy()


def export_onnx(prefix, *network):
    with whole_path(f"{prefix}.onnx") as path:
        to_onnx.export(*network, path)
    return to_onnx.runner(f"{prefix}.onnx")


def export_ncnn(prefix, *network):
    return to_ncnn.export(*network, prefix)


# Each writes files that begin with a prefix and returns what runs them, or None where that is not installed.
FORMATS = {"params": export_params, "gluon": export_gluon, "onnx": export_onnx, "ncnn": export_ncnn}


def largest_difference(source, exported, sizes):
    """Compare two networks on random images, in batches of the given sizes.

    Returns
    -------
    float
        The largest difference between their embeddings, relative to the largest element of a batch; the same every
        time. Not a number where an embedding is not.
    """
    rng = np.random.RandomState(0)
    differences = []
    for size in sizes:
        images = rng.randint(0, 256, (size, *FACES["data"][1:])).astype(np.float32)
        theirs, ours = source(images), exported(images)
        scale = max(np.abs(theirs).max(), np.finfo(np.float32).tiny)
        differences.append(np.abs(ours - theirs).max() / scale)
    return float(np.max(differences))
