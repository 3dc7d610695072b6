"""The weights a network starts from, and the random numbers of a run."""
import zlib

from runtime import mx


def initializer(net_name):
    """Return the original's initialiser for a network's weights; slopes and classifier carry their own."""
    if net_name in ("fresnet", "fmobilefacenet"):
        return mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2)
    return mx.init.Xavier(rnd_type="uniform", factor_type="in", magnitude=2)


def seed_mxnet(seed, step):
    """Seed MXNet's random numbers for the steps after `step`. They can be set but not read."""
    mx.random.seed(zlib.crc32(f"{seed},{step}".encode()))
