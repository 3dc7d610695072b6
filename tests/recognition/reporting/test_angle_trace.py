"""The trace of target angles against all the angles themselves, and training runs that keep it."""
import os

import numpy as np
import pytest

from recognition.config.build import build
from recognition.config.losses import LOSSES
from recognition.reporting.angle_trace import AngleTrace, read, stages
from recognition.train import parser
from recognition.training.run import train
from recognition.training.state import load
from runtime import Failure, mx


def cosines(step, size=7):
    rng = np.random.RandomState(step)
    return np.append(np.cos(rng.uniform(0, np.pi, size)), [1.0000001, -1.0000001]).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 10, 11, 12, 300, 301, 302, 590, 591, 1300])
def test_windows_hold_every_angle_once(length, tmp_path):
    trace = AngleTrace()
    for step in range(1, length + 1):
        trace.add(step, cosines(step))
        if step == length // 2:  # stopped and resumed
            state = {name: values.copy() for name, values in trace.state().items()}
            trace = AngleTrace()
            trace.restore(state)
    trace.write(tmp_path)
    kept = read(tmp_path)
    steps = kept["steps"]
    assert len(steps) <= 300 and (length < 10 or (steps[:10, 0] == steps[:10, 1]).all())
    assert len(steps) == length if length <= 300 else len(steps) >= 150
    assert steps[0, 0] == 1 and steps[-1, 1] == length and (steps[1:, 0] == steps[:-1, 1] + 1).all()
    for (first, last), mean, counts in zip(steps, kept["means"], kept["counts"]):
        angles = [np.degrees(np.arccos(np.clip(np.float64(cosine), -1, 1)))
                  for step in range(first, last + 1) for cosine in cosines(step)]
        assert mean == pytest.approx(np.mean(angles))
        wanted = np.bincount(np.minimum(np.floor(angles), 179).astype(int), minlength=180)
        np.testing.assert_array_equal(counts, wanted)


def test_what_is_no_number_is_left_out(tmp_path):
    trace = AngleTrace()
    trace.add(1, np.array([np.nan, 0.0]))
    assert trace.counts.sum() == 1 and trace.counts[0, 90] == 1 and trace.sums[0] == pytest.approx(90)
    trace = AngleTrace()
    trace.add(1, np.array([np.nan]))
    trace.write(tmp_path)
    assert read(tmp_path)["means"].tolist() == [0]


def test_stages_hold_enough_angles():
    trace = AngleTrace()
    for step in range(1, 101):
        trace.add(step, np.cos(np.radians(np.full(50, 100.5 - step / 2))))
    kept = {"steps": trace.steps, "counts": trace.counts, "means": trace.sums / 50}
    start, middle, end = stages(kept, samples=200)
    assert [stage[:2] for stage in (start, end)] == [(1, 4), (97, 100)]
    assert middle[0] <= 50.5 <= middle[1] and middle[1] - middle[0] == 3
    assert start[2] == pytest.approx(99.25) and end[2] == pytest.approx(51.25)
    assert all(stage[3].sum() == 200 for stage in (start, middle, end))
    assert [stage[:2] for stage in stages(kept, samples=10 ** 6)] == [(1, 100)] * 3


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", np.random.RandomState(0).bytes(500), b"\x93NUMPY\x01\x00"],
                         ids=["empty", "zip", "random", "numpy"])
def test_a_damaged_file_is_one_line(tmp_path, content):
    (tmp_path / "angles.npz").write_bytes(content)
    with pytest.raises(Failure, match=r"angles\.npz"):
        read(tmp_path)


@pytest.mark.parametrize("keep", [0, 0.3, 0.7, 0.98])
def test_a_truncated_file_is_one_line(tmp_path, keep):
    trace = AngleTrace()
    trace.add(1, cosines(1))
    trace.write(tmp_path)
    whole = (tmp_path / "angles.npz").read_bytes()
    (tmp_path / "angles.npz").write_bytes(whole[:int(keep * len(whole))])
    with pytest.raises(Failure, match=r"angles\.npz"):
        read(tmp_path)


def test_other_contents_and_no_file(tmp_path):
    with pytest.raises(Failure, match="--trace-angles"):
        read(tmp_path)
    np.savez(tmp_path / "angles.npz", steps=[[1, 2]], means=[1.0], counts=[[3]], edges=np.arange(181))
    with pytest.raises(Failure, match="does not hold"):
        read(tmp_path)
    np.savez(tmp_path / "angles.npz", steps=np.array([{}], dtype=object), means=[1.0])
    with pytest.raises(Failure, match="cannot be read"):
        read(tmp_path)


def test_a_damaged_state():
    with pytest.raises(Failure, match="damaged"):
        AngleTrace().restore({"steps": np.ones((2, 2)), "sums": np.ones(2), "counts": np.ones((2, 5))})


def run(faces, models, loss, **flags):
    """Train in this process; returns the run's folder and the arrays of its last state."""
    config = build("mnas025", loss, "tiny", dict({
        "dataset_path": str(faces), "targets": [], "models_root": str(models), "lr": 0.01, "per_batch_size": 4,
        "num_workers": 1, "ctx": "cpu", "save_every": 2, "ckpt": 3, "trace_angles": True}, **flags))
    folder = train(config)
    return folder, {f"{owner}:{name}": value.asnumpy() for owner, arrays in load(folder).parts.items()
                    for name, value in arrays.items()}


@pytest.mark.slow
def test_annealing_extra_losses_and_trace_go_on_where_they_stopped(faces, tmp_path):
    """SphereFace's λ starts low here, so that each step matters, with both terms and the trace; on two devices."""
    flags = {"intra_weight": 1.0, "inter_weight": 1.0, "sphere_lambda_start": 20.0, "sphere_lambda_decay": 1.0,
             "per_batch_size": 2, "ctx": "cpu:0,cpu:1"}
    whole_folder, whole = run(faces, tmp_path / "whole", "sphereface-m4", max_steps=4, **flags)
    run(faces, tmp_path / "parts", "sphereface-m4", max_steps=2, **flags)
    folder, parts = run(faces, tmp_path / "parts", "sphereface-m4", max_steps=4, resume=True, **flags)
    assert set(whole) == set(parts) and not any(name.endswith(":step") for name in whole)
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-4, atol=1e-6, err_msg=name)
    kept = read(folder)
    assert kept["steps"].tolist() == [[n, n] for n in (1, 2, 3, 4)] and (kept["counts"].sum(1) == 4).all()
    np.testing.assert_array_equal(kept["counts"], read(whole_folder)["counts"])
    symbol, arguments, _ = mx.model.load_checkpoint(os.path.join(folder, "model"), 1)
    assert symbol.list_outputs() == ["fc1_output"] and "step" not in symbol.list_arguments()
    assert not {"step", "fc7_weight"} & set(arguments)


@pytest.mark.slow
def test_resuming_a_run_that_kept_no_angles(faces, tmp_path):
    run(faces, tmp_path, "arcface", max_steps=2, trace_angles=False)
    folder, _ = run(faces, tmp_path, "arcface", max_steps=4, resume=True)
    assert read(folder)["steps"].tolist() == [[3, 3], [4, 4]]


@pytest.mark.slow
def test_the_command(command, faces, tmp_path):
    done = command("recognition/train.py", "--loss", "arcface-intra-inter", "--dataset", "tiny", "--dataset-path",
                   faces, "--network", "mnas025", "--max-steps", 2, "--per-batch-size", 4, "--ctx", "cpu",
                   "--models-root", tmp_path, "--num-workers", 1, "--lr", 0.01, "--trace-angles", timeout=300)
    assert done.returncode == 0, done.stderr
    assert "step 2 of 2" in done.stdout
    assert len(read(tmp_path / "mnas025-arcface-intra-inter-tiny")["steps"]) == 2


def test_help_lists_every_loss():
    help_text = parser().format_help()
    assert all(f"  {name} " in help_text or f"  {name}\n" in help_text for name in LOSSES)
