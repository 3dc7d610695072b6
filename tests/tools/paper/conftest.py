"""Fixtures of the tests of tables and figures."""
import cv2
import pytest

from eval.reporting import plots


@pytest.fixture
def picture():
    """Save a figure under a stem and return its PNG in grey; the SVG is there as well."""
    def save(figure, stem):
        png, svg = plots.save(figure, str(stem))
        with open(svg, encoding="utf-8") as file:
            assert "<svg" in file.read(2000)
        image = cv2.imread(png, cv2.IMREAD_GRAYSCALE)
        assert image.std() > 10
        return image
    return save
