"""Starting from another checkpoint's weights."""
import numpy as np
import pytest

from recognition import pretrained
from recognition.checkpoints import save_network
from runtime import Failure, mx
from symbols import get_symbol

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
    save_network(str(tmp_path / "model"), 3, source, *filled(source))
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
    save_network(str(tmp_path / "model"), 1, source, args, auxs)
    with pytest.raises(Failure, match="nothing in .* fits"):
        other = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="other")
        pretrained.load(str(tmp_path / "model"), 1, other)


def test_missing_checkpoint(tmp_path):
    with pytest.raises(Failure, match="missing"):
        pretrained.load(str(tmp_path / "model"), 1, get_symbol("fmobilefacenet", **Y1))
