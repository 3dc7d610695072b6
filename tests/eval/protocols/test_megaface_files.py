"""MegaFace's files: lists, sets of distractors, features, result files, and what is said of wrong ones."""
import json

import numpy as np
import pytest

from eval.protocols import megaface_files as files
from runtime import Failure
from tests.miniatures import megaface as miniature

PROBES = ["a/a_1.png", "a/a_2.png", "b/b_1.png"]
OTHERS = [f"{number}/{number}@N/{number}_0.jpg" for number in range(12)]


@pytest.fixture
def root(tmp_path):
    miniature.lists(tmp_path, PROBES, OTHERS, (3, 12), end="\r\n")
    return tmp_path


def test_lists(root):
    with open(root / "data" / "facescrub_lst", "ab") as file:
        file.write(b"/some/where/b/b_2.png\r\n\r\n\r\n")
    paths, listed = files.read_lst(root, "facescrub")
    assert listed.names == [*PROBES, "b/b_2.png"] and paths[-1] == "/some/where/b/b_2.png"
    probes = files.read_template_list(root / "templatelists" / "facescrub_features_list.json", "facescrub")
    assert (probes.names, probes.people) == (PROBES, ["a", "a", "b"])
    sets = files.distractor_sets(root)
    assert [(one.number, one.set) for one in sets] == [(3, 1), (12, 1)]
    assert files.read_distractors(sets[1]).names == OTHERS
    assert [one.number for one in files.distractor_sets(root, [12])] == [12]


def test_wrong_lists(root):
    with pytest.raises(Failure, match="no set of 7 distractors; there are sets of 3, 12"):
        files.distractor_sets(root, [7])
    path = root / "templatelists" / "megaface_features_list.json_5_1"
    miniature.write_set(path, OTHERS[:4], "megaface")
    with pytest.raises(Failure, match="4 images, and its name tells 5"):
        files.read_distractors(files.distractor_sets(root, [5])[0])
    for content in ("", "{", "[]", '{"id": [1], "path": []}', '{"id": [1], "path": [2]}', '{"path": []}',
                    '{"id": [], "path": []}', "[" * 100_000):
        path.write_text(content)
        with pytest.raises(Failure, match="two lists of the same length"):
            files.read_template_list(path, "megaface")
    path.write_text('{"id": [1], "path": ["a/b/\\ud800.jpg"]}')
    with pytest.raises(Failure, match=r"json_5_1: a/b/\\ud800.jpg cannot be a path"):
        files.read_template_list(path, "megaface")
    for line in ("x.png", "a/../b.png/..", ""):
        (root / "data" / "facescrub_lst").write_text(f"{line}\n")
        with pytest.raises(Failure, match="no path of 2 parts|is empty"):
            files.read_lst(root, "facescrub")
    (root / "data" / "facescrub_lst").unlink()
    with pytest.raises(Failure, match=r"missing: MegaFace's folder has data/"):
        files.read_lst(root, "facescrub")


def test_features(tmp_path):
    vectors = {name: np.random.RandomState(place).normal(size=6) for place, name in enumerate(OTHERS)}
    miniature.features(tmp_path, {"megaface": vectors})
    found = files.read_features(tmp_path, "megaface", [OTHERS[3], OTHERS[3], OTHERS[0]], "arc", extra=1)
    assert found.shape == (3, 7) and not found[:, 6].any()
    assert found[:, :6] == pytest.approx(np.array([vectors[OTHERS[place]] for place in (3, 3, 0)]), abs=1e-6)
    with pytest.raises(Failure, match=r"missing: .* give --model to write them"):
        files.read_features(tmp_path, "megaface", OTHERS, "other")
    with pytest.raises(Failure, match="has 6 numbers, and the others have 5"):
        files.read_features(tmp_path, "megaface", OTHERS, "arc", 5)
    path = tmp_path / "megaface" / f"{OTHERS[1]}_arc.bin"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(Failure, match="cut short"):
        files.read_features(tmp_path, "megaface", OTHERS, "arc")


def test_result_files(tmp_path):
    path = files.result_path(tmp_path, "arc", 1000, 2)
    assert path.endswith("cmc_facescrub_megaface_arc_1000_2.json")
    files.write_result(path, [0.5, 1.0], [1e-6, 1e-3], [0.25, 0.75])
    assert json.loads((tmp_path / path).read_text()) == {"cmc": [[0, 1], [0.5, 1.0]],
                                                         "roc": [[1e-6, 1e-3], [0.25, 0.75]]}
    cmc, roc = files.read_result(path)
    assert cmc.tolist() == [[0, 1], [0.5, 1]] and roc.tolist() == [[1e-6, 1e-3], [0.25, 0.75]]
    for content in ("{", "{}", '{"cmc": [[0], [2]], "roc": [[0], [1]]}', '{"cmc": [0, 1], "roc": [[0], [1]]}',
                    '{"cmc": [[0], [NaN]], "roc": [[0], [1]]}', '{"cmc": [["x"], [1]], "roc": [[0], [1]]}'):
        (tmp_path / "x.json").write_text(content)
        with pytest.raises(Failure, match="no result file of the devkit"):
            files.read_result(str(tmp_path / "x.json"))
