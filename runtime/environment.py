"""What this machine and this installation are: the processor, versions, and the state of the repository.

Results are told with these. Nothing here needs a package that is installed.
"""
import os
import platform
import subprocess


def processor(path="/proc/cpuinfo"):
    """Return the processor's name, such as ``Intel(R) Xeon(R) CPU @ 2.20GHz``, or the architecture where the system
    does not tell the name.

    Parameters
    ----------
    path : str
        Where Linux describes the processors.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            name = next((line.split(":", 1)[1].strip() for line in file
                         if line.startswith("model name") and ":" in line), "")
    except OSError:
        name = ""
    return name or platform.processor() or platform.machine()


def installed(package):
    """Return the installed version of a package, or None. The package is not imported."""
    from importlib import metadata
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions(**modules):
    """Return the versions of Python and of modules.

    Parameters
    ----------
    modules : module
        Imported modules under the names that they shall have, such as ``opencv=cv2``.

    Returns
    -------
    dict of str to str
        ``python`` comes first.
    """
    return {"python": platform.python_version(), **{name: module.__version__ for name, module in modules.items()}}


def repository(folder):
    """Return the revision of a git checkout, with ``-dirty`` where files were changed, or None where there is none."""
    if not os.path.exists(os.path.join(folder, ".git")):  # else git describes a repository around the folder
        return None
    try:
        git = subprocess.run(["git", "-C", folder, "describe", "--always", "--dirty"], capture_output=True, text=True,
                             check=False)
    except OSError:  # there is no git
        return None
    return git.stdout.strip() or None
