"""The target's logit under a margin, as a function of its cosine, before scaling (Sec. 2.2). All in symbols.

ArcFace, Eq. 3 and 4; SphereFace, Liu et al., CVPR 2017; CosFace, Wang et al., CVPR 2018.
"""
import math

from runtime import mx

# arccos has no finite gradient at ±1 and gives NaN beyond, where float32 dot products of normalised
# vectors do arrive; this far inside, its gradient is at most 2048.
COSINE_BOUND = 1e-7


def angle(cosine):
    """Return θ in radians, of cosines bounded to [−1 + 1e-7, 1 − 1e-7]; beyond the bound its gradient is zero."""
    return mx.sym.arccos(mx.sym.clip(cosine, a_min=-1.0 + COSINE_BOUND, a_max=1.0 - COSINE_BOUND))


def combined(cosine, m1, m2, m3):
    """Return cos(m1·θ + m2) − m3, of Eq. 4.

    Without an angular margin this is cosine − m3, and no arccos is needed.
    """
    if m1 == 1.0 and m2 == 0.0:
        return cosine - m3
    theta = angle(cosine)  # line 5
    if m1 != 1.0:
        theta = theta * m1
    if m2 != 0.0:
        theta = theta + m2
    marginal = mx.sym.cos(theta)  # line 6
    return marginal - m3 if m3 != 0.0 else marginal


def multiplicative(cosine, m):
    """Return SphereFace's ψ(θ) = (−1)^k·cos(m·θ) − 2k on [kπ/m, (k+1)π/m], for a whole number m.

    cos(m·θ) is the Chebyshev polynomial of cos θ (for m = 4, 8c⁴ − 8c² + 1), and k counts the bounds iπ/m that θ has
    passed, so there is no arccos and no infinite gradient. ψ is continuous; at a bound its gradient is zero.
    """
    before, multiple = 1.0, cosine  # cos(0·θ), cos(1·θ)
    for _ in range(m - 1):
        before, multiple = multiple, 2.0 * cosine * multiple - before
    passed = [cosine <= math.cos(i * math.pi / m) for i in range(1, m)]
    for each in passed:
        multiple = multiple * (1.0 - 2.0 * each)
    for each in passed:
        multiple = multiple - 2.0 * each
    return multiple


def annealed(cosine, m, step, lambda_min, lambda_start, lambda_decay):
    """Return (λ·cos θ + ψ(θ)) / (1 + λ), SphereFace's joint supervision by softmax.

    λ = max(lambda_min, lambda_start / (1 + lambda_decay·step)), with `step` the number of batches done before.
    """
    weight = mx.sym.maximum(lambda_start / (1.0 + lambda_decay * step), lambda_min)
    return cosine + (multiplicative(cosine, m) - cosine) / (1.0 + weight)
