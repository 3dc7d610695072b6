"""Files that appear under their name only when they are whole.

What is written goes to a temporary file in the same folder, which takes the name in one step once
everything is on the disk. A run that is killed at any moment leaves the older file as it was.
"""
import contextlib
import errno
import json
import os
import stat

from runtime import Failure
from runtime.locks import leads_to, lock

# What a write says where there is no room, the disk's or the user's.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _open_temporary(path):
    """Open the temporary file for `path`: `.name.part.extension`, or the next free number.

    The name is the same each time, so that a killed run leaves one temporary at most, which the
    next run takes over. A lock tells what a killed run left from what another process is writing.
    """
    folder, name = os.path.split(path)
    stem, extension = os.path.splitext(name)
    number = 0
    while True:
        temporary = os.path.join(folder, f".{stem}.part{number or ''}{extension}")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            locked = lock(descriptor)
            if locked and leads_to(temporary, descriptor):
                os.ftruncate(descriptor, 0)
                return descriptor, temporary
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        number += not locked  # where it was locked but renamed meanwhile, the name is free again


@contextlib.contextmanager
def named(path, kinds=None):
    """Give errors of the system that name no file this path: all, or those whose number is one of `kinds`."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None and (kinds is None or error.errno in kinds):
            error.filename = path
        raise


@contextlib.contextmanager
def whole_path(path):
    """Yield the path of a temporary file that becomes `path` when the block ends without an exception.

    For libraries that write by name; the temporary has the extension of `path`. Where the block
    fails, also by Ctrl-C, the temporary is removed and what was at `path` stays.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write. A symbolic link is followed. Devices and pipes are written directly.

    Raises
    ------
    Failure
        `path` is a folder.
    OSError
        As the system reports it: no such folder, no permission, no space. Where there is no space, it names `path`.
    """
    path = os.path.realpath(path)
    if os.path.isdir(path):
        raise Failure(f"{path} is a folder: name a file")
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        with named(path, NO_ROOM):
            yield path
        return
    descriptor, temporary = _open_temporary(path)
    try:
        with named(path, NO_ROOM):
            yield temporary
        with named(path), open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def whole_file(path, mode="wb"):
    """Open `path` for writing; it appears, or replaces the older one, when the block succeeds.

    Parameters
    ----------
    path : str or os.PathLike
    mode : {"wb", "w"}
        Text is UTF-8 with ``\\n`` at the end of lines on every system. Bytes of a file's name that are no UTF-8 become
        ``\\udcNN``, as on stdout; lists, which have to name the file again, write them as `listing.quoted` does.
    """
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n", "errors": "backslashreplace"}
    with whole_path(path) as temporary, open(temporary, mode, **text) as file:
        yield file


def write_json(path, value):
    """Write a value as indented JSON, whole or not at all."""
    with whole_file(path, "w") as file:
        json.dump(value, file, indent=2, sort_keys=True)
        file.write("\n")


@contextlib.contextmanager
def plain_name(path, mode="rb"):
    """Yield a name under which MXNet and other libraries in C++ can open a file that is there.

    These libraries take a name as UTF-8, and cannot open a name of other bytes. For such a name, the system's own name
    of the open file is yielded, such as `/proc/4711/fd/7`.

    Parameters
    ----------
    path : str or os.PathLike
        A file, or a folder, whose files then have names that begin with the folder's.
    mode : {"rb", "rb+"}
        "rb+" where the library writes to that file.

    Raises
    ------
    Failure
        This system has no such names.
    OSError
        The file cannot be opened.
    """
    path = os.fspath(path)
    if path.isascii() or os.fsencode(path) == path.encode("utf-8", "surrogatepass"):
        yield path
        return
    descriptor = os.open(path, os.O_RDWR if mode == "rb+" else os.O_RDONLY)
    try:
        name = f"/proc/{os.getpid()}/fd/{descriptor}"  # not /proc/self: programs that are started open it, too
        if not os.path.exists(name):
            raise Failure(f"{path}: its name has bytes that are no UTF-8, which MXNet cannot read here; rename it")
        yield name
    finally:
        os.close(descriptor)


def data_folders(root):
    """Return the paths of the folders in `root` in alphabetical order, without folders of code."""
    if not os.path.isdir(root):
        return []
    return sorted(entry.path for entry in os.scandir(root) if entry.is_dir() and entry.name != "__pycache__"
                  and not os.path.exists(os.path.join(entry.path, "__init__.py")))


def user_cache(*names):
    """Return the path of a file or folder in the user's cache, which XDG_CACHE_HOME may name; nothing is made."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "face-records", *names)


def check_folder_of(path, flag):
    """Raise Failure where a file that a flag names cannot be written later: its folder is missing, or it is a folder.

    Parameters
    ----------
    path : str or None
        None is right.
    flag : str
        Such as "--json".
    """
    if path is None:
        return
    if os.path.isdir(path):
        raise Failure(f"{path} is a folder: name a file with {flag}")
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise Failure(f"{path}: its folder is not there; make it, or name another file with {flag}")


def find_under(path, root):
    """Return a path as given where it is there or there is no root; else the path that the same name has in a folder.

    Parameters
    ----------
    path : str
    root : str or None
    """
    inside = os.path.join(root or "", path)
    return inside if not os.path.exists(path) and os.path.exists(inside) else path
