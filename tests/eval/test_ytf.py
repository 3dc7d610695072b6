"""eval/ytf.py from the command line: embeddings, frames with a small network, a killed run, and what is wrong."""
import json
import os

import cv2
import numpy as np
import pytest

from datasets.formats import embedding_store
from eval import ytf
from eval.protocols import videos
from runtime import Failure
from tests.eval.protocols.test_ytf import loop
from tests.miniatures import small_network
from tests.miniatures import ytf as miniature


@pytest.fixture
def world(tmp_path):
    """A miniature of six people with frames, a small network, and the accuracy by hand."""
    labels = np.repeat(np.arange(6), 10)
    images = [small_network.face(person, number) for person in range(6) for number in range(10)]
    frames, listed = miniature.build(tmp_path / "YTF", images, labels)
    (tmp_path / "run").mkdir()
    weight = small_network.save(tmp_path / "run" / "model")
    templates = {}
    for name, rows in frames.items():
        units = [vector / np.linalg.norm(vector) for vector in (small_network.embedding(weight, images[row])
                                                                for row in rows)]
        templates[name] = np.sum(units, axis=0) / np.linalg.norm(np.sum(units, axis=0))
    dist = [np.sum((templates[first] - templates[second]) ** 2) for _, first, second, _ in listed]
    accuracies, *_ = loop(dist, [same for *_, same in listed], [split for split, *_ in listed])
    return tmp_path, np.mean(accuracies), listed


def result(path):
    return json.loads(path.read_text())


def test_frames_become_the_accuracy_that_is_computed_by_hand(world, run):
    folder, accuracy, _ = world
    model = f"{folder / 'run' / 'model'},1"
    printed = run(ytf, "--root", folder / "YTF", "--model", model, "--json", folder / "o.json")
    assert 0.5 < accuracy < 1, "the miniature is neither hopeless nor trivial"
    found = result(folder / "o.json")
    assert found["values"]["accuracy"] == pytest.approx(accuracy, abs=1e-9)
    assert f"[ytf]Accuracy: {accuracy:1.5f}" in printed and "splits.txt: 48 pairs, 24 of them genuine" in printed
    assert "98.02 %" in printed
    assert (found["data"]["list"], found["data"]["videos"], found["data"]["frames"]) == ("splits.txt", 18, 60)
    kept = result(folder / "run" / "evaluations" / "ytf.json")["evaluations"]
    assert len(kept) == 1 and kept[0]["values"] == found["values"] and kept[0]["checkpoint"]["epoch"] == 1
    assert found["flip"] is False


def test_a_killed_run_resumes_with_the_same_bytes(world, run, monkeypatch):
    folder, *_ = world
    monkeypatch.setattr(videos, "FRAMES", 8)
    arguments = ["--root", folder / "YTF", "--model", f"{folder / 'run' / 'model'},1"]
    run(ytf, *arguments, "--output", folder / "whole.npy")
    made, read, group = [], cv2.imdecode, videos.Videos._templates

    def stop(*given):
        if len(made) == 20:
            raise KeyboardInterrupt
        made.append(1)
        return read(*given)
    monkeypatch.setattr(cv2, "imdecode", stop)
    # The store counts rows every two seconds; here after every group.
    monkeypatch.setattr(videos.store.write, "__defaults__", (0, False))
    with pytest.raises(KeyboardInterrupt):
        run(ytf, *arguments)
    state, = (folder / "run" / "evaluations").glob("ytf-0001-*.json")
    output = state.with_suffix(".npy")
    done = embedding_store.read_state(str(output)).done
    assert 0 < done < 18
    monkeypatch.setattr(cv2, "imdecode", read)
    first = []
    monkeypatch.setattr(videos.Videos, "_templates", lambda self, *given: first.append(given[0]) or group(self, *given))
    run(ytf, *arguments)
    assert first[0] == done
    assert output.read_bytes() == (folder / "whole.npy").read_bytes()
    first.clear()
    run(ytf, *arguments)
    assert not first, "a finished store is not computed again"


def test_frames_that_are_not_aligned_and_videos_without_frames(world, run, capsys):
    folder, _, listed = world
    arguments = ["--root", folder / "YTF", "--model", f"{folder / 'run' / 'model'},1", "--json", folder / "o.json"]
    place = folder / "YTF" / "aligned_images_DB" / listed[0][1]
    frame = place / sorted(os.listdir(place))[0]
    whole = frame.read_bytes()
    cv2.imwrite(str(frame), np.zeros((100, 90, 3), np.uint8))
    with pytest.raises(Failure, match=r"is 90×100, and an aligned face 112×112: align it \(--align\)"):
        run(ytf, *arguments)
    frame.write_bytes(whole[:40])  # one damaged frame of several is left out
    ytf.main([str(argument) for argument in arguments])
    assert "1 of " in capsys.readouterr().err
    for name in os.listdir(place):
        os.unlink(place / name)
    with pytest.raises(Failure, match=r"1 of the 18 videos of .*splits.txt have no usable frame, such as"):
        run(ytf, *arguments, "--output", folder / "other.npy")
    assert "are left out" in run(ytf, *arguments, "--leave-out", "--output", folder / "other.npy")
    left = sum(listed[0][1] in pair for pair in listed)
    assert result(folder / "o.json")["data"]["pairs_left_out"] == left


def test_the_miniature_of_the_reference(shared, run, tmp_path):
    root = shared / "reference" / "protocols" / "ytf"
    printed = run(ytf, "--root", root, "--splits", "splits.txt", "--embeddings", root / "frames.npz", "--json",
                  tmp_path / "o.json")
    assert "[ytf]Accuracy: 0.86250+-0.05287" in printed
    found = result(tmp_path / "o.json")
    expected = json.loads((root.parent / "expected" / "ytf.json").read_text())
    assert found["values"]["accuracy"] == expected["from the original ytf.py"]["accuracy"]
    assert found["checkpoint"] is None and found["paper"]["table4"]["MS1MV2, R100, ArcFace"] == 98.02


def test_a_list_in_another_order_gives_the_same_accuracy_by_splits(shared, run, tmp_path):
    root = shared / "reference" / "protocols" / "ytf"
    lines = (root / "splits.txt").read_text().splitlines()
    order = np.random.RandomState(0).permutation(np.arange(1, len(lines)))
    (tmp_path / "splits_corrected.txt").write_text("\r\n".join(lines[row] for row in order) + "\r\n\r\n")
    printed = run(ytf, "--root", tmp_path, "--embeddings", root / "frames.npz")
    assert "splits_corrected.txt" in printed and "[ytf]Accuracy: 0.86250+-0.05287" in printed
    assert "Accuracy with folds by lines" in printed


@pytest.mark.parametrize("arguments", [[], ["--root", "x"], ["--model", "m,1"], ["--embeddings", "x.npz"],
                                       ["--root", "x", "--embeddings", "x.npz", "--align"],
                                       ["--root", "x", "--model", "m,1", "--ctx", "foo"]])
def test_wrong_usage(arguments):
    with pytest.raises(SystemExit) as ended:
        ytf.main(arguments)
    assert ended.value.code == 2


def test_what_cannot_be_written_is_said_first(shared, tmp_path):
    root = shared / "reference" / "protocols" / "ytf"
    for path in (tmp_path / "missing" / "o.json", tmp_path):
        with pytest.raises(Failure, match="--json"):
            ytf.main(["--root", str(root), "--embeddings", "frames.npz", "--json", str(path)])


@pytest.mark.slow
def test_whole_pictures_are_aligned(shared, published, detect, tmp_path, run):
    """Photographs of four people as videos of one frame: without aligning they are refused, with it they are told."""
    photographs = sorted(path for path in (shared / "photos").rglob("*") if path.suffix in (".jpg", ".png"))
    if len(photographs) < 5:
        pytest.skip("there are no photographs")
    names = {}
    for path in photographs:
        person = path.stem.rstrip("0123456789").rstrip("_")
        number = sum(name.startswith(person + "/") for name in names.values())
        names[path] = f"{person}/{number}"
        place = tmp_path / "frame_images_DB" / person / str(number)
        place.mkdir(parents=True)
        (place / f"{number}.1{path.suffix}").write_bytes(path.read_bytes())
        (place / f"{number}.2{path.suffix}").write_bytes(cv2.imencode(path.suffix, np.zeros((90, 90, 3), "u1"))[1])
    videos_ = list(names.values())
    pairs = [(first, second) for place, first in enumerate(videos_) for second in videos_[:place]]
    listed = [(split, first, second, first.split("/")[0] == second.split("/")[0]) for split in (1, 2)
              for first, second in pairs]
    assert any(same for *_, same in listed)
    miniature.write_list(tmp_path / "splits.txt", listed)
    arguments = ["--root", tmp_path, "--model", f"{published},0", "--json", tmp_path / "o.json"]
    with pytest.raises(Failure, match="align"):
        run(ytf, *arguments)
    assert "[ytf]Accuracy: 1.00000" in run(ytf, *arguments, "--align")
    assert result(tmp_path / "o.json")["data"]["aligned_here"] is True
