"""The picture of the benchmark's curves."""


import pytest

from tools.benchmarking import picture as benchmark_picture


@pytest.mark.slow
def test_picture(tmp_path):
    curves = [{"panel": panel, "network": "y1", "work": work, "batch": 16, "x": x, "images_per_second": [10.0] * len(x)}
              for panel, x in (("threads", [1, 2]), ("batch", [1, 4]), ("classes", [1000, 100000]))
              for work in ("train", "embed")]
    png, svg = benchmark_picture.draw(str(tmp_path / "throughput.png"), curves)
    assert png == str(tmp_path / "throughput.png")
    with open(png, "rb") as picture, open(svg, encoding="utf-8") as drawing:
        assert picture.read(4) == b"\x89PNG" and "<svg" in drawing.read(2000)
