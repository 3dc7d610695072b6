"""Photographs from end to end with the published network: calibrating, comparing, enrolling and searching."""
import pytest

from eval import verification
from tools import compare, gallery

pytestmark = pytest.mark.slow


def test_the_published_network_on_photographs(published, shared, orl, detect, tmp_path, run):
    model, photos = f"{published},0", shared / "photos"
    run(verification, "--model", model, "--target", orl / "orl.bin", "--calibrate", 1e-3, "--calibration",
        tmp_path / "thr.json")
    given = ("--model", model, "--calibration", tmp_path / "thr.json")
    said = run(compare, photos / "Rob_Lowe_0001.jpg", photos / "Rob_Lowe_0002.jpg", *given)
    assert "\nsame person: " in said and "450 impostor pairs cannot show a rate below" in said
    for name in ("Rob_Lowe_0001", "Aaron_Eckhart_0001", "Nathalie_Baye_0002"):
        (tmp_path / "people" / name[:-5]).mkdir(parents=True)
        (tmp_path / "people" / name[:-5] / "a.jpg").write_bytes((photos / f"{name}.jpg").read_bytes())
    run(gallery, "enrol", tmp_path / "g.npz", tmp_path / "people", "--model", model)
    said = run(gallery, "search", tmp_path / "g.npz", photos / "Rob_Lowe_0002.jpg", photos / "Aaron_Peirsol_0002.jpg",
               "--calibration", tmp_path / "thr.json")
    assert "Rob_Lowe_0002.jpg: Rob_Lowe (" in said and "Aaron_Peirsol_0002.jpg: unknown (" in said
