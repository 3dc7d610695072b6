"""Embedding networks as symbols: `get_symbol("fresnet", num_layers=50)` maps face crops to `fc1_output`.

A network is a file here with a function `features`, whose arguments are the settings that it uses; an output
(`outputs.py`) makes the embedding of its feature map.
"""
from inspect import signature
from numbers import Integral, Real

from runtime import mx

from . import fdensenet, fmnasnet, fmobilefacenet, fmobilenet, fresnet, vargfacenet
from .outputs import OUTPUTS

NETWORKS = {module.__name__.rpartition(".")[2]: module.features
            for module in (fresnet, fmobilefacenet, fmobilenet, fdensenet, fmnasnet, vargfacenet)}

DEFAULTS = {"num_layers": None, "net_unit": 3, "net_input": 1, "net_output": "E", "net_act": "prelu", "net_se": 0,
            "net_multiplier": 1.0, "net_blocks": (1, 4, 6, 2), "emb_size": 512, "densenet_dropout": None,
            "bn_mom": 0.9, "workspace": 256}
# Where a setting is left out that only this network has.
OWN_DEFAULTS = {"fresnet": {"num_layers": 100}, "fdensenet": {"num_layers": 169, "densenet_dropout": 0.0}}


def _is(kind, value):
    return isinstance(value, kind) and not isinstance(value, bool)


def _positive(value):
    return _is(Integral, value) and value > 0


def _one_of(*known):
    return ((lambda value: (_is(Integral, value) or isinstance(value, str)) and value in known),
            "one of " + ", ".join(map(str, known)))


# Each setting's rule and its words for the message.
RULES = {
    "num_layers": (_positive, "a number of layers, 1 or more"),
    "net_unit": _one_of(1, 2, 3),
    "net_input": _one_of(0, 1),
    "net_output": _one_of(*OUTPUTS),
    "net_act": _one_of("prelu", "relu"),
    "net_se": (lambda value: isinstance(value, Integral) and value in (0, 1), "one of 0, 1, False, True"),
    "net_multiplier": (lambda value: _is(Real, value) and 0 < value <= 64, "a number above 0 and at most 64"),
    "net_blocks": (lambda value: isinstance(value, (list, tuple)) and len(value) == 4 and all(map(_positive, value)),
                   "four numbers of blocks, each 1 or more"),
    "emb_size": (_positive, "a number of elements, 1 or more"),
    "densenet_dropout": (lambda value: _is(Real, value) and 0 <= value < 1, "a probability, 0 or more and below 1"),
    "bn_mom": (lambda value: _is(Real, value) and 0 <= value < 1, "a momentum, 0 or more and below 1"),
    "workspace": (_positive, "a number of megabytes, 1 or more"),
}


def _checked(net_name, settings):
    """Return all settings, defaults filled in; ValueError in one line for a name or value that is not known."""
    if not isinstance(net_name, str) or net_name not in NETWORKS:
        raise ValueError(f"unknown network {net_name!r}: one of {', '.join(NETWORKS)}")
    unknown = [key for key in settings if key not in DEFAULTS]
    if unknown:
        raise ValueError(f"unknown setting {unknown[0]!r} of a network: one of {', '.join(DEFAULTS)}")
    given = {key: value for key, value in settings.items() if value is not None}
    for key, value in given.items():
        valid, words = RULES[key]
        if not valid(value):
            raise ValueError(f"{key}={value!r}: it must be {words}")
    return {**DEFAULTS, **OWN_DEFAULTS.get(net_name, {}), **given}


def get_symbol(net_name, **settings):
    """Return the symbol of an embedding network.

    Parameters
    ----------
    net_name : str
        A key of `NETWORKS`.
    **settings
        Keys of `DEFAULTS`; None stands for the default. Those that a network has no use for are accepted, so that
        one configuration fits all. `num_layers` is the depth (100 for fresnet, 169 for fdensenet), `net_output` how
        the embedding is made of the feature map, `emb_size` its elements, `net_multiplier` the width.

    Returns
    -------
    mxnet.symbol.Symbol
        From `data` (B, 3, 112, 112), RGB in 0…255, to `fc1_output` (B, emb_size). Names do not depend on what was
        built before.

    Raises
    ------
    ValueError
        For a network, setting or value that is not known, in one line that says what is.
    """
    settings = _checked(net_name, settings)
    network = NETWORKS[net_name]
    with mx.name.NameManager():
        features = network(**{key: settings[key] for key in signature(network).parameters})
        return OUTPUTS[settings["net_output"]](features, settings["emb_size"], settings["net_act"], settings["bn_mom"])
