"""Starting from another checkpoint's weights."""
import numpy as np
import pytest

from eval.networks import checkpoints
from recognition import train as command
from recognition.config.build import build
from recognition.training import pretrained
from recognition.training.run import train
from runtime import Failure, mx
from symbols import get_symbol

M1 = {"emb_size": 256, "net_output": "GDC", "net_multiplier": 1.0}
Y1 = {"emb_size": 128, "net_output": "GDC", "net_blocks": [1, 4, 6, 2]}


def filled(symbol, seed=0):
    """Return random parameters of a network."""
    rng = np.random.RandomState(seed)
    args, _, auxs = symbol.infer_shape(data=(1, 3, 112, 112))
    arrays = [{name: mx.nd.array(rng.normal(size=shape)) for name, shape in zip(names, shapes)}
              for names, shapes in ((symbol.list_arguments(), args), (symbol.list_auxiliary_states(), auxs))]
    del arrays[0]["data"]
    return arrays


def test_the_published_checkpoint_with_older_names(published):
    args, auxs = pretrained.load(str(published), 0, get_symbol("fmobilefacenet", **Y1))
    raw = mx.nd.load(f"{published}-0000.params")
    np.testing.assert_array_equal(args["pre_fc1_weight"].asnumpy(), raw["arg:fc1_weight"].asnumpy())
    assert len(args) + len(auxs) == len(raw)


def test_says_what_is_loaded_missing_unused_and_of_another_shape(tmp_path, capsys):
    """From y1 to a wider embedding with another output: the layers before it carry over."""
    source = get_symbol("fmobilefacenet", **Y1)
    checkpoints.save(str(tmp_path / "model"), 3, source, *filled(source))
    target = get_symbol("fmobilefacenet", **dict(Y1, emb_size=256, net_output="FC"))
    args, auxs = pretrained.load(str(tmp_path / "model"), 3, target)
    out = capsys.readouterr().out
    wanted = set(target.list_arguments() + target.list_auxiliary_states()) - {"data"}
    assert f"{len(args) + len(auxs)} of {len(wanted)} arrays loaded" in out
    assert "missing, initialised anew: bn1_gamma" in out
    assert "pre_fc1_weight (128, 512) for (256, 25088)" in out
    assert "unused: conv_6dw7_7_conv2d_weight" in out
    assert "pre_fc1_weight" not in args and "conv_1_conv2d_weight" in args


def test_stops_where_nothing_fits(tmp_path):
    source = get_symbol("fmobilefacenet", **Y1)
    args, auxs = filled(source)
    checkpoints.save(str(tmp_path / "model"), 1, source, args, auxs)
    with pytest.raises(Failure, match="nothing in .* fits"):
        other = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="other")
        pretrained.load(str(tmp_path / "model"), 1, other)


def test_missing_checkpoint(tmp_path):
    with pytest.raises(Failure, match="missing"):
        pretrained.load(str(tmp_path / "model"), 1, get_symbol("fmobilefacenet", **Y1))


def test_no_checkpoint_of_another_network(tmp_path, capsys):
    """4 of m1's 173 arrays have the name and shape of one of y1's 284; 19 more have the name alone."""
    source, target = get_symbol("fmobilefacenet", **Y1), get_symbol("fmobilenet", **M1)
    checkpoints.save(str(tmp_path / "model"), 1, source, *filled(source))
    with pytest.raises(Failure, match="another network: it fits 4 of .* 173 arrays.*--pretrained-partial") as said:
        pretrained.load(str(tmp_path / "model"), 1, target)
    assert len(str(said.value)) < 400 + len(str(tmp_path))
    args, auxs = pretrained.load(str(tmp_path / "model"), 1, target, partial=True)
    out = capsys.readouterr().out
    assert len(args) + len(auxs) == 4 and "4 of 173 arrays loaded" in out
    assert "pretrained: 261 unused: " in out and " and 256 more" in out
    assert all(len(line) < 500 for line in out.replace(str(tmp_path), "").splitlines())


@pytest.mark.parametrize("blocks, other", [([1, 4, 6, 2], [2, 8, 16, 4]), ([2, 8, 16, 4], [1, 4, 6, 2])])
def test_another_depth_is_another_network(tmp_path, blocks, other):
    """Also the deeper network, whose arrays fill the shallower one."""
    source, target = (get_symbol("fmobilefacenet", **dict(Y1, net_blocks=depth)) for depth in (blocks, other))
    checkpoints.save(str(tmp_path / "model"), 1, source, *filled(source))
    with pytest.raises(Failure, match="another network.*--pretrained-partial"):
        pretrained.load(str(tmp_path / "model"), 1, target)


def test_another_length_of_the_embedding_is_the_same_network(tmp_path):
    source, target = get_symbol("fmobilefacenet", **Y1), get_symbol("fmobilefacenet", **dict(Y1, emb_size=64))
    checkpoints.save(str(tmp_path / "model"), 1, source, *filled(source))
    args, auxs = pretrained.load(str(tmp_path / "model"), 1, target)
    assert len(args) + len(auxs) == 278  # of 284: the last layer and its normalisation are of another shape


def test_names_that_cannot_be_printed(tmp_path, capsys):
    source = get_symbol("fmobilefacenet", **Y1)
    args, auxs = filled(source)
    mx.model.save_checkpoint(str(tmp_path / "model"), 1, source, {**args, "a\nb" + "c" * 5000: mx.nd.ones(2)}, auxs)
    pretrained.load(str(tmp_path / "model"), 1, source)
    lines = capsys.readouterr().out.replace(str(tmp_path), "").splitlines()
    assert len(lines) == 2 and max(map(len, lines)) < 200


CLASSIFIER = {"fc7_weight": (6, 128), "fc7_bias": (6,)}


def with_classifier(prefix, **heads):
    """Write a checkpoint whose parameter file has a classifier as well, as the original's may."""
    source = get_symbol("fmobilefacenet", **Y1)
    args, auxs = filled(source)
    heads = {name: mx.nd.array(np.random.RandomState(3).normal(size=shape)) for name, shape in heads.items()}
    mx.model.save_checkpoint(prefix, 1, source, {**args, **heads}, auxs)
    return source, heads


@pytest.mark.parametrize("found, wanted, taken, said", [
    ({"fc7_weight": (6, 128)}, {"fc7_weight": (6, 128)}, ["fc7_weight"], "is taken: fc7_weight (6, 128)"),
    ({"fc7_weight": (6, 128)}, CLASSIFIER, ["fc7_weight"], "is taken: fc7_weight (6, 128)"),
    (CLASSIFIER, CLASSIFIER, ["fc7_bias", "fc7_weight"], "fc7_bias (6,)"),
    (CLASSIFIER, {"fc7_weight": (6, 128)}, ["fc7_weight"], "left out: fc7_bias (6,)"),
    ({"fc7_weight": (7, 128), "fc7_bias": (7,)}, CLASSIFIER, [],
     "is left out (fc7_weight (7, 128), fc7_bias (7,)): this run's fc7_weight is (6, 128)"),
    ({"fc7_weight": (6, 64), "fc7_bias": (6,)}, CLASSIFIER, [], "this run's fc7_weight is (6, 128)"),
    ({"fc7_bias": (6,)}, CLASSIFIER, [], "is left out (fc7_bias (6,))"),
    (CLASSIFIER, {}, [], "this loss has no classifier"),
    ({}, CLASSIFIER, [], "284 of 284"),
])
def test_the_classifier_of_the_file_is_taken_where_it_fits(tmp_path, capsys, found, wanted, taken, said):
    source, heads = with_classifier(str(tmp_path / "model"), **found)
    args, _ = pretrained.load(str(tmp_path / "model"), 1, source, wanted)
    assert sorted(name for name in args if name.startswith("fc7_")) == taken
    for name in taken:
        np.testing.assert_array_equal(args[name].asnumpy(), heads[name].asnumpy())
    assert said in capsys.readouterr().out


def test_a_classifier_that_is_not_finite(tmp_path):
    source, _ = with_classifier(str(tmp_path / "model"), fc7_weight=(6, 128))
    arrays = mx.nd.load(str(tmp_path / "model-0001.params"))
    arrays["arg:fc7_weight"][3, 4] = np.nan
    mx.nd.save(str(tmp_path / "model-0001.params"), arrays)
    with pytest.raises(Failure, match="fc7_weight holds values that are not finite"):
        pretrained.load(str(tmp_path / "model"), 1, source, CLASSIFIER)


@pytest.mark.parametrize("loss, names", [("arcface", ["fc7_weight"]), ("softmax", ["fc7_bias", "fc7_weight"])])
def test_training_goes_on_with_that_classifier(tmp_path, faces, capsys, loss, names):
    """At a rate of next to nothing, the classifier after a step is the checkpoint's."""
    _, heads = with_classifier(str(tmp_path / "model"), **{name: CLASSIFIER[name] for name in names})
    folder = train(build("y1", loss, "tiny", {
        "dataset_path": str(faces), "models_root": str(tmp_path), "ctx": "cpu", "lr": 1e-12, "wd": 0.0, "max_steps": 1,
        "per_batch_size": 4, "num_workers": 1, "targets": [], "pretrained": str(tmp_path / "model")}))
    assert "the classifier is taken" in capsys.readouterr().out
    kept = mx.nd.load(f"{folder}/fc7-0001.params")
    assert sorted(kept) == [f"arg:{name}" for name in names]
    for name in names:
        np.testing.assert_allclose(kept[f"arg:{name}"].asnumpy(), heads[name].asnumpy(), atol=1e-6)


# The flag

def flags(*given):
    read = vars(command.parser().parse_args(given))
    command.read_pretrained(read)
    return read["pretrained"], read["pretrained_epoch"]


def test_forms_of_the_flag(tmp_path):
    assert flags("--pretrained", "a/model,7") == ("a/model", 7)
    assert flags("--pretrained", "a/model, 0") == ("a/model", 0)
    assert flags("--pretrained", "a/model , 0007 ") == ("a/model", 7)
    assert flags("--pretrained", "a/model,7", "--pretrained-epoch", "7") == ("a/model", 7)
    assert flags("--pretrained", "a/model", "--pretrained-epoch", "3") == ("a/model", 3)
    assert flags("--pretrained", "a/model") == ("a/model", 1)
    assert flags("--pretrained", "") == ("", None) and flags() == (None, None)
    (tmp_path / "a,b-0004.params").touch()  # a comma in the name
    assert flags("--pretrained", str(tmp_path / "a,b")) == (str(tmp_path / "a,b"), 1)
    assert flags("--pretrained", str(tmp_path / "a,b,4")) == (str(tmp_path / "a,b"), 4)


@pytest.mark.parametrize("given, said", [
    (["a/model,7", "--pretrained-epoch", "6"], "name two epochs"), (["a/model,x"], "PREFIX,EPOCH"),
    (["a/model,"], "quotation marks"), ([",3"], "PREFIX,EPOCH"), (["a/model,-1"], "PREFIX,EPOCH")])
def test_forms_that_are_wrong_usage(given, said, capsys):
    with pytest.raises(SystemExit) as end:
        command.main(["--pretrained", *given])
    assert end.value.code == 2 and said in capsys.readouterr().err


def test_several_epochs_are_no_start():
    with pytest.raises(Failure, match="several"):
        flags("--pretrained", "a/model,1|2")


def test_the_epochs_that_are_there_are_named(tmp_path):
    source = get_symbol("fmobilefacenet", **Y1)
    for epoch in (0, 12):
        (tmp_path / f"model-{epoch:04d}.params").touch()
    with pytest.raises(Failure, match=r"model-0001\.params is missing; the epochs there are 0, 12$"):
        pretrained.load(str(tmp_path / "model"), 1, source)
    with pytest.raises(Failure, match=r"other-0001\.params is missing; there is no .*other-NNNN\.params at all$"):
        pretrained.load(str(tmp_path / "other"), 1, source)
    for epoch in range(1000, 1300):
        (tmp_path / f"model-{epoch:04d}.params").touch()
    with pytest.raises(Failure, match=r"\(and 282 lower ones\) 1280, .*, 1299$"):
        pretrained.load(str(tmp_path / "model"), 1, source)


def test_targets_may_end_in_bin():
    assert command.parser().parse_args(["--target", "lfw.bin, cfp_fp"]).targets == ["lfw", "cfp_fp"]
