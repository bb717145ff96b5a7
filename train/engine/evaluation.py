"""Whole episodes of a policy's mode action, all at once."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.learner import Learner
from awr_mjx.normalizer import Normalizer
from envs.base import Env
from envs.vector import all_finite, select, strong
from train.engine.loop import FIRST, SAME, share_out

LOOK = 0.25  # s between two looks at whether to go on

Playing = tuple[Any, jax.Array, jax.Array, jax.Array]  # states [E, ...], who is alive, returns and lengths [E]


class Evaluator:
    """Plays E = `episodes` episodes of a policy's mode action; called with policy parameters, normaliser and key.

    All episodes start afresh, at once, and each is played to its own end: failure, time limit, or a number that is not
    finite, which ends it where it is. The devices of `mesh`, if given, share them.
    """

    def __init__(self, env: Env, learner: Learner, episodes: int, mesh: jax.sharding.Mesh | None = None) -> None:
        self.env, self.learner, self.episodes, self.mesh = env, learner, episodes, mesh
        if mesh:
            self._start = share_out(self._reset, mesh, (FIRST,), FIRST)
            self._go_on = share_out(self._play, mesh, (SAME, SAME, FIRST, SAME, SAME), FIRST)
        else:
            self._start, self._go_on = jax.jit(self._reset), jax.jit(self._play)

    def _reset(self, keys: jax.Array) -> Playing:
        count = keys.shape[0]
        state = strong(jax.vmap(self.env.reset)(keys))
        return state, jnp.ones(count, bool), jnp.zeros(count), jnp.zeros(count, jnp.int32)

    def _play(self, policy: Any, stats: Normalizer, playing: Playing, begin: jax.Array, end: jax.Array) -> Playing:
        """Plays on from control step `begin` to `end`, or until no episode is alive."""

        def step(carry: tuple[jax.Array, Playing]) -> tuple[jax.Array, Playing]:
            time, (state, alive, returns, lengths) = carry
            action = self.learner.policy(policy, stats, state.obs).mode()
            stepped = strong(jax.vmap(self.env.step)(state, action))
            finite = all_finite(stepped)
            returns = returns + jnp.where(alive & finite, stepped.reward, 0.0)
            lengths = lengths + alive
            return time + 1, (select(finite, stepped, state), alive & finite & (stepped.done == 0), returns, lengths)

        def unfinished(carry: tuple[jax.Array, Playing]) -> jax.Array:
            return (carry[0] < end) & carry[1][1].any()

        return jax.lax.while_loop(unfinished, step, (begin, playing))[1]

    def compile(self, policy: Any, stats: Normalizer) -> None:
        """Compiles what an evaluation needs, by one of no step."""
        self._all(policy, stats, jax.random.key(0), 0, lambda: True)

    def __call__(self, policy: Any, stats: Normalizer, key: jax.Array) -> tuple[np.ndarray, np.ndarray]:
        """Returns [E], float32, and lengths [E], int32, of all episodes."""
        found = self.unless(lambda: False, policy, stats, key)
        assert found
        return found

    def unless(
        self, stopped: Callable[[], bool], policy: Any, stats: Normalizer, key: jax.Array
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """The same, but None as soon as `stopped()`, which is asked every `LOOK` seconds or so."""
        return self._all(policy, stats, key, self.env.episode_length, lambda: not stopped())

    def _all(
        self, policy: Any, stats: Normalizer, key: jax.Array, limit: int, go_on: Callable[[], bool]
    ) -> tuple[np.ndarray, np.ndarray] | None:
        keys = jax.random.split(key, self.episodes)
        if self.mesh:  # the devices play equally many; what is too many is not counted
            keys = keys[jnp.arange(-(-self.episodes // self.mesh.size) * self.mesh.size) % self.episodes]
        playing = self._start(keys)
        begin, steps = 0, 1  # as many steps at a time as take about `LOOK` seconds
        while go_on():
            asked = time.monotonic()
            end = min(begin + steps, limit)
            playing = self._go_on(policy, stats, playing, np.int32(begin), np.int32(end))
            begin = end
            if begin >= limit or not np.asarray(playing[1]).any():
                return np.asarray(playing[2])[: self.episodes], np.asarray(playing[3])[: self.episodes]
            if time.monotonic() - asked < LOOK / 2:
                steps *= 2
        return None
