"""An embedding network as ONNX: `mx.onnx` translates its graph, and what it gets wrong is mended before and after.

Before, in MXNet's graph:

- A flag that is left out is taken for false, though a dense layer flattens its input unless told not to. All flags
  are spelled out.

Around it, the parameters, which mx.onnx would write number by number (minutes for a ResNet100): it gets the network
with its parameters as inputs, which become constants here. As constants alone runtimes can merge layers by them.

- `fix_gamma` is overlooked: the scale of such a normalisation, which MXNet stores and ignores, becomes 1.
- ONNX aligns a PReLU's slopes (C,) with the last axis, so for (B, C, H, W) they become (C, 1, 1).

After, in the ONNX graph:

- It is stamped with the newest operator set that the installed `onnx` knows, while the translations are of set 13.
- The output's shape is stated again; of it and the input's, only the number of images is open.
"""
import json

import numpy as np

from runtime import Failure, mx
from symbols.graph import known_shapes, rewrite
from symbols.lowering import FACES, remove_dropout

OPSET, IR_VERSION = 13, 7  # set 13 came with version 7 of the format, in onnx 1.8
BATCH = "batch"  # the name of the open extent

# The flags of the operators that mx.onnx asks for, with what MXNet takes where they are left out.
FLAGS = {"FullyConnected": {"flatten": True, "no_bias": False}, "Convolution": {"no_bias": False},
         "BatchNorm": {"fix_gamma": True}, "Pooling": {"global_pool": False, "count_include_pad": True},
         "sum": {"keepdims": False}, "mean": {"keepdims": False}}


def packages(requirements="requirements-onnx.txt"):
    """Return the module `onnx` with its parts; runtime.Failure with the file that installs it where it is missing."""
    try:
        import onnx
        import onnx.numpy_helper
        import onnx.shape_inference
    except (ImportError, TypeError) as error:  # TypeError: protobuf's, where its version does not fit
        raise Failure(f"the packages for ONNX do not import ({' '.join(str(error).split())[:100]}): "
                      f"pip install -r {requirements}") from error
    return onnx


def _spelled_out(symbol):
    """Return the graph without dropout and with its flags as mx.onnx reads them."""
    graph = json.loads(rewrite(symbol, [remove_dropout]).tojson())
    for node in graph["nodes"]:
        attrs = node.get("attrs", {})
        flags = {name: str(attrs.get(name, default)).lower() in ("true", "1")
                 for name, default in FLAGS.get(node["op"], {}).items()}
        if flags:
            node["attrs"] = {**attrs, **{name: str(value) for name, value in flags.items()}}
    return mx.sym.load_json(json.dumps(graph))


def _constants(symbol, params):
    """Return the parameters as arrays that mean in ONNX what they do in MXNet, {name: float32 array}."""
    constants = {name: params[name].asnumpy().astype(np.float32) for name in symbol.list_inputs() if name not in FACES}
    shapes = known_shapes(symbol, FACES)
    nodes = json.loads(symbol.tojson())["nodes"]
    for node in nodes:
        second = nodes[node["inputs"][1][0]]["name"] if len(node["inputs"]) > 1 else None
        if node["op"] == "BatchNorm" and node["attrs"]["fix_gamma"] == "True":
            constants[second] = np.ones_like(constants[second])
        elif node["op"] == "LeakyReLU" and second in constants and constants[second].size > 1:
            rank = len(shapes.get(f"{node['name']}_output", ()))
            constants[second] = constants[second].reshape(-1, *[1] * (rank - 2))
    return constants


def export(symbol, arg_params, aux_params, path):
    """Write an embedding network as an ONNX file.

    Parameters
    ----------
    symbol : mxnet.symbol.Symbol
        From `data` (B, 3, 112, 112) to one output, as `eval.networks.checkpoints.load` gives it.
    arg_params, aux_params : dict of str to mx.nd.NDArray
    path : str
        The file. Its input is `data` (batch, 3, 112, 112), RGB in 0…255; its output, `fc1` (batch, D), has the
        symbol's name without `_output` and is not normalised.

    Raises
    ------
    runtime.Failure
        The packages are not installed, or the network has an operator that mx.onnx does not translate.
    """
    onnx = packages()
    symbol = _spelled_out(symbol)
    inputs, params = symbol.list_inputs(), {**arg_params, **aux_params}
    shapes = [FACES.get(name) or params[name].shape for name in inputs]
    open_shapes = [(BATCH, *FACES[name][1:]) if name in FACES else params[name].shape for name in inputs]
    _, output_shapes, _ = symbol.infer_shape(**FACES)
    try:
        mx.onnx.export_model(symbol, {}, shapes, np.float32, path, dynamic=True, dynamic_input_shapes=open_shapes)
    except (AttributeError, AssertionError, LookupError, NotImplementedError, TypeError, ValueError,
            onnx.checker.ValidationError) as error:  # all of which it raises for what it does not know
        raise Failure(f"mx.onnx cannot express this network: {' '.join(str(error).split())[:200]}") from error
    model = onnx.load(path)
    _finish(onnx, model, _constants(symbol, params), output_shapes[0])
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise Failure(f"mx.onnx made no valid graph of this network: {' '.join(str(error).split())[:200]}") from error
    onnx.save(model, path)


def _finish(onnx, model, constants, output_shape):
    """Turn a model's parameters from inputs to constants, and state its output's shape and its operator set."""
    graph = model.graph
    for entry in [entry for entry in graph.input if entry.name not in FACES]:
        graph.input.remove(entry)
    graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    output = graph.output[0]
    output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, onnx.TensorProto.FLOAT, (BATCH, *output_shape[1:])))
    graph.name, model.ir_version = "embedding", IR_VERSION
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", OPSET))


def runner(path):
    """Return a function from images, float32 (B, 3, 112, 112), to their embeddings, by onnxruntime on the CPU.

    None where onnxruntime is not installed. runtime.Failure where it refuses the graph.
    """
    try:
        import onnxruntime
    except ImportError:
        return None
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no base of their own
        raise Failure(f"onnxruntime refuses the graph: {' '.join(str(error).split())[:200]}") from error
    return lambda images: session.run(None, {"data": images})[0]
