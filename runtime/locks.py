"""One owner at a time of a folder, or of a file, that a command writes over time.

The owner holds a lock of the system (flock) on a small hidden file: `.lock` in a folder, `.NAME.lock` beside a file.
The system frees the lock when the owner's process ends, also when it is killed. The small file says which process that
is. Only a process that was refused reads this text, so a file that a killed process left there does no harm.
"""
import contextlib
import errno
import os
import platform
import re
import stat
import sys
import time

from runtime import Failure, shown

try:
    import fcntl
except ImportError:  # no such locks on this system; writers of one file then have to take turns
    fcntl = None

NAME = ".lock"
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a link or a pipe of that name is no lock
_TRIES = 100


class Taken(Failure):
    """Another process holds it."""


def lock(descriptor):
    """Lock an open file for this process alone; False where another holds it."""
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Filesystems without locks are written to all the same.
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def leads_to(path, descriptor):
    """Whether `path` still names the file that is open."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except (FileNotFoundError, NotADirectoryError):
        return False


@contextlib.contextmanager
def alone(folder, advice="end it"):
    """Hold a folder for this process while the block runs.

    Parameters
    ----------
    folder : str or os.PathLike
        Made where it is missing. If the block leaves a folder empty that was made here, the folder is removed.
    advice : str
        What a user who does not want to wait can do, as ``"name another folder with --models-root"``.

    Yields
    ------
    int
        The descriptor of the lock. A child process that inherits it holds the folder as well, until the child ends.

    Raises
    ------
    Taken
        Another process holds it. This is a Failure, too.
    Failure
        It cannot be made or written.
    """
    folder = os.fspath(folder)
    made = not os.path.lexists(folder)
    try:
        with _held(folder, os.path.join(folder, NAME), folder, advice) as descriptor:
            yield descriptor
    finally:
        if made:
            with contextlib.suppress(OSError):  # it is not empty, as it should be
                os.rmdir(folder)


@contextlib.contextmanager
def alone_with(path, advice="end it"):
    """Hold a file that is to be written, or files whose names begin like it; as `alone`, its folder has to be there.

    Two names of one file, by a symbolic link, are one.
    """
    folder, name = os.path.split(os.path.realpath(path))
    with _held(None, os.path.join(folder, f".{name}{NAME}"), path, advice) as descriptor:
        yield descriptor


@contextlib.contextmanager
def _held(folder, path, what, advice):
    """Hold the lock file `path` of `what`, in `folder`, which is made where one is given."""
    descriptor = _acquire(folder, path, what, advice)
    try:
        yield descriptor
    finally:
        if leads_to(path, descriptor):  # it may have been moved or removed with its folder
            with contextlib.suppress(OSError):
                os.unlink(path)
        os.close(descriptor)


def _acquire(folder, path, what, advice):
    """Return the descriptor of the lock file, locked."""
    for attempt in range(1, _TRIES + 1):
        try:
            if folder is not None:
                os.makedirs(folder, exist_ok=True)
            descriptor = _open(path)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and folder is not None and attempt < _TRIES:
                continue  # its last owner removed it between the two calls
            no_folder = folder is not None and os.path.lexists(folder) and not os.path.isdir(folder)
            reason = "it is no folder" if no_folder else os.strerror(error.errno)
            raise Failure(f"{what} cannot be written ({reason}): make it writable, or {advice}") from None
        try:
            if not lock(descriptor):
                raise Taken(f"{what} is being written by another process{_owner(descriptor)}: wait for it, or {advice}")
            if leads_to(path, descriptor):  # else its last owner removed it after it was opened here
                _sign(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise Failure(f"{path} changes all the time: another program removes it; {advice}")


def _open(path):
    """Return a descriptor of a lock file, which is made where it is missing."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o666)
    except PermissionError:
        if not os.path.isfile(path):
            raise
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)  # a killed process of another user left it
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise
        raise Failure(f"{path} is not a plain file, as the lock of that name has to be: remove it") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Failure(f"{path} is not a plain file, as the lock of that name has to be: remove it")
    return descriptor


def _sign(descriptor):
    """Write into a lock file who holds it: process, host, command."""
    command = " ".join(" ".join(sys.argv).split())[:200]
    text = f"{os.getpid()} {platform.node() or '-'} {command}\n".encode("utf-8", "backslashreplace")
    with contextlib.suppress(OSError):  # of another user, or on a full disk: it is locked all the same
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)


def _owner(descriptor):
    """Return what a lock file says of its holder, in brackets; nothing where it says nothing that makes sense."""
    found = None
    for wait in (0, 0.2):  # the holder may be about to write it
        time.sleep(wait)
        with contextlib.suppress(OSError):
            text = os.pread(descriptor, 1000, 0).decode("utf-8", "replace")
            found = re.match(r"([0-9]{1,9}) (\S{1,255}) ([^\n]*)", text)
        if found and (found[2] != platform.node() or _runs(int(found[1]))):
            break
    if not found:
        return ""
    number, host, command = found.groups()
    if host != platform.node():
        number += f" on {host}"
    elif not _runs(int(number)):
        number = f"started by {number}, which has ended"
    return shown(f" ({number}: {command})" if command.strip() else f" ({number})")


def _runs(number):
    """Whether a process of this machine runs."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    return True
