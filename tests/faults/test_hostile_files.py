"""Files that are damaged or mean harm: each ends in one line that says which file and what to do, and nothing half.

The readers' own tests (test_records, test_verification_file, test_pairs) have the single cases; here whatever
hypothesis thinks of goes through everything that reads a file, and through the commands.
"""
import contextlib
import io
import os
import pickle
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets import pairs
from datasets.checking.findings import Findings
from datasets.checking.pairs import check_verification_file
from datasets.checking.record import check_record
from datasets.faces import landmarks
from datasets.formats import image_lists, pair_lists, records, verification_file
from runtime import Failure

EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SMALL = [cv2.imencode(".png", np.full((4, 4, 3), shade, np.uint8))[1].tobytes() for shade in range(0, 240, 40)]


def survives(read):
    """Call a function: it returns, or raises a Failure of one line of reasonable length."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return read()
    except Failure as failure:
        assert 0 < len(str(failure)) < 1000
        assert "\n" not in str(failure)
        return None


def check_small(path, findings, workers):
    """Check a record of images of 4×4."""
    return check_record(path, findings, workers, size=4)


def checked(path, check=check_small):
    """Check a file; every line that is printed is a single one."""
    findings = Findings()
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        survives(lambda: check(path, findings, 1))
    assert all(line.startswith(("error: ", "warning: ")) for line in output.getvalue().splitlines())
    return findings


def read_everything(folder):
    layout = records.read_layout(folder)
    return records.read_identities(layout), list(records.iterate(layout))


@pytest.fixture
def folder(tmp_path):
    records.write(tmp_path / "set", [(number // 2, image, f"{number}.png") for number, image in enumerate(SMALL)], 4, 4)
    return tmp_path / "set"


@pytest.fixture
def verification(tmp_path):
    verification_file.write(tmp_path / "a.bin", SMALL[:4], [True, False])
    return tmp_path / "a.bin"


@pytest.mark.parametrize("name", ["train.rec", "train.idx", "property"])
def test_record_cut_at_every_byte(folder, name):
    """The check says so, or the file says the same without what is missing."""
    whole = (folder / name).read_bytes()
    assert checked(folder).errors == 0
    for length in range(0, len(whole), 1 if len(whole) < 100 else 3):
        (folder / name).write_bytes(whole[:length])
        meant = whole[:length].split() == whole.split()
        assert bool(checked(folder).errors) != meant or name == "train.rec"
    (folder / name).write_bytes(whole)


def test_verification_file_cut_at_every_byte(verification):
    whole = verification.read_bytes()
    for length in range(len(whole)):
        verification.write_bytes(whole[:length])
        with pytest.raises(Failure, match=r"a\.bin"):
            verification_file.read(verification)


@EXAMPLES
@given(st.sampled_from(["train.rec", "train.idx", "property"]), st.data())
def test_damaged_record(folder, name, data):
    whole = (folder / name).read_bytes()
    damaged = bytearray(whole)
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    try:
        (folder / name).write_bytes(damaged)
        survives(lambda: read_everything(folder))
        checked(folder)
    finally:
        (folder / name).write_bytes(whole)


@EXAMPLES
@given(st.data())
def test_damaged_verification_file(verification, data):
    whole = verification.read_bytes()
    damaged = bytearray(whole)
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    try:
        verification.write_bytes(damaged)
        survives(lambda: verification_file.decode(*verification_file.read(verification)[:1], size=4))
        checked(verification, check_verification_file)
    finally:
        verification.write_bytes(whole)


@EXAMPLES
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path, content):
    """As every kind of file there is."""
    path = tmp_path / "a"
    path.write_bytes(content)
    for layout in (None, *pair_lists.LAYOUTS):
        survives(lambda layout=layout: pair_lists.read_pairs(path, layout))
    survives(lambda: image_lists.read_list(path))
    survives(lambda: landmarks.read_landmarks(path))
    survives(lambda: records.read_layout(path))
    survives(lambda: records.read_index(str(path), 1000))
    survives(lambda: verification_file.read(path))
    (tmp_path / "property").write_bytes(content)
    survives(lambda: records.read_property(tmp_path))
    checked(path)


WORDS = st.sampled_from(["Ann", "a.jpg", "b c.jpg", "名.jpg", "../../x.jpg", "/etc/passwd", "0", "1", "2", "10", "-1",
                         "Yes", "no", "same", '"', "", "é", "\u2028", "\x1b[31m", "999999999", "1e9"])
LINES = st.lists(st.tuples(st.sampled_from([",", "\t", " "]), st.lists(WORDS, max_size=5)), max_size=6)


@EXAMPLES
@given(LINES, st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_any_list(tmp_path, lines, end):
    text = end.join(separator.join(words) for separator, words in lines)
    (tmp_path / "a").write_text(text, "utf-8")
    for layout in (None, *pair_lists.LAYOUTS):
        found = survives(lambda layout=layout: pair_lists.read_pairs(tmp_path / "a", layout))
        if found:
            assert len(found.pairs) == len(found.issame) > 0
            assert found.folds is None or len(found.pairs) % found.folds == 0
    survives(lambda: image_lists.read_list(tmp_path / "a"))


class Runs:
    """A pickle of this runs a command when it is loaded."""

    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return os.system, (f"touch {self.flag}",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickle_that_runs_something(tmp_path, protocol):
    """Whatever takes a verification file refuses it by name."""
    (tmp_path / "a.bin").write_bytes(pickle.dumps(([Runs(tmp_path / "ran"), b"b"], [True]), protocol))
    for read in (verification_file.read, lambda path: check_verification_file(path, Findings(), 1)):
        with pytest.raises(Failure, match=r"a\.bin is not a verification file: it asks for '.*system'"):
            read(tmp_path / "a.bin")
    assert not (tmp_path / "ran").exists()


def bomb(side=20000):
    """Return a PNG of some hundred kilobytes, right in all its parts, that decodes to more than a gigabyte."""
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes((1 + side) * 50)) for _ in range(side // 50)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)) + \
        chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.slow
def test_image_bombs(tmp_path, root):
    """With a gigabyte of memory, everything that decodes images gets past one that would take more."""
    huge = bomb()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(huge)
    (tmp_path / "images" / "b.png").write_bytes(SMALL[0])
    (tmp_path / "p.csv").write_text("a.png,b.png,1\n")
    (tmp_path / "a.bin").write_bytes(pickle.dumps(([huge, SMALL[0]], [True]), 2))
    records.write(tmp_path / "set", [(0, huge, "a.png"), (0, SMALL[0], "b.png")])
    script = """
import resource
from datasets.faces import crops as shards
from datasets.formats import images, pair_lists, verification_file
from datasets.check import main
from runtime import Failure
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), used + (1 << 30)))
bomb = open("images/a.png", "rb").read()
for aligned in (True, False):
    try:
        shards.make_face(bomb, shards.Settings("images", True), aligned, detect=lambda image: [])
    except images.Unusable as unusable:
        print(unusable)
for path in ("a.bin", "set"):
    try:
        main([path])
    except Failure as failure:
        print(failure)
try:
    verification_file.decode([bomb])
except Failure as failure:
    print(failure)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(root)})
    assert done.stderr == ""
    assert done.stdout.count("20000×20000") == 5, done.stdout


def test_links_out_of_the_root(tmp_path, capsys):
    """Neither a link, nor a path with dots, nor an absolute one, brings in a file from elsewhere."""
    (tmp_path / "images").mkdir()
    (tmp_path / "secret.png").write_bytes(cv2.imencode(".png", np.zeros((112, 112, 3), np.uint8))[1].tobytes())
    (tmp_path / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "images" / "folder").symlink_to(tmp_path)
    (tmp_path / "images" / "loop.png").symlink_to(tmp_path / "images" / "loop.png")
    names = ["link.png", "folder/secret.png", "../secret.png", str(tmp_path / "secret.png"), "loop.png", "folder"]
    listed = pair_lists.PairList([((name,), (name,)) for name in names], np.zeros(len(names), bool), None, "list")
    with pytest.raises(Failure, match="6 of 6 images"):
        pairs.build(listed, str(tmp_path / "images"), str(tmp_path / "a.bin"), workers=1)
    lines = capsys.readouterr().out.splitlines()
    outside = [name in line and "leads out of the folder" in line for name, line in zip(names, lines)]
    assert outside == [True, True, True, True, False, True]
    assert sorted(os.listdir(tmp_path)) == ["images", "secret.png"]


NAMES = ["with space.png", "new\nline.png", "名前.png", "tab\tand, comma.png", 'quo"te.png', "\x1b[31m.png", "ö.png",
         "-rf.png", "%s{}.png", "a" * 200 + ".png"]


@pytest.mark.slow
def test_odd_names(tmp_path, command):
    """They are read where they can be used, and shown in one line where not; no terminal is coloured by them."""
    images = tmp_path / "images of faces\n名"
    images.mkdir()
    for number, name in enumerate(NAMES):
        (images / name).write_bytes(cv2.imencode(".png", np.full((112, 112, 3), 20 * number, np.uint8))[1].tobytes())
    with open(tmp_path / "p.csv", "w", encoding="utf-8", newline="") as file:
        import csv
        csv.writer(file).writerows([name, name, number % 2] for number, name in enumerate(NAMES))
    arguments = ["datasets/pairs.py", "--pairs", tmp_path / "p.csv", "--root", images, "--num-workers", 1]
    done = command(*arguments, "--output", tmp_path / "a b\n名.bin")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(verification_file.read(tmp_path / "a b\n名.bin")[0]) == 2 * len(NAMES)
    for name in NAMES[:6]:
        (images / name).write_bytes(b"no image")
    done = command(*arguments, "--output", tmp_path / "b.bin")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert len(done.stdout.splitlines()) == 6
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("lines", [["0\t0", "1\t-8"], ["0\t0", "1\t99999999999"], ["0\t0", "1\t" + "9" * 23],
                                   ["-1\t0"], ["99999999999999999999999\t0"], ["0\t0", "1\t4"], ["0\t0", "0\t0"],
                                   ["0\t0", "1\t40", "2\t44"], ["1\t0", "2\t40"]])
def test_index_that_points_outside(folder, lines):
    (folder / "train.idx").write_text("\n".join(lines) + "\n")
    with pytest.raises(Failure, match=r"train\.(idx|rec)"):
        read_everything(folder)
    assert checked(folder).errors


@pytest.mark.parametrize("size", [10, 2000, 20_000])
def test_a_disk_that_fills_up(tmp_path, root, size):
    """A limit on the size of files stands in for it: the older file stays, and no temporary."""
    (tmp_path / "images").mkdir()
    for number in range(8):
        pixels = np.random.RandomState(number).randint(0, 256, (112, 112, 3)).astype(np.uint8)
        (tmp_path / "images" / f"{number}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    (tmp_path / "p.csv").write_text("".join(f"{number}.png,{number + 1}.png,1\n" for number in range(7)))
    (tmp_path / "a.bin").write_bytes(b"older")
    script = ("import resource; from datasets import pairs; from runtime import run_command\n"
              f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
              "given = '--pairs p.csv --root images --output a.bin --num-workers 1'.split()\n"
              "run_command(lambda: pairs.main(given))")
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(root)})
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert (tmp_path / "a.bin").read_bytes() == b"older"
    assert not [name for name in os.listdir(tmp_path) if ".part" in name]
