"""Folders and files whose names are bytes that are no UTF-8, or that have signs which lines and lists divide by."""
import json
import os
import shutil

import numpy as np
import pytest

from datasets.formats import records
from datasets.formats.image_lists import read_list
from eval.networks import checkpoints
from eval.reporting import plots
from recognition.data.images import sidecar, train_iterator
from recognition.training.pretrained import load
from runtime import mx
from runtime.files import plain_name, whole_file
from symbols import get_symbol

NAMES = [b"donn\xe9es", b"\xff\xfe", "données".encode(), b"two\nlines\tand \"tabs\"", b"a" * 200]


def made(parent, name):
    """Make a folder whose name has these bytes, and return its path as Python spells it."""
    path = os.path.join(str(parent), os.fsdecode(name))
    try:
        os.mkdir(path)
    except OSError as error:
        pytest.skip(f"this file system has no such names: {error.strerror}")
    return path


@pytest.fixture(params=NAMES, ids=["latin-1", "no-text", "utf-8", "signs", "long"])
def folder(request, tmp_path):
    """A folder of each such name."""
    return made(tmp_path, request.param)


@pytest.fixture
def latin(tmp_path):
    """A folder with the name of `données` as Latin-1 has it."""
    return made(tmp_path, NAMES[0])


@pytest.fixture
def said(command):
    """Run a command where stdout takes ASCII alone; return its lines. It must end well, or say in one line why not."""
    def run(*arguments, status=0, **environment):
        done = command(*arguments, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, timeout=300)
        assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
        if status == 1:
            assert done.stderr.count("\n") == 1, done.stderr
            return done.stderr
        return done.stdout
    return run


def network(prefix, epoch=0):
    """Write a checkpoint of the smallest embedding network."""
    net = mx.sym.Pooling(mx.sym.Variable("data") - 127.5, kernel=(16, 16), stride=(16, 16), pool_type="avg")
    net = mx.sym.FullyConnected(net, num_hidden=8, name="fc1")
    weight = mx.nd.array(np.random.RandomState(0).normal(size=(8, 147)))
    checkpoints.save(prefix, epoch, net, {"fc1_weight": weight, "fc1_bias": mx.nd.ones(8)}, {})
    return f"{prefix},{epoch}"


# In this process

def test_a_plain_name_opens_the_file(folder):
    path = os.path.join(folder, "file")
    with open(path, "wb"), plain_name(path, "rb+") as name:
        assert name.encode()  # which a name with bytes that are no UTF-8 refuses
        with open(name, "w") as file:
            file.write("content")
    with open(path) as file:
        assert file.read() == "content"
    with plain_name(folder) as name, open(os.path.join(name, "file")) as file:
        assert file.read() == "content"


def test_no_descriptor_stays_open(latin):
    def descriptors():
        return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    network(os.path.join(latin, "model"))
    before = descriptors()
    for _ in range(3):
        checkpoints.load(os.path.join(latin, "model"), 0)
    assert descriptors() == before


def test_a_record_is_written_and_read(folder, faces):
    """Each image once an epoch, over two epochs, as the copy of the same images under a plain name gives them."""
    layout = records.read_layout(faces)
    images = [(label, image, f"{key}") for key, label, image in records.iterate(layout)]
    records.write(folder, images)
    with open(os.path.join(folder, "train.rec"), "rb") as ours, open(faces / "train.rec", "rb") as theirs:
        assert ours.read() == theirs.read()
    batches = train_iterator(folder, 8, mirror=False, num_workers=1, cache_dir=os.path.join(folder, "cache"))
    for _ in range(2):
        labels = np.concatenate([batch.label[0].asnumpy() for batch in batches])
        assert sorted(labels) == sorted(label for label, _, _ in images)
        batches.reset()


def test_the_index_in_the_users_cache(latin, faces, monkeypatch):
    """Its name is made of the record's."""
    for name in ("train.rec", "train.idx", "property"):
        shutil.copy(faces / name, latin)
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.join(latin, "cache"))
    monkeypatch.setattr("os.path.dirname", lambda path, before=os.path.dirname: (
        os.path.join(latin, "property") if path.endswith("train.rec") else before(path)))  # no place beside the record
    assert os.path.isfile(sidecar(records.read_layout(os.path.join(latin, "train.rec")), 0, 1))


def test_a_checkpoint_is_written_and_read(folder):
    source = get_symbol("fmobilefacenet", emb_size=8, net_output="GDC", net_blocks=[1, 1, 1, 1])
    arguments, _, states = source.infer_shape(data=(1, 3, 112, 112))
    args, auxs = ({name: mx.nd.ones(shape) for name, shape in zip(names, shapes)} for names, shapes in (
        (source.list_arguments(), arguments), (source.list_auxiliary_states(), states)))
    prefix = os.path.join(folder, "mod\udce8le" if "\udce9" in folder else "model")
    checkpoints.save(prefix, 3, source, args, auxs)
    assert checkpoints.parse(f"{prefix}, 3") == (prefix, [3]) and checkpoints.parse(prefix) == (prefix, [3])
    loaded = load(prefix, 3, source)
    assert len(loaded[0]) + len(loaded[1]) == len(args) + len(auxs) - 1  # less the data
    assert checkpoints.newest(folder) == (prefix, 3)


def test_text_for_people_takes_any_name(latin):
    path = os.path.join(latin, "text")
    with whole_file(path, "w") as file:
        file.write(latin)
    with open(path, encoding="utf-8") as file:
        assert file.read().endswith("donn\\udce9es")


# Commands, each in a process of its own

@pytest.mark.slow
def test_training_and_resuming(latin, faces, said):
    """With the data, the models and the user's cache in such a folder, where stdout takes ASCII alone."""
    for name in ("train.rec", "train.idx", "property", "tiny.bin"):
        shutil.copy(faces / name, latin)
    environment = {"PYTHONIOENCODING": "ascii", "XDG_CACHE_HOME": os.path.join(latin, "cache")}
    prefix = os.path.join(latin, "models", "mnas025-arcface-tiny", "model")
    train = ("recognition/train.py", "--network", "mnas025", "--loss", "arcface", "--dataset", "tiny",
             "--dataset-path", latin, "--models-root", os.path.join(latin, "models"), "--ctx", "cpu", "--lr", "0.0001",
             "--per-batch-size", "4", "--num-workers", "1", "--target", "tiny.bin")
    assert "saving 1" in said(*train, "--max-steps", "1", **environment)
    assert "after step 1" in said(*train, "--max-steps", "2", "--resume", **environment)
    out = said(*train, "--max-steps", "1", "--target", "", "--pretrained", f"{prefix}, 1", **environment)
    assert "307 of 307 arrays loaded" in out and "donn\\udce9es" in out
    with open(os.path.join(os.path.dirname(prefix), "config.json"), encoding="utf-8") as file:
        assert json.load(file)["dataset_path"] == latin


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
                         ids=["utf-8", "no-locale"])
def test_verifying(latin, faces, said, environment):
    shutil.copy(faces / "tiny.bin", latin)
    model = network(os.path.join(latin, "mod\udce8le")).replace(",", ", ")
    out = said("eval/verification.py", "--model", model, "--target", "tiny.bin", "--data-dir", latin, "--nfolds", "4",
               "--mode", "1", "--output", os.path.join(latin, "out"), "--json", os.path.join(latin, "out.json"),
               "--calibrate", "0.1", XDG_CACHE_HOME=os.path.join(latin, "cache"), **environment)
    assert "[tiny]Accuracy-Flip" in out and os.path.isfile(os.path.join(latin, "out", "tiny-worst.png"))
    with open(os.path.join(latin, "out.json"), encoding="utf-8") as file:
        assert json.load(file)["data"]["path"] == os.path.join(latin, "tiny.bin")


@pytest.mark.slow
def test_a_dataset_that_is_missing_is_one_line(latin, said):
    line = said("recognition/train.py", "--dataset", "tiny", "--dataset-path", latin, status=1)
    assert "donn\\udce9es" in line and "train.rec is missing" in line


@pytest.mark.slow
def test_datasets_from_photographs(latin, faces, said):
    """People and photographs with such names; the list that is written names them so that it is read back."""
    root, mine, files, packed = (os.path.join(latin, name) for name in ("people", "mine", "files", "packed"))
    names = ["p\udce8re", "two\nlines", "plain"]
    for key, label, image in records.iterate(records.read_layout(faces)):
        if label < 3:
            os.makedirs(os.path.join(root, names[int(label)]), exist_ok=True)
            with open(os.path.join(root, names[int(label)], f"\udcff{key}.jpg"), "wb") as file:
                file.write(image)
    assert "12 images" in said("datasets/folder.py", root, mine, PYTHONIOENCODING="ascii")
    listed = read_list(os.path.join(mine, "train.lst"))
    assert {os.path.dirname(entry.path) for entry in listed} == set(names)
    assert all(os.path.isfile(os.path.join(root, entry.path)) for entry in listed)
    assert "0 errors" in said("datasets/check.py", mine)
    said("datasets/convert.py", "unpack", mine, files)
    said("datasets/convert.py", "pack", files, packed)
    said("datasets/merge.py", mine, packed, "--output", os.path.join(latin, "both"))
    assert len(records.read_layout(os.path.join(latin, "both")).images) == 24


@pytest.mark.slow
def test_photographs_and_galleries(latin, faces, said):
    root, out, model = os.path.join(latin, "people"), os.path.join(latin, "g.npz"), network(os.path.join(latin, "m"))
    for key, _, image in list(records.iterate(records.read_layout(faces)))[:2]:
        os.makedirs(os.path.join(root, f"p\udce8re {key}"))
        with open(os.path.join(root, f"p\udce8re {key}", "\udcff.jpg"), "wb") as file:
            file.write(image)
    assert "2 embeddings of 2" in said("tools/embed.py", "--model", model, "--aligned", "--data", root, "--output",
                                       os.path.join(latin, "e.npz"))
    said("tools/gallery.py", "enrol", out, root, "--aligned", "--model", model)
    assert "p\\udce8re 1" in said("tools/gallery.py", "list", out, PYTHONIOENCODING="ascii")


@pytest.mark.slow
@pytest.mark.parametrize("form, files", [("params", ["-0000.params", "-symbol.json"]), ("onnx", [".onnx"])])
def test_exports(latin, said, form, files):
    if form == "onnx":
        pytest.importorskip("onnx")
    model = network(os.path.join(latin, "mod\udce8le"))
    output = os.path.join(latin, "out", "expo\udce9")
    said("tools/export.py", "--model", model, "--format", form, "--output", output)
    assert sorted(os.listdir(os.path.dirname(output))) == [f"expo\udce9{end}" for end in files]


@pytest.mark.slow
def test_a_table_names_its_checkpoint(latin, said, faces):
    shutil.copy(faces / "tiny.bin", os.path.join(latin, "lfw.bin"))
    said("tools/reproduce.py", "table4", "--model", network(os.path.join(latin, "mod\udce8le")), "--data-dir", latin,
         "--out", os.path.join(latin, "table"))
    with open(os.path.join(latin, "table.md"), encoding="utf-8") as file:
        assert "mod\\udce8le" in file.read()


def test_a_picture_names_its_checkpoint(latin):
    figure, axes = plots.plt.subplots()
    plots.draw_angles(axes, np.ones(3), np.ones(3), "mod\udce8le of $x\n")
    for path in plots.save(figure, os.path.join(latin, "figure")):
        assert os.path.getsize(path)
