"""An embedding network for ncnn, which runs on phones: from ONNX, by ncnn's own converter `pnnx`.

The converter is a program inside the package of that name, whose Python side asks for PyTorch without the program
needing it. So it is installed without its dependencies, and called directly; it and the package `ncnn`, which runs
what it made for checking, are of one release. It loses the axes of GNAP's norms, so that output stays without ncnn.
"""
import importlib.util
import os
import subprocess
import tempfile

import numpy as np

from eval.networks import to_onnx
from runtime import Failure
from symbols.lowering import FACES

INSTALL = "pip install -r requirements-ncnn.txt, then pip install --no-deps pnnx==20261020"


def _packages():
    """Return the module `ncnn` and the path of the program `pnnx`, or fail with how to get them."""
    spec = importlib.util.find_spec("pnnx")
    program = os.path.join(spec.submodule_search_locations[0], "pnnx") if spec else None
    try:
        import ncnn
    except ImportError:
        ncnn = None
    if ncnn is None or program is None or not os.access(program, os.X_OK):
        raise Failure(f"the format ncnn needs packages that are not installed: {INSTALL}")
    return ncnn, program


def export(symbol, arg_params, aux_params, prefix):
    """Write `<prefix>.ncnn.param` and `<prefix>.ncnn.bin`.

    Parameters
    ----------
    symbol : mxnet.symbol.Symbol
    arg_params, aux_params : dict of str to mx.nd.NDArray
    prefix : str
        Its network takes one image as the blob `in0`, (3, 112, 112), RGB in 0…255, to the blob `out0`, (D,).

    Returns
    -------
    callable
        From images, float32 (B, 3, 112, 112), to their embeddings, by ncnn on the CPU.

    Raises
    ------
    runtime.Failure
        The packages are not installed, or one of the converters has no expression for the network.
    """
    ncnn, program = _packages()
    written = f"{os.path.abspath(prefix)}.ncnn.param", f"{os.path.abspath(prefix)}.ncnn.bin"
    with tempfile.TemporaryDirectory() as folder:  # pnnx leaves six further files beside its input
        to_onnx.export(symbol, arg_params, aux_params, os.path.join(folder, "network.onnx"))
        shape = ",".join(map(str, FACES["data"]))
        done = subprocess.run([program, "network.onnx", f"inputshape=[{shape}]", "fp16=0", f"ncnnparam={written[0]}",
                               f"ncnnbin={written[1]}"], cwd=folder, capture_output=True, text=True)
    if done.returncode or not all(map(os.path.isfile, written)):
        said = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise Failure(f"pnnx did not convert this network ({said.strip()})")
    return _runner(ncnn, *written)


def _runner(ncnn, param, weights):
    def one(net, image):
        with net.create_extractor() as extractor:
            extractor.input("in0", ncnn.Mat(image).clone())  # a clone has its channels aligned as layers expect
            return np.array(extractor.extract("out0")[1])

    def run(images):
        with ncnn.Net() as net:
            net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
            if net.load_param(param) or net.load_model(weights):  # else running it would end the process
                raise Failure("ncnn has no expression for a layer of this network")
            return np.stack([one(net, image) for image in images])

    return run
