"""The build backend behind requirements.txt, on small wheels of the test's own, by pip as it is used."""
import base64
import csv
import hashlib
import os
import subprocess
import sys
import zipfile

import pytest

LIBRARY = bytes(range(256)) * 5000
METADATA = """Metadata-Version: 2.1
Name: {name}
Version: 1.9.1
License: Apache 2.0
Requires-Dist: numpy (<2.0.0,>1.16.0)
Requires-Dist: requests (<3,>=2.20.0)
Requires-Dist: graphviz (<0.9.0,>=0.8.1)

About it, where a line may say
Requires-Dist: numpy
"""


def digest(content):
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@pytest.fixture
def wheel(tmp_path):
    """Make a wheel as PyPI has them; return its path, in a folder of its own."""
    def make(name="mxnet", metadata=METADATA):
        stem = f"{name.replace('-', '_')}-1.9.1"
        files = {"mxnet/__init__.py": b"__version__ = '1.9.1'\n", "mxnet/libmxnet.so": LIBRARY, "mxnet/empty.py": b"",
                 f"{stem}.dist-info/METADATA": metadata.format(name=name).encode(),
                 f"{stem}.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
        record = "".join(f"{path},{digest(content)},{len(content)}\n" for path, content in files.items())
        files[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n".encode()
        folder = tmp_path / "index"
        folder.mkdir()
        with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as file:
            for path, content in files.items():
                file.writestr(path, content)
        return folder / f"{stem}-py3-none-any.whl"
    return make


@pytest.fixture
def build(root, tmp_path):
    """Have pip build the wheel of a folder of tools/environment/wheels with what an index folder has."""
    def run(name="mxnet", index=None):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
        environment.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index or tmp_path), PIP_CONFIG_FILE=os.devnull,
                           PIP_DISABLE_PIP_VERSION_CHECK="1")
        # Without isolation, for an isolated build would get pip from the network.
        return subprocess.run([sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", "--no-build-isolation",
                               "--wheel-dir", tmp_path / "built", root / "tools/environment/wheels" / name],
                              env=environment, capture_output=True, text=True, cwd=tmp_path)
    return run


@pytest.mark.parametrize("name", ["mxnet", "mxnet-cu112"])
def test_only_what_is_needed_changes(wheel, build, tmp_path, name):
    original = wheel(name)
    done = build(name, original.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    made, = (tmp_path / "built").iterdir()
    assert made.name == original.name
    with zipfile.ZipFile(original) as before, zipfile.ZipFile(made) as after:
        assert after.namelist() == before.namelist() and after.testzip() is None
        changed = [path for path in before.namelist() if before.read(path) != after.read(path)]
        metadata, record = changed
        assert metadata.endswith(".dist-info/METADATA") and record.endswith(".dist-info/RECORD")
        old, new = (wheel.read(metadata).decode().splitlines() for wheel in (before, after))
        assert set(old) - set(new) == {line for line in old if line.startswith("Requires-Dist") and "(" in line}
        assert sorted(set(new) - set(old)) == ["Requires-Dist: graphviz>=0.8.1,<0.9.0", "Requires-Dist: numpy>=1.23",
                                               "Requires-Dist: requests>=2.20.0,<3"]
        assert new[-3:] == old[-3:]  # what is said about it
        for path, sum_, size in csv.reader(after.read(record).decode().splitlines()):
            if path != record:
                assert (sum_, int(size)) == (digest(after.read(path)), len(after.read(path)))


def test_another_wheel_of_that_name_is_refused(wheel, build):
    done = build(index=wheel(metadata=METADATA.replace("requests", "urllib3")).parent)
    assert done.returncode == 1
    assert "mxnet==1.9.1 needs numpy, urllib3, graphviz, which pyproject.toml does not say" in done.stdout + done.stderr


def test_no_wheel_for_this_machine(build, tmp_path):
    done = build()
    assert done.returncode == 1
    assert "mxnet==1.9.1 could not be downloaded: PyPI has wheels of it for Linux" in done.stdout + done.stderr
    assert not list(tmp_path.glob("built/*"))
