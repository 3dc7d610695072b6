import cv2

from eval.reporting import roc_picture

CURVE = {"far": [1e-6, 1e-4, 1e-2, 1], "tar": [0.2, 0.6, 0.9, 1]}


def test_a_picture_with_any_title(tmp_path):
    roc_picture.write(str(tmp_path / "a.png"), "$x\udcff", [("$N0$", CURVE), ("none", None)])
    assert cv2.imread(str(tmp_path / "a.png"), 0).std() > 10
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_the_axes_show_rates_from_a_millionth_on():
    figure, axes = roc_picture.plt.subplots()
    roc_picture.draw_roc(axes, "IJBC", [("one", CURVE), ("two", CURVE)])
    assert axes.get_xscale() == "log" and axes.get_xlim() == (1e-6, 1)
    assert [line.get_label() for line in axes.lines] == ["one", "two"]
    roc_picture.plt.close(figure)
