"""Files appear whole or not at all."""
import errno
import os
import stat
import subprocess
import sys
import threading

import pytest

from runtime import Failure
from runtime.files import data_folders, whole_file, whole_path


def test_replaces_when_the_block_succeeds(tmp_path):
    target = tmp_path / "a.params"
    target.write_bytes(b"old")
    with whole_file(target) as file:
        file.write(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.params"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_keeps_the_older_when_the_block_fails(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(error), whole_file(target, "w") as file:
        file.write("half")
        raise error
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_temporary_keeps_the_extension(tmp_path):
    with whole_path(tmp_path / "model-0001.params") as temporary:
        assert os.path.dirname(temporary) == str(tmp_path)
        assert temporary.endswith(".params")
        with open(temporary, "wb") as file:
            file.write(b"x")
    assert (tmp_path / "model-0001.params").read_bytes() == b"x"


def test_library_that_renames_over_the_temporary(tmp_path):
    with whole_path(tmp_path / "a.npz") as temporary:
        (tmp_path / "other").write_bytes(b"x")
        os.replace(tmp_path / "other", temporary)
    assert (tmp_path / "a.npz").read_bytes() == b"x"


def test_text_is_utf8_with_plain_newlines(tmp_path):
    with whole_file(tmp_path / "a", "w") as file:
        file.write("θ\n")
    assert (tmp_path / "a").read_bytes() == "θ\n".encode()


def test_usual_permissions(tmp_path):
    with whole_file(tmp_path / "a") as file:
        file.write(b"x")
    (tmp_path / "b").write_bytes(b"x")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


def test_follows_a_symbolic_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a")
    with whole_file(tmp_path / "link") as file:
        file.write(b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").read_bytes() == b"x"


def test_folder_is_a_failure(tmp_path):
    with pytest.raises(Failure, match="is a folder"), whole_file(tmp_path):
        pass


def test_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "none" / "a"):
        pass


def test_pipe_is_written_directly(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with whole_file(pipe) as file:
        file.write(b"x")
    reader.join(10)
    assert read == [b"x"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_two_writers_at_once(tmp_path):
    target = tmp_path / "a"
    with whole_file(target) as first:
        first.write(b"first")
        with whole_file(target) as second:
            second.write(b"second")
        assert target.read_bytes() == b"second"
    assert target.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["a"]


def test_killed_writers_leave_one_temporary_that_the_next_takes_over(tmp_path, root):
    target = tmp_path / "a"
    target.write_bytes(b"old")
    kill = ("import os, signal; from runtime.files import whole_file\n"
            f"with whole_file({str(target)!r}) as file:\n"
            "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)")
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", kill], cwd=root).returncode == -9
        assert target.read_bytes() == b"old"
        assert len(os.listdir(tmp_path)) == 2
    with whole_file(target) as file:
        file.write(b"n")
    assert target.read_bytes() == b"n"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_reported_with_the_path():
    with pytest.raises(OSError, match="No space left") as caught, whole_file("/dev/full") as file:
        file.write(b"x")
    assert caught.value.filename == "/dev/full"


def test_a_full_disk_at_any_moment_is_reported_with_the_path(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")
    with pytest.raises(OSError) as caught, whole_file(tmp_path / "a"):
        full()
    assert caught.value.filename == str(tmp_path / "a")
    with pytest.raises(OSError) as caught, whole_file(tmp_path / "a"):
        raise OSError(errno.EIO, "reading something else")
    assert caught.value.filename is None
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as caught, whole_file(tmp_path / "a") as file:
        file.write(b"x")
    assert caught.value.filename == str(tmp_path / "a")
    assert os.listdir(tmp_path) == []


def test_folders_of_data_are_told_from_code(tmp_path):
    for name in ("faces_emore", "formats", "__pycache__", "a"):
        (tmp_path / name).mkdir()
    (tmp_path / "formats" / "__init__.py").touch()
    (tmp_path / "lfw.bin").touch()
    assert data_folders(str(tmp_path)) == [str(tmp_path / "a"), str(tmp_path / "faces_emore")]
    assert data_folders(tmp_path / "nowhere") == []
