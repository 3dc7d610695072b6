"""The processor, versions and the repository's revision, against files and installations of the test's own."""
import platform
import subprocess
import sys
import types

import pytest

from runtime import environment

INTEL = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some CPU: @ 2.20GHz\n\nprocessor\t: 1\nmodel name\t: Other\n"


@pytest.mark.parametrize("content, name", [
    (INTEL.encode(), "Some CPU: @ 2.20GHz"), (b"model name\t: \xff\xfe CPU\n", "\ufffd\ufffd CPU"),
    (b"processor\t: 0\nBogoMIPS\t: 50.0\n", None), (b"model name\n", None), (b"model name\t:\n", None), (b"", None)])
def test_processor(tmp_path, monkeypatch, content, name):
    (tmp_path / "cpuinfo").write_bytes(content)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert environment.processor(tmp_path / "cpuinfo") == (name or "aarch64")
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert environment.processor(tmp_path / "cpuinfo") == (name or "arm")
    assert environment.processor(tmp_path / "nowhere") == environment.processor(tmp_path) == "arm"


def test_versions_of_modules():
    assert list(environment.versions()) == ["python"]
    assert environment.versions()["python"].startswith(".".join(map(str, sys.version_info[:3])))
    found = environment.versions(b=types.SimpleNamespace(__version__="2"), a=types.SimpleNamespace(__version__="1"))
    assert list(found) == ["python", "b", "a"] and (found["b"], found["a"]) == ("2", "1")


def test_versions_of_packages(tmp_path, monkeypatch):
    folder = tmp_path / "some_package-1.2+local.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: some-package\nVersion: 1.2+local\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert environment.installed("some-package") == "1.2+local" and "some_package" not in sys.modules
    assert environment.installed("some-other-package") is None


def test_repository(tmp_path, monkeypatch):
    def git(*arguments):
        return subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
                              check=True, capture_output=True, text=True).stdout.strip()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.repository(str(tmp_path)) is None
    (tmp_path / "file").write_text("1")
    git("init"), git("add", "file"), git("commit", "-m", "one")
    head = git("rev-parse", "HEAD")
    found = environment.repository(str(tmp_path))
    assert len(found) >= 7 and head.startswith(found)
    (tmp_path / "file").write_text("2")
    assert environment.repository(str(tmp_path)) == f"{found}-dirty"
    monkeypatch.setenv("PATH", str(tmp_path))  # no git there
    assert environment.repository(str(tmp_path)) is None


def test_nothing_that_is_installed_is_needed(root):
    done = subprocess.run([sys.executable, "-S", "-c", "from runtime.environment import *; print(processor())"],
                          cwd=root, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
