"""The packages that a requirements file names, the versions of them that are wanted here, and which versions fit."""
import operator
import re
import sys
from pathlib import Path

COMPARE = {"<": operator.lt, "<=": operator.le, "==": operator.eq, ">=": operator.ge, ">": operator.gt}


def applies(marker, python=None, platform=sys.platform):
    """Return whether an environment marker of constraints.txt holds.

    Of the language of markers this knows what stands there: the Python's version up to its second number, and the
    system, joined by `and`.

    Parameters
    ----------
    marker : str
        Such as ``python_full_version >= '3.10' and sys_platform == 'win32'``; an empty one holds.
    python : tuple of int
        The first two numbers of the Python's version; the running one's unless given.
    platform : str
        The system, as `sys.platform` has it.

    Raises
    ------
    ValueError
        Where the marker says anything else.
    """
    python = python or sys.version_info[:2]
    for part in filter(None, marker.strip().split(" and ")):
        known = re.fullmatch(r"""(python_(?:full_)?version|sys_platform)\s*([<>=]=?)\s*['"]([\w.]+?)(?:\.\*)?['"]""",
                             part.strip())
        if not known:
            raise ValueError(f"the marker {part!r} is none that is known here")
        name, sign, value = known.groups()
        found, wanted = (platform, value) if name == "sys_platform" else (python, tuple(map(int, value.split("."))))
        if not COMPARE[sign](found, wanted):
            return False
    return True


def _project(folder):
    """Return the name and the version of the project in a folder."""
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    return [re.search(rf'(?m)^{key} = "(.*)"', text).group(1) for key in ("name", "version")]


def _read(path):
    """Return of a requirements file and of those that it names: the packages, and {package: version}."""
    named, versions = [], {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        other = re.fullmatch(r"(-r|-c|(?=\./))\s*(\S+)", line)
        package = re.fullmatch(r"([\w.-]+)\s*(?:==\s*([^\s;]+))?\s*(?:;(.*))?", line)
        if other and not other.group(1):
            name, version = _project(Path(path).parent / other.group(2))
            named.append(name)
            versions[name] = version
        elif other:
            more, theirs = _read(Path(path).parent / other.group(2))
            named += more if other.group(1) == "-r" else []
            versions.update(theirs)
        elif package and applies(package.group(3) or ""):
            named.append(package.group(1))
            if package.group(2):
                versions[package.group(1)] = package.group(2)
    return named, versions


def pins(path):
    """Return {package: version} for the packages that a requirements file names, in their order.

    Files that it names with ``-r`` count as its own, and versions may stand in those that it names with ``-c``. A
    folder (``./…``) stands for the project in it. What has a marker counts where the marker holds. What has no version
    does not count.
    """
    named, versions = _read(path)
    return {name: versions[name] for name in named if name in versions}


def fits(found, wanted):
    """Return whether a version is the wanted one; a local part, as in 1.23.5+mkl, may follow it."""
    return found is not None and found.split("+")[0] == wanted
