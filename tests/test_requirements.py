"""The pins: pip can install them together, on each Python that is on this machine."""
import json
import re
import subprocess
import sys

import pytest

from runtime import NEWEST, OLDEST
from tools.environment.packages import applies

VERSIONS = [f"{OLDEST[0]}.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("version", VERSIONS)
def test_the_pins_resolve(root, another_python, tmp_path, version):
    """The CPU build and the GPU build at once, for their packages are the same but for MXNet and NVIDIA's."""
    pip = [sys.executable, "-m", "pip", "--python", another_python(version), "--disable-pip-version-check"]
    if subprocess.run([*pip, "download", "--quiet", "--no-deps", "--dest", tmp_path, "easydict"],
                      capture_output=True).returncode:
        pytest.skip("pip reaches no index")
    files = [argument for path in sorted(root.glob("requirements*.txt")) for argument in ("-r", path.name)]
    done = subprocess.run([*pip, "install", "--dry-run", "--quiet", "--ignore-installed", "--only-binary=:all:",
                           "--target", tmp_path / "none", "--report", tmp_path / "report.json", *files],
                          capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    chosen = {re.sub("[-_.]+", "-", item["metadata"]["name"].lower()): item["metadata"]["version"]
              for item in json.loads((tmp_path / "report.json").read_text())["install"]}
    assert [chosen.pop("mxnet"), chosen.pop("mxnet-cu112")] == ["1.9.1", "1.9.1"]
    assert chosen.pop("graphviz") == "0.8.4"  # which MXNet alone asks for
    pinned = {name: found for name, found, marker in
              re.findall(r"(?m)^([\w.-]+)==(\S+)(?: ; (.+))?$", (root / "constraints.txt").read_text())
              if applies(marker, tuple(map(int, version.split("."))))}
    assert {"numpy", "pytest", "onnxruntime", "ncnn", "nvidia-nccl-cu11"} < set(chosen)
    assert chosen == {name: pinned.get(name) for name in chosen}  # nothing comes that was not tested with the rest


def test_the_messages_and_files_name_the_same_pythons(root):
    pythons = re.compile(r"3\.(\d+) to 3\.(\d+)")
    for name in ("README.md", "Makefile", "constraints.txt", "requirements-cu112.txt", "runtime/compat.py"):
        found = pythons.findall((root / name).read_text(encoding="utf-8"))
        assert found and set(found) == {(str(OLDEST[1]), str(NEWEST[1]))}, name
    makefile = (root / "Makefile").read_text()
    assert f"for p in {' '.join(f'python{version}' for version in reversed(VERSIONS))} python3;" in makefile
    assert makefile.count(f"{OLDEST} <= ") == makefile.count(f" <= {NEWEST}") == 2
