"""Which versions the requirements files want here."""
import itertools
import re
import sys

import pytest
from packaging.markers import Marker

from tools.environment.packages import applies, fits, pins

PYTHONS = [(3, minor) for minor in range(9, 14)]


def constraints(root):
    """Return (package, version, marker) of the lines of constraints.txt."""
    lines = (root / "constraints.txt").read_text().splitlines()
    return re.findall(r"(?m)^([\w.-]+)==(\S+)(?: ; (.+))?$", "\n".join(lines))


def test_files_name_packages_and_constraints_their_versions(tmp_path):
    (tmp_path / "versions.txt").write_text("numpy==1.23.5 ; python_version < '3.0'\n"
                                           "numpy==2.5.5 ; python_version >= '3.0'\n"
                                           "unasked==1.0\ntomli==2.5.0 ; python_version < '3.0'\n")
    (tmp_path / "common.txt").write_text("# about\n-c versions.txt\nnumpy\nopencv-python == 4.8.1.78  # why\ntomli\n\n")
    wheel = tmp_path / "wheels" / "mxnet"
    wheel.mkdir(parents=True)
    (wheel / "pyproject.toml").write_text('[project]\nname = "mxnet"\nversion = "1.9.1"\ndependencies = ["numpy>=1"]\n')
    (tmp_path / "all.txt").write_text("-r common.txt\n./wheels/mxnet\nonnx==1.0; python_version >= '4.0'\nloose\n")
    assert pins(tmp_path / "all.txt") == {"numpy": "2.5.5", "opencv-python": "4.8.1.78", "mxnet": "1.9.1"}


@pytest.mark.parametrize("name, missing", [("requirements.txt", []), ("requirements-cu112.txt", []),
                                           ("requirements-dev.txt", []), ("requirements-onnx.txt", []),
                                           ("requirements-ncnn.txt", [])])
def test_every_package_that_is_named_has_a_version(root, name, missing):
    text = (root / name).read_text()
    named = re.findall(r"(?m)^([\w-]+)(?:==\S+)?$", text) + re.findall(r"(?m)^\./\S+/([\w-]+)$", text)
    assert named and [package for package in named if package not in pins(root / name)] == missing


def test_every_package_has_one_version_for_each_python(root):
    found = constraints(root)
    assert len(found) > 60
    for python, package in itertools.product(PYTHONS, {name for name, *_ in found}):
        there = [version for name, version, marker in found if name == package and applies(marker, python)]
        assert len(there) <= 1, (package, python, there)
        if package in ("numpy", "opencv-python", "onnxruntime", "pytest"):
            assert len(there) == 1, (package, python)


def test_markers_are_read_as_pip_reads_them(root):
    markers = {marker for _, _, marker in constraints(root) if marker}
    assert len(markers) > 5
    for marker, python, platform in itertools.product(markers, PYTHONS, ("linux", "win32", "darwin")):
        version = "{}.{}".format(*python)
        environment = {"python_version": version, "python_full_version": f"{version}.4", "sys_platform": platform}
        assert applies(marker, python, platform) == Marker(marker).evaluate(environment), (marker, environment)


def test_the_running_python_counts_unless_another_is_named():
    assert applies("") and applies(f"sys_platform == '{sys.platform}'")
    assert applies("python_version == '{}.{}'".format(*sys.version_info[:2]))


@pytest.mark.parametrize("marker", ["extra == 'x'", "python_version < '3.9' or python_version > '3.10'", "nonsense"])
def test_a_marker_that_is_not_known_is_refused(marker):
    with pytest.raises(ValueError, match="none that is known here"):
        applies(marker)


@pytest.mark.parametrize("found, right", [("1.23.5", True), ("1.23.5+mkl", True), ("1.23.50", False), (None, False)])
def test_versions(found, right):
    assert fits(found, "1.23.5") is right
