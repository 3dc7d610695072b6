"""A miniature of YouTube Faces in its own layout: folders of frames, and the list of pairs."""
import os

import cv2
import numpy as np

HEADER = "split number, pair number, first name, second name, is the same name, is the same person"


def build(folder, images, labels, videos=3, splits=4, pairs=6, seed=0, aligned=True):
    """Write the miniature.

    Parameters
    ----------
    folder : path
    images : list of uint8 arrays (height, width, 3)
        RGB.
    labels : sequence of int
        The person of each image.
    videos : int
        Videos of a person; the person's images are dealt over them, so that their numbers of frames differ by one.
    splits, pairs : int
        Of the list: splits, and pairs of each kind in a split.
    aligned : bool
        Whether the frames lie in `aligned_images_DB` or in `frame_images_DB`.

    Returns
    -------
    frames : dict of str to list of int
        Video → its images, in the order of the frames.
    listed : list of (int, str, str, bool)
        Split, first and second video, and whether they show one person.
    """
    random, labels = np.random.RandomState(seed), np.asarray(labels)
    frames = {}
    for person in np.unique(labels).tolist():
        own = np.flatnonzero(labels == person)
        for number in range(videos):
            frames[f"Person_{person:02}/{number}"] = own[number::videos].tolist()
    for name, rows in frames.items():
        place = os.path.join(folder, "aligned_images_DB" if aligned else "frame_images_DB", *name.split("/"))
        os.makedirs(place)
        for frame, row in enumerate(rows, 9):  # so that 10 comes after 9 and not before it
            file = f"{'aligned_detect_' if aligned else ''}{name.split('/')[1]}.{frame}.png"
            cv2.imwrite(os.path.join(place, file), np.ascontiguousarray(images[row][:, :, ::-1]))
    names, listed = list(frames), []
    for split in range(1, splits + 1):
        for number in range(2 * pairs):
            first = names[random.randint(len(names))]
            others = [name for name in names if name != first
                      and (name.split("/")[0] == first.split("/")[0]) == (number % 2 == 0)]
            listed.append((split, first, others[random.randint(len(others))], number % 2 == 0))
    write_list(os.path.join(folder, "splits.txt"), listed)
    return frames, listed


def write_list(path, listed, header=HEADER, end="\n"):
    """Write a list of pairs as `build` returns it."""
    lines = [header] if header else []
    lines += [f"{split}, {number}, {first}, {second}, {int(same)}, {int(same)}"
              for number, (split, first, second, same) in enumerate(listed, 1)]
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(end.join(lines) + end)
