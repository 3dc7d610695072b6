"""Stores of embeddings: killed and resumed, refused where they are of something else, read with suspicion."""
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.formats import embedding_store, embeddings, records
from eval.networks import sources, store
from runtime import Failure, mx, run_command
from tools import embed

LENIENT = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


class Numbers(sources.Source):
    """A source whose image `place` is filled with `place`; some cannot be used, and at one the run ends."""

    kind, batch = "list of numbers", 4

    def __init__(self, count, missing=(), stop=None, digest="d", names=True):
        super().__init__("numbers", 2)
        self.labels, self.people, self.digest = np.arange(count) // 3, {0: "Ann"}, digest
        self.names = [f"n{place}" for place in range(count)] if names else None
        self.missing, self.stop = set(missing), stop

    def _rows(self, start):
        for place in range(start, len(self)):
            if place == self.stop:
                raise KeyboardInterrupt
            yield self.labels[place], None if place in self.missing else np.full((2, 2, 3), place, np.uint8)


def rows_of(places, dimension):
    return np.float32(places)[:, None] + np.arange(1, dimension + 1, dtype=np.float32) / 7


def network(dimension=3, fingerprint="f", flip=True, prefix="m", engine="mxnet"):
    class Fake(SimpleNamespace):
        def __call__(self, images):
            return rows_of(images[:, 0, 0, 0], dimension)
    return Fake(prefix=prefix, epoch=1, fingerprint=fingerprint, flip=flip,
                embedder=SimpleNamespace(dimension=dimension), engine=SimpleNamespace(name=engine, rows=16))


def contents(path):
    """The bytes of a store's files."""
    return [open(name, "rb").read() for name in (path, embedding_store.state_path(path))]


@pytest.mark.slow
@LENIENT
@given(count=st.integers(1, 40), dimension=st.integers(1, 5), data=st.data())
def test_an_interrupted_store_ends_with_the_same_bytes(tmp_path_factory, count, dimension, data):
    folder = tmp_path_factory.mktemp("store")
    missing = data.draw(st.sets(st.integers(0, count - 1), max_size=count - 1))
    seconds = data.draw(st.sampled_from([0, 1e9]))
    path = str(folder / "x.npy")
    for stop in sorted(data.draw(st.lists(st.integers(0, count - 1), max_size=3))):
        with contextlib.suppress(KeyboardInterrupt):
            store.write(path, network(dimension), Numbers(count, missing, stop), seconds)
        if data.draw(st.booleans()) and os.path.exists(path):
            with open(path, "ab") as file:
                file.write(b"\xff" * data.draw(st.integers(1, 40)))  # what was written and not counted
    store.write(path, network(dimension), Numbers(count, missing))
    used = [place for place in range(count) if place not in missing]
    np.testing.assert_array_equal(np.load(path, mmap_mode="r"), rows_of(used, dimension))
    whole = str(folder / "whole.npy")
    store.write(whole, network(dimension), Numbers(count, missing))
    assert contents(path) == contents(whole)
    read = embeddings.Embeddings(path)
    assert read.labels.tolist() == [place // 3 for place in used] and read.identity_names == {0: "Ann"}
    assert [read.name(row) for row in range(len(used))] == [f"n{place}" for place in used]
    units = rows_of(used, dimension) / np.linalg.norm(rows_of(used, dimension), axis=1, keepdims=True)
    np.testing.assert_allclose(np.concatenate([block for _, block in read.blocks(7)]), units, atol=1e-6)
    assert read.network == embeddings.Network(os.path.abspath("m"), "1", "f", True)


def test_numpy_writes_the_same_file(tmp_path):
    for count in (1, 9, 5_000_000):
        np.save(tmp_path / "n.npy", np.broadcast_to(np.float32(0), (count, 1)))
        with open(tmp_path / "n.npy", "rb") as file:
            assert file.read(embedding_store.HEADER) == embedding_store.header(count, 1)


KILLED = """
import os, signal, sys
from datasets.formats.embedding_store import read_state
from eval.networks import sources, store
from eval.networks.recogniser import Recogniser
from eval.networks.trained import Trained
prefix, data, path, rows = sys.argv[1:]
class Dying(sources.Record):
    batch = 16
    def _rows(self, start):
        for row in super()._rows(start):
            if read_state(path).rows >= int(rows):
                os.kill(os.getpid(), signal.SIGKILL)
            yield row
store.write(path, Recogniser(Trained(prefix, 1, "cpu", 16, "mxnet")), Dying(data), seconds=0)
"""


def image(number):
    """A grid of 7×7 colours: RGB uint8 (112, 112, 3)."""
    return np.random.RandomState(number).randint(0, 256, (7, 7, 3), np.uint8).repeat(16, axis=0).repeat(16, axis=1)


def checkpoint(prefix):
    """Save a network that takes the 49 colours' values through a dense layer; return the layer's weight (16, 147)."""
    net = mx.sym.Pooling(mx.sym.Variable("data") - 127.5, kernel=(16, 16), stride=(16, 16), pool_type="avg")
    weight = np.random.RandomState(0).normal(size=(16, 147)).astype(np.float32)
    args = {"fc1_weight": mx.nd.array(weight), "fc1_bias": mx.nd.zeros(16)}
    mx.model.save_checkpoint(str(prefix), 1, mx.sym.FullyConnected(net, num_hidden=16, name="fc1"), args, {})
    return weight


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits(tmp_path, root, capsys):
    weight = checkpoint(tmp_path / "model")
    records.write(tmp_path / "rec", [(number // 20, cv2.imencode(".png", image(number)[:, :, ::-1])[1].tobytes(), "x")
                                     for number in range(200)])

    def run(path):
        embed.main(["--model", f"{tmp_path / 'model'},1", "--data", str(tmp_path / "rec"), "--output", str(path),
                    *([] if path.name == "x.npy" else ["--engine", "mxnet", "--batch-size", "16"])])
        return capsys.readouterr().out
    path = tmp_path / "x.npy"
    for rows in (64, 128):
        killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "model"), str(tmp_path / "rec"),
                                 str(path), str(rows)], cwd=root, stderr=subprocess.PIPE, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        state = json.loads((tmp_path / "x.json").read_text())
        assert state["rows"] == rows and not state["finished"]
        with pytest.raises(Failure, match=rf"x\.npy is not finished: it has {rows} of 200 images"):
            embeddings.Embeddings(path)
    said = run(path)
    assert said == f"{path}: 200 embeddings of 10 identities\n"
    run(tmp_path / "whole.npy")
    run(tmp_path / "archive.npz")
    assert path.read_bytes() == (tmp_path / "whole.npy").read_bytes()
    found, archive = np.load(path), embeddings.Embeddings(tmp_path / "archive.npz")
    np.testing.assert_array_equal(found, np.load(tmp_path / "archive.npz")["embeddings"])
    total = sum(weight @ (colours[::16, ::16].transpose(2, 0, 1).ravel() - 127.5)
                for colours in (image(27), image(27)[:, ::-1]))  # with its mirror image
    np.testing.assert_allclose(found[27], total / np.linalg.norm(total), atol=1e-4)
    assert archive.network == embeddings.Embeddings(path).network
    before = os.stat(path).st_mtime_ns
    assert run(path) == said
    assert os.stat(path).st_mtime_ns == before


@pytest.mark.parametrize("other, source, says", [
    (network(fingerprint="g"), Numbers(9), r"of another network \(.*m, epoch 1\): give that checkpoint with --model; "),
    (network(engine="openvino"), Numbers(9), "by the engine mxnet: leave out --engine; or"),
    (network(flip=False), Numbers(9), "with mirror images: leave out --no-flip; or"),
    (network(), Numbers(9, digest="e"), "numbers, which has changed since: remove"),
    (network(), Numbers(8), "numbers, which has changed since: remove")])
@pytest.mark.parametrize("stop", [None, 6])
def test_a_store_of_something_else(tmp_path, other, source, says, stop):
    path = str(tmp_path / "x.npy")
    with contextlib.suppress(KeyboardInterrupt):
        store.write(path, network(), Numbers(9, stop=stop), 0)
    before = contents(path)
    with pytest.raises(Failure, match=says) as failure:
        store.write(path, other, source)
    assert str(failure.value).startswith(path) and "\n" not in str(failure.value)
    assert "or name another one with --output" in str(failure.value)
    assert contents(path) == before


def test_a_single_crop_store_and_flips(tmp_path):
    store.write(str(tmp_path / "x.npy"), network(flip=False), Numbers(5))
    with pytest.raises(Failure, match="without mirror images: give --no-flip; or"):
        store.write(str(tmp_path / "x.npy"), network(), Numbers(5))


def test_files_that_are_in_the_way(tmp_path):
    np.save(tmp_path / "mine.npy", np.eye(3))
    (tmp_path / "folder.npy").mkdir()
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "text.json").write_text("{}")
    for name, says in (("mine", "mine.json, which would say what it holds, is not"), ("folder", "is a folder"),
                       ("pipe", "is no plain file"), ("text", "text.json does not describe the embeddings")):
        with pytest.raises(Failure, match=says):
            store.write(str(tmp_path / f"{name}.npy"), network(), Numbers(5))
    np.testing.assert_array_equal(np.load(tmp_path / "mine.npy"), np.eye(3))
    with pytest.raises(Failure, match="there is no mine.json beside it"):
        embeddings.Embeddings(tmp_path / "mine.npy")
    with pytest.raises(Failure, match="none.npy is missing"):
        embeddings.Embeddings(tmp_path / "none.npy")


def test_nothing_can_be_used(tmp_path):
    with pytest.raises(Failure, match="numbers: there are no images"):
        store.write(str(tmp_path / "x.npy"), network(), Numbers(5, missing=range(5)))


def test_files_that_were_lost(tmp_path):
    path = tmp_path / "x.npy"
    with contextlib.suppress(KeyboardInterrupt):
        store.write(str(path), network(), Numbers(9, stop=8), 0)
    content = path.read_bytes()
    for damage in (None, b"", content[:-1], b"\0" * len(content)):
        path.unlink() if damage is None else path.write_bytes(damage)
        with pytest.raises(Failure, match="x.json counts 8 embeddings in it, and they are not there"):
            store.write(str(path), network(), Numbers(9))
    path.write_bytes(content)
    store.write(str(path), network(), Numbers(9))
    (tmp_path / "x-labels.npz").unlink()
    with pytest.raises(Failure, match="x-labels.npz is missing: without it, the same tools/embed.py command writes"):
        embeddings.Embeddings(path)
    store.write(str(path), network(), Numbers(9))
    assert embeddings.Embeddings(path).labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_a_full_disk(tmp_path, capsys):
    path = str(tmp_path / "x.npy")
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, kept[1]))
    try:
        with pytest.raises(SystemExit) as end:
            run_command(lambda: store.write(path, network(5), Numbers(200), 0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    line = str(end.value) + capsys.readouterr().err
    assert "x.npy" in line and "File too large" in line and len(line.strip().splitlines()) == 1
    store.write(path, network(5), Numbers(200))
    np.testing.assert_array_equal(np.load(path), rows_of(range(200), 5))


@LENIENT
@given(st.data())
def test_damaged_stores_end_in_one_line(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    path, finished = str(folder / "x.npy"), data.draw(st.booleans())
    with contextlib.suppress(KeyboardInterrupt):
        store.write(path, network(), Numbers(9, {4}, None if finished else 8), 0)
    name = folder / data.draw(st.sampled_from(["x.npy", "x.json", "x-labels.npz"] if finished else ["x.npy", "x.json"]))
    content = bytearray(name.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    name.write_bytes(content[:data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    for use in (lambda: list(embeddings.Embeddings(path).blocks()),
                lambda: store.write(path, network(), Numbers(9, {4}))):
        try:
            use()
        except Failure as failure:
            assert "\n" not in str(failure) and str(folder) in str(failure)


FINE = {"network": {"prefix": "m", "epoch": 1, "fingerprint": "f"}, "flip": True,
        "source": {"kind": "record", "path": "p", "digest": "d"}, "dimension": 3, "images": 9, "done": 9,
        "left_out": [], "rows": 9, "finished": True}


@pytest.mark.parametrize("text", [
    "", "[]", "null", "[" * 100_000, "{" + '"a":' * 5000, "\xff", json.dumps(FINE)[:-1], '{"network": {}}',
    json.dumps(FINE).replace("9", "9" * 500_000), *(json.dumps({**FINE, **change}) for change in (
        {"rows": 8}, {"done": 10}, {"done": -1}, {"images": 1 << 60}, {"dimension": 0}, {"dimension": 3.0}, {"flip": 1},
        {"left_out": [3]}, {"left_out": [3, 3], "rows": 7}, {"left_out": [9], "rows": 8}, {"left_out": {}},
        {"left_out": ["3"], "rows": 8}, {"network": None}, {"finished": "yes"}, {"done": 8, "rows": 8},
        {"dimension": True}))])
def test_descriptions_that_are_none(tmp_path, text):
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    np.save(tmp_path / "x.npy", np.ones((9, 3), np.float32))
    np.savez(tmp_path / "x-labels.npz", labels=np.arange(9))
    with pytest.raises(Failure, match=r"x\.json does not describe the embeddings in x\.npy"):
        embeddings.Embeddings(tmp_path / "x.npy")
    (tmp_path / "x.json").write_text(json.dumps(FINE))
    assert len(embeddings.Embeddings(tmp_path / "x.npy")) == 9
    np.save(tmp_path / "x.npy", np.array([[None] * 3] * 9), allow_pickle=True)
    with pytest.raises(Failure, match="x.npy is damaged"):
        embeddings.Embeddings(tmp_path / "x.npy")
