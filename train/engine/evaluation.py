"""Whole episodes of a policy's mode action, all at once."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from awr_mjx.learner import Learner
from awr_mjx.normalizer import Normalizer
from envs.base import Env
from envs.vector import all_finite, select, strong
from train.engine.loop import FIRST, SAME, share_out

Evaluator = Callable[[Any, Normalizer, jax.Array], tuple[jax.Array, jax.Array]]


def make_evaluator(env: Env, learner: Learner, episodes: int, mesh: jax.sharding.Mesh | None = None) -> Evaluator:
    """A jitted function (policy parameters, normaliser, key) -> returns float32 [E], lengths int32 [E] of E episodes.

    All episodes start afresh, at once, and each is played to its own end: failure, time limit, or a number that is not
    finite, which ends it where it is. The devices of `mesh`, if given, share them.
    """

    def play(policy: Any, stats: Normalizer, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
        count = keys.shape[0]

        def step(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            time, state, alive, returns, lengths = carry
            action = learner.policy(policy, stats, state.obs).mode()
            stepped = strong(jax.vmap(env.step)(state, action))
            finite = all_finite(stepped)
            returns = returns + jnp.where(alive & finite, stepped.reward, 0.0)
            lengths = lengths + alive
            return time + 1, select(finite, stepped, state), alive & finite & (stepped.done == 0), returns, lengths

        def unfinished(carry: tuple[Any, ...]) -> jax.Array:
            return (carry[0] < env.episode_length) & carry[2].any()

        state = strong(jax.vmap(env.reset)(keys))
        start = (jnp.int32(0), state, jnp.ones(count, bool), jnp.zeros(count), jnp.zeros(count, jnp.int32))
        *_, returns, lengths = jax.lax.while_loop(unfinished, step, start)
        return returns, lengths

    program = share_out(play, mesh, (SAME, SAME, FIRST), (FIRST, FIRST)) if mesh else jax.jit(play)

    def evaluate(policy: Any, stats: Normalizer, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        keys = jax.random.split(key, episodes)
        if mesh:  # the devices play equally many; what is too many is not counted
            keys = keys[jnp.arange(-(-episodes // mesh.size) * mesh.size) % episodes]
        return jax.tree.map(lambda x: x[:episodes], program(policy, stats, keys))

    return evaluate
