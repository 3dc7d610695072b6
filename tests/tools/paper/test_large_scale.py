"""Tables 6 and 8 and Figure 8 from results as the commands write them."""
import pytest

from eval.protocols import megaface_files
from eval.reporting import results
from runtime import Failure
from tools.paper import large_scale


def kept(folder, benchmark, values, protocol=None, fingerprint="f", flip=True, **data):
    prefix = str(folder / "model")
    results.keep(prefix, benchmark, results.of_benchmark(
        {"name": benchmark, **(protocol or {})}, values, {"path": "x", **data},
        {"prefix": prefix, "epoch": 1, "fingerprint": fingerprint}, flip, "mxnet"))
    return prefix


def test_table6(tmp_path):
    one = {"rank": {"1": 0.5}, "tar_strict": {"1e-06": 0.25}}
    two = {"rank": {"1": 0.9754}, "tar_strict": {"1e-06": 0.125}}
    prefix = kept(tmp_path, "megaface", {"by_distractors": {"10": one, "1000000": two}},
                  {"refined": True, "protocol": "large"})
    kept(tmp_path, "megaface", {"by_distractors": {"10": one}}, {"refined": False, "protocol": None})
    own = large_scale.rows("table6", prefix, "f", True)
    assert own == [("1,000,000 distractors, large, R", [97.54, 12.5]),
                   ("10 distractors, small or large not known", [50, 25])]
    text = large_scale.text("table6", "arcface, epoch 1", own, True)
    assert "| **here: arcface, epoch 1, 1,000,000 distractors, large, R** | 97.54 | 12.50 |" in text
    assert "| MS1MV2, R100, ArcFace, R | 98.35 | 98.48 |" in text and "| SphereFace+ | 73.03 | – |" in text
    assert large_scale.rows("table6", prefix, "g", True) == large_scale.rows("table6", prefix, "f", False) == []
    kept(tmp_path, "megaface", {"by_distractors": []})  # something else is passed over
    assert large_scale.rows("table6", prefix, "f", True) == own


def test_table8(tmp_path):
    prefix = kept(tmp_path, "trillionpairs", {"tpr": {"1e-09": 0.5}, "identification": {"1e-03": 0.75}}, flip=False,
                  probes=350, gallery=1600)
    own = large_scale.rows("table8", prefix, "f", False)
    assert own == [("350 probes, 1,600 in the gallery", [75, 50])]
    kept(tmp_path, "trillionpairs", {"tpr": {"1e-08": 0.5}, "identification": {"1e-03": 0.5}}, {"fpr": [1e-8]},
         flip=False, probes=350, gallery=1600)
    assert large_scale.rows("table8", prefix, "f", False) == own, "a newer one without the table's rate"
    assert "this project's reading" in large_scale.text("table8", "m", own, False)
    assert "eval/trillionpairs.py" in large_scale.text("table8", "m", [], False)


def test_figure8(tmp_path, picture):
    path = megaface_files.result_path(tmp_path, "arc", 100, 1)
    megaface_files.write_result(path, [0.5, 0.75, 1], [1e-6, 1e-3], [0.25, 0.5])
    figure = large_scale.figure8([path, path])
    assert figure.axes[0].get_legend().get_texts()[0].get_text() == "arc_100_1 (50.00 %)"
    picture(figure, tmp_path / "figure8")
    with pytest.raises(Failure, match="missing"):
        large_scale.figure8([tmp_path / "none.json"])
