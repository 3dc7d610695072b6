"""The batch size is measured once for a network and a machine, and remembered."""
import pytest

from eval.networks import batch_size
from runtime import mx


@pytest.fixture
def speeds(tmp_path, monkeypatch):
    """Put the cache into a folder of the test's own and count measurements that a script answers."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def measured(symbol, *_):
        calls.append(symbol)
        return {4: 10.0, 16: 12.5, 32: 12.0}
    monkeypatch.setattr(batch_size, "measure", measured)
    return calls


def network(width):
    return mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=width, name="dense")


def test_fastest_is_found_once_for_each_network(speeds):
    for width in (2, 2, 3, 2):
        assert batch_size.best_batch_size(network(width), {}, {}) == 16
    assert len(speeds) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"batch_size": "16"}', '{"batch_size": 1000000}', "\x00"])
def test_damaged_memory_is_measured_anew(speeds, tmp_path, content):
    batch_size.best_batch_size(network(2), {}, {})
    path, = (tmp_path / "face-records" / "batch-sizes").iterdir()
    path.write_text(content)
    assert batch_size.best_batch_size(network(2), {}, {}) == 16 and len(speeds) == 2
    assert batch_size.best_batch_size(network(2), {}, {}) == 16 and len(speeds) == 2


def test_no_cache_to_write_to(speeds, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert batch_size.best_batch_size(network(2), {}, {}) == 16


def test_gpus_are_not_measured(speeds):
    assert batch_size.best_batch_size(network(2), {}, {}, mx.gpu()) == 64 and not speeds


def test_every_candidate_is_timed():
    net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, no_bias=True, name="dense")
    found = batch_size.measure(net, {"dense_weight": mx.nd.ones((2, 192))}, {}, (3, 8, 8))
    assert set(found) == set(batch_size.CANDIDATES) and all(speed > 0 for speed in found.values())
