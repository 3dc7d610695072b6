"""eval/trillionpairs.py from the command line: features, images with a small network, a killed run, what is wrong."""
import json

import numpy as np
import pytest

from eval import trillionpairs
from eval.protocols import submission
from runtime import Failure
from tests.miniatures import small_network
from tests.miniatures import trillionpairs as miniature


@pytest.fixture
def world(tmp_path):
    """A miniature with images, a small network, and the embeddings by hand in the order of the rows."""
    labels = np.repeat(np.arange(10), 4).tolist()
    images = [small_network.face(person, number) for person in range(10) for number in range(4)]
    order, own = miniature.build(tmp_path, images, labels, 4)
    (tmp_path / "run").mkdir()
    weight = small_network.save(tmp_path / "run" / "model")
    vectors = np.array([small_network.embedding(weight, images[place]) for place in order])
    return tmp_path, np.array(own), vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def arguments(folder, *more):
    return ["--features", folder / "f.bin", "--model", f"{folder / 'run' / 'model'},1", "--images", folder / "images",
            "--list", folder / "list.txt", "--no-flip", *more]


def test_images_become_a_submission_and_its_rates(world, run):
    folder, labels, vectors = world
    printed = run(trillionpairs, *arguments(folder, "--labels", folder / "labels.txt", "--fpr", 0.1, 0.01,
                                            "--identification-fpr", 0.2, "--json", folder / "o.json"))
    rows = np.fromfile(folder / "f.bin", "<f4", offset=16).reshape(40, 16)
    assert np.fromfile(folder / "f.bin", "<i4", 4).tolist() == [40, 16, 64, 5]
    assert rows == pytest.approx(vectors, abs=1e-5)
    found = json.loads((folder / "o.json").read_text())
    probes, gallery = rows[labels >= 0].astype(float), rows[labels < 0].astype(float)
    scores = np.sort((probes @ gallery.T).ravel())[::-1]
    genuine = [probes[one] @ probes[two] for one in range(16) for two in range(one) if labels[one] == labels[two]]
    for rate in (0.1, 0.01):
        tpr = np.mean([score > scores[int(rate * len(scores))] for score in genuine])
        assert found["values"]["tpr"][f"{rate:.0e}"] == pytest.approx(tpr, abs=1e-12)
    assert 0 < found["values"]["tpr"]["1e-01"] < 1
    assert "(threshold" in printed and "this project's reading" in printed and "80.968" in printed
    kept = json.loads((folder / "run" / "evaluations" / "trillionpairs.json").read_text())["evaluations"]
    assert kept[0]["values"] == found["values"] and kept[0]["flip"] is False
    before = (folder / "f.bin").read_bytes()
    run(trillionpairs, *arguments(folder, "--labels", folder / "labels.txt"))  # they are not embedded again
    again = json.loads((folder / "run" / "evaluations" / "trillionpairs.json").read_text())["evaluations"]
    assert len(again) == 2 and again[0] == kept[0], "one of other rates replaces none"
    assert (folder / "f.bin").read_bytes() == before and not (folder / "f.bin.partial").exists()
    small_network.save(folder / "run" / "model", seed=1)
    with pytest.raises(Failure, match="by another network"):
        run(trillionpairs, *arguments(folder))


def test_a_killed_run_resumes_with_the_same_bytes(world, run, monkeypatch):
    folder, *_ = world
    monkeypatch.setattr(submission, "BATCH", 8)
    run(trillionpairs, *arguments(folder))
    whole, face, made = (folder / "f.bin").read_bytes(), submission._face, []
    (folder / "f.bin").unlink()

    def stop(*given):
        if len(made) == 20:
            raise KeyboardInterrupt
        made.append(1)
        return face(*given)
    monkeypatch.setattr(submission, "_face", stop)
    with pytest.raises(KeyboardInterrupt):
        run(trillionpairs, *arguments(folder))
    partial = folder / "f.bin.partial"
    assert not (folder / "f.bin").exists() and partial.stat().st_size == 16 + 16 * 64
    partial.write_bytes(partial.read_bytes()[:-10])
    first = []
    monkeypatch.setattr(submission, "_face", lambda *given: first.append(given[2]) or face(*given))
    run(trillionpairs, *arguments(folder))
    assert (folder / "f.bin").read_bytes() == whole and first[0] == 8


def test_pictures_are_aligned_by_their_points(tmp_path):
    from datasets.faces.align import TEMPLATE
    points = " ".join(f"{value:.3f}" for value in np.ravel(TEMPLATE))
    (tmp_path / "l.txt").write_bytes(f"a b.png {points}\r\nc.png {points}\r\n\r\n".encode())
    listed = submission.read_list(tmp_path / "l.txt")
    assert listed.names == ["a b.png", "c.png"] and listed.points == pytest.approx(np.stack([TEMPLATE] * 2), abs=1e-3)
    (tmp_path / "l.txt").write_text(f"a.png {points}\nc.png\n")
    with pytest.raises(Failure, match="line 2: some lines have"):
        submission.read_list(tmp_path / "l.txt")


def test_what_is_wrong(world, run, capsys):
    folder, *_ = world
    miniature.write_features(folder / "f.bin", np.ones((40, 4)))
    with pytest.raises(Failure, match="39 lines, and the features have 40 rows"):
        (folder / "short.txt").write_text("0\n" * 39)
        run(trillionpairs, "--features", folder / "f.bin", "--labels", folder / "short.txt")
    (folder / "f.bin").write_bytes((folder / "f.bin").read_bytes()[:-1])
    with pytest.raises(Failure, match="cut short"):
        run(trillionpairs, "--features", folder / "f.bin", "--labels", folder / "labels.txt")
    (folder / "f.bin").unlink()
    (folder / "images" / "0.png").unlink()
    with pytest.raises(Failure, match="image 1: .*0.png cannot be read"):
        run(trillionpairs, *arguments(folder))
    for flags, said in ((["--features", "f"], "give --labels"),
                        (["--features", "f", "--model", f"{folder}/run/model,1"], "--images and --list")):
        with pytest.raises(SystemExit) as ended:
            trillionpairs.main(flags)
        assert ended.value.code == 2 and said in capsys.readouterr().err
