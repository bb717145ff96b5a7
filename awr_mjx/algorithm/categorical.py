"""A critic that says how likely each range of values is: regression as classification (HL-Gauss).

Farebrother and others 2024, arXiv 2403.03950, section 3: a value becomes a normal distribution around it, and the
network is fitted to the probabilities of its bins.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from awr_mjx.algorithm import reduce

FARTHEST = 8.0  # bins are from minus to plus this, in units of the returns' std about their mean
WIDTH = 0.75  # std of a value's distribution, in widths of a bin (the paper's)


def edges(bins: int) -> Float[Array, " K1"]:
    """The edges [K + 1] of K = `bins` bins."""
    return jnp.linspace(-FARTHEST, FARTHEST, bins + 1)


def mean(logits: Float[Array, "*batch K"]) -> Float[Array, "*batch"]:
    """The value [...] that `logits` [..., K] of its bins mean: the expectation of their middles."""
    ends = edges(logits.shape[-1])
    return jax.nn.softmax(logits) @ ((ends[1:] + ends[:-1]) / 2)


def probabilities(values: Float[Array, "*batch"], bins: int) -> Float[Array, "*batch K"]:
    """How likely each bin is [..., K] for `values` [...]; one beyond the bins is taken for the outermost."""
    ends = edges(bins)
    std = WIDTH * 2.0 * FARTHEST / bins
    inside = jnp.clip(values, ends[0] + 3.0 * std, ends[-1] - 3.0 * std)
    # Twice the normal distribution's function, less one; `ndtr` takes three times as long.
    below = jax.lax.erf((ends - inside[..., None]) / (math.sqrt(2.0) * std))
    mass = below[..., 1:] - below[..., :-1]
    return mass / mass.sum(axis=-1, keepdims=True)


def loss(logits: Float[Array, "B K"], target: Float[Array, " B"], valid: Bool[Array, " B"]) -> Float[Array, ""]:
    """The cross-entropy [] of the bins' `logits` with the `target` values', a mean over the `valid` rows, all [B]."""
    wanted = probabilities(target, logits.shape[-1])
    return reduce.mean(-jnp.sum(wanted * jax.nn.log_softmax(logits), axis=-1), valid)
