"""IJB-B or IJB-C in its own file layout, made of a few pictures of faces.

    loose_crop/1.jpg …, meta/ijbc_name_5pts_score.txt, …_face_tid_mid.txt, …_template_pair_label.txt,
    …_1N_gallery_G1.csv, …_1N_gallery_G2.csv, …_1N_probe_mixed.csv
"""
from pathlib import Path

import cv2
import numpy as np

from datasets.faces.align import TEMPLATE
from eval.protocols.ijb_files import TARGETS

HEADER = "TEMPLATE_ID,SUBJECT_ID,FILENAME,SIGHTING_ID,FACE_X,FACE_Y,FACE_WIDTH,FACE_HEIGHT"


def loose(face, shift):
    """Return a larger picture with an aligned face of 112×112 in it, and the face's five points there."""
    picture = np.full((160, 160, 3), 90, np.uint8)
    down, right = shift
    picture[down:down + 112, right:right + 112] = face
    return picture, TEMPLATE + np.array([right, down])


def build(folder, images, labels, target="IJBC", seed=0, suffix=".jpg"):
    """Write a miniature.

    A person's first two images are a template of the gallery. The others are probe templates of up to four images, the
    first two of which are frames of one media. People take turns to be in the first and in the second gallery.

    Parameters
    ----------
    folder : str or os.PathLike
    images : uint8 array, shape (N, 112, 112, 3)
        Aligned faces, RGB.
    labels : int array, shape (N,)
        At least three images of each person.
    target : {"IJBB", "IJBC"}
    seed : int
        Of the places of the faces in their pictures, and of the detector's scores.
    suffix : str
        Of the pictures. ".png" loses nothing.

    Returns
    -------
    list of int
        The places of `images` in the order of the list.
    """
    folder, random, prefix = Path(folder), np.random.RandomState(seed), target.lower()
    (folder / "meta").mkdir(parents=True)
    (folder / "loose_crop").mkdir()
    templates = []  # (subject, gallery or None, places of its images)
    for turn, label in enumerate(np.unique(labels)):
        places = np.flatnonzero(np.asarray(labels) == label).tolist()
        templates.append((int(label), turn % 2, places[:2]))
        templates += [(int(label), None, places[begin:begin + 4]) for begin in range(2, len(places), 4)]
    points, medias, lists, order, media = [], [], {0: [HEADER], 1: [HEADER], None: [HEADER]}, [], 100
    for number, (subject, gallery, places) in enumerate(templates, 1):
        for turn, place in enumerate(places):
            order.append(place)
            media += not (gallery is None and turn == 1)
            name = f"{len(order)}{suffix}"
            picture, five = loose(images[place], random.randint(0, 49, 2))
            quality = [cv2.IMWRITE_JPEG_QUALITY, 98] if suffix == ".jpg" else []
            cv2.imwrite(str(folder / "loose_crop" / name), picture[..., ::-1], quality)
            numbers = " ".join(f"{one:.4f}" for one in five.ravel())
            points.append(f"{name} {numbers} {random.uniform(0.7, 1):.3f}")
            medias.append(f"{name} {number} {media}")
            lists[gallery].append(f"{number},{subject},img/{name},{len(order)},0,0,112,112")
    enrolled = [(number, one) for number, one in enumerate(templates, 1) if one[1] is not None]
    probes = [(number, one) for number, one in enumerate(templates, 1) if one[1] is None]
    pairs = [f"{first} {second} {one[0] == other[0]:d}" for first, one in enrolled for second, other in probes]
    meta = folder / "meta"
    for name, lines in ((f"{prefix}_name_5pts_score.txt", points), (f"{prefix}_face_tid_mid.txt", medias),
                        (f"{prefix}_template_pair_label.txt", pairs), (f"{prefix}_1N_probe_mixed.csv", lists[None]),
                        *((f"{prefix}_1N_gallery_{gallery}.csv", lists[turn])
                          for turn, gallery in enumerate(TARGETS[target]))):
        (meta / name).write_text("\n".join(lines) + "\n")
    return order
