"""A build backend that makes MXNet's own wheel again, but for the line of its metadata that forbids NumPy 2.

`runtime/compat.py` lets MXNet import with NumPy 2, and pip must be told so, or it installs neither. The name, the
version and what MXNet needs stand in the pyproject.toml of the folder from which this is run: a link in `mxnet-cu112/`
makes the GPU build. Every other file in the wheel stays as it is, to the byte.
"""
import base64
import copy
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # until Python 3.11
    from pip._vendor import tomli as tomllib

PROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
WHOLE = f"{PROJECT['name']}=={PROJECT['version']}"


def _requirements():
    """Return the lines of the metadata that say what MXNet needs."""
    return "".join(f"Requires-Dist: {requirement}\n" for requirement in PROJECT["dependencies"])


def _needed(metadata):
    """Return the names of the packages that metadata says are needed."""
    return re.findall(r"(?m)^Requires-Dist: ([\w.-]+)", metadata)


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    """Write what pip needs to know before it decides what to install, so that it downloads no wheel for that.

    Returns the name of the folder that was made in `metadata_directory`.
    """
    folder = Path(metadata_directory, f"{PROJECT['name'].replace('-', '_')}-{PROJECT['version']}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PROJECT['name']}\nVersion: {PROJECT['version']}\n"
                                     + _requirements(), encoding="utf-8")
    (folder / "WHEEL").write_text("Wheel-Version: 1.0\nGenerator: repack\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                                  encoding="utf-8")
    return folder.name


def _download(folder):
    """Download MXNet's wheel for this machine into an empty folder and return its path. What pip says is shown."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--only-binary", ":all:", "--dest", folder, WHOLE]
    if subprocess.run(command).returncode:
        sys.exit(f"{WHOLE} could not be downloaded: PyPI has wheels of it for Linux on x86-64, and of the CPU "
                 "build for Linux on aarch64 and macOS on x86-64")
    wheel, = Path(folder).glob("*.whl")
    return wheel


def _changed(wheel):
    """Return {name in the wheel: new content} for its metadata and for the list that has the metadata's digest."""
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    head, body = wheel.read(name).decode().split("\n\n", 1)
    if sorted(_needed(head)) != sorted(_needed(_requirements())):
        sys.exit(f"{WHOLE} needs {', '.join(_needed(head))}, which pyproject.toml does not say")
    head = re.sub(r"(?m)^Requires-Dist: .*\n", "", head + "\n")
    metadata = f"{head}{_requirements()}\n{body}".encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(metadata).digest()).rstrip(b"=").decode()
    record = name.replace("METADATA", "RECORD")
    line = f"{name},sha256={digest},{len(metadata)}"
    listed = re.sub(rf"(?m)^{re.escape(name)},.*", line, wheel.read(record).decode())
    return {name: metadata, record: listed.encode()}


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Write the wheel to `wheel_directory` and return its file name."""
    with tempfile.TemporaryDirectory() as folder:
        original = _download(folder)
        with zipfile.ZipFile(original) as source, zipfile.ZipFile(Path(wheel_directory, original.name), "w") as target:
            changed = _changed(source)
            for info in source.infolist():
                if info.filename in changed:
                    target.writestr(info.filename, changed[info.filename])
                    continue
                entry = copy.copy(info)  # writing an entry changes its description
                entry.compress_type = zipfile.ZIP_STORED  # it is unpacked at once, so compressing only takes time
                with source.open(info) as data, target.open(entry, "w", force_zip64=True) as place:
                    shutil.copyfileobj(data, place, 1 << 20)
    return original.name
