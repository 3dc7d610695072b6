"""The two files of a checkpoint: the one place that knows their layout.

They are read with the care that files from elsewhere need, and written whole or not at all.

MXNet's own reader trusts what it reads: lengths inside a damaged parameter file make it ask for memory without bound,
and a graph whose edges lead nowhere ends the process. Both files are looked through here before MXNet gets them.
"""
import contextlib
import errno
import json
import os
import struct
import sys

from runtime import Failure, mx
from runtime.files import plain_name, whole_path

OUTPUT = "fc1_output"

_PARAMS_MAGIC = 0x112
_SHAPED_V1, _DENSE_V2, _DENSE_V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_ITEM_BYTES = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1, 8: 2, 12: 2}  # by mshadow's type number
_MAX_DIMENSIONS = 32
_MAX_SYMBOL_BYTES = 1 << 26  # the largest published graph has 0.4 MB


@contextlib.contextmanager
def _quiet_upgrade():
    """Keep MXNet from writing on stderr, past Python, that it upgrades the graph of an older version."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def last_line(error):
    """Return the line of MXNet's message that says what is wrong."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _check_graph(graph):
    """Raise an exception unless every edge of a graph comes from an earlier node, so that MXNet can walk it."""
    nodes, heads = graph["nodes"], graph["heads"]
    for index, node in enumerate(nodes):
        if not (isinstance(node["op"], str) and isinstance(node["name"], str)):
            raise ValueError(f"node {index} has no operator or name")
        if any(node.get(key, {}).get("num_group", "1").strip("0 ") == "" for key in ("attrs", "attr", "param")):
            raise ValueError(f"node {index} has 0 groups")  # MXNet divides by it
        for source, output, *_ in node["inputs"]:
            if type(source) is not int or type(output) is not int or not 0 <= source < index or output < 0:
                raise ValueError(f"node {index} takes its input from a node that does not precede it")
    if not heads or any(type(head[0]) is not int or not 0 <= head[0] < len(nodes) for head in heads):
        raise ValueError("its outputs are not nodes of it")


def _check_outputs(symbol):
    """Raise ValueError where a node takes an output that its source does not have."""
    graph = json.loads(symbol.tojson())
    first = graph["node_row_ptr"]
    edges = [edge for node in graph["nodes"] for edge in node["inputs"]] + graph["heads"]
    if any(edge[1] >= first[edge[0] + 1] - first[edge[0]] for edge in edges):
        raise ValueError("an edge leads to an output that its node does not have")


def read_symbol(path):
    """Read a graph, of this version of MXNet or an older one, as far as the embedding.

    Parameters
    ----------
    path : str
        A `…-symbol.json`. What follows the embedding in it, such as a classifier and a loss, is cut off.

    Returns
    -------
    mx.Symbol
        With the one output `fc1_output`.

    Raises
    ------
    Failure
        The file is missing or no graph, or has no such output.
    """
    try:
        if os.path.getsize(path) > _MAX_SYMBOL_BYTES:
            raise ValueError("it is far larger than any network's")
        with open(path, encoding="utf-8-sig") as file:  # editors on Windows write a mark
            text = file.read()
        _check_graph(json.loads(text))
        with _quiet_upgrade():
            symbol = mx.sym.load_json(text)
        _check_outputs(symbol)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}; a checkpoint has its graph in PREFIX-symbol.json") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, mx.base.MXNetError) as error:
        raise Failure(f"{path}: not the graph of a network that MXNet {mx.__version__} can read "
                      f"({last_line(error)}); copy it again from where it came") from error
    internals = symbol.get_internals()
    outputs = internals.list_outputs()
    if outputs.count(OUTPUT) != 1 or "data" not in internals.list_arguments():
        raise Failure(f"{path}: not an embedding network of this family, which takes `data` and gives `{OUTPUT}`; "
                      f"its last output is {outputs[-1]}")
    return internals[OUTPUT]


class _Bounded:
    """Reads little-endian numbers from a file and notices its end."""

    def __init__(self, file):
        self.file = file
        self.size = os.fstat(file.fileno()).st_size

    def take(self, count):
        if count > self.size - self.file.tell():
            raise ValueError(f"it ends early, at {self.size} bytes")
        return self.file.read(count)

    def skip(self, count):
        if count > self.size - self.file.tell():
            raise ValueError(f"it ends early, at {self.size} bytes")
        self.file.seek(count, os.SEEK_CUR)

    def numbers(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def number(self, form):
        return self.numbers(form)[0]


def _skip_array(reader):
    """Walk over one dense array of a parameter file: its shape, where it was, its type, its values."""
    magic = reader.number("I")
    if magic in (_DENSE_V2, _DENSE_V3):
        if reader.number("i") != 0:
            raise ValueError("it holds a sparse array")
        dimensions = reader.number("i")
    elif magic == _SHAPED_V1:
        dimensions = reader.number("I")
    else:
        dimensions = magic  # the oldest files begin with the shape itself, in 32 bits a number
    if not 0 <= dimensions <= _MAX_DIMENSIONS:
        raise ValueError(f"an array of {dimensions} dimensions")
    wide = magic in (_SHAPED_V1, _DENSE_V2, _DENSE_V3)
    shape = reader.numbers(("q" if wide else "I") * dimensions)
    if dimensions == 0 and magic != _DENSE_V3:
        return  # an empty array has nothing more
    device, _, kind = reader.numbers("iii")
    if min(shape, default=0) < 0 or kind not in _ITEM_BYTES or not 1 <= device <= 6:
        raise ValueError("the description of an array makes no sense")
    count = 1
    for extent in shape:
        count *= extent
    reader.skip(count * _ITEM_BYTES[kind])


def _check_params(path):
    """Walk over a parameter file without loading it; raise ValueError where it is not whole."""
    with open(path, "rb") as file:
        reader = _Bounded(file)
        if reader.number("Q") != _PARAMS_MAGIC:
            raise ValueError("it does not begin as such files do")
        _, arrays = reader.numbers("QQ")
        for _ in range(arrays):
            _skip_array(reader)
        names = reader.number("Q")
        for _ in range(names):
            reader.take(reader.number("Q")).decode()
        if names != arrays:
            raise ValueError(f"{arrays} arrays with {names} names")


def read_arrays(path):
    """Read the arrays of an MXNet parameter file by name, after looking through it.

    Returns
    -------
    dict of str to mx.nd.NDArray

    Raises
    ------
    OSError
        It is missing or cannot be read.
    ValueError
        It is not a whole parameter file.
    """
    _check_params(path)
    try:
        with plain_name(path) as name:
            return dict(mx.nd.load(name))
    except mx.base.MXNetError as error:
        raise ValueError(last_line(error)) from error


def saved_size(arrays):
    """Return the number of bytes of an MXNet parameter file with these NDArrays."""
    body = sum(24 + 8 * len(array.shape) + array.size * array.dtype().itemsize for array in arrays.values())
    return 24 + body + 8 + sum(8 + len(name.encode()) for name in arrays)


def save_arrays(path, arrays):
    """Write NDArrays by name as an MXNet parameter file, whole or not at all.

    Raises OSError where the disk is full, which MXNet itself does not notice for the file's last few kilobytes.
    """
    path = os.fspath(path)
    with whole_path(path) as temporary:
        try:
            with plain_name(temporary, "rb+") as name:
                mx.nd.save(name, arrays)
            complete = os.path.getsize(temporary) == saved_size(arrays)
        except mx.base.MXNetError as error:
            if "FileStream" not in str(error):
                raise
            complete = False
        if not complete:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def read_params(path):
    """Read a parameter file whole.

    Returns
    -------
    arg_params, aux_params : dict of str to mx.nd.NDArray
        Everything in it, on the CPU.

    Raises
    ------
    Failure
        The file is missing, truncated, damaged, or holds arrays that are not named as those of a checkpoint.
    """
    try:
        arrays = read_arrays(path)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}; a checkpoint PREFIX,EPOCH has its parameters in PREFIX-NNNN.params, "
                      "NNNN being the epoch in four digits") from error
    except ValueError as error:
        raise Failure(f"{path}: not a whole parameter file ({last_line(error)}); copy it again from where it came, "
                      "or take another epoch") from error
    params = {"arg": {}, "aux": {}}
    for name, array in arrays.items():
        kind, _, rest = name.partition(":")
        if kind not in params or not rest:
            raise Failure(f"{path}: the array {name!r} is not named arg:… or aux:…, as a checkpoint's are; save it "
                          "with mx.model.save_checkpoint, or HybridBlock.export for Gluon")
        params[kind][rest] = array.as_in_context(mx.cpu())
    return params["arg"], params["aux"]
