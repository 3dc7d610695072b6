"""A miniature of Trillion-Pairs in its own layout: a list with images, labels, and the feature file."""
import cv2
import numpy as np


def write_features(path, rows):
    """Write a feature file, which is the submission as well."""
    rows = np.asarray(rows, "<f4")
    with open(path, "wb") as file:
        np.array([*rows.shape, 4 * rows.shape[1], 5], "<i4").tofile(file)
        rows.tofile(file)


def build(folder, images, labels, probe_people):
    """Write `images/`, `list.txt` and `labels.txt`.

    Parameters
    ----------
    folder : pathlib.Path
    images : list of uint8 arrays (112, 112, 3)
        RGB.
    labels : sequence of int
        The person of each. Images of the first `probe_people` people are probes, all others gallery.
    probe_people : int

    Returns
    -------
    order : list of int
        The image of each row, probes first.
    labels : list of int
        As in the file.
    """
    known = sorted(set(labels))[:probe_people]
    order = sorted(range(len(labels)), key=lambda place: labels[place] not in known)
    own = [known.index(labels[place]) if labels[place] in known else -1 for place in order]
    (folder / "images").mkdir(parents=True)
    for place in order:
        cv2.imwrite(str(folder / "images" / f"{place}.png"), np.ascontiguousarray(images[place][:, :, ::-1]))
    (folder / "list.txt").write_text("".join(f"{place}.png\n" for place in order))
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in own))
    return order, own
