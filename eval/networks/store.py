"""Writing a store of embeddings (`datasets.formats.embedding_store`) that a killed run resumes.

Rows are added at the end of `X.npy`. Every few seconds they are brought to the disk and then counted in `X.json`. A run
that resumes cuts off what was not counted. It embeds the same batches as a run from the start would, and so ends with
the same bytes.
"""
import os
import stat
import time

import numpy as np

from datasets.formats import embeddings
from datasets.formats.embedding_store import (
    HEADER,
    REMOVE,
    Rows,
    State,
    header,
    labels_path,
    read_state,
    state_path,
    write_state,
)
from datasets.formats.image_lists import quoted
from runtime import Failure
from runtime.files import NO_ROOM, named

SECONDS = 2.0  # of work that a kill can cost, or else one batch; counting rows takes some milliseconds


def write(path, recogniser, source, seconds=SECONDS, progress=False):
    """Write a store, or resume one. The caller holds `path` with `runtime.locks.alone_with`.

    Parameters
    ----------
    path : str
        `X.npy`.
    recogniser : eval.networks.recogniser.Recogniser
    source : eval.networks.sources.Source
    seconds : float
        How often rows are counted.
    progress : bool
        Whether to show progress on stderr, where that is a terminal.

    Returns
    -------
    datasets.formats.embedding_store.State
        Of the finished store. A finished store of the same is left as it is.

    Raises
    ------
    Failure
        There is a store of another network, flip or source, or another file; no image could be used.
    OSError
        As the system reports it, with the file's name: no space, no permission.
    """
    path = os.fspath(path)
    state = _begin(path, State(os.path.abspath(recogniser.prefix), recogniser.epoch, recogniser.fingerprint,
                               recogniser.flip, source.kind, os.path.abspath(source.path), source.digest,
                               recogniser.embedder.dimension, len(source), engine=recogniser.engine.name,
                               batch=recogniser.engine.rows))
    labels = source.labels, source.names, source.people  # whatever is wrong with them ends the command here
    if state.finished:
        Rows(path)
        if not os.path.exists(labels_path(path)):
            _write_labels(path, state, *labels)
        return state
    if state.done and not os.path.exists(path):
        raise _lost(path, state)
    with named(path, NO_ROOM), open(path, "r+b" if state.done else "wb") as file:
        _cut(file, path, state)
        state = _embed(file, path, state, recogniser, source, seconds, progress)
        if not state.rows:
            raise Failure(f"{source.path}: {source.none}")
        # np.load takes the file for whole from here on. A run that is killed before the last line does this again.
        file.seek(0)
        file.write(header(state.rows, state.dimension))
        _to_disk(file)
    _write_labels(path, state, *labels)
    state = state._replace(finished=True)
    write_state(path, state)
    return state


def _write_labels(path, state, labels, names, people):
    """Write `X-labels.npz`: labels and names of the images that were embedded."""
    used = np.delete(np.arange(state.images), state.left_out)
    arrays = {"labels": labels[used]}
    if names is not None:
        arrays["names"] = np.array([names[place] for place in used], dtype=str)
    embeddings.write_arrays(labels_path(path), {**arrays, **embeddings.identity_arrays(people)})


def _lost(path, state):
    return Failure(f"{path} is damaged: {os.path.basename(state_path(path))} counts {state.rows} embeddings in it, and "
                   f"they are not there; {REMOVE}")


def _begin(path, wanted):
    """Return the state to go on from: what is there, or nothing done."""
    if os.path.isdir(path):
        raise Failure(f"{path} is a folder: name a file")
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        raise Failure(f"{path} is no plain file, as a store has to be: name another one with --output")
    found = read_state(path)
    if found is None:
        if os.path.exists(path):
            raise Failure(f"{path} is there, and {os.path.basename(state_path(path))}, which would say what it holds, "
                          "is not: remove it, or name another one with --output")
        write_state(path, wanted)  # before X.npy, so that a run that is killed between the two resumes
        return wanted
    if found.fingerprint != wanted.fingerprint:
        raise Failure(f"{path} holds embeddings of another network ({quoted(found.prefix)}, epoch {found.epoch}): give "
                      f"that checkpoint with --model; or {REMOVE}")
    if found.flip != wanted.flip:
        raise Failure(f"{path} holds embeddings {'with' if found.flip else 'without'} mirror images: "
                      f"{'leave out' if found.flip else 'give'} --no-flip; or {REMOVE}")
    if found.engine != wanted.engine:
        raise Failure(f"{path} holds embeddings by the engine {quoted(found.engine)}: leave out --engine; or {REMOVE}")
    same = (found.kind, found.digest, found.images) == (wanted.kind, wanted.digest, wanted.images)
    if not same or found.dimension != wanted.dimension:
        now = "which has changed since" if found.source == wanted.source and found.kind == wanted.kind \
            else f"not of the {wanted.kind} {quoted(wanted.source)}"
        raise Failure(f"{path} holds embeddings of the {quoted(found.kind)} {quoted(found.source)}, {now}: {REMOVE}")
    return found


def _cut(file, path, state):
    """Leave the header and the rows that were counted, and go behind them."""
    end = HEADER + state.rows * state.dimension * 4
    file.seek(0, os.SEEK_END)
    if state.done and (file.tell() < end or not _begins(file, state)):
        raise _lost(path, state)
    if not state.done:
        file.write(header(state.images, state.dimension))
    file.truncate(end)
    file.seek(end)


def _begins(file, state):
    """Whether a file begins as a run of this state leaves it: with the header of a begun or of a finished store."""
    file.seek(0)
    return file.read(HEADER) in (header(state.images, state.dimension), header(state.rows, state.dimension))


def _to_disk(file):
    file.flush()
    os.fsync(file.fileno())


def _embed(file, path, state, recogniser, source, seconds, progress):
    """Add the rows that are missing, and return the state with all of them counted."""
    left_out, done, counted = list(state.left_out), state.done, time.monotonic()
    for batch in source.batches(done, progress=progress):
        if len(batch.images):
            file.write(np.ascontiguousarray(recogniser(batch.images), "<f4").tobytes())
        left_out += np.setdiff1d(np.arange(done, batch.end), batch.places).tolist()
        done = batch.end
        if time.monotonic() - counted >= seconds or done == state.images:
            _to_disk(file)
            state = state._replace(done=done, left_out=list(left_out))
            write_state(path, state)
            counted = time.monotonic()
    return state
