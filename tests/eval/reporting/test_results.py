"""The files of results beside a checkpoint, by `eval/verification.py` and by what reads them."""
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from datasets.formats import verification_file
from eval import verification
from eval.measures.rates import rate_key
from eval.networks.checkpoints import fingerprint, load
from eval.reporting import paper_numbers, results
from runtime import mx


@pytest.fixture
def prefix(tmp_path):
    """A checkpoint with epochs 1 and 2."""
    folder = tmp_path / "run"
    folder.mkdir()
    for epoch in (1, 2):
        write_network(folder / "model", epoch, epoch)
    return folder / "model"


def write_network(prefix, epoch, seed):
    net = mx.sym.Pooling(mx.sym.Variable("data"), kernel=(28, 28), stride=(28, 28), pool_type="avg")
    net = mx.sym.FullyConnected(net, num_hidden=6, name="fc1")
    args = {"fc1_weight": mx.nd.array(np.random.RandomState(seed).normal(size=(6, 48))), "fc1_bias": mx.nd.ones(6)}
    mx.model.save_checkpoint(str(prefix), epoch, net, args, {})


def write_set(path, seed=0, issame=None):
    rng = np.random.RandomState(seed)
    images = [cv2.imencode(".png", rng.randint(0, 256, (112, 112, 3)).astype(np.uint8))[1].tobytes()
              for _ in range(40)]
    verification_file.write(path, images, np.arange(20) % 2 == 0 if issame is None else issame)
    return path


@pytest.fixture
def lfw(tmp_path):
    return write_set(tmp_path / "lfw.bin")


def verify(model, path, *flags):
    verification.main(["--model", str(model), "--target", str(path), "--engine", "mxnet", *map(str, flags)])


def kept(prefix, name="lfw"):
    return json.loads((prefix.parent / "evaluations" / f"{name}.json").read_text(), parse_constant=pytest.fail)


def distances_of(folder):
    """Return the squared distances and kinds of the pairs that `--mode 2` wrote, by float64 arithmetic."""
    embeddings = np.load(folder / "lfw-embeddings.npy").astype(np.float64)
    return np.sum((embeddings[0::2] - embeddings[1::2]) ** 2, axis=1), np.load(folder / "lfw-issame.npy")


def test_what_a_file_says(prefix, lfw, tmp_path, capsys):
    verify(f"{prefix},2", lfw, "--mode", 2, "--output", tmp_path)
    done = capsys.readouterr()
    assert done.err == ""
    lines = dict(line.split(": ", 1) for line in done.out.splitlines()[1:] if ": " in line)
    found = kept(prefix)
    assert set(found) == {"benchmark", "paper", "evaluations"} and found["benchmark"] == "lfw"
    assert found["paper"]["table4"]["CosFace"] == 99.73 and found["paper"]["table5"]["HUMAN-Individual"] == 97.27
    assert found["paper"]["table2"]["ArcFace (0.5)"] == 99.53 and set(found["paper"]) == {"table2", "table4", "table5"}
    one, = found["evaluations"]
    assert one["protocol"] == {"name": "pairs", "folds": 10, "far": 1e-3}
    assert one["checkpoint"] == {"prefix": str(prefix), "epoch": 2,
                                 "fingerprint": fingerprint(*load(str(prefix), 2)[1:])}
    assert one["flip"] is True and one["reasons"] == {} and one["note"] is None
    values = one["values"]
    assert set(values) == {"accuracy", "std", "auc", "eer", "tar", "tar_strict", "tar_std", "far", "xnorm",
                           "intervals"}
    assert f"{values['accuracy']:1.5f}+-{values['std']:1.5f}" == lines["[lfw]Accuracy-Flip"]
    assert f"{values['auc']:1.5f}" == lines["[lfw]AUC"] and f"{values['xnorm']:f}" == lines["[lfw]XNorm"]
    assert set(values["tar"]) == set(values["tar_strict"]) == {"1e-03"}
    distances, issame = distances_of(tmp_path)
    thresholds = np.sort(distances[~issame])  # no impostor may be accepted at 1e-3 of ten
    assert values["tar_strict"]["1e-03"] == np.mean(distances[issame] < thresholds[0])
    assert lines["[lfw]TAR@FAR=1e-3"] == (f"{values['tar']['1e-03']:1.5f}+-{values['tar_std']:1.5f} "
                                          f"(FAR {values['far']:1.5f})")
    assert np.mean(one["folds"]["accuracies"]) == pytest.approx(values["accuracy"])
    assert len(one["folds"]["thresholds"]) == 10
    content = lfw.read_bytes()
    assert one["data"] == {"path": str(lfw), "pairs": 20, "bytes": len(content),
                           "sha256": hashlib.sha256(content).hexdigest()}
    assert one["versions"]["mxnet"] == mx.__version__ and {"numpy", "opencv", "repository"} <= set(one["versions"])
    rows = np.load(tmp_path / "lfw-embeddings.npy").astype(np.float64)
    wanted = [np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
              for a, b in zip(rows[::2], rows[1::2])]
    assert results.pair_angles(one) == pytest.approx(wanted, abs=1e-3)


def test_what_cannot_be_computed_is_null_with_a_reason(prefix, tmp_path, capsys):
    verify(f"{prefix},1", write_set(tmp_path / "same.bin", issame=[True] * 20))
    found = kept(prefix, "same")
    one, = found["evaluations"]
    assert found["paper"] is None
    assert one["values"]["tar"] is one["values"]["tar_std"] is one["values"]["far"] is one["values"]["auc"] is None
    assert one["values"]["tar_strict"] is None
    assert one["reasons"] == dict.fromkeys(("tar", "tar_strict", "tar_std", "far", "auc", "eer"),
                                           "the set has no impostor pairs")
    assert one["note"].startswith("the 10-fold accuracy is not to be trusted: there are no impostor pairs")


def about(found):
    return [(one["checkpoint"]["epoch"], one["flip"], one["protocol"]["folds"]) for one in found["evaluations"]]


def test_one_entry_for_each_epoch_flip_and_number_of_folds(prefix, lfw):
    verify(prefix, lfw)
    before = kept(prefix)["evaluations"]
    verify(f"{prefix},1", lfw, "--no-flip")
    verify(f"{prefix},1", lfw, "--nfolds", 5)
    assert about(kept(prefix)) == [(1, True, 10), (2, True, 10), (1, False, 10), (1, True, 5)]
    assert kept(prefix)["evaluations"][:2] == before
    write_network(prefix, 1, 7)  # trained again
    verify(f"{prefix},1", lfw)
    found = kept(prefix)
    assert about(found) == [(2, True, 10), (1, False, 10), (1, True, 5), (1, True, 10)]
    assert found["evaluations"][-1]["checkpoint"]["fingerprint"] != before[0]["checkpoint"]["fingerprint"]


def test_other_data_and_other_prefixes_of_one_name_stand_beside_each_other(prefix, lfw, tmp_path):
    (tmp_path / "other").mkdir()
    other = write_set(tmp_path / "other" / "lfw.bin", seed=1)
    write_network(prefix.parent / "best", 1, 3)
    for model, path in ((prefix, lfw), (prefix, other), (prefix.parent / "best", lfw)):
        verify(f"{model},1", path)
    assert [(os.path.basename(one["checkpoint"]["prefix"]), one["data"]["path"]) for one in kept(prefix)["evaluations"]
            ] == [("model", str(lfw)), ("model", str(other)), ("best", str(lfw))]


def test_find_goes_by_the_network_the_flip_and_the_datas_content(prefix, lfw):
    verify(f"{prefix},1", lfw)
    mine = fingerprint(*load(str(prefix), 1)[1:])
    data = results.data_of(lfw, 20)

    def there(network=mine, flip=True, folds=10, **other):
        return results.find(prefix, "lfw", network, flip, folds, {**data, **other}) is not None
    assert there() and there(path="elsewhere/lfw.bin")
    assert not there("0" * 64) and not there(flip=False) and not there(folds=5)
    assert not there(sha256="0" * 64) and not there(bytes=3) and not there(pairs=10)
    assert not there(sha256=None)
    assert results.find(prefix, "cfp_fp", mine, True, 10, data) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"evaluations": 3}', b"\xff\xfe\x00", b"[" * 100000,
                                     b'{"evaluations": [{"flip": NaN}]}'])
def test_a_damaged_file_is_named_and_replaced(prefix, lfw, capsys, content):
    (prefix.parent / "evaluations").mkdir()
    path = prefix.parent / "evaluations" / "lfw.json"
    path.write_bytes(content)
    verify(f"{prefix},1", lfw)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith(f"note: {path} is not a file of results (")
    assert about(kept(prefix)) == [(1, True, 10)]


@pytest.mark.parametrize("change", [
    {"values": None}, {"values": {"accuracy": "1", "std": 0.0}}, {"values": {"accuracy": 7.0, "std": 0.0}},
    {"pair_angles": "AAAA"}, {"pair_angles": "?"}, {"pair_angles": None}, {"checkpoint": 3}, {"data": []}])
def test_an_entry_that_cannot_be_used_is_computed_again(prefix, lfw, change):
    verify(f"{prefix},1", lfw)
    mine, data = fingerprint(*load(str(prefix), 1)[1:]), results.data_of(lfw, 20)
    path = prefix.parent / "evaluations" / "lfw.json"
    one, = kept(prefix)["evaluations"]
    path.write_text(json.dumps({"evaluations": [4, {**one, **change}]}))
    assert results.find(prefix, "lfw", mine, True, 10, data) is None
    verify(f"{prefix},1", lfw)
    assert results.find(prefix, "lfw", mine, True, 10, data) is not None
    assert len(kept(prefix)["evaluations"]) == 1


def in_the_folders_place(folder):
    folder.write_text("")


def a_pipe(folder):
    folder.mkdir()
    os.mkfifo(folder / "lfw.json")


def a_folder(folder):
    (folder / "lfw.json").mkdir(parents=True)


@pytest.mark.parametrize("obstruct", [in_the_folders_place, a_pipe, a_folder])
def test_where_nothing_can_be_written_there_is_a_note(prefix, lfw, capsys, obstruct):
    folder = prefix.parent / "evaluations"
    obstruct(folder)
    verify(f"{prefix},1", lfw)
    done = capsys.readouterr()
    assert done.err.startswith(f"note: {folder}/lfw.json is not written (") and len(done.err.splitlines()) == 1
    assert done.out.splitlines()[-1].startswith("the paper's ArcFace: ")
    mine, data = fingerprint(*load(str(prefix), 1)[1:]), results.data_of(lfw, 20)
    assert results.find(prefix, "lfw", mine, True, 10, data) is None


def test_a_folder_of_another_user(prefix, lfw, capsys):
    prefix.parent.chmod(0o500)
    try:
        if os.access(prefix.parent, os.W_OK):
            pytest.skip("this user may write everywhere")
        verify(f"{prefix},1", lfw)
    finally:
        prefix.parent.chmod(0o700)
    assert "lfw.json is not written (Permission denied)" in capsys.readouterr().err


def test_nothing_is_lost_when_many_write_at_once(prefix, lfw):
    verify(f"{prefix},1", lfw)
    one, = kept(prefix)["evaluations"]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda epoch: results.keep(str(prefix), "lfw", {
            **one, "checkpoint": {**one["checkpoint"], "epoch": epoch}}), range(2, 14)))
    assert sorted(epoch for epoch, *_ in about(kept(prefix))) == list(range(1, 14))
    assert os.listdir(prefix.parent / "evaluations") == ["lfw.json"]


def test_a_pipe_is_read_once(prefix, lfw, tmp_path):
    assert results.data_of("/dev/null", 20) == {"path": "/dev/null", "pairs": 20, "bytes": None, "sha256": None}


def test_the_papers_numbers_of_a_set():
    assert paper_numbers.of_benchmark("orl") is None
    assert paper_numbers.of_benchmark("cplfw") == {"table5": {
        "HUMAN-Individual": 81.21, "HUMAN-Fusion": 85.24, "Center Loss": 77.48, "SphereFace": 81.4, "VGGFace2": 84.0,
        "MS1MV2, R100, ArcFace": 92.08}}
    assert "SphereFace [15]" not in paper_numbers.of_benchmark("cfp_fp")["table2"]  # the paper gives it for LFW alone


def test_the_papers_numbers_of_the_other_benchmarks(shared):
    reference = json.loads((shared / "reference" / "tables.json").read_text())
    for table in range(2, 10):
        assert paper_numbers.paper(f"table{table}") == reference[f"table{table}"]
    of = paper_numbers.of_benchmark
    assert of("ytf")["table4"]["CosFace"] == 97.6 and "Baidu" not in of("ytf")["table4"]
    assert of("megaface")["table6"]["MS1MV2, R100, ArcFace, R"] == {"Id": 98.35, "Ver": 98.48}
    assert of("megaface")["table6"]["SphereFace+"] == {"Id": 73.03}
    assert of("ijbb")["table7"]["MS1MV2, R100, ArcFace"] == 0.942
    assert of("ijbc")["table7"]["MS1MV2, R100, ArcFace"] == 0.956
    assert of("trillionpairs")["table8"]["MS1MV2"] == {"Id at FPR 1e-3": 80.968, "Ver at FPR 1e-9": 78.6}
    assert of("iqiyi") == {"table9": {"MS1MV2+Asian, R100, ArcFace": 79.8, "+ MLP": 86.4, "+ Ensemble": 88.26,
                                      "+ Context": 88.65, "Other Participant": 87.66}}


def test_another_benchmark_is_kept_and_written_as_one_object(tmp_path):
    checkpoint = {"prefix": str(tmp_path / "model"), "epoch": 3, "fingerprint": "0" * 64}
    values = {"tar": {rate_key(rate): np.float32(0.5) for rate in (1e-6, 1e-4, np.float64(0.1))},
              "one_gallery": None, "count": np.int64(3), "bad": np.nan}
    made = results.of_benchmark({"name": "ijb", "norms": np.bool_(False)}, values, {"path": "/ijb", "pairs": 7},
                                checkpoint, False, "mxnet", {"one_gallery": "a probe without a mate"})
    assert made["values"] == {"tar": {"1e-06": 0.5, "1e-04": 0.5, "1e-01": 0.5}, "one_gallery": None, "count": 3,
                              "bad": None}
    results.keep(tmp_path / "model", "ijbc", made)
    results.keep(tmp_path / "model", "ijbc", {**made, "note": "again"})
    results.keep(tmp_path / "model", "ijbc", {**made, "engine": "onnx"})
    results.keep(tmp_path / "model", "ijbc", {**made, "protocol": {"name": "ijb", "norms": True}})
    found = kept(tmp_path / "model", "ijbc")
    assert [(one["engine"], one["note"], one["protocol"]["norms"]) for one in found["evaluations"]] == [
        ("mxnet", "again", False), ("onnx", None, False), ("mxnet", None, True)]
    assert found["paper"]["table7"]["SENet50"] == 0.84
    results.write_object(tmp_path / "out.json", "ijbc", made)
    one = json.loads((tmp_path / "out.json").read_text(), parse_constant=pytest.fail)
    assert one == {"benchmark": "ijbc", "paper": found["paper"], **made}


def test_embeddings_without_a_checkpoint_are_kept_by_their_data(tmp_path):
    for path in ("/a", "/b", "/a"):
        made = results.of_benchmark({"name": "pairs"}, {"accuracy": 1}, {"path": path})
        results.keep(tmp_path / "model", "ytf", made)
    assert [one["data"]["path"] for one in kept(tmp_path / "model", "ytf")["evaluations"]] == ["/b", "/a"]
