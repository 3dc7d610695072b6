"""Figure 3: the subset of eight identities, and the picture of their embeddings."""
import numpy as np
import pytest

from datasets.formats import records
from runtime import Failure
from tools.paper import figure3


def test_the_eight_with_most_images(tmp_path):
    counts = [1, 4, 3, 9, 2, 3, 5, 3, 3, 3, 3]
    images = [(label, bytes([label, number]), "x") for label, count in enumerate(counts) for number in range(count)]
    records.write(tmp_path / "all", images)
    assert figure3.write_subset(str(tmp_path / "all"), str(tmp_path / "eight"), most=6) == (3, 6)
    kept = [(int(label), image[0]) for _, label, image in records.iterate(tmp_path / "eight")]
    names = sorted({name for _, name in kept})
    assert names == [1, 2, 3, 5, 6, 7, 8, 9] and [label for label, _ in kept] == [names.index(n) for _, n in kept]
    assert len(kept) == 4 + 3 + 6 + 3 + 5 + 3 + 3 + 3
    records.write(tmp_path / "few", images[:20])
    with pytest.raises(Failure, match="Figure 3 shows 8"):
        figure3.write_subset(str(tmp_path / "few"), str(tmp_path / "none"))


def test_figure3_is_drawn(tmp_path, picture):
    draw = np.random.RandomState(0)
    net = draw.normal(size=(40, 2)), np.arange(40) % 8, draw.normal(size=(8, 2))
    picture(figure3.draw([("(a) Softmax", *net), ("(b) ArcFace", *net)], "caption"), tmp_path / "figure")


@pytest.mark.slow
def test_figure3_from_end_to_end(command, tmp_path, faces):
    of_faces = [image for _, _, image in records.iterate(faces)]
    images = [(label, of_faces[label + number], "x") for label in range(8) for number in range(2)]
    records.write(tmp_path / "eight", images)
    done = command("tools/reproduce.py", "figure3", "--data", tmp_path / "eight", "--max-steps", 2, "--out",
                   tmp_path / "figure", "--", "--ctx", "cpu", "--batch-size", 4, "--num-workers", 1, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    trainings = [line.split(":")[0] for line in done.stdout.splitlines() if line.startswith("== ")]
    assert trainings == ["== softmax", "== softmax", "== arcface"] and done.stdout.count(", going on") == 2
    text = (tmp_path / "figure.svg").read_text()
    assert "Eight identities of eight, 2 images each" in text and (tmp_path / "figure.png").stat().st_size > 10000
