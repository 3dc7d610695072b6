"""The pins: pip can install them together, on each Python that is on this machine."""
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from runtime import NEWEST, OLDEST, cores
from tools.environment.packages import applies

VERSIONS = [f"{OLDEST[0]}.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]


@pytest.fixture(scope="module")
def resolve(root, find_python, tmp_path_factory):
    """Begin pip's dry run of all requirements files for every Python that is here, a process a core; return what waits
    for one of them: resolve(version) → (the finished process, {package: version}).
    """
    folder = tmp_path_factory.mktemp("resolved")
    files = [argument for path in sorted(root.glob("requirements*.txt")) for argument in ("-r", path.name)]

    def run(version, program):
        report = folder / f"{version}.json"
        # By its own pip, for an old one does not run on a new Python.
        command = [program, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--dry-run",
                   "--ignore-installed", "--only-binary=:all:", "--target", folder / "none"]
        done = subprocess.run([*command, "--report", report, *files], capture_output=True, text=True, cwd=root)
        chosen = json.loads(report.read_text())["install"] if done.returncode == 0 else []
        return done, {re.sub("[-_.]+", "-", item["metadata"]["name"].lower()): item["metadata"]["version"]
                      for item in chosen}
    if subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "easydict"],
                      capture_output=True).returncode:
        pytest.skip("pip reaches no index")
    with ThreadPoolExecutor(cores()) as pool:
        begun = {version: pool.submit(run, version, program)
                 for version in VERSIONS for program in [find_python(version)] if program}
        yield lambda version: begun[version].result()


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("version", VERSIONS)
def test_the_pins_resolve(root, resolve, another_python, version):
    """The CPU build and the GPU build at once, for their packages are the same but for MXNet and NVIDIA's."""
    another_python(version)
    done, chosen = resolve(version)
    assert done.returncode == 0, done.stderr
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
