"""Static data as the replay ring: the same rows, laid once, and drawn from by set."""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, Key

from awr_mjx.algorithm import replay


@struct.dataclass(kw_only=True)
class StaticRing(replay.Ring):
    """A ring that holds whole episodes of S sets and is never written to.

    Every episode of T steps has T + 1 rows in one environment's place, one after the other, the last of which is not
    valid and has the observation after its last step. It may be "cut off", "at a time limit" or "terminated" as in any
    ring: its last valid row is terminated, or its successor is not valid.

    Attributes:
      places: int32 [R], `time * N + env` of the valid rows, set by set.
      starts: int32 [S + 1], where in `places` each set begins, and R.
      shares: float32 [S], the share of every minibatch that each set has; they sum to 1.
    """

    places: Int[Array, " R"]
    starts: Int[Array, " S1"]
    shares: Float[Array, " S"]


def draw(ring: StaticRing, key: Key[Array, ""], *shape: int) -> replay.Places:
    """Places [*shape] of valid rows of single environments, with replacement, each set as often as its share says."""
    key_set, key_row = jax.random.split(key)
    if ring.shares.shape[0] == 1:
        index = jax.random.randint(key_row, shape, 0, ring.places.shape[0])
    else:
        last = ring.shares.shape[0] - 1
        chosen = jnp.searchsorted(jnp.cumsum(ring.shares), jax.random.uniform(key_set, shape), side="right")
        first = ring.starts[jnp.minimum(chosen, last)]
        index = jax.random.randint(key_row, shape, first, ring.starts[jnp.minimum(chosen, last) + 1])
    place, envs = ring.places[index], ring.rows.valid.shape[1]
    return replay.Places(place // envs, place % envs)
