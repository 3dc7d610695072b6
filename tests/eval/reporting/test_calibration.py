"""The threshold of a false accept rate against a loop over all thresholds, and the file that keeps it."""
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.networks import checkpoints
from eval.reporting import calibration
from runtime import Failure, mx

SETS = [{"name": "tiny", "path": "tiny.bin", "genuine": 2, "impostors": 3}]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=60),
       st.one_of(st.floats(0, 1, exclude_max=True), st.integers(0, 19).map(lambda count: count / 20)))
def test_threshold_equals_that_of_a_loop(pairs, far):
    dist = np.array([distance / 10 for distance, _ in pairs], np.float32)
    issame = np.array([same for _, same in pairs])
    impostors = dist[~issame].tolist()
    if not impostors:
        with pytest.raises(ValueError):
            calibration.threshold_at(dist, issame, far)
        return
    threshold, reached = calibration.threshold_at(dist, issame, far)

    def rate(value):
        return sum(distance < value for distance in impostors) / len(impostors)
    assert reached == rate(threshold) <= far
    # No larger threshold is allowed: neither another pair's distance, nor one a little larger than this.
    assert all(rate(value) > far for value in [*impostors, np.nextafter(threshold, 9)] if value > threshold)
    assert threshold in impostors


def test_what_a_calibration_says():
    made = calibration.calibrate(np.array([0.2, 0.9, 0.4, 1.5, 2.0]), [True, True, False, False, False], 0.4, SETS,
                                 True, {"prefix": "y1", "epoch": 3, "fingerprint": "f"})
    assert made["squared_distance"] == 1.5 and made["cosine"] == 0.25 and made["tar"] == 1.0
    assert made["far_reached"] == made["smallest_far"] == pytest.approx(1 / 3)
    np.testing.assert_allclose(made["angle_degrees"], np.degrees(np.arccos(0.25)))
    assert "cannot show" not in calibration.describe(made)
    assert "3 impostor pairs cannot show a rate below 0.33" in calibration.describe({**made, "far_asked": 0.001})
    with pytest.raises(Failure, match=r"tiny.bin: no impostor pairs"):
        calibration.calibrate(np.ones(2), [True, True], 0.1, SETS, True, {})


@pytest.fixture
def written(tmp_path):
    made = calibration.calibrate(np.array([0.2, 0.9, 0.4, 1.5, 2.0]), [True, True, False, False, False], 0.4, SETS,
                                 True, {"prefix": "y1", "epoch": 3, "fingerprint": "f"})
    calibration.write(tmp_path / "thr.json", made)
    return tmp_path / "thr.json", made


def test_it_is_read_back(written):
    path, made = written
    assert calibration.read(path) == calibration.read(path, "f") == made
    with pytest.raises(Failure, match="of another network"):
        calibration.read(path, "g")
    with pytest.raises(Failure, match=r"missing: make it with eval/verification.py --calibrate"):
        calibration.read(path.with_name("other.json"))


@pytest.mark.parametrize("change", [
    {"cosine": float("nan")}, {"cosine": "0.25"}, {"cosine": 0.3}, {"squared_distance": 9.0}, {"flip": 1}, {"sets": []},
    {"sets": [{"name": "x", "impostors": 0}]}, {"sets": 3}, {"checkpoint": {}}, {"far_asked": -1.0}])
def test_values_that_cannot_be(written, change):
    path, made = written
    path.write_text(json.dumps({**made, **change}))
    with pytest.raises(Failure, match=r"thr.json is no calibration file"):
        calibration.read(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b"null", b" " * (1 << 21)])
def test_files_that_are_none(tmp_path, content):
    (tmp_path / "thr.json").write_bytes(content)
    with pytest.raises(Failure, match="no calibration file"):
        calibration.read(tmp_path / "thr.json")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_that_an_editor_saved(written, encoding):
    path, made = written
    path.write_bytes(json.dumps(made).encode(encoding))
    assert calibration.read(path) == made


def test_a_fingerprint_follows_from_values_and_names():
    one = {"a": mx.nd.array([1, 2]), "b": mx.nd.array([3])}
    same = {"b": mx.nd.array([3]), "a": mx.nd.array([1, 2])}
    assert checkpoints.fingerprint(one, {}) == checkpoints.fingerprint(same, {})
    others = [({"a": mx.nd.array([1, 3]), "b": one["b"]}, {}), ({"a": one["a"]}, {"b": one["b"]}),
              ({"a": one["a"]}, {}),
              ({"a": one["a"].reshape((2, 1)), "b": one["b"]}, {}), ({"a": one["a"], "c": one["b"]}, {})]
    assert len({checkpoints.fingerprint(*params) for params in [(one, {}), *others]}) == 6
