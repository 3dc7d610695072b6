"""Verification files from published lists of pairs, read back by pickle and compared with what the lists say."""
import os
import pickle
import pickletools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from datasets import pairs
from datasets.formats import pair_lists, verification_file
from runtime import Failure


def image(number, size=112, suffix=".jpg"):
    """Return an encoded image that no other number has."""
    pixels = np.full((size, size, 3), 60, np.uint8)
    cv2.putText(pixels, str(number), (5, size // 2), cv2.FONT_HERSHEY_SIMPLEX, 1, (250, 200, 100), 2)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def put(root, names):
    """Write images under their names; return name → bytes."""
    written = {}
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        written[name] = image(number, suffix=path.suffix)
        path.write_bytes(written[name])
    return written


def first_choices(path, layout=None):
    found = pair_lists.read_pairs(path, layout)
    return [tuple(choices[0] for choices in pair) for pair in found.pairs], found.issame.tolist(), found.folds


LFW = ["2\t2", "Ann\t1\t2", "Ann\t1\t3", "Ann\t2\tBob\t1", "Bob\t1\tCy X\t12",
       "Bob\t1\t2", "Cy X\t3\t12", "Ann\t4\tCy X\t1", "Ann\t1\tBob\t4"]
LFW_NAMES = [("Ann", 1, "Ann", 2), ("Ann", 1, "Ann", 3), ("Ann", 2, "Bob", 1), ("Bob", 1, "Cy X", 12),
             ("Bob", 1, "Bob", 2), ("Cy X", 3, "Cy X", 12), ("Ann", 4, "Cy X", 1), ("Ann", 1, "Bob", 4)]


def lfw_name(person, number):
    return f"{person}/{person}_{number:04d}.jpg"


@pytest.mark.slow
def test_lfw_from_list_to_file(tmp_path, command):
    (tmp_path / "pairs.txt").write_text("\n".join(LFW) + "\n")
    ends = [name for one, i, other, j in LFW_NAMES for name in (lfw_name(one, i), lfw_name(other, j))]
    written = put(tmp_path / "images", dict.fromkeys(ends))
    done = command("datasets/pairs.py", "--pairs", tmp_path / "pairs.txt", "--root", tmp_path / "images",
                   "--output", tmp_path / "lfw.bin", "--num-workers", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert "8 pairs, 4 genuine and 4 impostor" in done.stdout
    assert "--nfolds 2" in done.stdout
    content = (tmp_path / "lfw.bin").read_bytes()
    assert next(pickletools.genops(content))[1] == 2  # a protocol that Python 2 knows
    assert pickle.loads(content) == ([written[name] for name in ends],
                                     [True, True, False, False, True, True, False, False])
    assert sorted(os.listdir(tmp_path)) == ["images", "lfw.bin", "pairs.txt"]


def test_lfw_view_one_is_one_fold(tmp_path):
    (tmp_path / "a").write_text("1\nAnn 1 2\nAnn 1 Bob 2\n")
    assert first_choices(tmp_path / "a") == ([(lfw_name("Ann", 1), lfw_name("Ann", 2)),
                                              (lfw_name("Ann", 1), lfw_name("Bob", 2))], [True, False], 1)


@pytest.mark.parametrize(("line", "text", "words"), [
    (0, "2 two", "line 1"), (0, "2 3", "8 pairs where its first line says 2 times 2 times 3"),
    (0, "0 2", "line 1"), (1, "Ann 1 2 3 4", "line 2"), (3, "Ann 1", "line 4"), (2, "Ann 1 x", "line 3"),
    (1, "Ann 1 Bob 2", "fold 1 has 1"), (8, "", "has 7 pairs"), (8, "Ann 1 -2", "line 9")])
def test_lfw_refuses(tmp_path, line, text, words):
    (tmp_path / "a").write_text("\n".join([*LFW[:line], text, *LFW[line + 1:]]))
    with pytest.raises(Failure, match=words):
        pair_lists.read_pairs(tmp_path / "a", "lfw")


@pytest.mark.parametrize("heading", ["", "first,second,same\n", "image 1, image 2, label\n", "\ufeff", "a,b,1|0\n"])
@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("Yes", "No"), ("TRUE", "false"), ("same", "Different")])
def test_list(tmp_path, heading, yes, no):
    (tmp_path / "a.csv").write_text(f"{heading}a.jpg,b c.png,{yes}\r\n\r\nd/é.jpg , 名 前.jpg, {no}\r\n", "utf-8")
    assert first_choices(tmp_path / "a.csv") == ([("a.jpg", "b c.png"), ("d/é.jpg", "名 前.jpg")], [True, False], None)


def test_list_with_other_separators(tmp_path):
    (tmp_path / "a").write_text('"a, b.jpg","c.jpg",1\n')
    assert first_choices(tmp_path / "a")[0] == [("a, b.jpg", "c.jpg")]
    (tmp_path / "a").write_text("a b.jpg\tc.jpg\t1\n")
    assert first_choices(tmp_path / "a")[0] == [("a b.jpg", "c.jpg")]
    (tmp_path / "a").write_text("a.jpg c.jpg 0\n")
    assert first_choices(tmp_path / "a")[:2] == ([("a.jpg", "c.jpg")], [False])


@pytest.mark.parametrize("text", ["a.jpg,b.jpg,2\n", "a.jpg,b.jpg,maybe\n", "a.jpg,b.jpg\n", "a.jpg,,1\n",
                                  "a,b,c\nd,e,f\n", "a.jpg,b.jpg,1\nfirst,second,same?\n", "", "\n\n",
                                  "a.jpg,b.jpg,1,1\n", "x,y,z\n", "a\0b.jpg,c.jpg,1\n", '"' + "a" * 200_000 + ',b,1\n'])
def test_list_refuses(tmp_path, text):
    (tmp_path / "a").write_text(text)
    with pytest.raises(Failure) as caught:
        pair_lists.read_pairs(tmp_path / "a")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_list_in_another_encoding(tmp_path):
    (tmp_path / "a").write_bytes("a.jpg,b.jpg,1\né.jpg,b.jpg,1\n".encode("latin-1"))
    with pytest.raises(Failure, match="line 2 is not UTF-8"):
        pair_lists.read_pairs(tmp_path / "a")


def cfp(root, folds=2, lists="Protocol"):
    """Write a miniature of CFP's protocol: 3 frontal and 2 profile images."""
    protocol = root / "Protocol"
    for fold in range(1, folds + 1):
        for kind in ("FP", "FF"):
            (protocol / "Split" / kind / f"{fold:02d}").mkdir(parents=True)
            (protocol / "Split" / kind / f"{fold:02d}" / "same.txt").write_text(f"{fold},1\n3,2\n")
            (protocol / "Split" / kind / f"{fold:02d}" / "diff.txt").write_text("1,2\n")
    for letter, pose, count in (("F", "frontal", 3), ("P", "profile", 2)):
        (protocol / f"Pair_list_{letter}.txt").write_text(
            "".join(f"{number} ../Data/Images/001/{pose}/{number:02d}.jpg\n" for number in range(1, count + 1)))


def test_cfp(tmp_path):
    cfp(tmp_path)
    def name(pose, number):
        return f"Data/Images/001/{pose}/{number:02d}.jpg"
    for path, second in ((tmp_path, "profile"), (tmp_path / "Protocol" / "Split" / "FP", "profile"),
                         (tmp_path / "Protocol" / "Split" / "FF", "frontal")):
        numbers = [(1, 1), (3, 2), (1, 2), (2, 1), (3, 2), (1, 2)]
        assert first_choices(path) == ([(name("frontal", i), name(second, j)) for i, j in numbers],
                                       [True, True, False] * 2, 2)
    assert pair_lists.read_pairs(tmp_path).pairs[0][1] == (name("profile", 1), "001/profile/01.jpg")


@pytest.mark.parametrize(("name", "text", "words"), [
    ("Split/FP/02/same.txt", "1,1\n", "not of one size"), ("Split/FP/02/same.txt", "1,1\n9,9\n", "line 2 names"),
    ("Split/FP/01/diff.txt", "1 2\n", "line 1"), ("Pair_list_P.txt", "one a.jpg\n", "line 1"),
    ("Pair_list_F.txt", "", "empty"), ("Split/FP/01/diff.txt", None, "missing"), ("Pair_list_F.txt", None, "missing")])
def test_cfp_refuses(tmp_path, name, text, words):
    cfp(tmp_path)
    path = tmp_path / "Protocol" / name
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(Failure, match=words):
        pair_lists.read_pairs(tmp_path)


def test_a_folder_that_is_not_cfp(tmp_path):
    with pytest.raises(Failure, match="is not CFP's"):
        pair_lists.read_pairs(tmp_path)


def agedb(path, folds):
    """Write AgeDB's protocol: cells of a fold's structure with a cell of 2 rows, whose cells are name and age."""
    splits = np.empty((len(folds), 1), object)
    for fold, own in enumerate(folds):
        cell = np.empty((2, len(own)), object)
        for column, pair in enumerate(own):
            for row in range(2):
                entry = np.empty((1, 2), object)
                entry[0, 0], entry[0, 1] = pair[row], 35.0
                cell[row, column] = entry
        splits[fold, 0] = {"pairs": cell}
    savemat(path, {"splits": splits})


def test_agedb(tmp_path):
    folds = [[("Ann_0_1_35_f", "Ann_0_2_65_f"), ("Ann_0_1_35_f", "Bob_1_3_40_m")],
             [("Bob_1_3_40_m", "Bob_1_4_70_m"), ("Cy_2_5_30_m", "Bob_1_3_40_m")]]
    agedb(tmp_path / "04_FINAL_protocol_30_years.mat", folds)
    names = [tuple(f"03_Protocol_Images/{name}.jpg" for name in pair) for fold in folds for pair in fold]
    assert first_choices(tmp_path / "04_FINAL_protocol_30_years.mat") == (names, [True, False] * 2, 2)


@pytest.mark.parametrize("content", [b"", b"x", b"MATLAB 5.0 MAT-file" + b"\0" * 200])
def test_agedb_refuses(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(Failure, match="is not AgeDB's protocol"):
        pair_lists.read_pairs(tmp_path / "a.mat")


@pytest.mark.parametrize("layout", [None, "calfw", "cplfw"])
def test_two_lines_a_pair(tmp_path, layout):
    (tmp_path / "a").write_text("A_1.jpg 1\nA_2.jpg 1\nA 1.jpg 0\nB_1.jpg 0\nB_1.jpg\t1\nB_2.jpg\t1\n")
    assert first_choices(tmp_path / "a", layout) == (
        [("A_1.jpg", "A_2.jpg"), ("A 1.jpg", "B_1.jpg"), ("B_1.jpg", "B_2.jpg")], [True, False, True], None)


def test_folds_of_calfw(tmp_path):
    """Genuine pairs name their fold; impostor pairs are dealt out in their order."""
    flags = [1, 1, 2, 2, 3, 3, 0, 0, 0, 0, 0, 0]
    (tmp_path / "a").write_text("".join(f"{pair}_{end}.jpg {flag}\n" for pair, flag in enumerate(flags)
                                        for end in range(2)))
    names, issame, folds = first_choices(tmp_path / "a")
    assert [int(first.split("_")[0]) for first, _ in names] == [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]
    assert issame == [True, True, False, False] * 3
    assert folds == 3


@pytest.mark.parametrize("text", ["a.jpg 1\nb.jpg 0\n", "a.jpg 1\nb.jpg 1\nc.jpg 1\n", "a.jpg 1\nb.jpg x\n",
                                  "a.jpg 1\nb.jpg\n", "a 2\nb 2\n", "a 999999999\nb 999999999\n",
                                  "a 1\nb 1\nc 2\nd 2\ne 0\nf 0\n"])
def test_two_lines_refuses(tmp_path, text):
    (tmp_path / "a").write_text(text)
    with pytest.raises(Failure):
        pair_lists.read_pairs(tmp_path / "a", "calfw")


@given(st.integers(1, 4), st.integers(1, 5), st.data())
def test_kept_pairs_keep_folds_equal(folds, each, data):
    issame = np.concatenate([data.draw(st.permutations([True] * each + [False] * each)) for _ in range(folds)])
    usable = np.array(data.draw(st.lists(st.booleans(), min_size=len(issame), max_size=len(issame))))
    kept = pairs.kept_pairs(usable, issame, folds)
    assert usable[kept].all()
    assert np.all(np.diff(kept) > 0)
    counts = np.array([[np.sum((kept // (2 * each) == fold) & (issame[kept] == same)) for fold in range(folds)]
                       for same in (True, False)])
    usable_counts = np.array([[np.sum(usable & (np.arange(len(issame)) // (2 * each) == fold) & (issame == same))
                               for fold in range(folds)] for same in (True, False)])
    assert (counts == usable_counts.min(axis=1, keepdims=True)).all()


def test_kept_pairs_of_a_list_without_folds():
    usable = np.array([True, False, True])
    assert pairs.kept_pairs(usable, [True, True, False]).tolist() == [0, 2]


@pytest.mark.slow
def test_images_that_cannot_be_used(tmp_path, command):
    """All are listed, nothing is written; with --skip-failed, what keeps the folds equal is."""
    root, outside = tmp_path / "images", tmp_path / "outside.jpg"
    put(root, [lfw_name("Ann", number) for number in range(1, 5)] + [lfw_name("Bob", number) for number in range(1, 5)])
    outside.write_bytes(image(1))
    (root / "Ann" / "Ann_0005.jpg").write_bytes(image(5, size=250))
    (root / "Ann" / "Ann_0006.jpg").symlink_to(outside)
    (root / "Ann" / "Ann_0007.jpg").write_bytes(image(7)[:-300])
    os.mkfifo(root / "Ann" / "Ann_0008.jpg")
    lines = ["2 6", *(f"Ann 1 {number}" for number in (2, 3, 5, 6, 7, 8)),
             *(f"Ann 1 Bob {i % 4 + 1}" for i in range(6)), *(f"Bob {i % 4 + 1} {(i + 1) % 4 + 1}" for i in range(6)),
             "Ann 9 Bob 1", *(f"Ann 2 Bob {i % 4 + 1}" for i in range(5))]
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    arguments = ["datasets/pairs.py", "--pairs", tmp_path / "pairs.txt", "--root", root, "--output", tmp_path / "a.bin",
                 "--num-workers", 1]
    done = command(*arguments)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "5 of 12 images cannot be used" in done.stderr
    assert "Ann_0005.jpg is 250×250, where a face aligned to 112×112 is needed" in done.stderr
    assert "--align" in done.stderr
    for number, words in ((5, "250×250"), (6, "leads out of"), (7, "cut short"), (8, "is not a file"),
                          (9, "no such file")):
        assert any(f"Ann_000{number}" in line and words in line for line in done.stdout.splitlines()), number
    assert sorted(os.listdir(tmp_path)) == ["images", "outside.jpg", "pairs.txt"]
    done = command(*arguments, "--skip-failed")
    assert (done.returncode, done.stderr) == (0, "")
    _, issame = verification_file.read(tmp_path / "a.bin")
    assert issame.tolist() == ([True] * 2 + [False] * 5) * 2


@pytest.fixture
def own(tmp_path, command):
    """Write a list of pairs of three people's images; return what pairs.py prints and the images and labels."""
    names = [f"{person}{number}.jpg" for person in "abc" for number in range(5)]
    written = put(tmp_path / "images", names)

    def make(ends, issame, *flags):
        (tmp_path / "own.csv").write_text("".join(f"{names[first]},{names[second]},{int(same)}\n"
                                                  for (first, second), same in zip(ends, issame)))
        done = command("datasets/pairs.py", "--pairs", tmp_path / "own.csv", "--root", tmp_path / "images",
                       "--output", tmp_path / "own.bin", "--num-workers", 2, *flags)
        assert (done.returncode, done.stderr) == (0, "")
        images, labels = verification_file.read(tmp_path / "own.bin")
        known = {image: names.index(name) for name, image in written.items()}
        return done.stdout.splitlines(), [(known[first], known[second])
                                          for first, second in zip(images[::2], images[1::2])], labels.tolist()
    return make


ENDS = [(first, second) for first in range(15) for second in range(first)]
GENUINE_FIRST = sorted(ENDS, key=lambda pair: pair[0] // 5 != pair[1] // 5)  # 30 genuine pairs and 75 impostor pairs


@pytest.mark.slow
def test_own_pairs_are_dealt(own):
    """Each fold has its share of both kinds, every pair is there once with its label, and a line says so."""
    issame = [first // 5 == second // 5 for first, second in GENUINE_FIRST]
    lines, ends, labels = own(GENUINE_FIRST, issame)
    assert sorted(ends) == ENDS
    assert labels == [first // 5 == second // 5 for first, second in ends]
    parts = np.array_split(labels, 10)
    assert [(part.sum(), len(part) - part.sum()) for part in parts] == [(3, 8)] * 5 + [(3, 7)] * 5
    assert lines[0] == ("the pairs are dealt over 10 folds, each with 3 genuine and 7 to 8 impostor pairs; "
                        "--keep-order keeps the list's order")
    assert len(lines) == 2
    assert "105 pairs, 30 genuine and 75 impostor, of 15 images" in lines[1]
    assert own(GENUINE_FIRST, issame, "--num-workers", 1)[1] == ends


def test_own_pairs_in_their_order(own):
    issame = [True] * 30 + [False] * 75
    lines, ends, labels = own(GENUINE_FIRST, issame, "--keep-order")
    assert (ends, labels) == (GENUINE_FIRST, issame)
    assert "dealt" not in "".join(lines)
    assert lines[1:] == ["note: folds 4, 5, 6, 7, 8, 9, 10 of 10 without genuine pairs: leave out --keep-order",
                         "note: folds 1, 2 of 10 without impostor pairs: leave out --keep-order"]


@pytest.mark.parametrize("issame", [
    ([True] * 3 + [False] * 3) * 10,  # as LFW's pairs lie, each fold's genuine ones first
    [True, False] * 30, [True, False, False] * 20, [True] * 60, [False] * 60, [True] * 5 + [False] * 4])
def test_pairs_that_stay_where_they_are(own, issame):
    """Folds that are alike already, pairs of one kind, fewer pairs than folds."""
    lines, ends, labels = own(ENDS[:len(issame)], issame)
    assert (ends, labels) == (ENDS[:len(issame)], issame)
    assert "dealt" not in "".join(lines)


@pytest.mark.parametrize(("genuine", "impostors", "said"), [
    (5, 55, "note: folds 2, 4, 6, 8, 10 of 10 without genuine pairs: add pairs of that kind, or verify with "
            "--nfolds 5"),
    (57, 3, "note: folds 1, 3, 4, 6, 7, 9, 10 of 10 without impostor pairs: add pairs of that kind, or verify with "
            "--nfolds 3"),
    (60, 0, "note: there are no impostor pairs, so accuracy means nothing and there is no TAR at a FAR: add pairs of "
            "that kind"),
    (5, 4, "note: 9 pairs are too few for 10 folds: verify with --nfolds 1")])
def test_own_pairs_that_are_too_few(own, genuine, impostors, said):
    lines, _, labels = own(ENDS[:genuine + impostors], [True] * genuine + [False] * impostors)
    assert lines[-1] == said
    folds = int(said.split()[-1]) if "--nfolds" in said else 1
    assert folds == 1 or all(0 < sum(part) < len(part) for part in np.array_split(labels, folds))


def test_own_pairs_without_those_that_cannot_be_used(own, tmp_path):
    """What is left is dealt."""
    issame = [first // 5 == second // 5 for first, second in GENUINE_FIRST]
    (tmp_path / "images" / "a0.jpg").write_bytes(b"no image")
    lines, ends, labels = own(GENUINE_FIRST, issame, "--skip-failed")
    assert sorted(ends) == [pair for pair in ENDS if 0 not in pair]
    assert labels == [first // 5 == second // 5 for first, second in ends]
    assert {int(part.sum()) for part in np.array_split(labels, 10)} == {2, 3}
    assert "14 pairs cannot be used, and 0 more are left out to keep the folds equal" in lines


@given(st.sampled_from(["lfw", "cfp", "agedb", "calfw", "cplfw"]), st.integers(1, 10), st.integers(1, 40))
def test_published_folds_are_never_dealt(layout, folds, each):
    assert not pairs.needs_dealing([True] * each * folds + [False] * each * folds, folds, layout)


def test_published_lists_without_folds(tmp_path):
    """Two lines a pair, flags 1 and 0: dealt only where a tenth of the published order lacks a kind."""
    assert pairs.needs_dealing([True] * 30 + [False] * 30, None, "calfw")
    mixed = [True, True, False, False, False, True, False] * 10
    assert not pairs.needs_dealing(mixed, None, "calfw")
    assert not pairs.needs_dealing(sorted(mixed[:9]), None, "calfw")
    assert pairs.needs_dealing([True] * 10 + [False, True] * 30, None, "list")


@pytest.mark.slow
@pytest.mark.parametrize(("change", "words"), [
    ({"--output": "none/a.bin"}, "cannot be written"), ({"--output": "."}, "cannot be written"),
    ({"--root": "none"}, "is not a folder"), ({"--pairs": "none"}, "is missing")])
def test_wrong_places(tmp_path, command, change, words):
    (tmp_path / "p.csv").write_text("a.jpg,b.jpg,1\n")
    (tmp_path / "images").mkdir()
    flags = {"--pairs": "p.csv", "--root": "images", "--output": "a.bin", **change}
    done = command("datasets/pairs.py", *(word for flag in flags.items() for word in flag), cwd=tmp_path)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_unaligned_photographs_are_aligned(shared, detect, tmp_path):
    """Two of one person and two of others; without --align they are refused by name."""
    (tmp_path / "p.csv").write_text("Rob_Lowe_0001.jpg,Rob_Lowe_0002.jpg,same\n"
                                    "Rob_Lowe_0001.jpg,Aaron_Eckhart_0001.jpg,different\n")
    listed = pair_lists.read_pairs(tmp_path / "p.csv")
    with pytest.raises(Failure, match=r"Rob_Lowe_0001.jpg is 250×250.*--align"):
        pairs.build(listed, shared / "photos", tmp_path / "a.bin", workers=1)
    assert os.listdir(tmp_path) == ["p.csv"]
    pairs.build(listed, shared / "photos", tmp_path / "a.bin", align=True, workers=1)
    images, issame = verification_file.read(tmp_path / "a.bin")
    assert issame.tolist() == [True, False]
    assert verification_file.decode(images).shape == (4, 112, 112, 3)
    assert images[0] == images[2]


@pytest.mark.parametrize("layout", [None, "lfw"])
def test_lfw_without_its_first_line(tmp_path, layout):
    (tmp_path / "pairs.txt").write_text("\n".join(LFW[1:]) + "\n")
    with pytest.raises(Failure, match="pairs.txt begins with a pair: its first line is missing.*`2 2` fits its pairs"):
        pair_lists.read_pairs(tmp_path / "pairs.txt", layout)
    (tmp_path / "pairs.txt").write_text("2 2\n" + "\n".join(LFW[1:]) + "\n")
    assert pair_lists.read_pairs(tmp_path / "pairs.txt", layout).folds == 2


@pytest.mark.parametrize(("lines", "example"), [
    (LFW[3:], "such as `10 300`"), (["Ann 1 2", "Bob 1 2", "Ann 1 Bob 2"], "such as `10 300`"),
    (["Ann 1 2", "Ann 1 Bob 2"], "`1 1` fits"), (["Ann 1 1", "Bob 0 1", "Ann 1 Bob 2", "Ann 1 Cy 1"], "`1 2` fits"),
    (["Ann 1 2", "rubbish"], "such as `10 300`")])
def test_lfw_without_its_first_line_and_more(tmp_path, lines, example):
    (tmp_path / "pairs.txt").write_text("\r\n".join(lines))
    with pytest.raises(Failure, match=f"its first line is missing.*{example}"):
        pair_lists.read_pairs(tmp_path / "pairs.txt")


def test_lists_that_only_look_like_lfws(tmp_path):
    (tmp_path / "a").write_text("Ann 1 1\nBob 2 0\n")
    assert first_choices(tmp_path / "a")[:2] == ([("Ann", "1"), ("Bob", "2")], [True, False])
    (tmp_path / "a").write_text("1 2 1\n3 4 0\n")
    assert first_choices(tmp_path / "a")[:2] == ([("1", "2"), ("3", "4")], [True, False])


@pytest.mark.parametrize("before", ["", "D:\\faces\\"])
@pytest.mark.parametrize("form", ["list", "calfw"])
def test_lists_that_windows_wrote(tmp_path, before, form):
    """Also where one image lies in the folder `images`, as CALFW's do, and one name really has a backslash."""
    written = put(tmp_path / "images", ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b\\2.jpg"])
    names = [f"{before}a\\1.jpg", f"{before}a\\2.jpg", f"{before}b\\1.jpg", "b\\2.jpg"]
    lines = [f"{names[0]},{names[1]},1", f"{names[2]},{names[3]},0"] if form == "list" else \
        [f"{name} {flag}" for name, flag in zip(names, (1, 1, 0, 0))]
    (tmp_path / "a.txt").write_bytes("\r\n".join(lines).encode("utf-16"))
    pairs.build(pair_lists.read_pairs(tmp_path / "a.txt"), tmp_path / "images", tmp_path / "a.bin", workers=1)
    assert pickle.loads((tmp_path / "a.bin").read_bytes()) == (
        [written[name] for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "b\\2.jpg")], [True, False])


def test_a_pair_of_windows_that_is_not_there(tmp_path, capsys):
    put(tmp_path / "images", ["a/1.jpg"])
    (tmp_path / "a.csv").write_text("a\\1.jpg,a\\2.jpg,1\n")
    with pytest.raises(Failure, match=r"a\\2.jpg cannot be read .*the name looks like one from Windows"):
        pairs.build(pair_lists.read_pairs(tmp_path / "a.csv"), tmp_path / "images", tmp_path / "a.bin", workers=1)


@pytest.mark.parametrize("suffix", [".jfif", ".JFIF", ".jpe", ".JPG"])
def test_lfw_by_any_name_of_a_jpeg(tmp_path, suffix):
    written = put(tmp_path / "images", [lfw_name("Ann", 1), lfw_name("Ann", 2)])
    for name in written:
        (tmp_path / "images" / name).rename((tmp_path / "images" / name).with_suffix(suffix))
    (tmp_path / "a").write_text("1\nAnn 1 2\nAnn 2 Ann 1\n")
    pairs.build(pair_lists.read_pairs(tmp_path / "a"), tmp_path / "images", tmp_path / "a.bin", workers=1)
    assert pickle.loads((tmp_path / "a.bin").read_bytes())[0][:2] == list(written.values())
    (tmp_path / "list").write_text(f"a{suffix},b{suffix},same\nc{suffix},d{suffix},different\n")
    assert len(pair_lists.read_pairs(tmp_path / "list").pairs) == 2
