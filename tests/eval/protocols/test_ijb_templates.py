"""Templates against the original's loop, as the protocol's description has it."""
import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import normalize

from eval.protocols import ijb_templates
from eval.protocols.ijb_files import Images
from runtime import Failure


def images_of(templates, medias, random):
    count = len(templates)
    return Images([""] * count, np.zeros((count, 5, 2)), random.uniform(0.5, 1, count).astype(np.float32),
                  np.array(templates, np.int64), np.array(medias, np.int64))


def by_loop(images, plain, mirrored, keep_norms, detector_score):
    """One template after the other, one media after the other, in the types that the description gives."""
    rows = plain if mirrored is None else plain + mirrored
    if not keep_norms:
        rows = rows / np.sqrt(np.sum(rows ** 2, axis=1, keepdims=True))
    if detector_score:
        rows = rows * images.scores[:, None]
    found = []
    for template in sorted(set(images.templates.tolist())):
        total = np.zeros(rows.shape[1], np.float32)
        for media in sorted(set(images.medias[images.templates == template].tolist())):
            mine = rows[(images.templates == template) & (images.medias == media)]
            added = np.zeros(rows.shape[1], np.float32)
            for row in mine:
                added += row
            total += added / np.float32(len(mine))
        found.append(total.astype(np.float64))
    return normalize(np.array(found))


@given(st.integers(1, 60), st.integers(1, 8), st.integers(1, 6), st.booleans(), st.booleans(), st.booleans(),
       st.integers(1, 70), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=150)
def test_against_a_loop(count, templates, medias, keep_norms, detector_score, flip, rows, seed):
    """Templates and medias in any order, a media's number used by several templates, blocks of any size."""
    random = np.random.RandomState(seed)
    images = images_of(random.randint(0, templates, count) * 7, random.randint(0, medias, count), random)
    plain, mirrored = random.randn(2, count, 5).astype(np.float32)
    numbers, found = ijb_templates.embed_templates(images, plain, mirrored if flip else None, keep_norms,
                                                   detector_score, rows=rows)
    assert numbers.tolist() == sorted(set(images.templates.tolist()))
    np.testing.assert_array_equal(found, by_loop(images, plain, mirrored if flip else None, keep_norms, detector_score))
    assert found.dtype == np.float64


def test_one_media_of_hundreds_of_images():
    random = np.random.RandomState(0)
    images = images_of([1] * 5 + [2] * 700 + [3], [1, 1, 2, 3, 3, *[9] * 700, 1], random)
    plain = random.randn(706, 16).astype(np.float32)
    for rows in (1, 64, 8192):
        _, found = ijb_templates.embed_templates(images, plain, rows=rows)
        np.testing.assert_array_equal(found, by_loop(images, plain, None, False, False))


def test_the_same_images_make_equal_templates():
    """A template that lists the images of another has the same scores to the last bit, wherever it stands."""
    random = np.random.RandomState(0)
    one = random.randn(9, 512).astype(np.float32)
    images = images_of(np.repeat([1, 2, 3], 9), np.tile([1, 1, 2, 2, 2, 3, 4, 4, 4], 3), random)
    plain = np.concatenate([one, random.randn(9, 512).astype(np.float32), one])
    _, found = ijb_templates.embed_templates(images, plain, rows=10)
    scores = ijb_templates.pair_scores(found, np.array([0, 2, 1, 0]), np.array([1, 1, 2, 2]), threads=2)
    assert scores[0] == scores[1] == scores[2] and scores[3] == pytest.approx(1)


def test_memory_mapped_files_of_other_types(tmp_path):
    random = np.random.RandomState(0)
    images = images_of([1, 1, 2, 3, 2], [1, 2, 3, 4, 5], random)
    plain = random.randn(5, 4)
    np.save(tmp_path / "e.npy", plain)
    _, found = ijb_templates.embed_templates(images, np.load(tmp_path / "e.npy", mmap_mode="r"))
    np.testing.assert_array_equal(found, by_loop(images, plain.astype(np.float32), None, False, False))


def test_refuses_rows_without_a_direction():
    random = np.random.RandomState(0)
    images = images_of([1, 1, 2], [1, 2, 3], random)
    plain = random.randn(3, 4).astype(np.float32)
    plain[1] = 0
    with pytest.raises(Failure, match="^e.npy: row 2 is zero"):
        ijb_templates.embed_templates(images, plain, name="e.npy")
    ijb_templates.embed_templates(images, plain, keep_norms=True)
    plain[1, 2] = np.nan
    with pytest.raises(Failure, match=r"^e.npy: row 2 is not finite: embed"):
        ijb_templates.embed_templates(images, plain, keep_norms=True, name="e.npy")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("size", "mirrored", "keep_norms", "message"), [
    (1e30, None, False, "row 2 is too large to be normalised"),  # its squares overflow: it would count as zero
    (1e300, None, False, "row 2 is not finite: "),  # in float32
    (3e38, 3e38, False, "row 2 is not finite once its mirror image is added: "),
    (3e38, None, True, "the sum over the images of template 7 is too large for float32"),
    (3e38, -3e38, True, None)])
def test_what_overflows_is_refused_in_one_line(size, mirrored, keep_norms, message):
    images = images_of([5, 7, 7], [1, 2, 2], np.random.RandomState(0))
    plain, other = np.ones((3, 4)), None if mirrored is None else np.ones((3, 4))
    plain[1:] = size
    if mirrored:
        other[1:] = mirrored
    with pytest.raises(Failure, match=f"^e.npy: {message}") if message else contextlib.nullcontext():
        ijb_templates.embed_templates(images, plain, other, keep_norms, name="e.npy")


@pytest.mark.parametrize("count", [0, 1, 255, 257, 1000])
def test_scores_of_pairs(count, monkeypatch):
    monkeypatch.setattr(ijb_templates, "SHARE", 300)
    random = np.random.RandomState(count)
    templates = normalize(random.randn(20, 33))
    first, second = random.randint(0, 20, (2, count)).astype(np.int32)
    expected = np.array([np.sum(templates[i] * templates[j]) for i, j in zip(first, second)])
    for threads in (1, 2):
        np.testing.assert_array_equal(ijb_templates.pair_scores(templates, first, second, threads), expected)
