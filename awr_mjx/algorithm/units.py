"""Values in units of the returns, so that the critic learns alike whatever rewards are about."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from awr_mjx.algorithm import reduce

# The least std of returns: in units of their mean, so that a mean which all share does not drown what tells them apart
# in rounding; and at all, so that rewards of 0 do not divide by 0.
RELATIVE, ABSOLUTE = 1e-3, 1e-20


def rescaled(value: dict[str, Any], g: Float[Array, "C N"], valid: Bool[Array, "C N"]) -> dict[str, Any]:
    """The value network with its output in units of the returns `g` [C, N] of the `valid` rows.

    It gives the same values as before: what changes is its output layer, after PopArt (van Hasselt and others 2016,
    arXiv 1602.07714), and its `units`, float32 [2], mean and std of the returns. Before the first returns these are
    zeros and so are all values; with them values are about the returns' mean.

    Of a critic of bins, whose output layer has more than one output, the units alone change.
    """
    old_mean, old_std = value["units"][0], value["units"][1]
    mean, std = reduce.mean_and_std(g, valid)
    std = jnp.maximum(std, jnp.maximum(RELATIVE * jnp.abs(mean), ABSOLUTE))
    known, out = (old_std > 0) & (value["out"]["bias"].size == 1), value["out"]
    kernel = jnp.where(known, out["kernel"] * (old_std / std), out["kernel"])
    bias = jnp.where(known, (out["bias"] * old_std + old_mean - mean) / std, out["bias"])
    return {**value, "out": {"kernel": kernel, "bias": bias}, "units": jnp.stack([mean, std])}
