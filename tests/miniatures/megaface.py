"""A miniature of MegaFace in its own layout: lists, sets of distractors, noise lists, images or feature files."""
import json
import os

import cv2
import numpy as np

HEAD = np.array([1, 4, 5], "<i4")


def lists(root, probes, distractors, sizes, noisy_probes=(), noisy_distractors=(), end="\n"):
    """Write `data/` and `templatelists/`.

    Parameters
    ----------
    root : pathlib.Path
    probes, distractors : lists of str
        `person/image` and `a/b/image`.
    sizes : sequence of int
        Of the nested sets of distractors.
    noisy_probes, noisy_distractors : lists of str
        Lines of the noise lists.
    end : str
        Of lines.
    """
    for folder in ("data", "templatelists"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, lines in (("facescrub_lst", probes), ("megaface_lst", distractors),
                        ("facescrub_noises.txt", ["#a comment", *noisy_probes]),
                        ("megaface_noises.txt", ["#a comment", *noisy_distractors])):
        (root / "data" / name).write_bytes(end.join([*lines, ""]).encode())
    write_set(root / "templatelists" / "facescrub_features_list.json", probes, "facescrub")
    for size in sizes:
        write_set(root / "templatelists" / f"megaface_features_list.json_{size}_1", distractors[:size], "megaface")


def write_set(path, names, kind):
    """Write a list of the devkit; of probes the first part of a name is the person."""
    people = [name.split("/")[0 if kind == "facescrub" else 1] for name in names]
    path.write_text(json.dumps({"id": people, "path": names}))


def feature(path, vector):
    """Write a feature file of the devkit."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        np.append(len(vector), HEAD).astype("<i4").tofile(file)
        np.asarray(vector, "<f4").tofile(file)


def features(folder, vectors, algorithm="arc"):
    """Write feature files: `vectors` has name → vector by kind."""
    for kind, own in vectors.items():
        for name, vector in own.items():
            feature(os.path.join(folder, kind, f"{name}_{algorithm}.bin"), vector)


def build(root, images, labels, probe_people, sizes, noisy=0):
    """Write a miniature with images.

    Parameters
    ----------
    root : pathlib.Path
    images : list of uint8 arrays (112, 112, 3)
        RGB.
    labels : sequence of int
        The person of each. Images of the first `probe_people` people are probes, all others distractors.
    probe_people : int
    sizes : sequence of int
    noisy : int
        So many probes and distractors are on the noise lists.

    Returns
    -------
    probes, distractors : dict of str to int
        Name → image.
    """
    labels, known = np.asarray(labels), sorted(set(labels))[:probe_people]
    probes = {f"Person_{label}/Person_{label}_{place}.png": place for place, label in enumerate(labels)
              if label in known}
    distractors = {f"{label:03}/{label}@N01/{place}_0.png": place for place, label in enumerate(labels)
                   if label not in known}
    lists(root, list(probes), list(distractors), sizes, [name.split("/")[1] for name in list(probes)[:noisy]],
          list(distractors)[:noisy])
    for kind, names in (("facescrub", probes), ("megaface", distractors)):
        for name, place in names.items():
            path = root / "data" / f"{kind}_images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.ascontiguousarray(images[place][:, :, ::-1]))
    return probes, distractors
