"""Each margin against its formula of angles, in float64."""
import numpy as np
import pytest

from recognition.losses import margins
from runtime import mx

THETA = np.linspace(0.02, np.pi - 0.02, 201)


def value(function, *arguments, cosine=None):
    """Return what a margin makes of the cosines of THETA."""
    cosine = np.cos(THETA) if cosine is None else np.asarray(cosine)
    symbol = function(mx.sym.Variable("cosine"), *arguments)
    executor = symbol.bind(mx.cpu(), {"cosine": mx.nd.array(cosine, dtype=np.float32)})
    return executor.forward()[0].asnumpy()


@pytest.mark.parametrize("m1, m2, m3", [(1, 0, 0), (1, 0.5, 0), (1, 0, 0.35), (1.35, 0, 0), (0.9, 0.4, 0.15)])
def test_combined(m1, m2, m3):
    np.testing.assert_allclose(value(margins.combined, float(m1), float(m2), float(m3)),
                               np.cos(m1 * THETA + m2) - m3, atol=2e-5)


@pytest.mark.parametrize("m", [1, 2, 3, 4, 8])
def test_multiplicative(m):
    k = np.minimum(np.floor(THETA * m / np.pi), m - 1)
    np.testing.assert_allclose(value(margins.multiplicative, m), (-1.0) ** k * np.cos(m * THETA) - 2 * k, atol=2e-4)


@pytest.mark.parametrize("step, weight", [(0, 1000.0), (90, 100.0), (10**6, 5.0)])
def test_annealed(step, weight):
    k = np.minimum(np.floor(THETA * 4 / np.pi), 3)
    psi = (-1.0) ** k * np.cos(4 * THETA) - 2 * k
    np.testing.assert_allclose(value(margins.annealed, 4, float(step), 5.0, 1000.0, 0.1),
                               (weight * np.cos(THETA) + psi) / (1 + weight), atol=1e-4)


def test_an_angle_beyond_one_is_finite():
    found = value(margins.angle, cosine=[1.0, 1.0001, -1.0, -1.0001])
    np.testing.assert_allclose(found, [0, 0, np.pi, np.pi], atol=1e-3)
