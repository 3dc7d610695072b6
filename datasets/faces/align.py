"""Aligning: the five points of a face go to the same places of every crop (Sec. 3.1: "five facial points").

Accuracy falls by several points where training and test images are aligned differently, or not at all. So nothing here
passes an image through: what has no face, or points that cannot be one, raises `images.Unusable`.
"""
import cv2
import numpy as np

from datasets.formats.images import Unusable

# Left eye, right eye, nose, left and right mouth corner, as seen in the picture, in pixels of a 112×112 crop.
TEMPLATE = np.array([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655),
                     (70.7299, 92.2041)])
LIKENESS = 0.4  # full profiles have about 0.7; a face with its eyes exchanged 0.02


def _complex(points):
    """Return points (5, 2) as five complex numbers around their mean, and the mean."""
    points = np.asarray(points, dtype=np.float64)
    if points.shape != (5, 2):
        raise Unusable(f"has points of shape {points.shape}, where five of x, y are needed")
    if not np.all(np.abs(points) < 1e6):
        raise Unusable("has points that are no places in a picture")
    points = points @ (1, 1j)
    return points - points.mean(), points.mean()


def similarity_transform(points, size=112):
    """Return the transform of least squares that takes five points to the template.

    Rotation, one scale and translation, no reflection; S. Umeyama, "Least-squares estimation of transformation
    parameters between two point patterns", 1991. In the plane such a transform is w = a·z + b on complex numbers,
    and its least squares are those of a straight line.

    Parameters
    ----------
    points : array_like, shape (5, 2)
        x, y in pixels: left eye, right eye, nose, left and right mouth corner, as seen in the picture.
    size : int
        Side of the crop, in pixels.

    Returns
    -------
    ndarray of float64, shape (2, 3)
        As `cv2.warpAffine` takes it.

    Raises
    ------
    Unusable
        The points are not ten finite numbers, or all one.
    """
    z, middle = _complex(points)
    w, goal = _complex(TEMPLATE * (size / 112))
    spread = np.vdot(z, z).real
    if spread < 1e-12:
        raise Unusable("has five points that are all one")
    a = np.vdot(z, w) / spread
    b = goal - a * middle
    return np.array([(a.real, -a.imag, b.real), (a.imag, a.real, b.imag)])


def likeness(points):
    """Return how much of five points a face's template explains: 1 for the template itself, turned, scaled or moved,
    towards 0 for points that no such transform brings near it.
    """
    z, (w, _) = _complex(points)[0], _complex(TEMPLATE)
    spread = np.vdot(z, z).real * np.vdot(w, w).real
    return abs(np.vdot(z, w)) ** 2 / spread if spread else 0.0


def align(image, points, size=112):
    """Cut a face out of a picture.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width) or (height, width, channels)
    points : array_like, shape (5, 2)
        As `similarity_transform` takes them.
    size : int
        Side of the crop, in pixels.

    Returns
    -------
    ndarray of uint8, shape (size, size) or (size, size, channels)
        What lies outside of the picture is black, as in the published datasets.

    Raises
    ------
    Unusable
        The points have no transform.
    """
    matrix = similarity_transform(points, size)
    scale = np.hypot(*matrix[:, 0])
    # Where pixels of the crop lie more than two of the picture apart, sampling alone would show what is between them
    # as noise; and OpenCV takes no picture of a longer side.
    if scale < 0.5 or max(image.shape[:2]) >= 1 << 15:
        image, matrix = _reduced(image, matrix, size, min(1.0, 2 * scale))
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)


def _reduced(image, matrix, size, shrink):
    """Return the part of a picture that a crop needs, shrunk, and the transform from there."""
    back = cv2.invertAffineTransform(matrix)
    corners = np.array([(-1, -1), (size, -1), (-1, size), (size, size)]) @ back[:, :2].T + back[:, 2]
    bounds = np.array(image.shape[1::-1])
    low = np.clip(np.floor(corners.min(0)) - 1, 0, bounds - 1).astype(int)
    high = np.clip(np.ceil(corners.max(0)) + 2, low + 1, bounds).astype(int)
    part = image[low[1]:high[1], low[0]:high[0]]
    sides = np.maximum(1, np.round((high - low) * shrink)).astype(int)
    small = cv2.resize(part, tuple(sides.tolist()), interpolation=cv2.INTER_AREA)
    # Pixel i of the small picture has its centre where (i + 0.5) / shrink - 0.5 is in the large one.
    each = (high - low) / sides
    offset = low + 0.5 * each - 0.5
    return small, np.column_stack([matrix[:, :2] * each, matrix[:, :2] @ offset + matrix[:, 2]])


def choose_face(faces, height, width):
    """Choose whose picture it is: the face with the largest area less twice its squared distance from the centre.

    Both are square pixels, so that the choice does not depend on the picture's size.

    Parameters
    ----------
    faces : sequence of datasets.faces.detector.Face
        At least one.
    height, width : int
        Of the picture.

    Returns
    -------
    datasets.faces.detector.Face
        On a tie, the first.
    """
    def rank(face):
        left, top, wide, high = face.box
        return wide * high - 2 * ((left + wide / 2 - width / 2) ** 2 + (top + high / 2 - height / 2) ** 2)
    return max(faces, key=rank)


def find_face(image, detect):
    """Find the face of a picture.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width, 3)
        RGB.
    detect : callable
        Returns the faces of an image, as `datasets.faces.detector.mtcnn()` does.

    Returns
    -------
    face : datasets.faces.detector.Face
        The one that `choose_face` chooses.
    number : int
        How many were found.

    Raises
    ------
    Unusable
        None was found.
    """
    try:
        faces = detect(image)
    except cv2.error as error:
        raise Unusable(f"is a picture in which the detector fails ({' '.join(str(error).split())[:80]})") from None
    if not faces:
        raise Unusable("shows no face that the detector finds")
    face = choose_face(faces, *image.shape[:2])
    check_points(face.points, *image.shape[:2])
    return face, len(faces)


def check_points(points, height, width):
    """Raise Unusable where five points cannot be those of a face in a picture of that size."""
    if likeness(points) < LIKENESS:
        raise Unusable("has points that are not those of a face: left eye, right eye, nose, left and right mouth "
                       "corner, as seen in the picture")
    x, y = np.mean(points, axis=0)
    if not (0 <= x < width and 0 <= y < height):
        raise Unusable(f"is {width}×{height} and has points around {x:.0f}, {y:.0f}: they belong to another picture")
