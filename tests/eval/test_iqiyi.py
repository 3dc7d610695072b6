"""eval/iqiyi.py from the command line: embeddings, clips with a small network, classifiers, and what is wrong."""
import json

import numpy as np
import pytest

from eval import iqiyi
from runtime import Failure
from tests.eval.measures.test_retrieval import loop
from tests.eval.protocols.test_iqiyi import ranked_by
from tests.miniatures import iqiyi as miniature
from tests.miniatures import small_network


def result(path):
    return json.loads(path.read_text())


def faces(people=5, images=15):
    labels = np.append(np.repeat(np.arange(people), images), [-1] * 3)
    pictures = [small_network.face(person % 100, number) for person, number in
                zip(labels.tolist(), [*list(range(images)) * people, 0, 1, 2])]
    return pictures, labels


def expected_map(vectors, clips, train, test):
    """Return MAP by loops, of embeddings of images."""
    def template(rows):
        units = [vectors[row] / np.linalg.norm(vectors[row]) for row in rows]
        return np.sum(units, axis=0) / np.linalg.norm(np.sum(units, axis=0))
    templates = {name: template(rows) for name, rows in clips.items()}
    centres = [np.sum([templates[name] for name in names], axis=0) for names in train.values()]
    ranked = [name for name in clips if "_TEST_" in name]
    found = dict(zip(train, ranked_by(centres, [templates[name] for name in ranked], ranked)))
    return np.mean([loop(found[identity], names, 100) for identity, names in test.items()])


@pytest.mark.parametrize("video", [False, True])
def test_clips_become_the_map_that_is_computed_by_hand(tmp_path, run, video):
    images, labels = faces()
    clips, train, test = miniature.build(tmp_path / "IQIYI", images, labels, video=video)
    (tmp_path / "run").mkdir()
    weight = small_network.save(tmp_path / "run" / "model")
    if video:  # the codec changes pixels
        import cv2
        for name, rows in clips.items():
            reader = cv2.VideoCapture(str(tmp_path / "IQIYI" / name.rsplit("_", 1)[0] / name))
            for row in rows:
                found, pixels = reader.read()
                assert found
                images[row] = pixels[:, :, ::-1]
    wanted = expected_map([small_network.embedding(weight, image) for image in images], clips, train, test)
    assert 0.3 < wanted < 1, "the miniature is neither hopeless nor trivial"
    printed = run(iqiyi, "--root", tmp_path / "IQIYI", "--model", f"{tmp_path / 'run' / 'model'},1", "--json",
                  tmp_path / "o.json", "--submission", tmp_path / "sub.txt")
    assert f"[iqiyi]ArcFace: MAP {wanted:1.5f} (paper: 79.80 %)" in printed
    found = result(tmp_path / "o.json")
    assert found["values"]["map"] == pytest.approx(wanted, abs=1e-6)
    assert found["values"]["map_mlp"] is None and "--networks" in found["reasons"]["map_mlp"]
    kept = result(tmp_path / "run" / "evaluations" / "iqiyi.json")["evaluations"]
    assert kept[0]["values"] == found["values"]
    assert (tmp_path / "sub.txt").read_text().startswith("1 IQIYI_VID_TEST_")
    if video:
        again = run(iqiyi, "--root", tmp_path / "IQIYI", "--model", f"{tmp_path / 'run' / 'model'},1")
        assert again == printed, "templates are taken from the store"
        run(iqiyi, "--root", tmp_path / "IQIYI", "--model", f"{tmp_path / 'run' / 'model'},1", "--every", "2")


def archive(folder, name="clips.npz", dimension=8, frames=2, without=(), **more):
    """Write ground truths and embeddings of 4 identities with 3 training and 4 test clips each, and 5 of nobody."""
    random = np.random.RandomState(0)
    clips = [(f"IQIYI_VID_TRAIN_{3 * person + number:07}.mp4", person) for person in range(4) for number in range(3)]
    clips += [(f"IQIYI_VID_TEST_{4 * person + number:07}.mp4", person) for person in range(4) for number in range(4)]
    for kind in ("TRAIN", "TEST"):
        with open(folder / f"{kind.lower()}_gt.txt", "w") as file:
            for person in range(4):
                names = [clip for clip, owner in clips if owner == person and kind in clip]
                file.write(f"{person + 1} {' '.join(names)} \n")
    clips += [(f"IQIYI_VID_TEST_{100 + number:07}.mp4", 9) for number in range(5)]
    clips = [(clip, owner) for clip, owner in clips if clip not in without]
    means = random.normal(size=(10, dimension))
    rows = [means[owner] + random.normal(0, 0.8, dimension) for _, owner in clips for _ in range(frames)]
    np.savez(folder / name, embeddings=np.float32(rows), names=np.array([clip for clip, _ in clips]),
             counts=np.full(len(clips), frames), **more)
    return folder / name


def test_all_stages(tmp_path, run, capsys):
    lost = [f"IQIYI_VID_TEST_{number:07}.mp4" for number in (0, 5, 10, 15, 100)]
    archive(tmp_path, without=lost)
    archive(tmp_path, "context.npz", dimension=5, frames=1)
    arguments = ["--root", tmp_path, "--embeddings", "clips.npz", "--networks", 3, "--epochs", 6, "--output",
                 tmp_path / "kept", "--json", tmp_path / "o.json"]
    printed = run(iqiyi, *arguments, "--context", "context.npz", "--submission", tmp_path / "sub.txt")
    found = result(tmp_path / "o.json")["values"]
    for name, row, number in (("map", "ArcFace", "79.80"), ("map_mlp", "+ MLP", "86.40"),
                              ("map_ensemble", "+ Ensemble", "88.26"), ("map_context", "+ Context", "88.65")):
        assert f"[iqiyi]{row}: MAP {found[name]:1.5f} (paper: {number} %)" in printed
    assert "4 of 16 in the ground truth have no face" in printed
    assert "5 test clips without a face have context features" in printed
    assert max(found[name] for name in ("map", "map_mlp", "map_ensemble")) <= 0.75 < found["map_context"]
    assert result(tmp_path / "o.json")["reasons"] == {}
    assert all(len(line.split()) == 22 for line in (tmp_path / "sub.txt").read_text().splitlines())
    assert len(list((tmp_path / "kept").iterdir())) == 4
    assert run(iqiyi, *arguments, "--context", "context.npz") == printed, "kept classifiers give the same"
    run(iqiyi, *arguments[:-2], "--seed", 1)  # of its classifiers one is new
    assert len(list((tmp_path / "kept").iterdir())) == 5


def test_the_miniature_of_the_reference(shared, run, tmp_path):
    root = shared / "reference" / "protocols" / "iqiyi"
    printed = run(iqiyi, "--root", root, "--embeddings", root / "clips.npz", "--json", tmp_path / "o.json")
    assert "[iqiyi]ArcFace: MAP 0.86629 (paper: 79.80 %)" in printed
    expected = result(root.parent / "expected" / "iqiyi.json")["brute force in float64"]["frames_normalised_first"]
    found = result(tmp_path / "o.json")
    assert found["values"]["map"] == expected["map100"] and found["values"]["ap"] == expected["ap"]
    assert found["paper"]["table9"]["+ MLP"] == 86.4 and found["checkpoint"] is None


def test_identities_without_clips_count_nought_and_are_said(tmp_path, run, capsys):
    archive(tmp_path)
    run(iqiyi, "--root", tmp_path, "--embeddings", "clips.npz", "--json", tmp_path / "o.json")
    plain = result(tmp_path / "o.json")["values"]
    with open(tmp_path / "test_gt.txt", "ab") as file:
        file.write(b"7 \r\n8 IQIYI_VID_TEST_0000100.mp4\r\n\r\n")  # one without clips, one without a training line
    with open(tmp_path / "train_gt.txt", "ab") as file:
        file.write(b"9 IQIYI_VID_TRAIN_0000999.mp4\n")  # no test line, and its clip has no face
    iqiyi.main(["--root", str(tmp_path), "--embeddings", "clips.npz", "--json", str(tmp_path / "o.json"),
                "--submission", str(tmp_path / "sub.txt")])
    found = result(tmp_path / "o.json")
    assert found["values"]["map"] == pytest.approx(plain["map"] * 4 / 6) and found["values"]["queries"] == 6
    assert "1 identities of the ground truth have no clip" in found["note"]
    assert "4 of 5 identities with a training clip" in capsys.readouterr().out
    assert [line.split()[0] for line in (tmp_path / "sub.txt").read_text().splitlines()] == ["1", "2", "3", "4"]


def test_clips_that_are_listed_twice_are_ranked_once(tmp_path, run):
    path = archive(tmp_path)
    file = dict(np.load(path))
    run(iqiyi, "--root", tmp_path, "--embeddings", path, "--json", tmp_path / "o.json")
    plain = result(tmp_path / "o.json")["values"]
    twice = {name: np.concatenate([value, value]) for name, value in file.items()}
    np.savez(path, **twice)
    run(iqiyi, "--root", tmp_path, "--embeddings", path, "--json", tmp_path / "o.json")
    assert result(tmp_path / "o.json")["values"]["ap"] == plain["ap"]


@pytest.mark.parametrize("arguments", [[], ["--root", "x"], ["--embeddings", "x.npz"],
                                       ["--root", "x", "--embeddings", "x.npz", "--model", "m,1"],
                                       ["--root", "x", "--embeddings", "x.npz", "--context", "y.npz"]])
def test_wrong_usage(arguments):
    with pytest.raises(SystemExit) as ended:
        iqiyi.main(arguments)
    assert ended.value.code == 2


def test_wrong_context_features_are_told_before_classifiers_are_trained(tmp_path, run, monkeypatch):
    path = archive(tmp_path)
    monkeypatch.setattr(iqiyi.clip_classifier, "train", lambda *_, **__: pytest.fail("trained first"))
    flags = ["--root", tmp_path, "--embeddings", path, "--networks", 1, "--context", "context.npz", "--output",
             tmp_path / "kept"]
    names = dict(np.load(path))["names"]
    np.savez(tmp_path / "context.npz", embeddings=np.ones((3, 2)), names=np.array(["a", "b", "c"]))
    with pytest.raises(Failure, match="context.npz has none of the 12 training clips"):
        run(iqiyi, *flags)
    np.savez(tmp_path / "context.npz", embeddings=np.full((len(names), 2), np.nan), names=names)
    with pytest.raises(Failure, match="context.npz: the embedding of frame 1 of .* is zero or not finite"):
        run(iqiyi, *flags)


def test_what_is_wrong_is_said_in_one_line(tmp_path, run):
    with pytest.raises(Failure, match="is no folder"):
        run(iqiyi, "--root", tmp_path / "missing", "--embeddings", "clips.npz")
    with pytest.raises(Failure, match="train_gt.txt is missing"):
        run(iqiyi, "--root", tmp_path, "--embeddings", "clips.npz")
    path = archive(tmp_path)
    with pytest.raises(Failure, match="context.npz is missing"):
        run(iqiyi, "--root", tmp_path, "--embeddings", path, "--context", "context.npz", "--networks", 1)
    with pytest.raises(Failure, match="other.npz is missing"):
        run(iqiyi, "--root", tmp_path, "--embeddings", "other.npz")
    content = path.read_bytes()
    path.write_bytes(content[:-300])
    with pytest.raises(Failure, match="damaged"):
        run(iqiyi, "--root", tmp_path, "--embeddings", path)
    path.write_bytes(content)
    for name in ("train", "test"):
        (tmp_path / f"{name}_gt.txt").write_text("1 other.mp4\n")
        with pytest.raises(Failure, match=f"has none of the 1 {'training' if name == 'train' else name} clips"):
            run(iqiyi, "--root", tmp_path, "--embeddings", path)
        archive(tmp_path)
