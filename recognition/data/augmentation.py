"""The part of ImageRecordIter's augmentation that the tables use, for images that come in an order of their own."""
import math

import cv2
import numpy as np

KNOWN = frozenset("""max_rotate_angle min_random_scale max_random_scale min_img_size max_img_size rand_crop fill_value
    max_random_contrast max_random_illumination""".split())
"""Options that `augment` follows; they mean what they mean to MXNet's ImageRecordIter."""


def augment(image, options, rng):
    """Return an image rotated, scaled, shifted and lit at random.

    Parameters
    ----------
    image : uint8 array, shape (H, W, C)
    options : dict
        Of those in `KNOWN`; others are left aside.
    rng : numpy.random.Generator

    Returns
    -------
    float32 array, shape (H, W, C)
        About 0…255; as in MXNet, lighting is not cut off there.
    """
    height, width = image.shape[:2]
    turn = int(options.get("max_rotate_angle", 0))
    angle = math.radians(rng.integers(-turn, turn, endpoint=True))
    scale = rng.uniform(options.get("min_random_scale", 1.0), options.get("max_random_scale", 1.0))
    smallest, largest = options.get("min_img_size", 0), options.get("max_img_size", 1e10)
    size = np.clip([scale * width, scale * height], smallest, largest)
    # About the image's centre, which goes to that of a canvas of the new size.
    matrix = scale * np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    shift = (size - matrix @ [width, height]) / 2
    size = size.astype(int)
    if turn or scale != 1 or smallest or largest < 1e10:
        image = cv2.warpAffine(image, np.column_stack([matrix, shift]), tuple(size.tolist()),
                               borderValue=[options.get("fill_value", 255)] * 3)
    if min(size - [width, height]) < 0:
        image = cv2.resize(image, (max(width, size[0]), max(height, size[1])))
    spare = np.array(image.shape[:2]) - [height, width]
    top, left = rng.integers(0, spare, endpoint=True) if options.get("rand_crop") else spare // 2
    contrast, light = (rng.uniform(-1, 1) * options.get(f"max_random_{name}", 0)
                       for name in ("contrast", "illumination"))
    return image[top:top + height, left:left + width].astype(np.float32) * np.float32(1 + contrast) + np.float32(light)
