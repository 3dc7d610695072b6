"""The ground: what a process needs before MXNet is imported, where the repository is, and how a command ends.

Everything here imports MXNet as ``from runtime import mx``, and gluon-cv as ``from runtime import gluoncv``, so that
threads are set, NVIDIA's libraries loaded and NumPy's removed names given back before, and an installation that cannot
work says so in one line.
"""
import errno
import os
import sys

from runtime import compat, nvidia

OLDEST, NEWEST = (3, 9), (3, 13)
"""The Pythons with which this is tested; constraints.txt has the packages for them."""
PYTHONS = f"Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"

if sys.version_info[:2] < OLDEST:
    sys.exit(f"Python {sys.version_info[0]}.{sys.version_info[1]} is too old: install {PYTHONS}")


ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The repository's root."""


class Failure(Exception):
    """Something the user can mend. The message is one line: what is wrong, where, what to do."""


def shown(text):
    """Return a name as one printable line: as it is where it is one, else with its odd characters escaped."""
    text = str(text)
    return text if text.isprintable() else ascii(text)[1:-1]


def cores():
    """Return the number of processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# MXNet leaves a thread short on small machines, which halves the speed of two cores.
os.environ.setdefault("OMP_NUM_THREADS", str(cores()))
# Threads that spin while they wait make a machine with other work to do many times slower, and are no faster alone.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("MXNET_SUBGRAPH_VERBOSE", "0")  # no line for each graph that is bound


def _advice(title, error):
    """Return in one line why a package does not import and what to do."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if nvidia.DRIVER in reason:
        return (f"MXNet's GPU build ({nvidia.GPU_BUILD}) needs NVIDIA's driver, whose "
                f"{nvidia.DRIVER} is not here: install the driver, or, on a machine without an NVIDIA GPU, "
                "requirements.txt in an environment of its own (`make setup`)")
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        reason += f"; this is Python {sys.version_info[0]}.{sys.version_info[1]}"
    return (f"{title} does not import ({reason}): install the versions that fit together with `make setup`, or "
            f"`pip install -r requirements.txt` (with an NVIDIA GPU: requirements-cu112.txt) on {PYTHONS}; "
            "`python tools/doctor.py` says which do not fit")


def _import_mxnet():
    """Return MXNet, with what it needs in place before."""
    nvidia.load()
    compat.install()
    import mxnet
    return mxnet


def _import_gluoncv():
    """Return gluon-cv. It refuses to be imported beside PyTorch 2, which is out of sight meanwhile."""
    _import_mxnet()
    hidden = sys.modules.get("torch")
    sys.modules["torch"] = None
    try:
        import gluoncv
    finally:
        del sys.modules["torch"]
        if hidden is not None:
            sys.modules["torch"] = hidden
    return gluoncv


_PACKAGES = {"mx": ("MXNet", _import_mxnet), "gluoncv": ("gluon-cv", _import_gluoncv)}


def __getattr__(name):
    """Import MXNet when `mx` is first asked for, so that what can do without it starts where it is broken; and gluon-cv
    when `gluoncv` is.
    """
    if name not in _PACKAGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    title, load = _PACKAGES[name]
    try:
        package = load()
    except Exception as error:
        sys.exit(_advice(title, error))
    return globals().setdefault(name, package)


def _one_line(error):
    """Return what went wrong as one line, or None where it is not for the user to mend."""
    if isinstance(error, Failure):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; the last checkpoint that was saved is whole"
    if isinstance(error, MemoryError):
        return "out of memory; try a smaller batch"
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{error.filename}: " if error.filename else ""
        advice = "; free some space and run it again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        return f"{where}{os.strerror(error.errno)}{advice}"
    base = sys.modules.get("mxnet.base")
    if base and isinstance(error, base.MXNetError):
        return "MXNet: " + (str(error).strip().splitlines() or ["failed without saying why"])[-1].strip()
    return None


def _print_any_name():
    """Let stdout take every file name: what its encoding cannot express is printed with a backslash, as on stderr.

    In a name whose bytes are no UTF-8, Python has surrogates, which stdout refuses. A stdout of ASCII refuses é.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def run_command(main):
    """Call `main()` and end the process: 0 when done, 1 with one line on stderr for a failure that
    the user can mend, 2 (by argparse) for wrong usage. Other exceptions are bugs and show as such.
    """
    _print_any_name()
    try:
        sys.exit(main() or 0)
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (Exception, KeyboardInterrupt) as error:
        line = _one_line(error)
        if line is None:
            raise
        sys.stdout.flush()
        name = os.path.basename(sys.argv[0])
        print(f"{name}: {' '.join(line.split())}", file=sys.stderr)
        sys.exit(1)
