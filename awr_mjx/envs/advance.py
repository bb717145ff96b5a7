"""One control step of N environments, and the one rule of what ends an episode and what is broken.

Training and Brax's trainers step tasks with `advance`; evaluation and the live view step them in one physics or
another, and ask `judged` what became of it.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from awr_mjx.envs.base import Env

LIMIT = 1e6  # observations and rewards beyond this are an explosion; no robot's numbers in SI units reach it

Meant = list[jax.Array]  # of each float leaf of a task's state in turn, bool []: its infinities are meant


@struct.dataclass
class Advance:
    """What one control step of N environments gave.

    Attributes:
      state: the task's state after the step, leaves [N, ...]; not to be used where not `sound`.
      sound: bool [N], as `sound` tells.
      reward: float32 [N], 0 where not sound.
      terminated: bool [N], sound, and the task ended the episode by its own rule.
      ended: bool [N], the episode is over: terminated, at its time limit, or not sound.
      steps: int32 [N], control steps of the episode, this one counted.
    """

    state: Any
    sound: jax.Array
    reward: jax.Array
    terminated: jax.Array
    ended: jax.Array
    steps: jax.Array


def advance(env: Env, state: Any, action: jax.Array, steps: jax.Array, meant: Meant, training: bool = False) -> Advance:
    """One control step of N environments, leaves [N, ...], of which each has made `steps` int32 [N] so far.

    `action` is float32 [N, A] or int32 [N]; `meant` is of states just reset (`infinities`). In `training`, what the
    task gives up (its `given_up`) has failed.
    """
    return judged(env, strong(jax.vmap(env.step)(state, action)), steps, meant, training)


def judged(env: Env, stepped: Any, steps: jax.Array, meant: Meant, training: bool = False) -> Advance:
    """The same for N environments that have been stepped already, to the task's states `stepped`, leaves [N, ...]."""
    good = sound(stepped, meant)
    failed = stepped.done > 0
    if training and hasattr(env, "given_up"):
        failed |= jax.vmap(env.given_up)(stepped)
    terminated = good & failed
    steps = steps + 1
    return Advance(
        state=stepped,
        sound=good,
        reward=jnp.where(good, stepped.reward, 0.0),
        terminated=terminated,
        ended=terminated | (steps >= env.episode_length) | ~good,
        steps=steps,
    )


def infinities(resets: Any) -> Meant:
    """Which leaves of the task's states just reset, [P, ...], have an infinity, such as a time "not yet": bool [] each.

    Such leaves may have infinities later on as well.
    """
    return [jnp.isinf(x).any() for x in _floats(resets)]


def sound(state: Any, meant: Meant) -> jax.Array:
    """bool [N]: no float of the task's state, leaves [N, ...], is NaN, or infinite where that is not `meant`.

    Observations and rewards must be within +-`LIMIT`: a huge finite number is as bad as NaN, for its square overflows,
    and with it the normaliser's variance, for good.
    """
    good = (jnp.abs(state.obs) <= LIMIT).all(axis=-1) & (jnp.abs(state.reward) <= LIMIT)
    for x, may in zip(_floats(state), meant, strict=True):
        fine = jnp.isfinite(x) | (may & jnp.isinf(x))
        good = good & fine.reshape(x.shape[0], -1).all(axis=1)
    return good


def terms(env: Env, state: Any, action: jax.Array, after: Any) -> dict[str, jax.Array]:
    """What there is to log of the step of N environments from `state` to `after`, leaves [N, ...]: float32 [N] by name.

    These are the numbers of `State.metrics` and, where the task has such a method, of its `terms`.
    """
    found = dict(after.metrics)
    if hasattr(env, "terms"):
        found |= jax.vmap(env.terms)(state, action, after)
    arrays = {name: jnp.asarray(x) for name, x in found.items() if not isinstance(x, dict)}
    return {name: x.astype(jnp.float32) for name, x in sorted(arrays.items()) if x.shape == after.reward.shape}


def summed(term: jax.Array, counts: jax.Array) -> jax.Array:
    """What a mean of `term` [N] is made of: float32 [N, 2], it and 1 where it `counts` [N] and is finite, else 0s."""
    kept = counts & jnp.isfinite(term)
    return jnp.stack([jnp.where(kept, term, 0.0), kept.astype(jnp.float32)], axis=-1)


def strong(tree: Any) -> Any:
    """The same arrays (any shapes [...]) without weak types: a weakly typed state would compile every program twice."""
    return jax.tree.map(lambda x: x if _is_key(x) else jnp.asarray(x, jnp.asarray(x).dtype), tree)


def select(condition: jax.Array, yes: Any, no: Any) -> Any:
    """Per environment, `yes` where `condition` [N] is true and `no` elsewhere; two trees of leaves [N, ...]."""

    def choose(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(condition.reshape(condition.shape + (1,) * (a.ndim - condition.ndim)), a, b)

    return jax.tree.map(choose, yes, no)


def _floats(tree: Any) -> list[jax.Array]:
    return [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]


def _is_key(x: Any) -> bool:
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
