"""The training command from end to end."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from datasets.formats import records, verification_file
from eval.networks import checkpoints
from eval.networks.embedder import Embedder
from eval.networks.engines.by_mxnet import ByMXNet
from recognition.config.build import build
from recognition.training import replicated
from recognition.training.run import train as train_here
from recognition.training.state import states
from recognition.training.validation import Validation, Verifier
from runtime import Failure, mx

pytestmark = pytest.mark.slow

FAST = ("--network", "y1", "--loss", "arcface", "--dataset", "orl", "--ctx", "cpu", "--lr", "0.01",
        "--num-workers", "1")


@pytest.fixture
def train(command, faces, tmp_path):
    """Run training on the small dataset into a folder of its own."""
    def run(*flags, models=tmp_path, check=True):
        done = command("recognition/train.py", *FAST, "--dataset-path", faces, "--target", "tiny",
                       "--models-root", models, *flags, timeout=300)
        if check:
            assert done.returncode == 0, done.stderr
        return done
    return run


def run_folder(models):
    return models / "y1-arcface-orl"


def arrays(models, epoch=1):
    loaded = mx.nd.load(str(run_folder(models) / f"model-{epoch:04d}.params"))
    return {name: value.asnumpy() for name, value in loaded.items()}


def test_lines_and_files(train, tmp_path):
    """The original's lines; the embedding network alone, the classifier beside it, and the run's settings."""
    done = train("--per-batch-size", 5, "--max-steps", 6, "--verbose", 3, "--frequent", 2, "--lr-steps", "2,5")
    out = done.stdout
    assert re.search(r"^Epoch\[0\] Batch \[0-2\]\tSpeed: \d+\.\d\d samples/sec\tacc=\d\.\d{6}\tlossvalue=\d+\.\d{6}$",
                     out, re.M)
    assert re.search(r"^lr change to 0\.001$", out, re.M) and re.search(r"^lr change to 0\.0001$", out, re.M)
    assert re.search(r"^\[tiny\]\[3\]XNorm: \d+\.\d{6}$", out, re.M)
    assert re.search(r"^\[tiny\]\[6\]Accuracy-Flip: \d\.\d{5}\+-\d\.\d{5}$", out, re.M)
    assert re.search(r"^saving 1\n\[3\]Accuracy-Highest: \d\.\d{5}$", out, re.M)
    assert re.search(r"^step 6 of 6: .* left$", out, re.M)
    assert re.search(r"^note: the schedule was published for a batch of 50; at 5 ", out, re.M)
    settled = {"batch_size": 5, "per_batch_size": 5, "num_classes": 6}
    assert all(re.search(rf"^{name}: {value}$", out, re.M) for name, value in settled.items())
    folder = run_folder(tmp_path)
    assert set(mx.nd.load(str(folder / "fc7-0001.params"))) == {"arg:fc7_weight"}
    assert settled.items() <= json.loads((folder / "config.json").read_text()).items()
    assert not any(name.startswith("arg:fc7") for name in arrays(tmp_path))
    assert json.loads((folder / "config.json").read_text())["loss_m2"] == 0.5
    plain = json.loads((folder / "model-symbol.json").read_text())
    assert any(node["op"] == "LeakyReLU" for node in plain["nodes"])


def test_checkpoint_loads_without_this_project(train, root, tmp_path):
    """A process that uses only MXNet gets the same embeddings; tests/test_mxnet_alone.py has one that knows only it."""
    train("--per-batch-size", 6, "--max-steps", 2)
    prefix = run_folder(tmp_path) / "model"
    images = np.random.RandomState(0).randint(0, 256, (3, 112, 112, 3)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    script = (
        "import numpy as np, sys\n"
        "from runtime import mx\n"
        "symbol, args, auxs = mx.model.load_checkpoint(sys.argv[1], 1)\n"
        "data = mx.nd.array(np.load(sys.argv[2]).transpose(0, 3, 1, 2))\n"
        "executor = symbol.bind(mx.cpu(), dict(args, data=data), aux_states=auxs, grad_req='null')\n"
        "np.save(sys.argv[3], executor.forward(is_train=False)[0].asnumpy())\n")
    subprocess.run([sys.executable, "-c", script, str(prefix), str(tmp_path / "images.npy"), str(tmp_path / "out.npy")],
                   check=True, cwd=root)
    ours = Embedder(ByMXNet(*checkpoints.load(str(prefix), 1)))(images)
    alone = np.load(tmp_path / "out.npy")
    assert np.abs(ours - alone).max() <= 1e-5 * np.abs(alone).max()


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(train, tmp_path):
    """Stopped in the middle of an epoch, with augmentation and a change of rate."""
    flags = ("--per-batch-size", 5, "--lr-steps", "4", "--save-every", 3, "--verbose", 100)
    train(*flags, "--max-steps", 7, models=tmp_path / "whole")
    train(*flags, "--max-steps", 3, models=tmp_path / "parts")
    train(*flags, "--max-steps", 7, "--resume", models=tmp_path / "parts")
    whole, parts = ({name: value.asnumpy() for name, value in checkpoints_last(tmp_path / name).items()}
                    for name in ("whole", "parts"))
    assert set(whole) == set(parts)
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-5, atol=1e-6, err_msg=name)


def checkpoints_last(models):
    """Return all arrays of the last state."""
    return arrays_of(max((run_folder(models) / "state").glob("step-*")))


def arrays_of(path):
    """Return the arrays of a state's parts, read by MXNet alone, by part and name."""
    return {(part, name): value for part in ("network", "optimizer")
            for name, value in mx.nd.load(os.path.join(path, f"{part}.params")).items()}


def test_resume_refuses_other_settings(train, tmp_path):
    train("--per-batch-size", 6, "--max-steps", 1)
    done = train("--per-batch-size", 6, "--max-steps", 2, "--resume", "--loss-m2", 0.4, check=False)
    assert done.returncode == 1 and "loss_m2 was 0.5, now 0.4" in done.stderr and done.stderr.count("\n") == 1


def test_nothing_to_resume(train):
    done = train("--resume", "--per-batch-size", 6, "--max-steps", 1, check=False)
    assert done.returncode == 1 and "nothing to resume" in done.stderr and done.stderr.count("\n") == 1


def test_a_loss_that_is_not_finite_ends_the_run(train, tmp_path):
    train("--per-batch-size", 6, "--max-steps", 1)
    before = arrays(tmp_path)
    done = train("--per-batch-size", 6, "--max-steps", 9, "--lr", "1e30", check=False)
    assert done.returncode == 1 and re.search(r"the loss is (nan|inf) after step \d", done.stderr)
    assert done.stderr.count("\n") == 1
    after = arrays(tmp_path)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_terminate_keeps_what_resuming_needs(root, faces, tmp_path):
    process = subprocess.Popen(
        [sys.executable, str(root / "recognition/train.py"), *FAST, "--dataset-path", str(faces), "--target", "tiny",
         "--models-root", str(tmp_path), "--per-batch-size", "6", "--max-steps", "100000", "--frequent", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("step 2 "):
            process.send_signal(signal.SIGTERM)
            break
    process.stdout.read()
    assert process.wait(60) == 1
    error = process.stderr.read()
    assert "stopped by SIGTERM" in error and error.count("\n") == 1
    assert list((run_folder(tmp_path) / "state").glob("step-*"))


def test_killed_at_any_moment(root, faces, tmp_path):
    """Saving at each step and killed in the midst of it, again and again: every file under its name is whole."""
    flags = [sys.executable, str(root / "recognition/train.py"), *FAST, "--dataset-path", str(faces), "--target", "",
             "--models-root", str(tmp_path), "--per-batch-size", "4", "--max-steps", "100000", "--verbose", "1"]
    rng = np.random.RandomState(0)
    for attempt in range(3):
        process = subprocess.Popen(flags + (["--resume"] if attempt else []), stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        for line in process.stdout:
            if line.startswith("saving") and rng.rand() < 0.5:
                break
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        process.wait()
        checkpoints.load(str(run_folder(tmp_path) / "model"), 1)
        assert checkpoints_last(tmp_path)


@pytest.mark.parametrize("flags, wanted", [
    (("--network", "r100", "--loss", "arcface", "--dataset", "emore"),
     r"datasets/faces_emore/train\.rec is missing.*InsightFace"),
    (("--network", "r99", "--dataset", "orl"), r"unknown network 'r99'; known: .*r100.*y1"),
    (("--loss", "hinge", "--dataset", "orl"), r"unknown loss 'hinge'; known: arcface"),
    (("--dataset", "lfw"), r"unknown dataset 'lfw'; known: .*emore.*orl"),
    (("--dataset", "emore", "--lr", "0"), r"--lr 0\.0: the learning rate must be positive"),
    (("--dataset", "emore", "--lr-steps", "5,3"), r"ascending"),
    (("--dataset", "emore", "--batch-size", "7", "--per-batch-size", "3", "--ctx", "cpu"), r"make them agree"),
    (("--dataset", "emore", "--dataset-path", "nowhere"), r"nowhere/train\.rec is missing"),
    (("--dataset", "emore", "--ctx", "gpu:99"), r"gpu:99 was asked for"),
])
def test_wrong_flags_and_missing_data_are_one_line(command, flags, wanted, tmp_path):
    done = command("recognition/train.py", *flags, "--models-root", tmp_path)
    assert done.returncode == 1
    assert re.search(wanted, done.stderr) and done.stderr.count("\n") == 1, done.stderr


def test_usage_is_status_2(command):
    assert command("recognition/train.py", "--lr", "fast").returncode == 2
    assert command("recognition/train.py", "--lr-steps", "a,b").returncode == 2
    assert command("recognition/train.py", "--ctx", "tpu").returncode == 2


def test_dropout_goes_on_where_it_stopped(faces, tmp_path):
    """A network with dropout, in this process: stopped after a state and resumed, it ends with the same weights."""
    def run(name, **flags):
        config = build("r50", "arcface", "orl", dict({
            "num_layers": 18, "dataset_path": str(faces), "targets": [], "models_root": str(tmp_path / name),
            "lr": 0.01, "per_batch_size": 4, "num_workers": 1, "seed": 3, "ctx": "cpu", "save_every": 1, "ckpt": 0},
            **flags))
        folder = train_here(config)
        return arrays_of(states(folder)[-1])

    whole = run("whole", max_steps=3)
    run("parts", max_steps=1)
    parts = run("parts", max_steps=3, resume=True)
    for name in whole:
        np.testing.assert_array_equal(whole[name].asnumpy(), parts[name].asnumpy(), err_msg=name)


# What a run needs is looked at before its first step

def tiny(faces, models, **flags):
    """Return the configuration of a short run of a small network on the small dataset."""
    return build("mnas025", "arcface", "tiny", dict({
        "dataset_path": str(faces), "models_root": str(models), "lr": 0.01, "per_batch_size": 4, "num_workers": 1,
        "ctx": "cpu", "ckpt": 2, "verbose": 2, "save_every": 2, "max_steps": 4}, **flags))


@pytest.fixture
def never_bound(monkeypatch):
    """Fail where the network is bound, which takes long."""
    def bound(*_):
        pytest.fail("the network was bound")
    monkeypatch.setattr(replicated, "bind", bound)


def encoded(side):
    return cv2.imencode(".jpg", np.full((side, side, 3), 99, np.uint8))[1].tobytes()


@pytest.mark.parametrize("name, images, wanted", [
    ("pairs", [encoded(112)] * 18, r"set\.bin: 9 pairs do not make 10 folds: .*--target"),
    ("sizes", [encoded(112)] * 25 + [encoded(160)] * 15,
     r"set\.bin: image 25 is 160×160 where 112×112 is needed: .*--align.*--target"),
    ("pixels", [encoded(112)] * 39 + [encoded(112)[:300]], r"set\.bin: image 39 cannot be decoded: .*--target"),
    ("header", [encoded(112)] * 17 + [b"no picture"] + [encoded(112)] * 22,
     r"set\.bin: image 17 cannot be decoded: .*--target"),
])
@pytest.mark.parametrize("targets", [None, ["set"]])
def test_a_verification_file_that_is_of_no_use(faces, tmp_path, never_bound, targets, name, images, wanted):
    own = shutil.copytree(faces, tmp_path / "own")
    verification_file.write(own / "set.bin", images, np.arange(len(images) // 2) % 2 == 0)
    with pytest.raises(Failure, match=wanted):
        train_here(tiny(own, tmp_path, targets=targets))
    assert not (tmp_path / "mnas025-arcface-tiny").exists()


def test_nine_pairs(faces, shared, tmp_path, never_bound):
    own = shutil.copytree(faces, tmp_path / "own")
    shutil.copy(shared / "cases" / "nine_pairs.bin", own / "nine_pairs.bin")
    with pytest.raises(Failure, match=r"nine_pairs\.bin: 9 pairs do not make 10 folds"):
        train_here(tiny(own, tmp_path))


def test_a_target_that_is_missing(faces, tmp_path, never_bound):
    with pytest.raises(Failure, match=r"lfw\.bin is missing: .*--target.*tiny"):
        train_here(tiny(faces, tmp_path, targets=["tiny", "lfw"]))


def test_a_default_target_that_is_missing_is_a_note(train, faces, tmp_path):
    """orl.bin is the dataset's own default, and the small dataset has none."""
    config = build("mnas025", "arcface", "orl", {"dataset_path": str(faces)})
    assert Verifier(str(faces), config.targets, config.explicit_targets).missing == ["orl"]


class Killed(BaseException):
    """Stands in for a kill: nothing that the process would still do is done."""


def everything(models):
    """Return the bytes of checkpoints and of the last state, and its progress but for what differs by nature."""
    folder = models / "mnas025-arcface-tiny"
    last = max((folder / "state").glob("step-*"))
    progress = json.loads((last / "progress.json").read_text())
    del progress["config"]
    files = {path.name: path.read_bytes() for path in sorted(folder.glob("*.params"))}
    files.update({f"state/{path.name}": path.read_bytes() for path in sorted(last.glob("*.params"))})
    return {**files, "best": (last / "verified.json").read_bytes()}, progress


@pytest.fixture(scope="module")
def uninterrupted(faces, tmp_path_factory):
    models = tmp_path_factory.mktemp("whole")
    train_here(tiny(faces, models))
    return everything(models)


def kill_before(verify):
    raise Killed


def kill_behind(verify):
    verify()
    raise Killed


def fail(verify):
    raise Failure("lfw.bin: image 7 cannot be decoded")


@pytest.mark.parametrize("step, what, save_every", [(2, kill_before, 2), (2, kill_behind, 2), (4, kill_before, 2),
                                                    (4, kill_behind, 4), (2, fail, 100)])
def test_the_state_is_saved_before_verifying(faces, tmp_path, monkeypatch, capsys, uninterrupted, step, what,
                                             save_every):
    """A run that ends between the two verifies when it is resumed, and ends as one that was never interrupted."""
    def wrong(validation, number, final):
        if number == step:
            what(lambda: whole(validation, number, final))
        whole(validation, number, final)

    whole = Validation.verify
    with monkeypatch.context() as patch, pytest.raises((Killed, Failure)):
        patch.setattr(Validation, "verify", wrong)
        train_here(tiny(faces, tmp_path, save_every=save_every))
    assert [os.path.basename(path) for path in states(str(tmp_path / "mnas025-arcface-tiny"))][-1] == f"step-{step:08d}"
    capsys.readouterr()
    train_here(tiny(faces, tmp_path, save_every=save_every, resume=True))
    verified = re.findall(r"^\[tiny\]\[(\d)\]XNorm", capsys.readouterr().out, re.M)
    assert verified == [str(number) for number in (2, 4) if number >= step]
    files, progress = everything(tmp_path)
    assert progress == uninterrupted[1]
    assert files == uninterrupted[0]
    train_here(tiny(faces, tmp_path, resume=True))  # nothing is left to do
    assert "XNorm" not in capsys.readouterr().out and everything(tmp_path) == (files, progress)


def test_the_folder_has_too_little_room(faces, tmp_path, monkeypatch, never_bound):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=5_000_000))
    with pytest.raises(Failure, match=r"mnas025-arcface-tiny has too little room: .*5,000,000 are free; .*"
                                      r"--models-root.*--save-every 0"):
        train_here(tiny(faces, tmp_path, max_steps=0))


def test_a_models_root_that_is_a_file(faces, tmp_path, never_bound):
    (tmp_path / "models").write_text("")
    with pytest.raises(Failure, match=r"models/mnas025-arcface-tiny cannot be written .*--models-root"):
        train_here(tiny(faces, tmp_path / "models"))


def test_one_run_a_folder(root, faces, tmp_path, never_bound):
    """A second process is told which one has the folder; when that one is killed, the folder is free."""
    process = subprocess.Popen(
        [sys.executable, str(root / "recognition/train.py"), "--network", "mnas025", "--dataset", "tiny", "--ctx",
         "cpu", "--dataset-path", str(faces), "--models-root", str(tmp_path), "--per-batch-size", "4", "--verbose",
         "100000"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("step "):
                break
        assert "devices: cpu(0), " in "".join(lines)
        with pytest.raises(Failure, match=rf"mnas025-arcface-tiny is being written by another process \({process.pid}: "
                                          r".*train\.py .*wait for it, or .*--models-root"):
            train_here(tiny(faces, tmp_path))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    with pytest.raises(pytest.fail.Exception, match="was bound"):
        train_here(tiny(faces, tmp_path))


def test_what_little_can_be_learnt_from(faces, tmp_path, capsys, never_bound):
    """Labels 0, 10, … 50 leave 45 of 51 classes without an image; images of one label are one identity."""
    gaps, one = tmp_path / "gaps", tmp_path / "one"
    records.write(one, [(0, face, "a") for _, _, face in records.iterate(faces)])
    gaps.mkdir()
    writer = mx.recordio.MXIndexedRecordIO(str(gaps / "train.idx"), str(gaps / "train.rec"), "w")
    for key, label, face in records.iterate(faces):
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, 10 * label, key, 0), face))
    writer.close()
    (gaps / "property").write_text("51,112,112\n")
    for folder, wanted in ((gaps, r"warning: 45 of 51 classes of .*gaps/train\.rec have no image: .*complete"),
                           (one, r"warning: all images of .*one/train\.rec are of one identity: ")):
        with pytest.raises(pytest.fail.Exception):
            train_here(tiny(folder, tmp_path))
        assert len(re.findall(wanted, capsys.readouterr().out)) == 1
    with pytest.raises(pytest.fail.Exception):
        train_here(tiny(faces, tmp_path))
    assert "warning" not in capsys.readouterr().out
