"""Finding and reading checkpoints, whole ones and all kinds of broken ones."""
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from eval.networks import checkpoints
from eval.networks.checkpoint_files import read_params, read_symbol
from runtime import Failure, mx
from symbols import get_symbol


def small_network():
    """A training symbol: a network with a classifier and a loss behind its embedding."""
    net = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=4, kernel=(3, 3), stride=(16, 16), name="conv")
    net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn")
    net = mx.sym.FullyConnected(net, num_hidden=3, name="pre_fc1")
    net = mx.sym.BatchNorm(net, fix_gamma=True, name="fc1")
    net = mx.sym.FullyConnected(net, num_hidden=7, no_bias=True, name="fc7")
    return mx.sym.SoftmaxOutput(net, name="softmax")


def parameters(symbol, seed=0):
    rng = np.random.RandomState(seed)
    shapes, _, states = symbol.infer_shape(data=(1, 3, 112, 112))
    args = {name: mx.nd.array(rng.uniform(0.1, 1, shape)) for name, shape in zip(symbol.list_arguments(), shapes)
            if name not in ("data", "softmax_label")}
    return args, {name: mx.nd.array(rng.uniform(0.1, 1, shape))
                  for name, shape in zip(symbol.list_auxiliary_states(), states)}


@pytest.fixture
def prefix(tmp_path):
    symbol = small_network()
    mx.model.save_checkpoint(str(tmp_path / "model"), 1, symbol, *parameters(symbol))
    return str(tmp_path / "model")


def alter_symbol(prefix, change):
    with open(prefix + "-symbol.json") as file:
        graph = json.load(file)
    change(graph)
    with open(prefix + "-symbol.json", "w") as file:
        json.dump(graph, file)


def alter_params(prefix, change):
    arrays = mx.nd.load(prefix + "-0001.params")
    change(arrays)
    mx.nd.save(prefix + "-0001.params", arrays)


def refused(prefix, *said):
    with pytest.raises(Failure) as caught:
        checkpoints.load(prefix, 1)
    message = str(caught.value)
    assert "\n" not in message
    for part in said:
        assert part in message


def test_a_training_checkpoint_is_cut_at_the_embedding(prefix):
    symbol, args, auxs = checkpoints.load(prefix, 1)
    assert symbol.list_outputs() == ["fc1_output"]
    assert set(args) == set(symbol.list_arguments()) - {"data"}
    assert list(auxs) == symbol.list_auxiliary_states()
    saved = mx.nd.load(prefix + "-0001.params")
    for name, array in args.items():
        assert (array.asnumpy() == saved["arg:" + name].asnumpy()).all()


def test_the_published_checkpoint_loads(published):
    symbol, args, auxs = checkpoints.load(published, 0)
    ours = mx.model.load_checkpoint(str(published), 0)
    assert symbol.list_outputs() == ["fc1_output"]
    assert (set(args), set(auxs)) == (set(ours[1]), set(ours[2]))


def test_an_upgrade_of_the_graph_leaves_stderr_alone(published, capfd):
    checkpoints.load(published, 0)
    assert capfd.readouterr() == ("", "")


def test_graphs_of_the_first_versions_load(prefix):
    def older(graph):
        graph.pop("attrs")
        graph.pop("node_row_ptr")
        states = {index for index, node in enumerate(graph["nodes"]) if "moving" in node["name"]}
        place = {index: count for count, index in
                 enumerate(index for index in range(len(graph["nodes"])) if index not in states)}
        for node in graph["nodes"]:
            node["param"] = node.pop("attrs", {})
            node["backward_source_id"] = -1
            node["inputs"] = [[place[source], output] for source, output, _ in node["inputs"] if source not in states]
        graph["nodes"] = [node for index, node in enumerate(graph["nodes"]) if index in place]
        graph["arg_nodes"] = [index for index, node in enumerate(graph["nodes"]) if node["op"] == "null"]
        graph["heads"] = [[place[source], output] for source, output, _ in graph["heads"]]

    before = checkpoints.load(prefix, 1)
    alter_symbol(prefix, older)
    symbol, args, auxs = checkpoints.load(prefix, 1)
    assert (symbol.list_arguments(), symbol.list_auxiliary_states()) == (
        before[0].list_arguments(), before[0].list_auxiliary_states())
    assert (set(args), set(auxs)) == (set(before[1]), set(before[2]))


def test_the_published_weights_fit_our_network(published):
    symbol = get_symbol("fmobilefacenet", emb_size=128, net_output="GDC", net_blocks=(1, 4, 6, 2))
    args, _ = read_params(f"{published}-0000.params")
    wanted, _ = checkpoints.wanted_shapes(symbol)
    renamed = checkpoints.rename_legacy(args, wanted)
    assert set(renamed) == set(wanted)
    assert renamed["pre_fc1_weight"] is args["fc1_weight"]


def test_older_names_are_taken_only_where_they_fit():
    array = np.zeros((3, 4))
    rename = checkpoints.rename_legacy
    assert rename({"fc1_weight": array}, {"pre_fc1_weight": (3, 4)}) == {"pre_fc1_weight": array}
    assert rename({"mnasnet2_a_weight": array, "densenet3_b": array},
                  {"mnasnet0_a_weight": (3, 4), "densenet3_b": (3, 4)}) == {"mnasnet0_a_weight": array,
                                                                          "densenet3_b": array}
    for args, wanted in [({"fc1_weight": array}, {"pre_fc1_weight": (3, 5)}),
                         ({"fc1_weight": array, "pre_fc1_weight": array}, {"pre_fc1_weight": (3, 4)}),
                         ({"fc1_weight": array}, {"pre_fc1_weight": (3, 4), "fc1_weight": (3, 4)}),
                         ({"fc1_weight": array}, {"other": (3, 4)})]:
        assert rename(args, wanted) == args


def test_truncated_parameters(prefix):
    whole = Path(prefix + "-0001.params").read_bytes()
    for length in [0, 7, 8, 23, 24, 30, 60, len(whole) // 2, len(whole) - 300, len(whole) - 1]:
        with open(prefix + "-0001.params", "wb") as file:
            file.write(whole[:length])
        refused(prefix, "model-0001.params", "not a whole parameter file")


@pytest.mark.parametrize(("offset", "form", "value"), [
    (0, "Q", 0x113), (16, "Q", 2**62), (16, "Q", 2**33), (24, "I", 5000), (28, "i", 1), (32, "I", 2**31 - 1),
    (32, "I", 33), (36, "q", 2**50), (36, "q", 2**62), (36, "q", -5)])
def test_hostile_parameters(prefix, offset, form, value):
    with open(prefix + "-0001.params", "r+b") as file:
        file.seek(offset)
        file.write(struct.pack("<" + form, value))
    refused(prefix, "not a whole parameter file")


def test_hostile_names(prefix):
    whole = Path(prefix + "-0001.params").read_bytes()
    at = whole.index(b"arg:")
    for length in (2**62, 2**33, 3):
        with open(prefix + "-0001.params", "wb") as file:
            file.write(whole[:at - 8] + struct.pack("<Q", length) + whole[at:])
        refused(prefix, "not a whole parameter file")


def test_arrays_without_names(prefix):
    mx.nd.save(prefix + "-0001.params", [mx.nd.ones((2, 2))])
    refused(prefix, "1 arrays with 0 names")


def test_arrays_with_names_of_another_kind(prefix):
    mx.nd.save(prefix + "-0001.params", {"conv_weight": mx.nd.ones((2, 2))})
    refused(prefix, "'conv_weight'", "arg:")


def test_missing_parameters(prefix):
    alter_params(prefix, lambda arrays: arrays.pop("arg:conv_bias"))
    refused(prefix, "model-0001.params", "conv_bias")


def test_missing_states(prefix):
    alter_params(prefix, lambda arrays: arrays.pop("aux:bn_moving_var"))
    refused(prefix, "bn_moving_var")


def test_parameters_of_another_shape(prefix):
    alter_params(prefix, lambda arrays: arrays.update({"arg:bn_gamma": mx.nd.ones(5)}))
    refused(prefix, "bn_gamma", "(5,)", "(4,)")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(prefix, value):
    alter_params(prefix, lambda arrays: arrays.update({"arg:bn_gamma": mx.nd.array([1, 1, value, 1])}))
    refused(prefix, "bn_gamma", "diverged")


def test_values_behind_the_embedding_do_not_matter(prefix):
    alter_params(prefix, lambda arrays: arrays.update({"arg:fc7_weight": mx.nd.full((7, 3), np.nan)}))
    checkpoints.load(prefix, 1)


@pytest.mark.parametrize("text", ["", "garbage", "\0\1\2", "[]", "{}", "null", '"text"', "[" * 100000,
                                  '{"nodes": [], "heads": []}', '{"nodes": 5, "heads": [[0, 0, 0]]}'])
def test_graphs_that_are_none(prefix, text):
    with open(prefix + "-symbol.json", "w") as file:
        file.write(text)
    refused(prefix, "model-symbol.json", "not the graph of a network")


def test_bytes_for_a_graph(prefix):
    with open(prefix + "-symbol.json", "wb") as file:
        file.write(bytes(range(256)))
    refused(prefix, "not the graph of a network")


def node(graph, name):
    return next(node for node in graph["nodes"] if node["name"] == name)


@pytest.mark.parametrize("change", [
    lambda graph: graph["heads"][0].__setitem__(0, 99),
    lambda graph: graph["heads"][0].__setitem__(1, 7),
    lambda graph: graph["arg_nodes"].append(99),
    lambda graph: node(graph, "bn")["inputs"][0].__setitem__(0, 99),
    lambda graph: node(graph, "bn")["inputs"][0].__setitem__(0, -1),
    lambda graph: node(graph, "bn")["inputs"][0].__setitem__(1, 7),
    lambda graph: node(graph, "bn").__setitem__("inputs", [[0.5, 0, 0]]),
    lambda graph: node(graph, "conv")["attrs"].__setitem__("num_group", "0"),
    lambda graph: node(graph, "conv").__setitem__("op", "Unheard"),
    lambda graph: node(graph, "conv").__setitem__("name", None),
    lambda graph: node(graph, "conv").__setitem__("attrs", {}),
    lambda graph: node(graph, "conv").__setitem__("attrs", 5)])
def test_hostile_graphs(prefix, change):
    alter_symbol(prefix, change)
    refused(prefix, "model-symbol.json", "not the graph of a network")


def test_graphs_without_an_embedding(prefix):
    alter_symbol(prefix, lambda graph: node(graph, "fc1").__setitem__("name", "embedding"))
    refused(prefix, "model-symbol.json", "fc1_output")


def test_graphs_that_do_not_take_faces(prefix, capfd):
    alter_symbol(prefix, lambda graph: node(graph, "conv")["attrs"].__setitem__("kernel", "(300, 300)"))
    refused(prefix, "model-symbol.json", "(3, 112, 112)")
    assert capfd.readouterr() == ("", "")


def test_missing_files(prefix):
    with pytest.raises(Failure, match=r"model-0007\.params is missing; the epochs there are 1$"):
        checkpoints.load(prefix, 7)
    with pytest.raises(Failure, match=r"nowhere-0007\.params"):
        checkpoints.load(prefix + "nowhere", 7)
    os.remove(prefix + "-symbol.json")
    refused(prefix, "model-symbol.json", "No such file")


def test_forms_of_model(tmp_path):
    for name in ["model-0012.params", "model-0002.params", "model-10000.params", "model-3.params", "model-00004.params",
                 "model-0005.params.part", "other-0001.params", "a,b-0003.params", "a+b-0006.params"]:
        (tmp_path / name).touch()
    parse = checkpoints.parse
    model = str(tmp_path / "model")
    assert parse(model) == (model, [2, 12, 10000])
    assert parse(model + ",2") == (model, [2])
    assert parse(model + ",0012") == (model, [12])
    assert parse(model + ",12|2|5") == (model, [12, 2, 5])
    assert parse(str(tmp_path / "a,b")) == (str(tmp_path / "a,b"), [3])
    assert parse(str(tmp_path / "a,b,3")) == (str(tmp_path / "a,b"), [3])
    assert parse(str(tmp_path / "a+b")) == (str(tmp_path / "a+b"), [6])
    for form in (model + ", 2", model + " ,2 ", model + ",\t2"):
        assert parse(form) == (model, [2])
    assert parse(model + ", 12 | 2|5") == (model, [12, 2, 5])
    (tmp_path / "blank -0001.params").touch()
    assert parse(str(tmp_path / "blank ,1")) == (str(tmp_path / "blank "), [1])
    with pytest.raises(ValueError, match="quotation marks"):
        parse(model + ",")
    with pytest.raises(Failure, match="perhaps you mean .*model,12$"):
        parse(model + "-0012.params")
    for form in (",1", " , 1", model + ",", model + ",x", model + ",-1", model + ",1|", model + ",1.5", model + ",1 2"):
        with pytest.raises(ValueError, match="PREFIX"):
            parse(form)
    for missing in (str(tmp_path / "nothing"), str(tmp_path / "no" / "folder"), ""):
        with pytest.raises(Failure, match=r"PREFIX,EPOCH"):
            parse(missing)


def test_relative_prefixes(tmp_path, monkeypatch):
    (tmp_path / "model-0002.params").touch()
    monkeypatch.chdir(tmp_path)
    assert checkpoints.parse("model") == ("model", [2])


def test_the_newest_checkpoint(tmp_path):
    def touch(name, time):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (time, time))

    with pytest.raises(Failure, match="no checkpoint"):
        checkpoints.newest(tmp_path)
    touch("a/model-symbol.json", 9)
    with pytest.raises(Failure, match="no checkpoint"):
        checkpoints.newest(tmp_path)
    for name, time in [("a/model-0001.params", 5), ("a/model-0002.params", 4), ("b/model-symbol.json", 1),
                       ("b/model-0001.params", 3), ("b/fc7-0001.params", 8), ("b/state/step-0001.params", 9)]:
        touch(name, time)
    assert checkpoints.newest(tmp_path) == (str(tmp_path / "a" / "model"), 1)
    touch("b/model-0003.params", 6)
    assert checkpoints.newest(tmp_path) == (str(tmp_path / "b" / "model"), 3)


def test_reading_a_folder(tmp_path):
    for read in (read_params, read_symbol):
        with pytest.raises(Failure, match=str(tmp_path)):
            read(str(tmp_path))
