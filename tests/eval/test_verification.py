"""The verification command: its flags, what it prints, and how it fails."""
import json
import os
import re
import shutil

import cv2
import numpy as np
import pytest

from datasets.formats import verification_file
from eval import verification
from runtime import Failure, mx


def small_network():
    net = mx.sym.Pooling(mx.sym.Variable("data"), kernel=(28, 28), stride=(28, 28), pool_type="avg")
    return mx.sym.FullyConnected(net, num_hidden=6, name="fc1")


@pytest.fixture
def models(tmp_path):
    """A folder with epochs 1, 2 and 3 of a checkpoint, the second written last."""
    folder = tmp_path / "models" / "small-arcface-orl"
    folder.mkdir(parents=True)
    for epoch in (1, 3, 2):
        args = {"fc1_weight": mx.nd.array(np.random.RandomState(epoch).normal(size=(6, 48))), "fc1_bias": mx.nd.ones(6)}
        mx.model.save_checkpoint(str(folder / "model"), epoch, small_network(), args, {})
        os.utime(folder / f"model-{epoch:04d}.params", (epoch != 2, epoch != 2) if epoch != 2 else (9, 9))
    return tmp_path / "models"


@pytest.fixture
def sets(tmp_path):
    """A data folder with lfw.bin in it and agedb_30.bin in a folder of it, 20 pairs each."""
    rng, folder = np.random.RandomState(0), tmp_path / "data"
    for name in ("lfw.bin", "faces/agedb_30.bin"):
        images = [cv2.imencode(".png", rng.randint(0, 256, (112, 112, 3)).astype(np.uint8))[1].tobytes()
                  for _ in range(40)]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        verification_file.write(folder / name, images, np.arange(20) % 2 == 0)
    return folder


@pytest.fixture
def run(run):
    """Run the command in this process; return the lines that it prints."""
    return lambda *arguments: run(verification, *arguments).splitlines()


ACCURACY = r"([01]\.[0-9]{5})\+-0\.[0-9]{5}"


def block(name):
    return [rf"\[{name}\]XNorm: [0-9]+\.[0-9]{{6}}", rf"\[{name}\]Accuracy: 0\.00000\+-0\.00000",
            rf"\[{name}\]Accuracy-Flip: {ACCURACY}", rf"\[{name}\]TAR@FAR=1e-3: .+",
            rf"\[{name}\]AUC: .+", rf"\[{name}\]EER: .+", rf"\[{name}\]Accuracy interval: 95% .+"]


TABLE = [r"% +accuracy +95% interval +EER +TAR@1e-3 +AUC +Table 2 +Table 4 +Table 5", r"the paper's ArcFace: .+"]


def table(*rows):
    return [TABLE[0], *[rf"{row} .+" for row in rows], TABLE[1]]


def check(lines, *forms):
    assert len(lines) == len(forms), lines
    for line, form in zip(lines, forms):
        assert re.fullmatch(form, line), line


def test_all_epochs_of_a_prefix(models, sets, run):
    prefix = models / "small-arcface-orl" / "model"
    lines = run("--model", prefix, "--data-dir", sets, "--target", "lfw")
    check(lines, *[form for epoch in (1, 2, 3) for form in [rf"loading .*model {epoch}", *block("lfw")]],
          r"Max of \[lfw\] is [01]\.[0-9]{5}", *table("lfw,1", "lfw,2", "lfw,3"))
    flips = [re.fullmatch(rf".*Flip: {ACCURACY}", line).group(1) for line in lines if "Flip" in line]
    assert next(line for line in lines if line.startswith("Max of")).endswith(max(flips))
    # Each epoch gives what it gives alone.
    for epoch, flip in zip((1, 2, 3), flips):
        assert flip in run("--model", f"{prefix},{epoch}", "--data-dir", sets, "--target", "lfw")[3]


def test_some_epochs(models, sets, run):
    prefix = models / "small-arcface-orl" / "model"
    lines = run("--model", f"{prefix},3|1", "--data-dir", sets, "--target", "lfw,agedb_30")
    assert [line.split()[-1] for line in lines if line.startswith("loading")] == ["3", "1", "3", "1"]
    assert [line[:15] for line in lines if line.startswith("Max of ")] == ["Max of [lfw] is", "Max of [agedb_3"]


def test_the_newest_few(models, sets, run):
    prefix = models / "small-arcface-orl" / "model"
    for span, epochs in [("0,2", ["2", "3"]), ("1,2", ["2"]), ("0,3", ["1", "2", "3"]), ("5,9", ["1", "2", "3"])]:
        lines = run("--model", prefix, "--max", span, "--data-dir", sets, "--target", "lfw")
        assert [line.split()[-1] for line in lines if line.startswith("loading")] == epochs


def test_the_newest_checkpoint_on_the_sets_that_are_there(models, sets, run, capsys):
    lines = run("--models-root", models, "--data-dir", sets)
    check(lines, r"loading .*model 2", *block("lfw"), *block("agedb_30"), *table("lfw", "agedb_30"))
    alone = run("--models-root", models, "--data-dir", sets, "--target", sets / "faces" / "agedb_30.bin")
    assert [line.split() for line in alone] == [
        line.split() for line in lines if not line.startswith(("[lfw]", "lfw"))]


def test_a_single_crop(models, sets, run):
    check(run("--models-root", models, "--data-dir", sets, "--target", "lfw", "--no-flip"), r"loading .*",
          r"\[lfw\]XNorm: .*", rf"\[lfw\]Accuracy: {ACCURACY}", r"\[lfw\]TAR@FAR=1e-3: .*",
          *block("lfw")[-3:], *table("lfw"))


def test_json_of_several_files(models, sets, run, tmp_path):
    lines = run("--models-root", models, "--data-dir", sets, "--nfolds", 5, "--batch-size", 3, "--json",
                tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["benchmark"] == "verification" and found["paper"]["lfw"]["table4"]["CosFace"] == 99.73
    assert [(one["benchmark"], one["checkpoint"]["epoch"]) for one in found["evaluations"]] == [
        ("lfw", 2), ("agedb_30", 2)]
    assert list(found["values"]) == ["agedb_30", "lfw"]  # the keys of an object are in alphabetical order
    for one, line in zip(found["evaluations"], [line for line in lines if "Flip" in line]):
        values = one["values"]
        assert values == found["values"][one["benchmark"]]
        assert f"{values['accuracy']:1.5f}+-{values['std']:1.5f}" in line
        assert len(one["folds"]["accuracies"]) == len(one["folds"]["thresholds"]) == 5
        assert np.mean(one["folds"]["accuracies"]) == pytest.approx(values["accuracy"])
        kept = json.loads((models / "small-arcface-orl" / "evaluations" / f"{one['benchmark']}.json").read_text())
        assert kept["evaluations"][0]["values"] == values


def test_json_of_several_epochs(models, sets, run, tmp_path):
    lines = run("--model", f"{models / 'small-arcface-orl' / 'model'},1|3", "--data-dir", sets, "--target", "lfw",
                "--json", tmp_path / "out.json")
    values = json.loads((tmp_path / "out.json").read_text())["values"]
    assert list(values) == ["lfw"] and list(values["lfw"]) == ["1", "3"]
    assert [f"{values['lfw'][epoch]['auc']:1.5f}" for epoch in ("1", "3")] == [
        line.split()[-1] for line in lines if "AUC: " in line]


def test_json_has_null_for_what_cannot_be_computed(models, run, tmp_path, sets):
    images, _ = verification_file.read(sets / "lfw.bin")
    verification_file.write(tmp_path / "same.bin", images, [True] * 20)
    lines = run("--models-root", models, "--target", tmp_path / "same.bin", "--json", tmp_path / "out.json", "--roc",
                tmp_path / "roc.png")
    one = json.loads((tmp_path / "out.json").read_text(), parse_constant=pytest.fail)
    assert {one["values"][name] for name in ("tar", "far", "auc", "eer")} == {None} and one["benchmark"] == "same"
    assert one["reasons"]["tar"] == one["reasons"]["eer"] == "the set has no impostor pairs"
    assert "[same]EER: cannot be computed: the set has no impostor pairs" in lines
    assert one["values"]["intervals"]["eer"] is None and not (tmp_path / "roc.png").exists()


def own_set(sets, path, issame):
    """Write pairs of the images of lfw.bin with these labels."""
    images, _ = verification_file.read(sets / "lfw.bin")
    verification_file.write(path, (images * 9)[:2 * len(issame)], issame)
    return path


@pytest.mark.parametrize(("issame", "flags", "said"), [
    ([True] * 10 + [False] * 10, [], "the 10-fold accuracy is not to be trusted: folds 6, 7, 8, 9, 10 of 10 without "
     "genuine pairs; folds 1, 2, 3, 4, 5 of 10 without impostor pairs. Build the file again with `python "
     "datasets/pairs.py`, which deals the pairs over the folds, or go by the AUC."),
    ([True] * 10 + [False] * 10, ["--nfolds", 2], "the 2-fold accuracy is not to be trusted: fold 2 of 2 without "
     "genuine pairs; fold 1 of 2 without impostor pairs. Build the file again with `python datasets/pairs.py`, which "
     "deals the pairs over the folds, or go by the AUC."),
    (([True] + [False] * 9) * 2, [], "the 10-fold accuracy is not to be trusted: folds 2, 3, 4, 5, 7, "
     "8, 9, 10 of 10 without genuine pairs. Add pairs of that kind, or verify with --nfolds 2."),
    ([True] * 20, [], "the 10-fold accuracy is not to be trusted: there are no impostor pairs, so accuracy means "
     "nothing and there is no TAR at a FAR. Add pairs of that kind."),
    ([True] * 20 + [False] * 20, ["--nfolds", 40], "the 40-fold accuracy is not to be trusted: 20 of 40 folds without "
     "genuine pairs; 20 of 40 folds without impostor pairs. Add pairs of that kind, or go by the AUC."),
    ([True] * 10 + [False] * 10, ["--nfolds", 1], None), ([True, False] * 10, [], None)])
def test_folds_that_lack_a_kind(models, sets, tmp_path, capsys, issame, flags, said):
    path = own_set(sets, tmp_path / "own.bin", issame)
    verification.main([str(word) for word in ("--models-root", models, "--target", path, "--json",
                                              tmp_path / "out.json", *flags)])
    done = capsys.readouterr()
    check(done.out.splitlines(), "loading .*", *block("own"))
    err = re.sub("engine: .*\n", "", done.err)  # said once a process
    assert err == (f"[own]note: {said}\n" if said else "")
    assert json.loads((tmp_path / "out.json").read_text())["note"] == said


def test_the_auc_is_in_line_and_json(models, sets, run, tmp_path):
    lines = run("--models-root", models, "--data-dir", sets, "--target", "lfw", "--json", tmp_path / "out.json",
                "--mode", 2, "--output", tmp_path)
    rows = np.load(tmp_path / "lfw-embeddings.npy").astype(np.float64)
    dist = np.square(rows[::2] - rows[1::2]).sum(axis=1)
    below = np.mean([one < other for one in dist[::2] for other in dist[1::2]])  # even pairs are genuine
    assert f"[lfw]AUC: {below:.5f}" in lines
    assert json.loads((tmp_path / "out.json").read_text())["values"]["auc"] == pytest.approx(below)


def test_worst_pairs(models, sets, run, tmp_path):
    output = tmp_path / "new" / "out"
    run("--models-root", models, "--data-dir", sets, "--target", "lfw", "--mode", 1, "--output", output)
    picture = cv2.imread(str(output / "lfw-worst.png"))
    # Ten pairs of either kind, one below the other; two images a pair, two columns.
    assert picture.shape[0] == 10 * (112 + 18)
    assert picture.shape[1] >= 4 * 112


def test_embeddings(models, sets, run, tmp_path):
    run("--models-root", models, "--data-dir", sets, "--target", "lfw", "--mode", 2, "--output", tmp_path)
    embeddings, issame, people = (np.load(tmp_path / f"lfw-{kind}.npy") for kind in (
        "embeddings", "issame", "identities"))
    assert people[:8].tolist() == [0, 0, 1, 2, 3, 3, 4, 5] and len(people) == 40  # even pairs are genuine
    assert embeddings.shape == (40, 6)
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(1, abs=1e-5)
    assert (issame == (np.arange(20) % 2 == 0)).all()


def test_two_checkpoints_on_the_same_pairs(models, sets, run, tmp_path):
    prefix = models / "small-arcface-orl" / "model"
    lines = run("--model", f"{prefix},1", "--compare", f"{prefix},3", "--data-dir", sets, "--target", "lfw,agedb_30",
                "--json", tmp_path / "out.json", "--roc", tmp_path / "roc.png")
    found = json.loads((tmp_path / "out.json").read_text())
    alone = [run("--model", f"{prefix},{epoch}", "--data-dir", sets, "--target", "lfw") for epoch in (1, 3)]
    assert [line for line in lines if line.startswith("[lfw]") and "compared" not in line] == alone[0][1:8]
    comparison = found["values"]["lfw"]["comparison"]
    assert f"{comparison['accuracy']:1.5f}" in alone[1][3] and comparison["checkpoint"]["epoch"] == 3
    assert comparison["difference"] == pytest.approx(found["values"]["lfw"]["accuracy"] - comparison["accuracy"])
    assert len([line for line in lines if "]compared with " in line and "McNemar" in line]) == 2
    assert cv2.imread(str(tmp_path / "roc.png")).std() > 10
    # The tests of a checkpoint with itself find nothing.
    lines = run("--model", f"{prefix},1", "--compare", f"{prefix},1", "--data-dir", sets, "--target", "lfw")
    assert any("difference +0.00000 (95% 0.00000 to 0.00000, bootstrap over pairs, p 1); McNemar: 0 pairs right here "
               "alone, 0 there alone, p 1" in line for line in lines)


def test_results_by_subgroup(models, sets, run, tmp_path):
    (tmp_path / "a.csv").write_text("image,attribute\n" + "".join(
        f"{image},{'young' if image < 20 else 'old'}\n" for image in range(38)))
    lines = run("--models-root", models, "--data-dir", sets, "--target", "lfw", "--attributes", tmp_path / "a.csv",
                "--json", tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())["values"]
    assert {name: (one["pairs"], one["genuine"]) for name, one in found["subgroups"].items()} == {
        "old": (9, 5), "young": (10, 5)}
    named = [line for line in lines if line.startswith("[lfw]subgroup ")]
    assert len(named) == 3 and named[2] == "[lfw]subgroup -: 1 pairs have an image without an attribute"
    assert f"old: {found['subgroups']['old']['accuracy']:1.5f} of 9 pairs (5 genuine), 95% " in named[0]
    with pytest.raises(Failure, match="one verification file"):
        run("--models-root", models, "--data-dir", sets, "--attributes", tmp_path / "a.csv")


def test_what_cannot_be_kept_apart_or_written_is_said_before_the_work(models, sets, run, tmp_path, monkeypatch):
    """Results go by the name of the file: of two files with one name, JSON and --mode would keep the last alone."""
    monkeypatch.setattr(verification, "Trained", None)
    shutil.copyfile(sets / "faces" / "agedb_30.bin", sets / "faces" / "lfw.bin")
    flags = ("--models-root", models, "--data-dir", sets, "--target")
    with pytest.raises(Failure, match="^--target has 2 files with the name lfw"):
        run(*flags, f"{sets / 'lfw.bin'},{sets / 'faces' / 'lfw.bin'}")
    (tmp_path / "out").write_text("")
    for mode in (1, 2):
        with pytest.raises(Failure, match=f"out is no folder: .*--mode {mode}"):
            run(*flags, "lfw", "--mode", mode, "--output", tmp_path / "out")


@pytest.mark.parametrize("arguments", [
    ["--model", "model,"], ["--model", "model,x"], ["--model", ",1"], ["--batch-size", "0"], ["--batch-size", "x"],
    ["--batch-size", "9" * 5000], ["--nfolds", "0"], ["--nfolds", "-1"], ["--mode", "3"], ["--max", "3"],
    ["--max", "3,1"], ["--max", "a,b"], ["--ctx", "tpu"], ["--ctx", "cpu:0,cpu:1"], ["--gpu", "x"], ["--gpu", "-1"],
    ["--gpu", "0", "--ctx", "cpu"], ["--unheard"], ["stray"], ["--model", "model,1|2", "--mode", "1"],
    ["--target", " , "], ["--compare", "model,x"], ["--model", "model,1|2", "--compare", "model,1"],
    ["--roc", "roc.gif"]])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        verification.parse_arguments(arguments)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_targets(sets):
    find = verification.find_targets
    lfw, agedb = str(sets / "lfw.bin"), str(sets / "faces" / "agedb_30.bin")
    assert find(None, str(sets)) == ([("lfw", lfw), ("agedb_30", agedb)], ["cfp_fp"])
    assert find("agedb_30.bin, lfw.bin", str(sets)) == ([("agedb_30", agedb), ("lfw", lfw)], [])
    assert find("faces/agedb_30.bin", str(sets)) == ([("agedb_30", agedb)], [])
    assert find(f"agedb_30,{lfw}", str(sets)) == ([("agedb_30", agedb), ("lfw", lfw)], [])
    for target, said in [("lfw,cfp_fp", "cfp_fp.bin is neither in"),
                         ("x.bin", f"x.bin is missing, here and in {sets}"),
                         ("nowhere/x.bin", "nowhere/x.bin is missing")]:
        with pytest.raises(Failure, match=f"{said}.*--data-dir"):
            find(target, str(sets))
    with pytest.raises(Failure, match=r"none of lfw.bin, cfp_fp.bin, agedb_30.bin .*orl"):
        find(None, str(sets / "nowhere"))


def one_line(done, *said):
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("verification.py: ")
    for part in said:
        assert part in done.stderr


@pytest.mark.slow
def test_failures_are_one_line(command, models, sets, tmp_path):
    prefix = models / "small-arcface-orl" / "model"
    program, lfw = "eval/verification.py", sets / "lfw.bin"
    one_line(command(program, "--model", tmp_path / "nowhere,1", "--target", lfw), "nowhere-0001.params")
    one_line(command(program, "--model", f"{prefix},7", "--target", lfw), "model-0007.params", "1, 2, 3")
    one_line(command(program, "--model", f"{prefix},1", "--target", "unheard"), "unheard.bin")
    (tmp_path / "cut.bin").write_bytes(lfw.read_bytes()[:5000])
    one_line(command(program, "--model", f"{prefix},1", "--target", tmp_path / "cut.bin"), "cut.bin")
    one_line(command(program, "--model", f"{prefix},1", "--target", lfw, "--nfolds", 21), "20 pairs", "21 folds",
             "--nfolds 10")
    one_line(command(program, "--model", f"{prefix},1", "--target", lfw, "--json", tmp_path / "no" / "out.json"),
             "out.json")


@pytest.mark.slow
def test_no_gpu_is_one_line(command):
    if mx.context.num_gpus():
        pytest.skip("there is a GPU here")
    one_line(command("eval/verification.py", "--gpu", 0), "gpu:0", "no GPU")


@pytest.mark.slow
def test_wrong_usage_ends_with_2(command):
    assert command("eval/verification.py", "--mode", 7).returncode == 2


@pytest.mark.slow
def test_the_published_checkpoint(command, published, shared, tmp_path):
    for name in ("model-symbol.json", "model-0000.params"):  # results are kept beside a checkpoint
        shutil.copy(published.parent / name, tmp_path)
    done = command("eval/verification.py", "--model", "model,0", "--target",
                   shared / "reference" / "small_lfw.bin", cwd=tmp_path)
    assert done.returncode == 0
    check(done.stdout.splitlines(), r"loading .*model 0", *block("small_lfw"))
    assert "[small_lfw]AUC: cannot be computed: the set has no impostor pairs" in done.stdout.splitlines()
    assert (tmp_path / "evaluations" / "small_lfw.json").is_file()
