"""What happens before MXNet is imported, where it cannot be, and how a command ends."""
import os

import pytest

IMPORT = "from runtime import mx"


@pytest.fixture
def broken(tmp_path):
    """Make a package mxnet whose import runs a statement; return the folder that holds it."""
    def make(statement):
        (tmp_path / "mxnet").mkdir()
        (tmp_path / "mxnet" / "__init__.py").write_text(statement + "\n")
        return tmp_path
    return make


def test_a_thread_for_each_processor_unless_the_environment_says_otherwise(python):
    ask = "import os, runtime; print(os.environ['OMP_NUM_THREADS'], len(os.sched_getaffinity(0)))"
    threads, processors = python(ask).stdout.split()
    assert threads == processors
    assert python(ask, OMP_NUM_THREADS="3").stdout.split()[0] == "3"


@pytest.mark.slow
def test_mxnet_is_imported_when_it_is_asked_for(python):
    done = python("import sys, runtime\nfrom runtime import Failure, run_command\nprint('mxnet' in sys.modules)\n"
                  "from runtime import mx\nprint(mx is sys.modules['mxnet'], runtime.mx is mx)\n"
                  "print(hasattr(runtime, 'xm'))")
    assert done.stdout.split() == ["False", "True", "True", "False"], done.stderr


@pytest.mark.parametrize("statement, reason", [
    ("raise AttributeError(\"module 'numpy' has no attribute 'bool'\")", "has no attribute 'bool'"),  # NumPy 1.24
    ("raise ImportError('libgomp.so.1: cannot open shared object file')", "libgomp.so.1: cannot open"),
    ("raise OSError('libopenblas.so.0: file too short')", "libopenblas.so.0: file too short"),
    ("raise RuntimeError('Cannot find the MXNet library.\\nCandidates:\\n/a\\n/b')", "library. Candidates: /a /b"),
    ("raise ValueError()", "ValueError"),
])
def test_a_broken_installation_is_one_line(command, broken, root, statement, reason):
    folder = broken(statement)
    done = command("recognition/train.py", "--dataset", "orl", env={**os.environ, "PYTHONPATH": str(folder)})
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert reason in done.stderr and "make setup" in done.stderr and "requirements.txt" in done.stderr


def test_a_missing_mxnet_is_one_line(python):
    done = python(IMPORT, "-S")  # without site-packages
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "No module named 'mxnet'" in done.stderr and "Python 3.9 to 3.13" in done.stderr


def test_a_python_that_is_too_new_is_named(python, broken):
    folder = broken("import imp_is_gone")
    done = python("import sys; sys.version_info = (3, 14, 1, 'final', 0)\n" + IMPORT, path=[folder])
    assert done.returncode == 1 and "this is Python 3.14" in done.stderr, done.stderr


def test_a_python_that_is_too_old_is_one_line(python):
    done = python("import sys; sys.version_info = (3, 8, 18, 'final', 0)\n" + IMPORT)
    assert done.returncode == 1 and done.stderr == "Python 3.8 is too old: install Python 3.9 to 3.13\n"


# How a command ends

@pytest.mark.parametrize("body, status, error", [
    ("return None", 0, ""),
    ("return 1", 1, ""),
    ("raise Failure('a.bin is empty:\\nget it again')", 1, "-c: a.bin is empty: get it again\n"),
    ("open('/no/such/file')", 1, "-c: /no/such/file: No such file or directory\n"),
    ("raise OSError(errno.ENOSPC, 'full', 'model.params')", 1,
     "-c: model.params: No space left on device; free some space and run it again\n"),
    ("raise KeyboardInterrupt", 1, "-c: interrupted; the last checkpoint that was saved is whole\n"),
    ("raise MemoryError", 1, "-c: out of memory; try a smaller batch\n"),
    ("argparse.ArgumentParser(prog='it').parse_args(['--what'])", 2,
     "usage: it [-h]\nit: error: unrecognized arguments: --what\n"),
])
def test_exit_status_and_line(python, body, status, error):
    done = python(f"import argparse, errno\nfrom runtime import Failure, run_command\ndef main():\n    {body}\n"
                  "run_command(main)")
    assert (done.returncode, done.stderr) == (status, error)


@pytest.mark.slow
def test_an_error_of_mxnet_is_one_line(python):
    done = python(IMPORT + ", run_command\nones = mx.nd.ones((2, 3))\nrun_command(lambda: mx.nd.dot(ones, ones))")
    assert done.returncode == 1 and done.stderr.startswith("-c: MXNet: ") and done.stderr.count("\n") == 1, done.stderr


def test_a_bug_shows_as_one(python):
    done = python("from runtime import run_command\nrun_command(lambda: 1 / 0)")
    assert done.returncode == 1 and "Traceback" in done.stderr and "ZeroDivisionError" in done.stderr


def test_a_reader_that_goes_away_is_no_error(python):
    done = python("import os, sys\nfrom runtime import run_command\nr, w = os.pipe(); os.close(r); os.dup2(w, 1)\n"
                  "run_command(lambda: print('x' * 100000, flush=True))")
    assert (done.returncode, done.stderr) == (1, "")
