"""One owner at a time of what a command writes, by two real processes."""
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from datasets import convert, merge, orl, overlap
from datasets.formats import embeddings, records
from runtime import Failure, locks
from runtime.locks import alone, alone_with

HOLD = ("import sys, time; from runtime import locks\n"
        "with getattr(locks, sys.argv[1])(sys.argv[2]):\n"
        "    print('held', flush=True); time.sleep(600)")


@pytest.fixture
def holder(root):
    """Begin a process that holds a folder or a file: holder("alone", path)."""
    begun = []

    def begin(kind, path):
        process = subprocess.Popen([sys.executable, "-c", HOLD, kind, str(path), "\x1b[31mred"], cwd=root,
                                   stdout=subprocess.PIPE, text=True)
        begun.append(process)
        assert process.stdout.readline() == "held\n"
        return process
    yield begin
    for process in begun:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("kind", ["alone", "alone_with"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_held_by_another_process_until_that_ends(holder, tmp_path, kind, end):
    process = holder(kind, tmp_path / "out")
    take = getattr(locks, kind)
    with pytest.raises(Failure) as caught, take(tmp_path / "out", "name another one"):
        pass
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'out'} is being written by another process ({process.pid}: -c ")
    assert text.endswith("\\x1b[31mred): wait for it, or name another one") and text.isprintable()
    process.send_signal(end)
    process.wait()
    with take(tmp_path / "out"):
        pass
    assert os.listdir(tmp_path) in ([], ["out"]) and not list(tmp_path.glob("**/.*"))


def test_a_child_that_inherits_the_lock_keeps_it(tmp_path, root):
    script = ("import subprocess, sys; from runtime.locks import alone\n"
              "with alone(sys.argv[1]) as lock:\n"
              "    child = subprocess.Popen([sys.executable, '-c', 'input()'], pass_fds=[lock],\n"
              "                             stdin=subprocess.PIPE)\n"
              "    print(child.pid, flush=True); input()")
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=root, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    try:
        os.kill(child, signal.SIGSTOP)  # it would end with its standard input
        parent.kill()
        parent.wait()
        with pytest.raises(Failure, match=f"started by {parent.pid}, which has ended"), alone(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        parent.stdout.close()
        parent.stdin.close()


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"[" * 100000, b"99999999999999 a b\n", b"0 x \xff\xfe\n",
                                     b"1 elsewhere rm\x1b[2J -rf\n", b"17\n", "1 ho\u202est x".encode("utf-16")])
def test_what_a_lock_file_says_cannot_break_anything(holder, tmp_path, content):
    (tmp_path / ".lock").write_bytes(content)
    with alone(tmp_path):  # left behind
        pass
    assert not (tmp_path / ".lock").exists()
    holder("alone", tmp_path)
    (tmp_path / ".lock").write_bytes(content)  # held
    with pytest.raises(Failure, match="another process") as caught, alone(tmp_path):
        pass
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1500


def test_another_machine_is_named(holder, tmp_path):
    holder("alone", tmp_path)
    (tmp_path / ".lock").write_bytes(b"17 elsewhere train.py --network y1\n")
    with pytest.raises(Failure, match=r"another process \(17 on elsewhere: train\.py --network y1\): "), \
            alone(tmp_path):
        pass


@pytest.mark.parametrize("make", [
    lambda path: path.symlink_to(path.parent / "precious"), lambda path: path.mkdir(), os.mkfifo,
    lambda path: path.symlink_to(path.parent / "nowhere")], ids=["link", "folder", "pipe", "dangling"])
def test_a_lock_file_that_is_none(tmp_path, make):
    (tmp_path / "precious").write_text("kept")
    make(tmp_path / ".lock")
    with pytest.raises(Failure, match=r"\.lock is not a plain file.*remove it"), alone(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "kept" and not (tmp_path / "nowhere").exists()


def test_the_lock_of_another_user(tmp_path, monkeypatch):
    """A file that may be read alone is locked all the same."""
    (tmp_path / ".lock").write_text("17 elsewhere train.py\n")
    whole = os.open

    def refused(path, flags, *rest, **options):
        if str(path).endswith(".lock") and flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied", path)
        return whole(path, flags, *rest, **options)
    monkeypatch.setattr(os, "open", refused)
    with alone(tmp_path), pytest.raises(Failure, match="another process"), alone(tmp_path):
        pass


def test_a_filesystem_without_locks_is_written_to(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(95, "Operation not supported")
    monkeypatch.setattr(locks.fcntl, "flock", refused)
    with alone(tmp_path), alone(tmp_path):
        pass


@pytest.mark.parametrize("error", [PermissionError(13, "x"), OSError(30, "x"), OSError(28, "x")])
def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, error):
    def refused(*_, **__):
        raise error
    monkeypatch.setattr(os, "makedirs", refused)
    with pytest.raises(Failure, match=rf"out cannot be written \({os.strerror(error.errno)}\): .*, or end it"), \
            alone(tmp_path / "out"):
        pass


def test_what_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for path in ("file", "file/out"):
        with pytest.raises(Failure, match=rf"{path} cannot be written"), alone(tmp_path / path):
            pass
    with pytest.raises(Failure, match=r"none/out\.npz cannot be written \(No such file"), \
            alone_with(tmp_path / "none" / "out.npz"):
        pass


def test_a_folder_that_was_made_goes_where_it_stays_empty(tmp_path):
    with pytest.raises(ValueError), alone(tmp_path / "a"):
        raise ValueError
    with alone(tmp_path / "b"):
        (tmp_path / "b" / "file").write_text("")
    (tmp_path / "c").mkdir()
    with alone(tmp_path / "c"):
        pass
    assert sorted(os.listdir(tmp_path)) == ["b", "c"] and os.listdir(tmp_path / "b") == ["file"]


def test_a_link_is_the_file_that_it_leads_to(tmp_path):
    (tmp_path / "link.npz").symlink_to(tmp_path / "real.npz")
    with alone_with(tmp_path / "real.npz"), pytest.raises(Failure, match="another process"), \
            alone_with(tmp_path / "link.npz"):
        pass


def test_many_at_once(root, tmp_path):
    """Of processes that take and free a folder all the time, one has it at a time."""
    script = ("import os, sys; from runtime.locks import alone; from runtime import Failure\n"
              "got = 0\n"
              "while got < 40:\n"
              "    try:\n"
              "        with alone(sys.argv[1] + '/out'):\n"
              "            os.close(os.open(sys.argv[1] + '/owner', os.O_CREAT | os.O_EXCL)); got += 1\n"
              "            os.unlink(sys.argv[1] + '/owner')\n"
              "    except Failure:\n"
              "        pass\n")
    processes = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=root) for _ in range(3)]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    assert not list(tmp_path.glob("**/.*")) and os.listdir(tmp_path) in ([], ["out"])


# The commands

@pytest.fixture
def vectors(faces, tmp_path):
    path = tmp_path / "faces.npz"
    embeddings.write(path, [np.random.RandomState(0).normal(size=(24, 8))], np.repeat(np.arange(6), 4))
    return path


def test_commands_that_write_a_folder(faces, vectors, tmp_path, run):
    out = tmp_path / "out"
    commands = [(convert, "complete", faces / "train.rec", out), (merge, faces, faces, "--output", out),
                (overlap, vectors, vectors, "--record", faces, "--output", out), (orl, "--output", out)]
    with alone(out):
        for command in commands:
            with pytest.raises(Failure, match=rf"out is being written by another process \({os.getpid()}.*another"):
                run(*command)
    with alone(tmp_path / "unpacked.part"), pytest.raises(Failure, match="unpacked.part is being written"):
        run(convert, "unpack", faces, tmp_path / "unpacked")
    run(convert, "unpack", faces, tmp_path / "unpacked")
    run(merge, faces, faces, "--output", out)
    assert sorted(os.listdir(out)) == ["identities.txt", "property", "train.idx", "train.lst", "train.rec"]
    assert not list(tmp_path.glob("**/.lock"))
    assert len(records.read_layout(out).images) == 48


def test_commands_that_write_a_file(faces, tmp_path, run):
    from tools import embed, export, gallery
    out = tmp_path / "out.npz"
    with alone_with(out):
        with pytest.raises(Failure, match=r"out\.npz is being written"):
            run(embed, "--model", "none,1", "--data", faces, "--output", out)
        with pytest.raises(Failure, match=r"out\.npz is being written"):
            run(gallery, "enrol", out, tmp_path, "--model", "none,1")
    with alone_with(tmp_path / "net"), pytest.raises(Failure, match="net is being written"):
        export.export((str(published_like(tmp_path)), 1), "params", str(tmp_path / "net"))


def published_like(folder):
    """Write a checkpoint of a tiny network; return its prefix."""
    from runtime import mx
    net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc1")
    mx.model.save_checkpoint(str(folder / "tiny"), 1, net, {
        "fc1_weight": mx.nd.ones((2, 3 * 112 * 112)), "fc1_bias": mx.nd.zeros(2)}, {})
    return folder / "tiny"
