"""Aligning, against least squares by brute force, known transforms and real photographs."""
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from datasets.faces.align import align, check_points, choose_face, find_face, likeness, similarity_transform
from datasets.faces.detector import Face
from datasets.formats import images
from datasets.formats.images import Unusable

# The published figures, once more.
PUBLISHED = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
                      [70.7299, 92.2041]])


def turned(points, angle=0.0, scale=1.0, move=(0.0, 0.0)):
    """Return points under a similarity transform, and its matrix (2, 3)."""
    turn = scale * np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    return points @ turn.T + move, np.column_stack([turn, move])


def umeyama(source, target):
    """Umeyama's equations (34) to (42), by singular values, without reflection."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    u, d, v = np.linalg.svd((target - target_mean).T @ (source - source_mean) / len(source))
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(v))])
    rotation = u @ np.diag(sign) @ v
    scale = (d * sign).sum() / ((source - source_mean) ** 2).sum(1).mean()
    return np.column_stack([scale * rotation, target_mean - scale * rotation @ source_mean])


@settings(max_examples=100, deadline=None)
@given(st.floats(-3.1, 3.1), st.floats(0.02, 50), st.tuples(st.floats(-3000, 3000), st.floats(-3000, 3000)),
       st.sampled_from([112, 96, 224]))
def test_known_transforms_are_recovered(angle, scale, move, size):
    template = PUBLISHED * size / 112
    _, forward = turned(template, angle, scale, move)
    points = template @ forward[:, :2].T + forward[:, 2]
    matrix = similarity_transform(points, size)
    np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], template, atol=1e-6)
    np.testing.assert_allclose(np.hypot(*matrix[:, 0]), 1 / scale, rtol=1e-9)


@pytest.mark.parametrize("seed", range(30))
def test_umeyama_and_brute_force_agree(seed):
    """Also on points that are no face, and mirrored ones, where a reflection would fit better."""
    draw = np.random.RandomState(seed)
    points = draw.uniform(0, 250, (5, 2)) if seed % 3 else PUBLISHED * (-1, 1) + draw.normal(0, 3, (5, 2)) + (200, 50)
    matrix = similarity_transform(points)
    np.testing.assert_allclose(matrix, umeyama(points, PUBLISHED), atol=1e-9)
    assert np.linalg.det(matrix[:, :2]) > 0

    def error(x):
        return (points @ np.array([(x[0], x[1]), (-x[1], x[0])]) + x[2:] - PUBLISHED).ravel()

    found = least_squares(error, [1, 0, 0, 0], xtol=1e-15, ftol=1e-15, gtol=1e-15).x
    np.testing.assert_allclose(matrix, [(found[0], -found[1], found[2]), (found[1], found[0], found[3])], atol=1e-5)


@pytest.mark.parametrize("points", [np.ones((5, 2)), np.full((5, 2), np.nan), np.ones((4, 2)), np.ones(10),
                                    [[1, 2], [3, 4], [5, 6], [7, 8], [9, np.inf]], np.full((5, 2), 1e300)])
def test_points_without_a_transform(points):
    with pytest.raises(Unusable):
        similarity_transform(points)


def pattern(x, y, unit=1.0):
    """A picture without detail finer than some pixels, whose value at any place is known."""
    return np.stack([127 + 100 * np.sin(x / 23 / unit + y / 57 / unit), 127 + 100 * np.cos(y / 31 / unit),
                     127 + 60 * np.sin(x / 41 / unit) + 40 * np.cos(y / 19 / unit)], axis=-1)


@pytest.mark.parametrize(("scale", "unit"), [(0.8, 1), (1.3, 1), (2.5, 3), (9.3, 11)])
def test_pixels_come_from_where_the_transform_says(scale, unit):
    """Also from huge pictures, which are shrunk before."""
    side = int(180 * scale)
    y, x = np.mgrid[:side, :side].astype(np.float64)
    image = np.round(pattern(x, y, unit)).astype(np.uint8)
    points, forward = turned(PUBLISHED, 0.2, scale, (side * 0.2, side * 0.1))
    crop = align(image, points)
    v, u = np.mgrid[:112, :112].astype(np.float64)
    at = np.stack([u, v], -1) @ forward[:, :2].T + forward[:, 2]
    inside = np.all((at > scale) & (at < side - 1 - scale), axis=-1)
    assert inside.mean() > 0.9
    assert np.abs(crop - pattern(at[..., 0], at[..., 1], unit))[inside].max() < 4


def test_within_usual_scales_it_is_opencvs_warp():
    image = np.random.RandomState(0).randint(0, 256, (250, 250, 3)).astype(np.uint8)
    points = turned(PUBLISHED, -0.1, 1.2, (40, 60))[0]
    expected = cv2.warpAffine(image, umeyama(points, PUBLISHED), (112, 112), borderValue=0.0)
    np.testing.assert_array_equal(align(image, points), expected)


def test_outside_is_black():
    crop = align(np.full((60, 112, 3), 200, np.uint8), PUBLISHED)
    assert crop[:59].min() >= 199
    assert crop[61:].max() == 0


def test_a_picture_longer_than_opencv_warps():
    image = np.zeros((120, 40000, 3), np.uint8)
    image[:, 39000:39112] = 90
    assert align(image, PUBLISHED + np.array([39000, 0]))[5:100, 5:100].min() == 90


def test_grey_pictures_stay_grey():
    assert align(np.zeros((112, 112), np.uint8), PUBLISHED).shape == (112, 112)


def test_likeness():
    assert likeness(turned(PUBLISHED, 1, 3, (5, 5))[0]) == pytest.approx(1)
    assert likeness(PUBLISHED[[1, 0, 2, 4, 3]]) < 0.1  # left and right exchanged
    assert likeness(np.ones((5, 2))) == 0
    profile = PUBLISHED * (0.25, 1) + (40, 0)
    check_points(profile, 112, 112)
    for points, size in [(PUBLISHED[[1, 0, 2, 4, 3]], 112), (PUBLISHED + 300, 200), (PUBLISHED - 80, 112)]:
        with pytest.raises(Unusable):
            check_points(points, size, size)


def face(left, top, width, height):
    return Face((left, top, width, height), PUBLISHED * width / 112 + (left, top), 1.0)


@pytest.mark.parametrize(("boxes", "chosen"), [
    ([(0, 0, 50, 50), (80, 80, 60, 60)], 1),
    ([(75, 75, 50, 50), (0, 0, 60, 60)], 0),  # the centre outweighs a little size
    ([(75, 75, 50, 50), (0, 0, 180, 180)], 1),  # and much size the centre
    ([(10, 10, 50, 50), (10, 10, 50, 50)], 0)])
def test_choice_of_face(boxes, chosen):
    faces = [face(*box) for box in boxes]
    for scale in (1, 3):  # whatever the picture's size
        scaled = [face(*(side * scale for side in box)) for box in boxes]
        assert choose_face(scaled, 200 * scale, 200 * scale) is scaled[chosen]
    found, number = find_face(np.zeros((200, 200, 3), np.uint8), lambda _: faces)
    assert (found, number) == (faces[chosen], 2)


def test_no_face():
    with pytest.raises(Unusable, match="no face"):
        find_face(np.zeros((50, 50, 3), np.uint8), lambda _: [])


@pytest.fixture(scope="module")
def photographs(shared):
    paths = sorted((shared / "photos").glob("*.jpg"))
    if len(paths) < 5:
        pytest.skip("the photographs are not at ../shared/photos")
    return {path.stem: images.decode(path.read_bytes(), images.PHOTOGRAPH) for path in paths}


def test_real_photographs(detect, photographs, published):
    """The published network takes Rob Lowe's two pictures for one person, and no other two."""
    from eval.networks.checkpoints import load
    from eval.networks.embedder import Embedder
    from eval.networks.engines.by_mxnet import ByMXNet
    crops = np.stack([align(image, find_face(image, detect)[0].points) for image in photographs.values()])
    embeddings = sum(Embedder(ByMXNet(*load(str(published), 0)[:3])).both_flips(crops))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = embeddings @ embeddings.T
    same = tuple(i for i, name in enumerate(photographs) if name.startswith("Rob_Lowe"))
    assert cosines[same] > 0.6
    cosines[same] = cosines[same[::-1]] = -1
    np.fill_diagonal(cosines, -1)
    assert cosines.max() < 0.3


@pytest.mark.parametrize("scale", [0.4, 10])
def test_detection_does_not_depend_on_size(detect, photographs, scale):
    for image in list(photographs.values())[:2]:
        own, _ = find_face(image, detect)
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else 1)
        points = (find_face(image, detect)[0].points + 0.5) / scale - 0.5
        assert np.abs(points - own.points).mean() < 3  # of a face 97 pixels wide


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 3, 3), (11, 300, 3), (112, 112, 3), (3, 5000, 3)])
def test_pictures_without_faces(detect, shape):
    with pytest.raises(Unusable):
        find_face(np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8), detect)
