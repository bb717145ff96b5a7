"""Running mean and standard deviation of the observations.

The authors' code freezes it after a number of samples and keeps every std at 0.01 or more; both are here. Batches are
merged by the parallel form of Welford's algorithm (Chan, Golub, LeVeque 1983), so float32 does not lose small changes.
"""

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float

from awr_mjx.algorithm import reduce

STD_MIN = 0.01


@struct.dataclass
class Normalizer:
    """Statistics of the observations seen: `count` [], `mean` [O], `variance` [O] (population), all float32."""

    count: Float[Array, ""]
    mean: Float[Array, " O"]
    variance: Float[Array, " O"]


def init(observation_size: int) -> Normalizer:
    """Statistics of no observation of O = `observation_size` numbers: normalising with them changes nothing."""
    return Normalizer(jnp.zeros(()), jnp.zeros(observation_size), jnp.ones(observation_size))


def update(normalizer: Normalizer, obs: Float[Array, "T N O"], valid: Bool[Array, "T N"], limit: int = 0) -> Normalizer:
    """Merges the observations `obs` [T, N, O] of the `valid` [T, N] rows; once `limit` > 0 are in, nothing changes."""
    added = reduce.across_devices(jnp.sum(valid.astype(jnp.float32)))
    kept = jnp.where(valid[..., None], obs, 0.0)
    batch_mean = reduce.across_devices(kept.sum((0, 1))) / jnp.maximum(added, 1.0)
    spread = jnp.where(valid[..., None], jnp.square(obs - batch_mean), 0.0)
    batch_square = reduce.across_devices(spread.sum((0, 1)))

    count = normalizer.count + added
    shift = batch_mean - normalizer.mean
    share = added / jnp.maximum(count, 1.0)
    square = normalizer.variance * normalizer.count + batch_square + jnp.square(shift) * normalizer.count * share
    merged = Normalizer(count, normalizer.mean + shift * share, square / jnp.maximum(count, 1.0))
    changes = (added > 0) & ((normalizer.count < limit) if limit else True)
    return Normalizer(*(jnp.where(changes, getattr(merged, f), getattr(normalizer, f)) for f in merged.__annotations__))


def normalize(normalizer: Normalizer, obs: Float[Array, "*batch O"], clip: float) -> Float[Array, "*batch O"]:
    """Observations [..., O] in units of their std about their mean, clipped to +-`clip`."""
    std = jnp.maximum(jnp.sqrt(normalizer.variance), STD_MIN)
    return jnp.clip((obs - normalizer.mean) / std, min=-clip, max=clip)
