"""Whole episodes of a policy's mode action, all at once."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from awr_mjx.learner import Learner
from awr_mjx.normalizer import Normalizer
from envs.advance import advance, infinities, select, strong, terms
from envs.base import Env
from train.engine.loop import FIRST, SAME, share_out

Evaluator = Callable[[Any, Normalizer, jax.Array], tuple[jax.Array, jax.Array]]


@struct.dataclass
class Episodes:
    """What E episodes gave.

    Attributes:
      returns: float32 [E].
      lengths: int32 [E], control steps.
      terms: float32 [E] by name, what the task has to log (`envs.advance.terms`), summed over the episode's steps.
    """

    returns: jax.Array
    lengths: jax.Array
    terms: dict[str, jax.Array]


def play(env: Env, learner: Learner, policy: Any, stats: Normalizer, keys: jax.Array) -> Episodes:
    """Plays an episode for each of the `keys` [E], the mode action of a policy with its parameters and normaliser.

    All start afresh, at once, and each is played to its own end: failure, time limit, or a step that breaks the task,
    which ends it where it is and does not pay.
    """
    start = strong(jax.vmap(env.reset)(keys))
    meant = infinities(start)
    count = keys.shape[0]

    def act(state: Any) -> jax.Array:
        return learner.policy(policy, stats, state.obs).mode()

    def step(carry: tuple[Any, jax.Array, Episodes]) -> tuple[Any, jax.Array, Episodes]:
        state, alive, seen = carry
        action = act(state)
        moved = advance(env, state, action, seen.lengths, meant)
        counted = alive & moved.sound
        named = terms(env, state, action, moved.state)
        seen = Episodes(
            returns=seen.returns + jnp.where(alive, moved.reward, 0.0),
            lengths=seen.lengths + alive,
            terms={name: total + jnp.where(counted, named[name], 0.0) for name, total in seen.terms.items()},
        )
        return select(moved.sound, moved.state, state), alive & ~moved.ended, seen

    shapes = jax.eval_shape(lambda state: terms(env, state, act(state), state), start)
    zeros = {name: jnp.zeros(x.shape, x.dtype) for name, x in shapes.items()}
    seen = Episodes(jnp.zeros(count), jnp.zeros(count, jnp.int32), zeros)
    carry = start, jnp.ones(count, bool), seen
    return jax.lax.while_loop(lambda carry: carry[1].any(), step, carry)[2]


def make_evaluator(env: Env, learner: Learner, episodes: int, mesh: jax.sharding.Mesh | None = None) -> Evaluator:
    """A jitted function (policy parameters, normaliser, key) -> returns float32 [E], lengths int32 [E] of E episodes.

    The episodes are those of `play`. The devices of `mesh`, if given, share them.
    """

    def returns_and_lengths(policy: Any, stats: Normalizer, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
        seen = play(env, learner, policy, stats, keys)
        return seen.returns, seen.lengths

    layout = (SAME, SAME, FIRST), (FIRST, FIRST)
    program = share_out(returns_and_lengths, mesh, *layout) if mesh else jax.jit(returns_and_lengths)

    def evaluate(policy: Any, stats: Normalizer, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        keys = jax.random.split(key, episodes)
        if mesh:  # the devices play equally many; what is too many is not counted
            keys = jnp.concatenate([keys, keys[: -episodes % mesh.size]])
        return jax.tree.map(lambda x: x[:episodes], program(policy, stats, keys))

    return evaluate
