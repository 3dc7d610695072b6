"""What an ONNX file wants is found out from its graph, and what is no face network is refused in one line."""
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval.networks import onnx_files
from runtime import Failure

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FACE = ("N", 3, 112, 112)


def tensor(name, values, kind=np.float32):
    return numpy_helper.from_array(np.asarray(values, kind), name)


def network(path, shape=FACE, first=(), constants=(), sides=(112, 112), output=("N", 4), inputs=1, outputs=1,
            elements=TensorProto.FLOAT, pooled=False):
    """Write a graph: `first` nodes from `data` to `scaled`, a convolution of 3×3, a dense layer."""
    nodes = list(first) or [helper.make_node("Identity", ["data"], ["scaled"])]
    nodes.append(helper.make_node("Conv", ["scaled", "kernel"], ["maps"], pads=[1, 1, 1, 1]))
    if pooled:
        nodes += [helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]), helper.make_node(
            "Flatten", ["pooled"], ["flat"])]
    else:
        nodes.append(helper.make_node("Flatten", ["maps"], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", "dense"], ["fc1"], transB=1))
    height, width = sides
    known = [tensor("kernel", np.full((2, 3, 3, 3), 0.01)),
             tensor("dense", np.ones((4, 2 if pooled else 2 * height * width))), *constants]
    entries = [helper.make_tensor_value_info("data", elements, shape)]
    entries += [helper.make_tensor_value_info(f"data{k}", TensorProto.FLOAT, [1]) for k in range(1, inputs)]
    ends = [helper.make_tensor_value_info("fc1", TensorProto.FLOAT, output)]
    ends += [helper.make_tensor_value_info("maps", TensorProto.FLOAT, None)] * (outputs - 1)
    model = helper.make_model(helper.make_graph(nodes, "faces", entries, ends, known),
                              opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.save(model, str(path))
    return str(path)


def scaling(*steps):
    """Return (nodes, constants) of operators in a row, each with a constant; the last one gives `scaled`."""
    nodes, constants, value = [], [], "data"
    for place, (operator, constant) in enumerate(steps):
        result = "scaled" if place == len(steps) - 1 else f"value{place}"
        inputs = [value] if constant is None else [value, f"constant{place}"]
        nodes.append(helper.make_node(operator, inputs, [result]))
        constants += [] if constant is None else [tensor(f"constant{place}", constant)]
        value = result
    return nodes, constants


@pytest.mark.parametrize("steps, scale", [
    ([("Sub", 127.5), ("Mul", 0.0078125)], "0..255"), ([("Sub", [127.5]), ("Div", 128)], "0..255"),
    ([("Mul", 0.0078125), ("Sub", 0.996)], "0..255"), ([("Identity", None), ("Sub", 127.5), ("Div", 127.5)], "0..255"),
    ([("Add", -127.5), ("Mul", 1 / 127.5)], "0..255"),
    ([("Sub", np.full((1, 3, 1, 1), 127.5)), ("Div", np.full((1, 3, 1, 1), 58.0))], "0..255"),
    ([("Identity", None)], "-1..1"), ([("Mul", 2)], "-1..1"), ([("Relu", None)], "-1..1")])
def test_whether_the_graph_scales_its_input(tmp_path, steps, scale):
    nodes, constants = scaling(*steps)
    path = network(tmp_path / "f.onnx", first=nodes, constants=constants)
    found = onnx_files.read(path)
    assert (found.scale, found.dimension, found.input, found.planar, found.batch) == (scale, 4, "data", True, None)
    assert found.image_shape == (3, 112, 112) and scale.replace("..", "…") in found.describe()
    for wanted in onnx_files.SCALES:
        assert onnx_files.read(path, wanted).scale == wanted and "--input-scale" in onnx_files.read(path, wanted).reason


def test_a_normalisation_that_holds_the_mean_of_pixels(tmp_path):
    names = ["gamma", "beta", "mean", "variance"]
    first = [helper.make_node("BatchNormalization", ["data", *names], ["scaled"])]
    constants = [tensor(name, [value] * 3) for name, value in zip(names, (1, 0, 127.5, 4096))]
    assert onnx_files.read(network(tmp_path / "f.onnx", first=first, constants=constants)).scale == "0..255"


def test_pixels_of_another_range_are_refused(tmp_path):
    nodes, constants = scaling(("Sub", 0.5), ("Div", 0.5))
    path = network(tmp_path / "f.onnx", first=nodes, constants=constants)
    with pytest.raises(Failure, match=r"f\.onnx: its graph scales pixels of 0…1, .*--input-scale 0\.\.255 or -1\.\.1$"):
        onnx_files.read(path)
    assert onnx_files.read(path, "-1..1").scale == "-1..1"


def test_layouts_and_batches(tmp_path):
    nodes = [helper.make_node("Transpose", ["data"], ["scaled"], perm=[0, 3, 1, 2])]
    found = onnx_files.read(network(tmp_path / "f.onnx", (1, 112, 112, 3), nodes))
    assert (found.planar, found.batch, found.image_shape) == (False, 1, (3, 112, 112))
    assert "(1, 112, 112, 3)" in found.describe()
    found = onnx_files.read(network(tmp_path / "f.onnx", ("N", 3, "height", "width")))
    assert (found.batch, found.image_shape) == (None, (3, 112, 112))


def test_other_sizes(tmp_path):
    found = onnx_files.read(network(tmp_path / "f.onnx", (1, 3, 128, 128), pooled=True))
    assert found.image_shape == (3, 128, 128) and "its faces are 128×128, not 112×112" in found.describe()
    for shape in ((1, 3, 96, 96), (1, 3, 112, 96)):
        with pytest.raises(Failure, match=rf"f\.onnx: takes images of {shape[3]}×{shape[2]}, and the faces of this "):
            onnx_files.read(network(tmp_path / "f.onnx", shape, sides=shape[2:]))


@pytest.mark.parametrize("says, settings", [
    (r"no face network: it has 2 inputs \(data, data1\); export", {"inputs": 2}),
    (r"no face network: it has 2 outputs \(fc1, maps\); export", {"outputs": 2}),
    (r"no face network: its input data has the shape \(N, 1, 112, 112\)", {"shape": ("N", 1, 112, 112)}),
    (r"no face network: its input data has the shape \(N, 3\)", {"shape": ("N", 3)}),
    ("its input data is not float32", {"elements": TensorProto.UINT8})])
def test_no_face_network(tmp_path, says, settings):
    path = network(tmp_path / "f.onnx", **settings)
    with pytest.raises(Failure, match=says) as failure:
        onnx_files.read(path)
    assert str(failure.value).startswith(path) and "\n" not in str(failure.value)


def test_an_output_that_is_no_embedding(tmp_path):
    model = onnx.load(network(tmp_path / "f.onnx"))
    model.graph.node.pop()
    model.graph.node[-1].output[0] = "fc1"
    model.graph.node[-1].op_type = "Relu"
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("fc1", TensorProto.FLOAT, ["N", 2, 112, 112]))
    onnx.save(model, str(tmp_path / "f.onnx"))
    with pytest.raises(Failure, match=r"output fc1 has the shape \(N, 2, 112, 112\), and an embedding \(N, D\)"):
        onnx_files.read(str(tmp_path / "f.onnx"))


def test_missing_and_foreign_files(tmp_path):
    (tmp_path / "text.onnx").write_text("no network")
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "folder.onnx").mkdir()
    for name, says in (("none", "No such file or directory; --model takes FILE.onnx, or PREFIX,EPOCH"),
                       ("text", "not a whole ONNX file"), ("empty", "not a whole ONNX file"),
                       ("folder", "not a whole ONNX file")):
        with pytest.raises(Failure, match=rf"{name}\.onnx: {says}"):
            onnx_files.read(str(tmp_path / f"{name}.onnx"))


def outer(tmp_path, location, values):
    """Write a graph whose dense layer lies in a file, and that file's bytes beside it."""
    path = network(tmp_path / "f.onnx", pooled=True)
    model = onnx.load(path)
    dense = next(one for one in model.graph.initializer if one.name == "dense")
    dense.ClearField("raw_data")
    dense.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("length", "32")):
        dense.external_data.add(key=key, value=value)
    onnx.save_model(model, path)
    if values is not None:
        (tmp_path / "weights.bin").write_bytes(values)
    return path


def test_weights_outside_the_file(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(32))
    path = outer(tmp_path / "in", "weights.bin", np.ones(8, "<f4").tobytes())
    before = onnx_files.read(path)
    assert before.dimension == 4
    os.utime(tmp_path / "in" / "weights.bin", ns=(1, 1))
    (tmp_path / "in" / "weights.bin").write_bytes(np.zeros(8, "<f4").tobytes())
    assert onnx_files.read(path).fingerprint != before.fingerprint
    for location in ("../weights.bin", str(tmp_path / "weights.bin"), "", "a/../../weights.bin"):
        with pytest.raises(Failure, match="outside its folder, and are not read: put them beside it"):
            onnx_files.read(outer(tmp_path / "in", location, None))
    os.symlink(tmp_path / "weights.bin", tmp_path / "in" / "link.bin")
    with pytest.raises(Failure, match=r"in link\.bin, outside its folder"):
        onnx_files.read(outer(tmp_path / "in", "link.bin", None))
    with pytest.raises(Failure, match=r"in other\.bin, which is not in its folder: put that file beside it"):
        onnx_files.read(outer(tmp_path / "in", "other.bin", None))
    with pytest.raises(Failure, match=r"weights\.bin does not hold its weights whole: copy both again"):
        onnx_files.read(outer(tmp_path / "in", "weights.bin", bytes(31)))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    whole = network(path, pooled=True, shape=FACE)
    content = bytearray(Path(whole).read_bytes())
    if data.draw(st.booleans()):
        content = content[:data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        onnx_files.read(str(path))
    except Failure as failure:
        assert str(failure).startswith(str(path)) and "\n" not in str(failure)
