"""Gradient steps on minibatches out of the ring, as one scan."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float

from awr_mjx.algorithm import reduce, replay

Params = Any  # a pytree of arrays


def regress(
    loss: Callable[[Params, replay.Batch], Array],
    tx: optax.GradientTransformation,
    params: Params,
    opt: optax.OptState,
    read: Callable[[replay.Places], replay.Batch],
    places: replay.Places,
    scale: Float[Array, ""] | float = 1.0,
) -> tuple[Params, optax.OptState, Float[Array, ""]]:
    """Takes U gradient steps, each on a minibatch of its own, as one scan.

    Args:
      loss: (params, minibatch) -> scalar [].
      tx: the optimiser of `params`, `opt` its state.
      read: places [B] -> minibatch.
      places: those of U >= 0 minibatches [U, B].
      scale: multiplies every step, a scalar [].

    Returns:
      New parameters, new optimiser state, and the mean loss [] of all steps (0 if there were none).
    """

    def step(
        carry: tuple[Params, optax.OptState], places: replay.Places
    ) -> tuple[tuple[Params, optax.OptState], Array]:
        params, opt = carry
        batch = read(places)
        with reduce.over(None):
            found = jax.value_and_grad(loss)(params, batch)
            rows = reduce.total(batch.valid.astype(jnp.float32))
        value, gradient = reduce.weighted_mean(found, rows)
        changes, opt = tx.update(gradient, opt, params)
        return (optax.apply_updates(params, jax.tree.map(lambda x: scale * x, changes)), opt), value

    (params, opt), values = lax.scan(step, (params, opt), places)
    return params, opt, jnp.sum(values) / max(len(values), 1)
