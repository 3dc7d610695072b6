"""The doctor, on the installation that runs the tests and on ones that were spoilt."""
import os
import re
import subprocess
import sys
from importlib import metadata

import pytest

from runtime import cards
from tools import doctor


def package(folder, name, version):
    """Put the installer's note of a package into a folder of packages."""
    information = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def module(folder, name, statement):
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(statement + "\n")


@pytest.fixture
def examine(command, root):
    """Run the doctor with folders of packages before the installed ones."""
    def run(*folders, **environment):
        environment = {**os.environ, **environment, "PYTHONPATH": os.pathsep.join(map(str, folders))}
        done = command("tools/doctor.py", env=environment, timeout=400)
        assert "Traceback" not in done.stderr and not done.stderr.strip(), done.stderr
        return done
    return run


def states(output):
    """Return {name: state} of the rows that have one."""
    return {name.strip(): state for name, state in re.findall(r"^  (\S.*?) +(ok|fails|note|absent) ", output, re.M)}


@pytest.mark.slow
def test_the_installation_that_runs_the_tests(examine):
    done = examine()
    found = states(done.stdout)
    for name in ("Python", "MXNet", "MKLDNN", "OpenCV", "decoding", "record iterator"):
        assert found[name] == "ok", done.stdout
    assert found["distributed kvstore"] in ("ok", "note") and found["CUDA devices"] != "fails"
    packages = re.findall(r"^  ([\w-]+) +(\d\S+) +(\S+)( +pip install .*)?$", done.stdout, re.M)
    assert {"numpy", "opencv-python", "gluoncv"} < {name for name, *_ in packages}
    for name, wanted, there, fix in packages:
        assert metadata.version(name) == there
        assert bool(fix) == (wanted != there)
    right = all(wanted == there for _, wanted, there, _ in packages) and "fails" not in found.values()
    assert done.returncode == (0 if right else 1)
    assert done.stdout.endswith("All that is required works.\n") == right


@pytest.mark.slow
def test_output_fits_100_columns(examine, root, tmp_path):
    module(tmp_path, "mxnet", "raise ImportError('a reason of many words ' * 20)")
    lines = examine(tmp_path).stdout.splitlines()
    places = str(root), sys.executable  # which may be long themselves
    assert len(lines) > 30
    assert max(len(line) for line in lines if not any(place in line for place in places)) <= 100


@pytest.mark.slow
def test_a_numpy_that_is_too_new(examine, root, tmp_path):
    package(tmp_path, "numpy", "3.0.0")
    module(tmp_path, "mxnet", "raise AttributeError(\"module 'numpy' has no attribute 'bool'\")")
    wanted = doctor.pins(root / "requirements.txt")["numpy"]
    done = examine(tmp_path)
    assert done.returncode == 1
    assert f"  {'numpy':<26}{wanted:<15}{'3.0.0':<15}pip install numpy=={wanted}\n" in done.stdout, done.stdout
    assert states(done.stdout)["MXNet"] == "fails" and "has no attribute 'bool'" in done.stdout
    assert re.search(r"^Required and not right: .*\bnumpy, .*MXNet\.$|^Required and not right: numpy, MXNet\.$",
                     done.stdout, re.M), done.stdout


@pytest.mark.slow
def test_an_import_that_ends_the_process(examine, tmp_path):
    module(tmp_path, "mxnet", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    done = examine(tmp_path)
    assert done.returncode == 1
    assert "the process ended with SIGSEGV" in done.stdout and "make clean setup" in done.stdout


def test_nothing_installed(root, tmp_path):
    """A bare interpreter still gets the whole list of what to install."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-S", root / "tools" / "doctor.py"], capture_output=True, text=True,
                          cwd=tmp_path, env=environment)
    assert done.returncode == 1 and not done.stderr, done.stderr
    assert re.search(r"^  mxnet +1\.9\.1 +- +pip install \./tools/environment/wheels/mxnet$", done.stdout, re.M)
    found = states(done.stdout)
    assert found["MXNet"] == "fails" and found["requirements-dev.txt"] == "absent" and found["Python"] == "ok"


@pytest.mark.slow
def test_the_gpu_build_beside_the_cpu_build(examine, tmp_path):
    package(tmp_path, "mxnet", "1.9.1")
    package(tmp_path, "mxnet-cu112", "1.9.1")
    package(tmp_path, "nvidia-cudnn-cu11", "9.0.0.312")
    module(tmp_path, "mxnet", "raise OSError('libcudnn.so.8: cannot open shared object file')")
    done = examine(tmp_path)
    assert done.returncode == 1 and "against requirements-cu112.txt" in done.stdout
    assert re.search(r"^  nvidia-cudnn-cu11 +8\.9\.6\.50 +9\.0\.0\.312 +pip install nvidia-cudnn-cu11==8\.9\.6\.50$",
                     done.stdout, re.M)
    assert states(done.stdout)["mxnet-cu112"] == "note"


@pytest.fixture
def nvidia_smi(monkeypatch, tmp_path):
    """Put an nvidia-smi with an answer on the path, in front of a CUDA driver that is no library."""
    def make(answer):
        (tmp_path / "libcuda.so.1").write_bytes(b"no library")
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<END\n{answer}\nEND\n")
        program.chmod(0o755)
        monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        cards.look.cache_clear()
    yield make
    cards.look.cache_clear()


def test_which_gpus_train_and_which_only_embed(nvidia_smi, capsys):
    nvidia_smi("0, NVIDIA H100 PCIe, 9.0\n1, NVIDIA GeForce RTX 4090, 8.9\n2, NVIDIA GeForce RTX 5090, 12.0\n"
               "3, Tesla K80, 3.7")
    rows = doctor.gpus()
    assert [(row.name, row.state) for row in rows] == [("gpu:0", "note"), ("gpu:1", "ok"), ("gpu:2", "note"),
                                                       ("gpu:3", "note")]
    assert rows[0].found == "NVIDIA H100 PCIe, compute capability 9.0: cannot train, can only embed through an engine"
    assert "onnxruntime-gpu" in rows[0].fix and "onnxruntime-gpu" in rows[2].fix
    assert rows[1].found == "NVIDIA GeForce RTX 4090, compute capability 8.9: can train and embed"
    assert rows[3].found.endswith("can neither train nor embed") and "--ctx cpu" in rows[3].fix
    doctor.show("GPUs", rows)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100


def test_gpus_that_cuda_visible_devices_hides(nvidia_smi, monkeypatch):
    nvidia_smi("0, NVIDIA H100 PCIe, 9.0\n1, Tesla T4, 7.5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    card, note = doctor.gpus()
    assert card.name == "gpu:0" and card.found.startswith("Tesla T4,")
    assert (note.name, note.state) == ("CUDA_VISIBLE_DEVICES", "note") and note.found.startswith("is 1: ")


def test_no_answer_about_gpus(nvidia_smi):
    nvidia_smi("Failed to initialize NVML: Driver/library version mismatch")
    row, = doctor.gpus()
    assert row.state == "note" and row.found.startswith("not known: ") and "nvidia-smi" in row.fix


@pytest.mark.parametrize(("answer", "wanted"), [((None, None), "there is no NVIDIA driver"), (((), None), "none")])
def test_no_gpus(monkeypatch, answer, wanted):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(cards, "look", lambda: answer)
    assert doctor.gpus() == [doctor.Row("NVIDIA GPUs", "absent", wanted)]


def test_a_job_for_several_machines_in_the_environment(monkeypatch, tmp_path):
    """DMLC_ROLE=server would turn the import into a server that waits."""
    module(tmp_path, "mxnet", "import os\nassert not any(name.startswith('DMLC_') for name in os.environ), 'a role'\n"
                              "raise ImportError('no role')")
    monkeypatch.setenv("DMLC_ROLE", "server")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    row, = doctor.probes()
    assert row.state == "fails" and "no role" in row.found
