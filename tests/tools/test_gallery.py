"""Galleries: enrolling people, adding to them, searching, and files that are none."""
import re

import cv2
import numpy as np
import pytest

from eval import verification
from runtime import Failure
from tools import gallery


def test_a_gallery(world, run):
    folder, model, _ = world
    (folder / "people" / "p 3" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (folder / "people" / "nobody").mkdir()
    (folder / "people" / "nobody" / "large.png").write_bytes(cv2.imencode(".png", np.zeros((9, 9, 3)))[1].tobytes())
    said = run(gallery, "enrol", folder / "g.npz", folder / "people", "--model", model, "--aligned")
    assert "p 3: 3 of 4 photographs" in said and "4 people" in said and "nobody: no photograph" in said
    assert "broken.jpg" in said and "large.png is 9×9" in said
    assert [line.strip() for line in run(gallery, "list", folder / "g.npz").splitlines()[1:]] == [
        f"p {person}: 3 photographs" for person in range(4)]
    found = gallery.read(folder / "g.npz")
    for person in range(4):
        total = sum(world.expected(world.face(person, number)) for number in range(3))
        np.testing.assert_allclose(found.templates[f"p {person}"][0], total / np.linalg.norm(total), atol=1e-4)
    for person in (2, 7):
        (folder / f"new{person}.png").write_bytes(world.encoded(person, 9))
    probes = folder / "new2.png", folder / "new7.png"
    said = run(gallery, "search", folder / "g.npz", *probes, "--aligned", "--threshold", 0.9, "--top", 2).splitlines()
    assert said[0].startswith(f"{probes[0]}: p 2 (p 2 0.9") and said[1].startswith(f"{probes[1]}: unknown (p ")
    probe = world.expected(world.face(7, 9))
    near = sorted(((float(template @ probe), name) for name, (template, _) in found.templates.items()), reverse=True)
    assert [name for _, name in near[:2]] == re.findall(r"(p \d) -?0\.", said[1])
    said = run(gallery, "search", folder / "g.npz", *probes, "--aligned").splitlines()
    assert "no threshold is known" in said[0] and ": nearest (p 2" in said[1]
    run(verification, "--model", model, "--target", folder / "pairs.bin", "--calibrate", 0.1)
    assert ": p 2 (" in run(gallery, "search", folder / "g.npz", probes[0], "--aligned")


def test_a_gallery_is_added_to(world, run):
    folder, model, _ = world
    run(gallery, "enrol", folder / "g.npz", folder / "people", "--model", model, "--aligned")
    for person, name in ((8, "new"), (1, "p 1")):
        (folder / "more" / name).mkdir(parents=True)
        (folder / "more" / name / "a.png").write_bytes(world.encoded(person, 0))
    said = run(gallery, "enrol", folder / "g.npz", folder / "more", "--aligned")
    assert "new: 1 of 1 photographs" in said and "p 1: 1 of 1 photographs (again)" in said and "5 people" in said
    other, _ = world.save(folder / "other", 3)
    for do in (("enrol", folder / "g.npz", folder / "more"), ("search", folder / "g.npz", folder / "more/new/a.png")):
        with pytest.raises(Failure, match="made with another network"):
            run(gallery, *do, "--model", other, "--aligned")
    for do, says in ((("enrol", folder / "g.npz", folder / "nowhere"), "is no folder"),
                     (("enrol", folder / "g.npz", folder / "more" / "new"), "one for each person"),
                     (("search", folder / "g.npz", folder / "nothing.jpg"), "none of these"),
                     (("list", folder / "none.npz"), "missing: make it with tools/gallery.py enrol"),
                     (("list", folder / "pairs.bin"), "damaged or not such a file")):
        with pytest.raises(Failure, match=says):
            run(gallery, *do)


def test_galleries_that_are_none(world, run):
    folder, _, _ = world
    fine = {"embeddings": np.eye(2, dtype=np.float32), "labels": np.arange(2), "names": np.array(["a", "b"]),
            "counts": np.ones(2, int), "network": np.array(["m", "1", "f", "flip"])}
    np.savez(folder / "g.npz", **fine)
    assert list(gallery.read(folder / "g.npz").templates) == ["a", "b"]
    for change in ({"names": np.array(["a", "a"])}, {"network": np.array(["m"])}, {"counts": np.ones(3, int)},
                   {"network": np.array(["m", "-1", "f", "flip"])}, {"names": np.array([{}, {}], object)},
                   {"embeddings": np.zeros((2, 2), np.float32)}, {"labels": np.arange(3)}):
        np.savez(folder / "g.npz", **{**fine, **change})
        with pytest.raises(Failure):
            run(gallery, "list", folder / "g.npz")
