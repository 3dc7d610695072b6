"""The refined protocol: noise lists, and what takes the place of noisy features."""
import numpy as np
import pytest

from eval.protocols import noise_lists
from runtime import Failure

FEATURES = np.random.RandomState(0).normal(size=(5, 4)).astype(np.float32)


def test_lists_are_read(tmp_path, capsys):
    (tmp_path / "f.txt").write_bytes(b"#Please\r\nAnn_1.png\r\n Bob_2.png \r\n\r\n\r\n")
    (tmp_path / "m.txt").write_bytes(b"# x\n3\t1/2/a.jpg\t0.9\n1/2/b.jpg\n1/2/b.jpg\n")
    people = noise_lists.read(tmp_path / "f.txt", False)
    others = noise_lists.read(tmp_path / "m.txt", True)
    assert people.names == {"Ann_1.png", "Bob_2.png"} and others.names == {"1/2/a.jpg", "1/2/b.jpg"}
    found = noise_lists.matched(people, ["Ann_1.png", "Ann_1.png", "Cid_3.png"], "probes")
    assert found.tolist() == [True, True, False]
    said = capsys.readouterr()
    assert "1 of its 2 names match probes" in said.out and said.err == ""


def test_a_list_that_matches_nothing_is_told(tmp_path, capsys):
    (tmp_path / "f.txt").write_text("Ann_1.jpg\n")
    noise = noise_lists.read(tmp_path / "f.txt", False)
    assert not noise_lists.matched(noise, ["Ann_1.png"], "probes").any()
    said = capsys.readouterr()
    assert "0 of its 1 names match" in said.out and "the endings .jpg and .png differ" in said.err
    (tmp_path / "f.txt").write_text("# nothing\n")
    noise_lists.matched(noise_lists.read(tmp_path / "f.txt", False), ["Ann_1.png"], "probes")
    said = capsys.readouterr().err
    assert "no name of" in said and "endings" not in said
    with pytest.raises(Failure, match="missing"):
        noise_lists.read(tmp_path / "none.txt", False)


def test_noisy_probes_are_replaced():
    noisy = np.array([False, True, False, False, True])
    made = noise_lists.probes(FEATURES, ["a", "a", "a", "b", "b"], noisy, seed=3)
    random = np.random.RandomState(3)
    for row, own in ((1, FEATURES[0] + FEATURES[2]), (4, FEATURES[3])):
        total = np.append(own + random.uniform(-0.001, 0.001, 4), 0)
        assert made[row] == pytest.approx(total / np.linalg.norm(total), abs=1e-6)
    assert np.array_equal(made[~noisy, :4], FEATURES[~noisy]) and not made[~noisy, 4].any()
    assert noise_lists.distractor_numbers(noisy).tolist() == [0, 100, 0, 0, 100]


def test_a_person_without_a_clean_image():
    with pytest.raises(Failure, match="all images of b are on the noise list"):
        noise_lists.probes(FEATURES, ["a", "a", "a", "b", "b"], np.array([False, True, False, True, True]))
