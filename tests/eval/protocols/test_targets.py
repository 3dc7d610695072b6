"""Which verification files a name or a path means."""
import pytest

from eval.protocols.targets import find_targets
from runtime import Failure


@pytest.fixture
def sets(tmp_path):
    """A folder with `lfw.bin`, and `agedb_30.bin` in a folder of it."""
    (tmp_path / "faces").mkdir()
    for name in ("lfw.bin", "faces/agedb_30.bin"):
        (tmp_path / name).touch()
    return tmp_path


def test_names_and_paths(sets):
    lfw, agedb = ("lfw", str(sets / "lfw.bin")), ("agedb_30", str(sets / "faces" / "agedb_30.bin"))
    assert find_targets(None, str(sets)) == ([lfw, agedb], ["cfp_fp"])
    assert find_targets("agedb_30.bin, lfw.bin", str(sets)) == ([agedb, lfw], [])
    assert find_targets("faces/agedb_30.bin", str(sets)) == ([agedb], [])
    assert find_targets(f"agedb_30,{sets / 'lfw.bin'}", str(sets)) == ([agedb, lfw], [])


def test_the_first_folder_wins(sets):
    for folder in ("z", "a"):
        (sets / folder).mkdir()
        (sets / folder / "own.bin").touch()
    assert find_targets("own", str(sets)) == ([("own", str(sets / "a" / "own.bin"))], [])
    (sets / "own.bin").touch()
    assert find_targets("own", str(sets)) == ([("own", str(sets / "own.bin"))], [])


@pytest.mark.parametrize("target, said", [
    ("lfw,cfp_fp", "cfp_fp.bin is neither in"), ("nowhere/x.bin", "is missing"),
    ("x.bin", "x.bin is missing, here and in "), ("/no/x.bin", "is missing; give")])
def test_what_was_asked_for_has_to_be_there(sets, target, said):
    with pytest.raises(Failure, match=f"{said}.*--data-dir"):
        find_targets(target, str(sets))


def test_nothing_at_all(sets):
    with pytest.raises(Failure, match=r"none of lfw.bin, cfp_fp.bin, agedb_30.bin .*orl"):
        find_targets(None, str(sets / "nowhere"))
