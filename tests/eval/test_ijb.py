"""The command on IJB-B and IJB-C: from ready-made embeddings and from pictures, with what is printed and kept."""
import argparse
import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from eval import ijb
from eval.networks import checkpoints, store
from eval.networks.flags import add_network_flags, network_of
from eval.protocols import ijb_files
from eval.protocols.ijb_images import LooseCrops
from runtime import Failure, mx
from tests.miniatures import ijb as miniature


@pytest.fixture(scope="module", params=["IJBB", "IJBC"])
def reference(request, shared, tmp_path_factory):
    """(root, target, folder with the two halves of the embeddings, what is expected)."""
    protocols, folder = shared / "reference" / "protocols", tmp_path_factory.mktemp("halves")
    plain, mirrored = np.split(np.load(protocols / request.param / "embeddings.npy"), 2, axis=1)
    np.save(folder / "e.npy", plain)
    np.save(folder / "m.npy", mirrored)
    expected = json.loads((protocols / "expected" / f"{request.param}.json").read_text())
    return protocols / request.param, request.param, folder, expected["from the original scripts"]


def check(values, scripts, setting):
    fars = ["1e-06", "1e-05", "1e-04", "1e-03", "1e-02", "1e-01"]
    assert [values["tar"][far] for far in fars] == scripts["ijb_11.py"][setting]["tar"]
    assert sorted(values["tar_strict"]) == sorted(fars)
    assert values["one_gallery"]["rank"]["1"] == scripts["ijb_1n.py"][setting]["top1"]
    newer = f"N{1 - int(setting[1])}{setting[2:]}"
    script, found = scripts["ijb_evals.py"]["1:N"][newer], values["mean_of_two"]
    assert [found["rank"][k] for k in ("1", "5", "10")] == script["mean_top"]
    assert [found["tpir"][fpir] for fpir in ("1e-02", "1e-01")] == script["mean_tpir_at_001_01"]


def test_the_plain_centre_is_the_default(reference, run, tmp_path):
    root, target, folder, scripts = reference
    printed = run(ijb, "--root", root, "--target", target, "--embeddings", folder / "e.npy", "--json",
                  tmp_path / "out.json", "--roc", tmp_path / "out.png")
    found = json.loads((tmp_path / "out.json").read_text())
    check(found["values"], scripts, "N0D0F0")
    assert found["benchmark"] == target.lower() and found["protocol"]["setting"] == "N0D0F0"
    assert found["flip"] is False and found["checkpoint"] is None and found["reasons"] == {}
    assert found["paper"]["table7"]["MS1MV2, R100, ArcFace"] == {"IJBB": 0.942, "IJBC": 0.956}[target]
    assert f"[{target}] N0D0F0: norms dropped, detector score not used, single crops" in printed
    assert {"IJBB": "VGG2, R50, ArcFace 89.8; MS1MV2, R100, ArcFace 94.2",
            "IJBC": "VGG2, R50, ArcFace 92.1; MS1MV2, R100, ArcFace 95.6"}[target] in printed
    assert f"{100 * scripts['ijb_11.py']['N0D0F0']['tar'][2]:.2f}" in printed
    assert (tmp_path / "out.png").read_bytes()[:4] == b"\x89PNG"


def test_all_switches(reference, run, tmp_path):
    root, target, folder, scripts = reference
    whole = root / "embeddings.npy"
    for flags in (["--embeddings", folder / "e.npy", "--mirrored", folder / "m.npy"],
                  ["--embeddings", whole, "--both-halves"]):
        run(ijb, "--root", root, "--target", target, *flags, "--flip", "--keep-norms", "--detector-score", "--json",
            tmp_path / "out.json")
        check(json.loads((tmp_path / "out.json").read_text())["values"], scripts, "N1D1F1")


def test_windows_files_and_a_probe_without_a_mate(reference, run, tmp_path):
    """Every file with CRLF and an empty line at its end; a subject whose gallery template is gone."""
    root, target, folder, scripts = reference
    shutil.copytree(root / "meta", tmp_path / "meta")
    for path in (tmp_path / "meta").iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n").replace(b" ", b"\t") + b"\r\n")
    flags = ("--target", target, "--embeddings", folder / "e.npy", "--json", tmp_path / "out.json")
    run(ijb, "--root", tmp_path, *flags)
    check(json.loads((tmp_path / "out.json").read_text())["values"], scripts, "N0D0F0")
    gallery = Path(ijb_files.layout(tmp_path, target).galleries[0])
    lines = gallery.read_bytes().split(b"\r\n")
    subject = lines[1].split(b",")[1]
    gallery.write_bytes(b"\r\n".join(line for line in lines if line.split(b",")[1:2] != [subject]))
    printed = run(ijb, "--root", tmp_path, *flags)
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["values"]["one_gallery"] is None and found["values"]["mean_of_two"]["rank"]["1"] > 0
    assert f"such as subject {subject.decode()} with 0" in found["reasons"]["one_gallery"]
    assert found["values"]["reason"] == found["reasons"]
    assert "one_gallery (both galleries as one): none, for" in printed


@pytest.mark.parametrize("flags", [
    [], ["--model", "m,1", "--embeddings", "e.npy"], ["--embeddings", "e.npy", "--flip"],
    ["--embeddings", "e.npy", "--output", "o.npy"], ["--model", "m,1", "--mirrored", "m.npy"],
    ["--embeddings", "e.npy", "--mirrored", "m.npy"],
    ["--embeddings", "e.npy", "--mirrored", "m.npy", "--both-halves", "--flip"],
    ["--embeddings", "e.npy", "--target", "IJBA"], ["--embeddings", "e.npy", "--roc", "roc.svg"]])
def test_wrong_usage(flags, monkeypatch):
    monkeypatch.setattr(checkpoints, "one", lambda model, default=None: (model, 1))
    with pytest.raises(SystemExit) as ended:
        ijb.main(["--root", "r", "--target", "IJBC", *flags])
    assert ended.value.code == 2


def test_failures_come_before_the_work(reference, run, tmp_path):
    root, target, folder, _ = reference
    flags = ("--root", root, "--target", target)
    for more, message in ((("--embeddings", folder / "e.npy", "--json", tmp_path / "no" / "o.json"), "--json"),
                          (("--embeddings", folder / "e.npy", "--roc", tmp_path / "no" / "o.png"), "--roc"),
                          (("--embeddings", tmp_path / "no.npy"), "no.npy is missing")):
        with pytest.raises(Failure, match=message):
            run(ijb, *flags, *more)
    np.save(tmp_path / "few.npy", np.ones((3, 4), np.float32))
    with pytest.raises(Failure, match="few.npy has 3 rows and .*there has to be an embedding for each row"):
        run(ijb, *flags, "--embeddings", tmp_path / "few.npy")
    with pytest.raises(Failure, match="--root has to hold meta/ with"):
        run(ijb, "--root", tmp_path, "--target", target, "--embeddings", folder / "e.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["few.npy"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small network of random weights, saved as a checkpoint: (prefix, embedder)."""
    data = mx.sym.Variable("data")
    pooled = mx.sym.Pooling((data - 127.5) / 128, kernel=(16, 16), stride=(16, 16), pool_type="avg")
    symbol = mx.sym.FullyConnected(mx.sym.Flatten(pooled), num_hidden=24, no_bias=True, name="fc1")
    weight = mx.nd.array(np.random.RandomState(0).randn(24, 3 * 7 * 7))
    prefix = tmp_path_factory.mktemp("run") / "model"
    checkpoints.save(str(prefix), 1, symbol, {"fc1_weight": weight}, {})
    flags = argparse.ArgumentParser()
    add_network_flags(flags)
    return prefix, network_of(flags.parse_args(["--model", f"{prefix},1"])).embedder


def patterns(people, each):
    """Smooth random pictures, a person's own with some noise."""
    random = np.random.RandomState(3)
    coarse = np.repeat(random.randint(0, 256, (people, 1, 7, 7, 3)), each, axis=1) + random.normal(
        0, 160, (people, each, 7, 7, 3))
    faces = np.clip(coarse, 0, 255).astype(np.uint8).repeat(16, axis=2).repeat(16, axis=3)
    return faces.reshape(-1, 112, 112, 3), np.repeat(np.arange(people), each)


@pytest.mark.parametrize("flip", [False, True])
def test_from_pictures(small, run, tmp_path, flip):
    """The numbers are those of the aligned faces' embeddings, and the second run embeds nothing."""
    prefix, embedder = small
    images, labels = patterns(10, 8)
    order = miniature.build(tmp_path / "set", images, labels, suffix=".png")
    plain, mirrored = embedder.both_flips(images[order])
    np.save(tmp_path / "e.npy", plain)
    np.save(tmp_path / "m.npy", mirrored)
    flags = ["--root", tmp_path / "set", "--target", "IJBC", *["--flip"] * flip]
    run(ijb, *flags, "--embeddings", tmp_path / "e.npy", *(["--mirrored", tmp_path / "m.npy"] if flip else []),
        "--json", tmp_path / "ready.json")
    run(ijb, *flags, "--model", f"{prefix},1", "--json", tmp_path / "made.json")
    ready, made = (json.loads((tmp_path / name).read_text()) for name in ("ready.json", "made.json"))
    assert made["values"]["tar"] == ready["values"]["tar"] and 0 < made["values"]["auc"] < 1
    assert made["values"]["mean_of_two"]["rank"] == ready["values"]["mean_of_two"]["rank"]
    assert made["checkpoint"]["prefix"] == str(prefix) and made["checkpoint"]["epoch"] == 1 and made["flip"] is flip
    kept = json.loads((prefix.parent / "evaluations" / "ijbc.json").read_text())["evaluations"]
    assert kept[-1]["values"] == made["values"]

    stored = prefix.parent / "embeddings" / f"model-0001-ijbc{'-flip' * flip}.npy"
    np.testing.assert_allclose(np.load(stored), plain + mirrored if flip else plain, rtol=1e-5, atol=1e-5)
    before = stored.stat().st_mtime_ns
    run(ijb, *flags, "--model", f"{prefix},1", "--keep-norms", "--json", tmp_path / "norms.json")
    assert stored.stat().st_mtime_ns == before
    assert json.loads((tmp_path / "norms.json").read_text())["protocol"]["setting"] == f"N1D0F{flip:d}"
    kept = json.loads((prefix.parent / "evaluations" / "ijbc.json").read_text())["evaluations"]
    assert {one["protocol"]["setting"] for one in kept} >= {f"N0D0F{flip:d}", f"N1D0F{flip:d}"}


def test_a_killed_run_resumes(small, run, tmp_path, monkeypatch):
    """Pictures that were embedded before are not read again, and the file ends with the same bytes."""
    images, labels = patterns(4, 8)
    miniature.build(tmp_path / "set", images, labels)
    flags = ("--root", tmp_path / "set", "--target", "IJBC", "--model", f"{small[0]},1")
    run(ijb, *flags, "--output", tmp_path / "whole.npy")
    read, original = [], LooseCrops._rows

    def rows(self, start):
        for place, row in enumerate(original(self, start), start):
            if place == stop:
                raise KeyboardInterrupt
            read.append(place)
            yield row
    monkeypatch.setattr(LooseCrops, "_rows", rows)
    monkeypatch.setattr(LooseCrops, "batch", 8)
    monkeypatch.setattr(ijb.store, "write", functools.partial(store.write, seconds=0))
    stop = 20
    with pytest.raises(KeyboardInterrupt):
        run(ijb, *flags, "--output", tmp_path / "e.npy")
    stop = None
    run(ijb, *flags, "--output", tmp_path / "e.npy")
    assert read == [*range(20), *range(16, 32)]
    np.testing.assert_allclose(np.load(tmp_path / "e.npy"), np.load(tmp_path / "whole.npy"), rtol=1e-5, atol=1e-4)


@pytest.mark.slow
def test_from_faces_with_a_trained_network(orl, published, run, tmp_path):
    """ORL's ten held-out people as IJB-B, with the published MobileFaceNet."""
    from datasets.formats import records, verification_file
    layout = records.read_layout(orl / "heldout")
    entries = [(int(np.ravel(label)[0]), verification_file.decode([image], 112, "orl", key)[0])
               for key, label, image in records.iterate(layout)]
    labels, images = (np.stack(side) for side in zip(*entries))
    miniature.build(tmp_path / "set", images, labels, "IJBB")
    printed = run(ijb, "--root", tmp_path / "set", "--target", "IJBB", "--model", f"{published},0", "--json",
                  tmp_path / "out.json")
    values = json.loads((tmp_path / "out.json").read_text())["values"]
    assert values["auc"] > 0.95 and values["mean_of_two"]["rank"]["1"] > 0.9, printed
