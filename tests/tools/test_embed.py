"""Embedding a record, a folder of photographs and a verification file."""
import numpy as np
import pytest

from datasets.formats import embeddings, records, verification_file
from runtime import Failure
from tools import embed


def test_embedding_a_record_a_folder_and_pairs(world, run):
    folder, model, _ = world
    records.write(folder / "rec", [(person, world.encoded(person, number), "x") for person in range(3)
                                   for number in range(2)])
    (folder / "rec" / "identities.txt").write_text("0\t2\tAnn\n2\t2\t\"C\\ty\"\n")
    run(embed, "--model", model, "--data", folder / "rec", "--output", folder / "rec.npz")
    assert embeddings.Embeddings(folder / "rec.npz").identity_names == {0: "Ann", 2: "C\ty"}
    with np.load(folder / "rec.npz", allow_pickle=False) as made:
        assert made["labels"].tolist() == [0, 0, 1, 1, 2, 2] and "names" not in made
        np.testing.assert_allclose(made["embeddings"], [world.expected(world.face(person, number))
                                                        for person in range(3) for number in range(2)], atol=1e-4)
    run(embed, "--model", model, "--data", folder / "people", "--output", folder / "f.npz", "--aligned", "--no-flip")
    with np.load(folder / "f.npz", allow_pickle=False) as made:
        assert made["labels"].tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 and made["names"][4] == "p 1/1.png"
        np.testing.assert_allclose(made["embeddings"][4], world.expected(world.face(1, 1), flip=False), atol=1e-4)
    assert embeddings.Embeddings(folder / "f.npz").identity_names == {person: f"p {person}" for person in range(4)}
    assert "12 embeddings of 6 identities" in run(embed, "--model", model, "--data", folder / "pairs.bin", "--output",
                                                  folder / "p.npz")
    images, _ = verification_file.read(folder / "pairs.bin")
    with np.load(folder / "p.npz", allow_pickle=False) as made:
        shown = [images[int(name.split()[1])] for name in made["names"]]
        labels = made["labels"]
    people = [next(person for person in range(10, 16) for number in range(2) if image == world.encoded(person, number))
              for image in shown]
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
