"""Every reference network: names, shapes, order, graph and embeddings; the settings' checks; published checkpoints."""
import gzip
import json
import subprocess
import sys

import numpy as np
import pytest

from runtime import mx
from symbols import DEFAULTS, NETWORKS, get_symbol
from symbols.outputs import OUTPUTS

NAMES = """r100 r100fc r50 r50v1 y1 y2 m1 m05 mnas mnas05 mnas025 vargfacenet d169 d201 r18_unit3_E r34_unit3_E
    r101_unit3_E r152_unit3_E r18_unit1_E r18_unit2_E r18_unit3_FC r18_unit3_SFC r18_unit3_GAP r18_unit3_GNAP
    r18_unit3_GDC r18_unit3_F r18_unit3_G r18_unit3_H r18_unit3_I r18_unit3_J r18_unit3_E_se r18_unit3_E_input0
    r18_unit3_E_relu""".split()
DEEP = {"r100", "r100fc", "r101_unit3_E", "r152_unit3_E", "r50", "r50v1", "d169", "d201"}
FACE = (1, 3, 112, 112)
# What MXNet takes for an attribute that is not stated.
OPERATOR_DEFAULTS = {
    "Convolution": {"stride": "(1, 1)", "dilate": "(1, 1)", "pad": "(0, 0)", "num_group": "1", "workspace": "1024",
                    "no_bias": "False", "layout": "NCHW"},
    "BatchNorm": {"eps": "0.001", "momentum": "0.9", "fix_gamma": "True", "use_global_stats": "False", "axis": "1"},
}


@pytest.fixture(scope="module")
def reference(shared):
    return json.loads((shared / "reference" / "networks.json").read_text())


@pytest.fixture(scope="module")
def embeddings(shared):
    with np.load(shared / "reference" / "networks.npz") as arrays:
        return dict(arrays)


def build(config):
    settings = dict(config)
    return get_symbol(settings.pop("net_name"), **settings)


def shapes(symbol, **inputs):
    arguments, _, auxiliary = symbol.infer_shape(**(inputs or {"data": FACE}))
    return (list(zip(symbol.list_arguments(), arguments)), list(zip(symbol.list_auxiliary_states(), auxiliary)))


def embed(symbol, images, arguments, auxiliary):
    inputs = {**{name: mx.nd.array(value) for name, value in arguments.items()}, "data": mx.nd.array(images)}
    executor = symbol.bind(mx.cpu(), inputs, grad_req="null",
                           aux_states={name: mx.nd.array(value) for name, value in auxiliary.items()})
    return executor.forward(is_train=False)[0].asnumpy()


def difference(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def test_all_reference_networks_are_named_here(reference):
    assert set(NAMES) == set(reference)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name in DEEP else [])
                                  for name in NAMES])
def test_parameters_and_embeddings(name, reference, embeddings, fill):
    entry = reference[name]
    symbol = build(entry["config"])
    arguments, auxiliary = shapes(symbol)
    assert [(n, list(s)) for n, s in arguments if n != "data"] == \
        [(n, s) for n, s in entry["arguments"].items() if n != "data"]
    assert [(n, list(s)) for n, s in auxiliary] == list(entry["auxiliary"].items())
    assert symbol.list_outputs() == [entry["output"]]
    images = fill.images(2)[:1 if name in DEEP else 2]
    ours = embed(symbol, images, {n: fill.parameter(n, s) for n, s in arguments if n != "data"},
                 {n: fill.parameter(n, s) for n, s in auxiliary})
    assert difference(ours, embeddings[name][:len(images)]) < 1e-4


def nodes(text):
    """Return the graph's nodes as (operator, name if it is a variable's, attributes, inputs)."""
    found = []
    for node in json.loads(text)["nodes"]:
        attrs = {**OPERATOR_DEFAULTS.get(node["op"], {}), **node.get("attrs", {})}
        if node["op"] == "null":  # the operators' attributes are repeated on the variables they made
            attrs = {key: value for key, value in attrs.items() if key.startswith("__")}
        found.append((node["op"], node["name"] if node["op"] == "null" else "", attrs,
                      [tuple(entry[:2]) for entry in node["inputs"]]))
    return found


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("r101_unit3_E", "r152_unit3_E")])
def test_graph_is_the_reference_graph(name, reference, shared):
    theirs = gzip.decompress((shared / "reference" / "symbols" / f"{name}.json.gz").read_bytes()).decode()
    assert nodes(build(reference[name]["config"]).tojson()) == nodes(theirs)


def test_published_r100_has_our_arguments_in_this_order(shared):
    published = mx.sym.load(str(shared / "reference" / "r100-published-symbol.json"))
    ours = get_symbol("fresnet", num_layers=100)
    assert published.list_arguments() == ours.list_arguments()
    assert published.list_auxiliary_states() == ours.list_auxiliary_states()


def test_published_checkpoint_in_our_y1(published, fill):
    theirs, arguments, auxiliary = mx.model.load_checkpoint(str(published), 0)
    ours = get_symbol("fmobilefacenet", net_output="GDC", emb_size=128)
    mapped = {{"fc1_weight": "pre_fc1_weight"}.get(name, name): value for name, value in arguments.items()}
    expected, states = shapes(ours)
    assert {n: s for n, s in expected if n != "data"} == {n: v.shape for n, v in mapped.items()}
    assert dict(states) == {n: v.shape for n, v in auxiliary.items()}
    images = fill.images(2)
    np.testing.assert_allclose(embed(ours, images, mapped, auxiliary), embed(theirs, images, arguments, auxiliary),
                               rtol=1e-5, atol=1e-5)


SMALL = {"fresnet": {"num_layers": 18}, "fdensenet": {"num_layers": 121}, "fmnasnet": {"net_multiplier": 0.25},
         "fmobilenet": {"net_multiplier": 0.25}, "vargfacenet": {"net_multiplier": 0.5}}


@pytest.mark.parametrize("network", sorted(NETWORKS))
@pytest.mark.parametrize("output", sorted(OUTPUTS))
def test_every_network_with_every_output(network, output):
    for net_input, emb_size in ((0, 96), (1, 2048)):  # narrower and wider than any map
        symbol = get_symbol(network, **{**SMALL.get(network, {}), "net_output": output, "emb_size": emb_size,
                                        "net_input": net_input, "net_se": 1, "net_act": "relu"})
        assert symbol.list_outputs() == ["fc1_output"]
        assert symbol.infer_shape(data=(3, 3, 112, 112))[1] == [(3, emb_size)]


@pytest.mark.parametrize("depth, units", [(49, 24), (74, 36), (124, 61), (134, 66), (200, 66), (269, 89)])
def test_depth_is_two_convolutions_a_unit(depth, units):
    arguments = get_symbol("fresnet", num_layers=depth).list_arguments()
    assert sum(name.endswith("_conv2_weight") for name in arguments) == units


def test_first_unit_of_type_1_halves_at_once_after_the_halving_stem():
    strides = [get_symbol("fresnet", num_layers=18, net_unit=1, net_input=i).attr_dict()["stage2_unit1_conv1"]["stride"]
               for i in (0, 1)]
    assert strides == ["(2, 2)", "(1, 1)"]


def test_momentum_reaches_every_normalisation():
    for network in NETWORKS:
        graph = json.loads(get_symbol(network, **SMALL.get(network, {}), bn_mom=0.875, net_output="GNAP").tojson())
        norms = [node["attrs"] for node in graph["nodes"] if node["op"] == "BatchNorm"]
        assert norms and {attrs["momentum"] for attrs in norms} == {"0.875"}


def test_dropout_of_densenet():
    ops = [node["op"] for node in json.loads(get_symbol("fdensenet", num_layers=121, densenet_dropout=0.2,
                                                         net_output="J").tojson())["nodes"]]
    assert ops.count("Dropout") == 6 + 12 + 24 + 16


def test_the_same_symbol_whatever_was_built_before():
    first = {network: get_symbol(network, **SMALL.get(network, {})).tojson() for network in NETWORKS}
    with mx.name.Prefix("other_"):
        again = {network: get_symbol(network, **SMALL.get(network, {})).tojson() for network in reversed(NETWORKS)}
    assert first == again


@pytest.mark.slow
def test_the_same_symbol_in_another_process(root):
    program = "import sys; sys.path.insert(0, '.')\nfrom symbols import get_symbol\n" \
              "print(get_symbol('fmnasnet', net_multiplier=0.25, net_output='GDC').tojson())"
    result = subprocess.run([sys.executable, "-c", program], cwd=str(root), capture_output=True, text=True, check=True)
    assert result.stdout.strip() == get_symbol("fmnasnet", net_multiplier=0.25, net_output="GDC").tojson().strip()


def test_slopes_start_at_a_quarter():
    symbol = get_symbol("fresnet", num_layers=18)
    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", FACE)], for_training=False)
    module.init_params(mx.init.Xavier())
    arguments, _ = module.get_params()
    slopes = [value.asnumpy() for name, value in arguments.items() if "relu" in name]
    assert slopes and all((slope == 0.25).all() for slope in slopes)


def test_none_stands_for_the_default():
    assert get_symbol("fresnet", **dict.fromkeys(DEFAULTS)).tojson() == get_symbol("fresnet", num_layers=100).tojson()


@pytest.mark.parametrize("network, settings, words", [
    ("resnet", {}, "fmobilefacenet"),
    (None, {}, "fmobilefacenet"),
    (["fresnet"], {}, "fmobilefacenet"),
    ("fresnet", {"num_layer": 50}, "num_layers"),
    ("fresnet", {"num_layers": 51}, "50"),
    ("fresnet", {"num_layers": "50"}, "num_layers"),
    ("fresnet", {"num_layers": True}, "num_layers"),
    ("fdensenet", {"num_layers": 100}, "169"),
    ("fresnet", {"net_unit": 4}, "1, 2, 3"),
    ("fresnet", {"net_unit": True}, "1, 2, 3"),
    ("fresnet", {"net_unit": [3]}, "1, 2, 3"),
    ("fresnet", {"net_input": 2}, "0, 1"),
    ("fresnet", {"net_output": "K"}, "GNAP"),
    ("fresnet", {"net_output": ["E"]}, "GNAP"),
    ("fresnet", {"net_act": "swish"}, "prelu, relu"),
    ("fresnet", {"net_se": 2}, "0, 1"),
    ("fresnet", {"emb_size": 0}, "emb_size"),
    ("fresnet", {"emb_size": 2.5}, "emb_size"),
    ("fmobilenet", {"net_multiplier": 0}, "net_multiplier"),
    ("fmobilenet", {"net_multiplier": float("nan")}, "net_multiplier"),
    ("fmobilenet", {"net_multiplier": "1"}, "net_multiplier"),
    ("fmobilenet", {"net_multiplier": 0.001}, "net_multiplier"),
    ("vargfacenet", {"net_multiplier": 0.3}, "0.25"),
    ("fmobilefacenet", {"net_blocks": [1, 4, 6]}, "four"),
    ("fmobilefacenet", {"net_blocks": "1462"}, "four"),
    ("fmobilefacenet", {"net_blocks": [0, 4, 6, 2]}, "four"),
    ("fdensenet", {"densenet_dropout": 1.0}, "densenet_dropout"),
    ("fresnet", {"bn_mom": -0.1}, "bn_mom"),
    ("fresnet", {"workspace": -1}, "workspace"),
])
def test_settings_are_checked(network, settings, words):
    with pytest.raises(ValueError) as failure:
        get_symbol(network, **settings)
    message = str(failure.value)
    assert words in message and "\n" not in message


def test_settings_without_a_use_are_accepted_but_checked():
    assert get_symbol("fmobilefacenet", num_layers=100, net_unit=1, densenet_dropout=0.5, workspace=512).tojson() == \
        get_symbol("fmobilefacenet").tojson()
    with pytest.raises(ValueError, match="net_unit"):
        get_symbol("fmobilefacenet", net_unit=9)
