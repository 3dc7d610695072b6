"""The layout of a store of embeddings, which tools/embed.py writes over time and can resume.

A store X is three files:

* `X.npy`: the embeddings, float32 (N, D). `np.load("X.npy", mmap_mode="r")` maps a finished one.
* `X.json`: what they are embeddings of, by which network, and how far the work has come.
* `X-labels.npz`, once the store is finished: `labels`, `names`, `identity_labels` and `identity_names`, as in a file of
  embeddings (`datasets.formats.embeddings`).

`X.json` has `network` (`prefix`, `epoch`, `fingerprint`), `engine` (`name`, and `rows`, the number of images that the
network gets at a time; the rounding of embeddings depends on both), `flip`, `source` (`kind`, `path`, `digest`),
`dimension` (D), `images` (of the source), `done` (how many of them are dealt with), `left_out` (those of them that
could not be used, numbered from 0), `rows` (`done` without `left_out`) and `finished`. Rows are counted once their
bytes are on the disk.
"""
import io
import json
import os
from typing import NamedTuple

import numpy as np
from numpy.lib import format as npy

from datasets.formats.image_lists import quoted
from runtime import Failure
from runtime.files import write_json

HEADER = 128  # bytes of X.npy before the first row, as np.save writes them for every size
_LARGEST = 1 << 26  # bytes of X.json: five million images that could not be used
HOW = "make it with tools/embed.py"
LABELS_HOW = "without it, the same tools/embed.py command writes it again"
REMOVE = "remove it and its .json, or name another one with --output"


class State(NamedTuple):
    """What `X.json` says."""

    prefix: str
    epoch: int
    fingerprint: str
    flip: bool
    kind: str
    source: str
    digest: str
    dimension: int
    images: int
    done: int = 0
    left_out: list[int] = []  # noqa: RUF012 - it is replaced, never changed
    finished: bool = False
    engine: str = "mxnet"  # that of stores which do not name one
    batch: int = 16

    @property
    def rows(self):
        """The number of rows on the disk."""
        return self.done - len(self.left_out)


def state_path(path):
    """Return the name of `X.json` for `X.npy`."""
    return path[:-len(".npy")] + ".json"


def labels_path(path):
    """Return the name of `X-labels.npz` for `X.npy`."""
    return path[:-len(".npy")] + "-labels.npz"


def header(rows, dimension):
    """Return the first `HEADER` bytes of `X.npy`."""
    file = io.BytesIO()
    npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows, dimension)})
    if len(file.getvalue()) != HEADER:
        raise ValueError(f"a header of {len(file.getvalue())} bytes")
    return file.getvalue()


def write_state(path, state):
    """Write `X.json`, whole or not at all."""
    write_json(state_path(path), {
        "network": {"prefix": state.prefix, "epoch": state.epoch, "fingerprint": state.fingerprint},
        "engine": {"name": state.engine, "rows": state.batch}, "flip": state.flip,
        "source": {"kind": state.kind, "path": state.source, "digest": state.digest},
        "dimension": state.dimension, "images": state.images, "done": state.done, "left_out": state.left_out,
        "rows": state.rows, "finished": state.finished})


def _whole(text):
    """Return a whole number of JSON. Python takes long over very long ones."""
    if len(text) > 18:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _parsed(facts):
    """Return the state that parsed JSON describes; raises ValueError, KeyError or TypeError where it describes none."""
    network, source, engine = facts["network"], facts["source"], facts.get("engine", {"name": "mxnet", "rows": 16})
    state = State(network["prefix"], network["epoch"], network["fingerprint"], facts["flip"], source["kind"],
                  source["path"], source["digest"], facts["dimension"], facts["images"], facts["done"],
                  facts["left_out"], facts["finished"], engine["name"], engine["rows"])
    for field, kind in State.__annotations__.items():
        if type(getattr(state, field)) is not (list if field == "left_out" else kind):
            raise ValueError(f"{field} is {getattr(state, field)!r}")
    if any(type(place) is not int for place in state.left_out):
        raise ValueError("left_out is no list of whole numbers")
    rising = [-1, *state.left_out, state.done]
    if any(after <= before for before, after in zip(rising, rising[1:])) or not state.done <= state.images < 1 << 48 \
            or not 0 < state.dimension < 1 << 20 or state.epoch < 0 \
            or not 0 < state.batch < 1 << 20 or facts["rows"] != state.rows \
            or (state.finished and state.done != state.images):
        raise ValueError("its numbers contradict each other")
    return state


def read_state(path):
    """Read `X.json` of `X.npy`.

    Returns
    -------
    State, or None where there is no `X.json`

    Raises
    ------
    Failure
        It is damaged, or something else.
    """
    name = state_path(path)
    if not os.path.lexists(name):
        return None
    try:
        if not os.path.isfile(name) or os.path.getsize(name) > _LARGEST:
            raise ValueError("it is no such file")
        with open(name, encoding="utf-8") as file:
            return _parsed(json.load(file, parse_int=_whole))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise Failure(f"{name} does not describe the embeddings in {os.path.basename(path)} ({quoted(reason)}): "
                      "remove both, and make them again with tools/embed.py") from None


def is_store(path):
    """Whether a file of embeddings is a store by its name, and no archive by its content."""
    if not path.endswith(".npy"):
        return False
    if not os.path.isfile(path):
        return os.path.lexists(state_path(path))
    with open(path, "rb") as file:
        return file.read(2) != b"PK"


class Rows:
    """The rows of a finished store.

    Parameters
    ----------
    path : str
        `X.npy`.

    Attributes
    ----------
    state : State

    Raises
    ------
    Failure
        The store is not finished, or its files do not fit each other.
    """

    def __init__(self, path):
        self.path, self.state = path, read_state(path)
        if self.state is None:
            raise Failure(f"{path}: there is no {os.path.basename(state_path(path))} beside it, which says by which "
                          f"network these embeddings were made: {HOW}")
        if not self.state.finished:
            raise Failure(f"{path} is not finished: it has {self.state.done} of {self.state.images} images; run the "
                          "same tools/embed.py command again, which resumes")
        with self._open():
            pass

    def damaged(self, reason):
        """Return the Failure that says what is wrong with the store."""
        return Failure(f"{self.path} is damaged ({reason}): remove it with its .json, and {HOW} again")

    def _open(self):
        """Open `X.npy` at its first row."""
        state = self.state
        if not os.path.isfile(self.path):
            raise self.damaged("it is missing" if not os.path.lexists(self.path) else "it is no plain file")
        file = open(self.path, "rb")  # noqa: SIM115 - the caller closes it
        size, wanted = os.fstat(file.fileno()).st_size, HEADER + state.rows * state.dimension * 4
        if size != wanted or file.read(HEADER) != header(state.rows, state.dimension):
            file.close()
            raise self.damaged(f"it has {size} bytes, where {state.rows} embeddings of {state.dimension} numbers take "
                               f"{wanted}" if size != wanted else "it does not begin as it should")
        return file

    def blocks(self, rows):
        """Yield the embeddings, so many rows at a time. They are read, not mapped: reading notices a missing end."""
        width = self.state.dimension
        with self._open() as file:
            for first in range(0, self.state.rows, rows):
                height = min(rows, self.state.rows - first)
                content = file.read(height * width * 4)
                if len(content) != height * width * 4:
                    raise self.damaged("it is cut short")
                yield np.frombuffer(content, "<f4").reshape(height, width)
