"""A miniature of iQIYI-VID in its own layout: two ground truths, and clips as folders of frames or as video files."""
import os

import cv2
import numpy as np

TRAIN, TEST = "IQIYI_VID_TRAIN", "IQIYI_VID_TEST"


def build(folder, images, labels, frames=3, training=2, video=False):
    """Write the miniature.

    Parameters
    ----------
    folder : path
    images : list of uint8 arrays (height, width, 3)
        RGB.
    labels : sequence of int
        The person of each image. People become identities 1, 2, …; a negative label is nobody's, whose clips are
        ranked and in no ground truth.
    frames : int
        Images of a clip, at most.
    training : int
        A person's clips for training; the others are for the test.
    video : bool
        Whether a clip is a video file; else it is a folder.

    Returns
    -------
    clips : dict of str to list of int
        Clip → its images.
    train, test : dict of int to list of str
        Identity → its clips.
    """
    labels = np.asarray(labels)
    clips, train, test = {}, {}, {}
    for person in np.unique(labels).tolist():
        own = np.flatnonzero(labels == person).tolist()
        for number, first in enumerate(range(0, len(own), frames)):
            kind, truth = (TRAIN, train) if number < training and person >= 0 else (TEST, test)
            name = f"{kind}_{len(clips) + 1:07}.mp4"
            clips[name] = own[first:first + frames]
            if person >= 0:
                truth.setdefault(person + 1, []).append(name)
    for name, rows in clips.items():
        place = os.path.join(folder, name.rsplit("_", 1)[0], name if video else name[:-len(".mp4")])
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if video:
            height, width = images[rows[0]].shape[:2]
            writer = cv2.VideoWriter(place, cv2.VideoWriter_fourcc(*"mp4v"), 25, (width, height))
            for row in rows:
                writer.write(np.ascontiguousarray(images[row][:, :, ::-1]))
            writer.release()
        else:
            os.makedirs(place)
            for number, row in enumerate(rows):
                cv2.imwrite(os.path.join(place, f"{number}.png"), np.ascontiguousarray(images[row][:, :, ::-1]))
    for name, truth in (("train_gt.txt", train), ("test_gt.txt", test)):
        with open(os.path.join(folder, name), "w") as file:
            file.writelines(" ".join([str(identity), *names]) + " \n" for identity, names in truth.items())
    return clips, train, test
