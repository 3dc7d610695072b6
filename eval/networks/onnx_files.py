"""Embedding networks in ONNX files: what a file wants, found out from its graph, and why it cannot be used.

Only the graph is believed that was looked through: one picture goes in, one row of numbers an image comes out, and
weights outside the file lie in its folder. Nothing of it is run here.
"""
import functools
import hashlib
import math
import os
from typing import NamedTuple

import numpy as np

from datasets.formats.image_lists import quoted
from eval.networks import to_onnx
from runtime import Failure

SUFFIX = ".onnx"
SIZE = 112
RAW, CENTRED = "0..255", "-1..1"
SCALES = (RAW, CENTRED)
"""What values a graph wants: pixels as they are, or (x − 127.5) / 127.5."""
ALONE = "export the embedding network alone, with one input of 112×112 images and one output of (N, D)"
_LARGEST = 1 << 31  # bytes: protobuf's own limit of a file
_FEW = 8  # nodes that can be the scaling of the input
_BYTES = {"FLOAT": 4, "DOUBLE": 8, "FLOAT16": 2, "BFLOAT16": 2, "INT64": 8, "INT32": 4, "INT16": 2, "INT8": 1,
          "UINT64": 8, "UINT32": 4, "UINT16": 2, "UINT8": 1, "BOOL": 1}
_ADD, _MULTIPLY, _PASS = ("Sub", "Add"), ("Mul", "Div"), ("Cast", "Identity", "Transpose", "Dropout")


class OnnxFile(NamedTuple):
    """What an ONNX file is and wants.

    Attributes
    ----------
    path : str
    fingerprint : str
        The SHA-256 of the file and of the files of its weights, in hexadecimal.
    input : str
        The input's name.
    planar : bool
        Whether the input is (N, 3, height, width); else it is (N, height, width, 3).
    batch : int or None
        How many images it takes at a time; None: any number.
    image_shape : tuple
        (channels, height, width).
    scale : str
        One of `SCALES`.
    dimension : int or None
        The length D of an embedding; None where only running the graph tells.
    reason : str
        Why that scale was assumed.
    """

    path: str
    fingerprint: str
    input: str
    planar: bool
    batch: int
    image_shape: tuple
    scale: str
    dimension: int
    reason: str

    def describe(self):
        """Return in a line what was found out."""
        _, height, width = self.image_shape
        sides = (3, height, width) if self.planar else (height, width, 3)
        shape = ", ".join(map(str, (self.batch or "N", *sides)))
        size = "" if height == SIZE else f"; its faces are {width}×{height}, not {SIZE}×{SIZE}"
        return (f"{quoted(self.path)}: input {quoted(self.input)} ({shape}), pixels {self.scale.replace('..', '…')} "
                f"({self.reason}){size}")


def read(path, scale=None):
    """Look through an ONNX file.

    Parameters
    ----------
    path : str
    scale : str, optional
        One of `SCALES`, which overrules what the graph says.

    Returns
    -------
    OnnxFile

    Raises
    ------
    Failure
        The package `onnx` is missing; the file is missing, damaged, or no face network: it has several inputs or
        outputs, images of another size than 112×112 (other sizes are accepted of graphs that are convolutional as far
        as the embedding), or weights outside its folder.
    """
    onnx = to_onnx.packages("requirements-engines.txt")
    model, weights = _load(onnx, path)
    graph = model.graph
    entry = _only_input(path, graph)
    planar, batch, height, width = _layout(path, onnx, entry)
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=False).graph
    except Exception:  # it has no base of its own; what the graph says stays
        inferred = graph
    shapes = {value.name: _shape(value) for value in (*inferred.value_info, *inferred.input, *inferred.output)}
    if (height, width) != (SIZE, SIZE) and not (height == width and _is_convolutional(graph, shapes)):
        raise Failure(f"{path}: takes images of {width}×{height}, and the faces of this project are {SIZE}×{SIZE}: "
                      f"{ALONE}")
    dimension = _dimension(path, graph, shapes)
    found, reason = (scale, "--input-scale") if scale else _scale(path, onnx, graph, entry.name)
    return OnnxFile(os.fspath(path), _fingerprint(path, weights), entry.name, planar, batch, (3, height, width), found,
                    dimension, reason)


def _damaged(path, reason):
    return Failure(f"{path}: not a whole ONNX file ({' '.join(str(reason).split())[:120]}); copy it again from where "
                   "it came")


def _load(onnx, path):
    """Return the model of a file without its outer weights, and the files of those."""
    from google.protobuf.message import DecodeError
    try:
        size = os.path.getsize(path)
        if not os.path.isfile(path) or size > _LARGEST:
            raise _damaged(path, f"it is no plain file of at most {_LARGEST} bytes")
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}; --model takes FILE{SUFFIX}, or PREFIX,EPOCH") from error
    except (DecodeError, RecursionError, ValueError) as error:
        raise _damaged(path, error) from error
    if not model.graph.node or not model.opset_import:
        raise _damaged(path, "it has no graph")
    weights = sorted({_place(path, tensor) for tensor in _tensors(onnx, model.graph)
                      if tensor.data_location == onnx.TensorProto.EXTERNAL})
    for tensor in _tensors(onnx, model.graph):
        _check_tensor(path, onnx, tensor)
    return model, weights


def _tensors(onnx, graph):
    """Yield every constant of a graph."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == onnx.AttributeProto.GRAPH:
                yield from _tensors(onnx, attribute.g)


def _facts(tensor):
    return {entry.key: entry.value for entry in tensor.external_data}


def _place(path, tensor):
    """Return the file of a constant whose values lie outside, which has to lie in the folder of its graph."""
    folder, location = os.path.dirname(os.path.abspath(path)), _facts(tensor).get("location", "")
    place = os.path.realpath(os.path.join(folder, location))
    if not location or os.path.commonpath([os.path.realpath(folder), place]) != os.path.realpath(folder):
        raise Failure(f"{path}: its weights lie in {quoted(location)}, outside its folder, and are not read: put "
                      "them beside it, or get it as one file")
    if not os.path.isfile(place):
        raise Failure(f"{path}: its weights lie in {quoted(location)}, which is not in its folder: put that file "
                      "beside it")
    return place


def _check_tensor(path, onnx, tensor):
    """Refuse a constant that has fewer bytes than its shape takes."""
    kind = {getattr(onnx.TensorProto, name): size for name, size in _BYTES.items()}.get(tensor.data_type)
    if kind is None or any(extent < 0 for extent in tensor.dims):
        raise _damaged(path, f"the constant {tensor.name!r} has no type or shape that a network's has")
    wanted = math.prod(tensor.dims) * kind
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        facts = _facts(tensor)
        try:
            start, length = int(facts.get("offset", 0)), int(facts.get("length", wanted))
        except ValueError as error:
            raise _damaged(path, error) from error
        if start < 0 or length != wanted or start + length > os.path.getsize(_place(path, tensor)):
            raise Failure(f"{path}: {quoted(facts['location'])} does not hold its weights whole: copy both again from "
                          "where they came")
    elif tensor.HasField("raw_data") and len(tensor.raw_data) != wanted:
        raise _damaged(path, f"the constant {tensor.name!r} has {len(tensor.raw_data)} bytes, not {wanted}")


@functools.lru_cache(maxsize=64)
def _sha256(path, size, modified):
    """Return the digest of a file; its size and time are there so that a changed one is read again."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _fingerprint(path, weights):
    digests = []
    for place in (path, *weights):
        status = os.stat(place)
        digests.append(_sha256(os.path.abspath(place), status.st_size, status.st_mtime_ns))
    return digests[0] if not weights else hashlib.sha256("".join(digests).encode()).hexdigest()


def _shape(value):
    """Return the extents of a value: numbers, or None for those that are free; None where nothing is known."""
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return tuple(extent.dim_value if extent.HasField("dim_value") and extent.dim_value > 0 else None
                 for extent in kind.shape.dim)


def _text(shape):
    return "unknown" if shape is None else f"({', '.join('N' if extent is None else str(extent) for extent in shape)})"


def _only_input(path, graph):
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(quoted(value.name) for value in inputs[:4]) or "none"
        raise Failure(f"{path}: no face network: it has {len(inputs)} inputs ({names}); {ALONE}")
    return inputs[0]


def _layout(path, onnx, entry):
    """Return (planar, batch, height, width) of the input."""
    shape, kind = _shape(entry), entry.type.tensor_type.elem_type
    if kind != onnx.TensorProto.FLOAT:
        raise Failure(f"{path}: its input {quoted(entry.name)} is not float32: {ALONE}")
    if shape is None or len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise Failure(f"{path}: no face network: its input {quoted(entry.name)} has the shape {_text(shape)}; "
                      f"{ALONE}")
    planar = shape[1] == 3
    height, width = (shape[2:] if planar else shape[1:3])
    return planar, shape[0], height or SIZE, width or SIZE


def _is_convolutional(graph, shapes):
    """Whether nothing before the embedding depends on the size of the picture: dense layers see one pixel."""
    for node in graph.node:
        if node.op_type in ("Gemm", "MatMul", "Flatten", "Reshape"):
            shape = shapes.get(node.input[0])
            if shape is None or (len(shape) > 2 and any(extent != 1 for extent in shape[2:])):
                return False
    return True


def _dimension(path, graph, shapes):
    if len(graph.output) != 1:
        names = ", ".join(quoted(value.name) for value in graph.output[:4]) or "none"
        raise Failure(f"{path}: no face network: it has {len(graph.output)} outputs ({names}); {ALONE}")
    shape = shapes.get(graph.output[0].name)
    if shape is not None and not (len(shape) == 2 and shape[1] != 1):
        raise Failure(f"{path}: no face network: its output {quoted(graph.output[0].name)} has the shape "
                      f"{_text(shape)}, and an embedding (N, D); {ALONE}")
    return None if shape is None else shape[1]


def _constants(onnx, graph):
    """Return a function from a value's name to the constant that it is (a small array), or None."""
    known = {tensor.name: tensor for tensor in graph.initializer}
    known.update((node.output[0], attribute.t) for node in graph.node if node.op_type == "Constant"
                 for attribute in node.attribute if attribute.name == "value")

    def value(name):
        tensor = known.get(name)
        if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
            return None
        return onnx.numpy_helper.to_array(tensor).astype(np.float64)
    return value, known


def _scale(path, onnx, graph, name):
    """Return what values a graph wants, and the reason: whether it scales its input among its first nodes."""
    constant, known = _constants(onnx, graph)
    steps = {}
    for _ in range(_FEW):
        users = [node for node in graph.node if name in node.input]
        if len(users) != 1:
            break
        node = users[0]
        others = [other for other in node.input if other != name]
        if node.op_type == "BatchNormalization" and not steps:
            mean = constant(node.input[3])
            if mean is not None and np.abs(mean).max() > 2:
                return RAW, "its graph begins with the mean of pixels"
            break
        if node.op_type in (*_ADD, *_MULTIPLY) and len(others) == 1 and others[0] in known:
            steps.setdefault("shift" if node.op_type in _ADD else "scale", (node.op_type, constant(others[0])))
        elif node.op_type not in _PASS:
            break
        name = node.output[0]
    if "shift" not in steps or "scale" not in steps:
        return CENTRED, "its graph does not scale its input"
    operator, values = steps["scale"]
    factor = None if values is None or not np.all(values) else float(np.abs(1 / values if operator == "Div" else
                                                                            values).max())
    if factor is not None and factor > 0.1:  # 1/127.5 and 1/255 lie far below, 2 and 1/0.229 above
        raise Failure(f"{path}: its graph scales pixels of 0…1, and images here have 0…255: export it with the scaling "
                      f"of 0…255 or without one, or give --input-scale {RAW} or {CENTRED}")
    return RAW, "its graph scales its input"
