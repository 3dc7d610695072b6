"""The packages that a requirements file names, and which versions of them fit."""
import re
from pathlib import Path


def pins(path):
    """Return {package: version} of a requirements file and those that it names with -r, in their order."""
    found = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        other, pin = re.fullmatch(r"-r\s*(\S+)", line), re.fullmatch(r"([\w.-]+)\s*==\s*([^\s;]+).*", line)
        if other:
            found.update(pins(Path(path).parent / other.group(1)))
        elif pin:
            found[pin.group(1)] = pin.group(2)
    return found


def fits(found, wanted):
    """Return whether a version is the wanted one; a local part, as in 1.23.5+mkl, may follow it."""
    return found is not None and found.split("+")[0] == wanted
