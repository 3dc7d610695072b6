"""eval/megaface.py from the command line: features, images with a small network, a killed run, and what is wrong."""
import json
import shutil

import numpy as np
import pytest

from datasets.faces import reader
from eval import megaface
from eval.protocols import megaface_features, megaface_files
from runtime import Failure
from tests.miniatures import megaface as miniature
from tests.miniatures import small_network

PEOPLE, PROBE_PEOPLE, IMAGES = 12, 4, 5


@pytest.fixture
def world(tmp_path):
    """A miniature with images, a small network, and the embeddings by hand."""
    labels = np.repeat(np.arange(PEOPLE), IMAGES)
    images = [small_network.face(person, number) for person in range(PEOPLE) for number in range(IMAGES)]
    probes, distractors = miniature.build(tmp_path / "MF", images, labels, PROBE_PEOPLE, (10, 40), noisy=2)
    (tmp_path / "run").mkdir()
    weight = small_network.save(tmp_path / "run" / "model")
    vectors = np.array([small_network.embedding(weight, image) + small_network.embedding(weight, image[:, ::-1])
                        for image in images])
    return tmp_path, probes, distractors, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def arguments(folder, *more):
    return ["--root", folder / "MF", "--features", folder / "features", "--algorithm", "small", *more]


def rank1_by_hand(vectors, probes, distractors, size):
    """Rank-1 rate by loops over embeddings."""
    hits, others = [], [vectors[place] for place in list(distractors.values())[:size]]
    for name, place in probes.items():
        nearest = min(np.sum((vectors[place] - other) ** 2) for other in others)
        hits += [np.sum((vectors[place] - vectors[mate]) ** 2) <= nearest for other, mate in probes.items()
                 if other != name and other.split("/")[0] == name.split("/")[0]]
    return np.mean(hits)


def result(path):
    return json.loads(path.read_text())


def test_images_become_the_rates_that_are_computed_by_hand(world, run):
    folder, probes, distractors, vectors = world
    model = ["--model", f"{folder / 'run' / 'model'},1"]
    printed = run(megaface, *arguments(folder, *model, "--json", folder / "o.json", "--training-images", "490000",
                                       "--results", folder / "out", "--picture", folder / "cmc"))
    found = result(folder / "o.json")
    by_distractors = found["values"]["by_distractors"]
    assert set(by_distractors) == {"10", "40"}
    for size in (10, 40):
        rate = rank1_by_hand(vectors, probes, distractors, size)
        assert 0 < rate < 1 and by_distractors[str(size)]["rank"]["1"] == pytest.approx(rate, abs=1e-12)
        cmc, _ = megaface_files.read_result(megaface_files.result_path(folder / "out", "small", size, 1))
        assert cmc[1][0] == pytest.approx(rate, abs=1e-12)
    assert set(by_distractors["10"]["tar"]) == {"1e-01", "1e-02", "1e-03", "1e-04", "1e-05", "1e-06"}
    assert "protocol: small" in printed and "77.5" in printed and "81.03" not in printed
    assert (folder / "cmc.png").stat().st_size > 10_000 and (folder / "cmc.svg").is_file()
    path = folder / "features" / "facescrub" / f"{next(iter(probes))}_small.bin"
    assert path.stat().st_size == 16 + 4 * 16
    kept = result(folder / "run" / "evaluations" / "megaface.json")["evaluations"]
    assert len(kept) == 1 and kept[0]["values"] == found["values"] and kept[0]["flip"] is True
    run(megaface, *arguments(folder, *model, "--sizes", "10", "--fars", "1e-2", "--training-images", "490000"))
    kept = result(folder / "run" / "evaluations" / "megaface.json")["evaluations"]
    assert len(kept) == 2 and kept[0]["values"] == found["values"], "one of fewer sets or rates replaces none"
    # The features alone give the same, and the refined ones lie beside them.
    run(megaface, *arguments(folder, "--json", folder / "again.json"))
    assert result(folder / "again.json")["values"] == found["values"]
    printed = run(megaface, *arguments(folder, "--refined", "--refined-features", folder / "refined"))
    assert "2 of its 2 names match probes" in printed and "2 of its 2 names match distractors" in printed
    files = list((folder / "refined").rglob("*_small.bin"))
    assert len(files) == PROBE_PEOPLE * IMAGES + 40 and {file.stat().st_size for file in files} == {16 + 4 * 17}


def test_a_killed_run_resumes(world, run, monkeypatch):
    folder, *_ = world
    model, read, count = ["--model", f"{folder / 'run' / 'model'},1"], reader.Reader.__call__, []
    monkeypatch.setattr(megaface_features, "BATCH", 4)

    def stop(self, *given):
        if len(count) == 30:
            raise KeyboardInterrupt
        count.append(1)
        return read(self, *given)
    monkeypatch.setattr(reader.Reader, "__call__", stop)
    with pytest.raises(KeyboardInterrupt):
        run(megaface, *arguments(folder, *model))
    done = len(list((folder / "features").rglob("*_small.bin")))
    assert 24 <= done <= 30 and not list((folder / "features").rglob(".*"))
    cut = next((folder / "features").rglob("*_small.bin"))
    cut.write_bytes(cut.read_bytes()[:30])
    monkeypatch.setattr(reader.Reader, "__call__", read)
    printed = run(megaface, *arguments(folder, *model))
    assert "features of facescrub: 1 written, 19 there already" in printed
    assert len(list((folder / "features").rglob("*_small.bin"))) == PEOPLE * IMAGES


def test_features_of_two_networks_do_not_mix(world, run):
    folder, *_ = world
    run(megaface, *arguments(folder, "--model", f"{folder / 'run' / 'model'},1", "--sizes", "10"))
    small_network.save(folder / "run" / "other", seed=1)
    with pytest.raises(Failure, match="by another network"):
        run(megaface, *arguments(folder, "--model", f"{folder / 'run' / 'other'},1"))
    with pytest.raises(Failure, match="another choice of mirror images"):
        run(megaface, *arguments(folder, "--model", f"{folder / 'run' / 'model'},1", "--no-flip"))
    (folder / "features" / "small.json").unlink()
    with pytest.raises(Failure, match="nothing there says by which network"):
        run(megaface, *arguments(folder, "--model", f"{folder / 'run' / 'model'},1"))
    with pytest.raises(Failure, match="is missing"):  # with --sizes 10, only these distractors were embedded
        run(megaface, *arguments(folder))


def test_images_that_cannot_be_used_are_told_after_the_others(world, run):
    folder, *_ = world
    next((folder / "MF" / "data" / "megaface_images").rglob("*.png")).write_bytes(b"no picture")
    with pytest.raises(Failure, match="1 of 40 images of megaface have no feature"):
        run(megaface, *arguments(folder, "--model", f"{folder / 'run' / 'model'},1"))
    assert len(list((folder / "features").rglob("*_small.bin"))) == PEOPLE * IMAGES - 1


def test_the_miniature_with_awkward_lists(shared, tmp_path, run, capsys):
    """CRLF, empty lines at the end, an image listed twice, a size of features of its own, nothing half written."""
    root = tmp_path / "MF"
    shutil.copytree(shared / "reference" / "protocols" / "megaface", root, copy_function=shutil.copyfile)
    for folder in (root, *root.rglob("*")):
        if folder.is_dir():
            folder.chmod(0o755)
    for name in ("facescrub_lst", "megaface_lst", "facescrub_noises.txt", "megaface_noises.txt"):
        lines = (root / "data" / name).read_bytes().replace(b"\n", b"\r\n")
        (root / "data" / name).write_bytes(lines + b"\r\n\r\n")
    flags = ["--root", root, "--features", root / "feature_out", "--algorithm", "arc", "--refined", "--json",
             tmp_path / "o.json"]
    run(megaface, *flags)
    expected = json.loads((shared / "reference" / "protocols" / "expected" / "megaface.json").read_text())
    wanted = expected["brute force in float64"]["refined"]
    found = result(tmp_path / "o.json")["values"]["by_distractors"]
    assert {size: found[size]["rank"]["1"] for size in wanted} == {
        size: one["cmc_ties_for"]["1"] for size, one in wanted.items()}
    one = root / "templatelists" / "facescrub_features_list.json"
    probes = json.loads(one.read_text())
    one.write_text(json.dumps({key: [*values, values[0]] for key, values in probes.items()}))
    printed = run(megaface, *flags)  # the first image of a person of n: n − 1 + n − 1 + 2 more ordered pairs
    assert f"62 probes of 9 people, {376 + 2 * 8} ordered genuine pairs" in printed
    (root / "data" / "facescrub_noises.txt").write_text("Zoe_1.jpg\n")
    run(megaface, *flags)
    capsys.readouterr()
    path = next((root / "feature_out" / "megaface").rglob("*.bin"))
    (tmp_path / "o.json").unlink()
    content = path.read_bytes()
    for damaged, said in ((content[:1000], "cut short"), (b"", "less than the head"),
                          (np.array([8, 1, 4, 5], "<i4").tobytes() + content[16:48], "has 8 numbers")):
        path.write_bytes(damaged)
        with pytest.raises(Failure, match=said):
            run(megaface, *flags)
    assert not (tmp_path / "o.json").exists()


@pytest.mark.parametrize("flags, said", [
    (["--sizes", "ten"], "does not name numbers"), (["--refined-features", "x"], "--refined"),
    (["--no-flip"], "are for --model"), (["--fars", "2"], "is not a rate"),
    (["--training-images", "many"], "not a number of images")])
def test_wrong_flags(capsys, tmp_path, flags, said):
    with pytest.raises(SystemExit) as ended:
        megaface.main(["--root", str(tmp_path), "--features", "f", "--algorithm", "a", *flags])
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_what_cannot_be_written_is_told_at_once(tmp_path, run):
    with pytest.raises(Failure, match="its folder is not there"):
        run(megaface, *arguments(tmp_path, "--json", tmp_path / "none" / "o.json"))
    with pytest.raises(Failure, match="MegaFace's folder has data/"):
        run(megaface, *arguments(tmp_path))


def test_the_protocol_follows_from_the_run(world, run):
    folder, *_ = world
    (folder / "run" / "config.json").write_text('{"dataset": "emore"}')
    assert "protocol: large" in run(megaface, *arguments(folder, "--model", f"{folder / 'run' / 'model'},1",
                                                         "--sizes", "10"))
