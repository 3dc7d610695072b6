"""Each benchmark's miniature, made of the ten held-out people of ORL, from pictures to numbers by a trained network.

The numbers are computed a second time by loops over the embeddings that MXNet's plain graph gives. IJB's test is in
tests/eval/test_ijb.py.
"""
import json

import numpy as np
import pytest

from eval import iqiyi, megaface, trillionpairs, ytf
from eval.networks.checkpoints import load
from eval.networks.sources import Record
from runtime import mx
from tests.eval.protocols.test_ytf import loop
from tests.eval.test_iqiyi import expected_map
from tests.eval.test_megaface import rank1_by_hand
from tests.miniatures import iqiyi as iqiyi_miniature
from tests.miniatures import megaface as megaface_miniature
from tests.miniatures import trillionpairs as trillionpairs_miniature
from tests.miniatures import ytf as ytf_miniature

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def faces(orl):
    """Pictures of ten people, ten of each: (list of RGB arrays, labels)."""
    batches = list(Record(str(orl / "heldout")).batches())
    return list(np.concatenate([batch.images for batch in batches])), np.concatenate(
        [batch.labels for batch in batches])


@pytest.fixture(scope="module")
def vectors(faces, published):
    """The embeddings of the pictures, and those of their mirror images: float64 (N, 128)."""
    symbol, args, auxs = load(str(published), 0)
    images, found = np.stack(faces[0]), []
    for turned in (images, images[:, :, ::-1]):
        executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=turned.transpose(0, 3, 1, 2).shape)
        executor.copy_params_from(args, auxs)
        found.append(executor.forward(is_train=False, data=turned.transpose(0, 3, 1, 2).astype(np.float32))[0])
    return [each.asnumpy().astype(np.float64) for each in found]


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def model(published):
    return ["--model", f"{published},0", "--engine", "mxnet", "--batch-size", "16"]


def test_megaface(faces, vectors, published, tmp_path, run):
    probes, distractors = megaface_miniature.build(tmp_path / "MF", *faces, 4, (10, 60))
    run(megaface, "--root", tmp_path / "MF", "--features", tmp_path / "features", "--algorithm", "y1",
        *model(published), "--json", tmp_path / "o.json", "--training-images", "490000")
    values = json.loads((tmp_path / "o.json").read_text())["values"]["by_distractors"]
    for size in (10, 60):
        wanted = rank1_by_hand(unit(vectors[0] + vectors[1]), probes, distractors, size)
        assert wanted > 0.8 and values[str(size)]["rank"]["1"] == pytest.approx(wanted, abs=1e-12)


def test_trillionpairs(faces, vectors, published, tmp_path, run):
    order, labels = trillionpairs_miniature.build(tmp_path, faces[0], faces[1].tolist(), 4)
    run(trillionpairs, "--features", tmp_path / "f.bin", "--labels", tmp_path / "labels.txt", *model(published),
        "--images", tmp_path / "images", "--list", tmp_path / "list.txt", "--no-flip", "--fpr", "0.01",
        "--json", tmp_path / "o.json")
    rows, labels = unit(vectors[0])[order], np.array(labels)
    probes, impostors = rows[labels >= 0], np.sort((rows[labels >= 0] @ rows[labels < 0].T).ravel())[::-1]
    genuine = [probes[one] @ probes[two] for one in range(len(probes)) for two in range(one)
               if labels[one] == labels[two]]
    wanted = np.mean([score > impostors[int(0.01 * len(impostors))] for score in genuine])
    found = json.loads((tmp_path / "o.json").read_text())["values"]["tpr"]["1e-02"]
    assert wanted > 0.8 and found == pytest.approx(wanted, abs=1e-12)


def test_ytf(faces, vectors, published, tmp_path, run):
    frames, listed = ytf_miniature.build(tmp_path / "YTF", *faces)
    run(ytf, "--root", tmp_path / "YTF", *model(published), "--json", tmp_path / "o.json", "--output",
        tmp_path / "t.npy")
    templates = {name: unit(unit(vectors[0][rows]).sum(axis=0)[None])[0] for name, rows in frames.items()}
    dist = [np.sum((templates[first] - templates[second]) ** 2) for _, first, second, _ in listed]
    accuracies, *_ = loop(dist, [same for *_, same in listed], [split for split, *_ in listed])
    found = json.loads((tmp_path / "o.json").read_text())["values"]["accuracy"]
    assert np.mean(accuracies) > 0.9 and found == pytest.approx(np.mean(accuracies), abs=1e-9)


def test_iqiyi(faces, vectors, published, tmp_path, run):
    clips, train, test = iqiyi_miniature.build(tmp_path / "IQIYI", *faces, frames=2)
    run(iqiyi, "--root", tmp_path / "IQIYI", *model(published), "--json", tmp_path / "o.json", "--output",
        tmp_path / "t.npy")
    wanted = expected_map(vectors[0], clips, train, test)
    found = json.loads((tmp_path / "o.json").read_text())["values"]["map"]
    assert wanted > 0.8 and found == pytest.approx(wanted, abs=1e-6)
