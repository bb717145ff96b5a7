"""Learning from static data: the same regressions on a ring that is laid once. Nothing is collected."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding

from awr_mjx.algorithm import normalizer, static
from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner
from awr_mjx.algorithm.static import StaticRing
from awr_mjx.envs.advance import strong
from awr_mjx.envs.base import Env
from awr_mjx.envs.tables import Program
from awr_mjx.train.datasets.data_set import DataSet, joined
from awr_mjx.train.engine import counters
from awr_mjx.train.engine.held_out import HeldOut
from awr_mjx.train.engine.loop import AXIS, SAME, Counts, TrainState, placed, sound_parts


class StaticLoop:
    """AWR on a ring of whole episodes, on one device: what `Loop` is to a task that is played.

    Attributes:
      env: the task, whose sizes count; it is never stepped here.
      ring: the data, on the host until `compile`.
      held_out: what was learned is measured on these data, if there are any.
    """

    def __init__(
        self,
        env: Env,
        config: AwrConfig,
        ring: StaticRing,
        data: list[DataSet],
        held_out: list[DataSet],
        epoch_iterations: int,
    ) -> None:
        self.env, self.config, self.ring, self.epoch_iterations = env, config, ring, epoch_iterations
        self.mesh = Mesh(np.asarray(jax.devices()[:1]), (AXIS,))
        self.learner = Learner(config, env.observation_size, env.action_size, env.discrete, static.draw)
        self.held_out = HeldOut(self.learner, held_out) if held_out else None
        self._normalizer = statistics(joined(data))
        self._init_program = jax.jit(self._init, out_shardings=placed(SAME, self.mesh))

    def init(self, seed: int) -> TrainState:
        """A fresh state; everything in it follows from `seed` and the data, of which the normaliser is."""
        return self._init_program(jax.random.key(seed), self._normalizer)

    def template(self) -> TrainState:
        """The description of a state: shapes, types and where its arrays are to lie."""
        state = jax.eval_shape(self._init_program, jax.random.key(0), self._normalizer)
        place = NamedSharding(self.mesh, SAME)
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), state)

    def held(self, state: TrainState) -> TrainState:
        """The description `state` with that of the data as its ring, for the memory plan."""
        place = NamedSharding(self.mesh, SAME)
        ring = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), self.ring)
        return state.replace(ring=ring)  # type: ignore[attr-defined]

    def compile(self) -> tuple[Callable[[TrainState], tuple[TrainState, dict[str, jax.Array]]], int]:
        """The program of an epoch, with the data on the device, and the bytes that it works in."""
        ring = jax.device_put(self.ring, NamedSharding(self.mesh, SAME))
        self.ring = ring  # nothing else keeps the host's
        return Program(jax.jit(self._epoch, donate_argnums=0), ring).compile(self.template())

    def _init(self, key: jax.Array, stats: normalizer.Normalizer) -> TrainState:
        key, key_learner = jax.random.split(key)
        learner = self.learner.init(key_learner).replace(normalizer=stats)  # type: ignore[attr-defined]
        counts = Counts(*(counters.zero() for _ in Counts.__annotations__))
        return strong(TrainState(learner, None, None, key, counts))  # type: ignore[arg-type]

    def _epoch(self, state: TrainState, ring: StaticRing) -> tuple[TrainState, dict[str, jax.Array]]:
        """`epoch_iterations` iterations; metrics are arrays [epoch_iterations], and `sound` as `Loop`'s."""
        nothing = jnp.zeros((ring.rows.valid.shape[1], self.env.observation_size))  # no row has it for its successor
        steps = jnp.int32(self.config.value_updates + self.config.policy_updates)

        def step(state: TrainState, _: None) -> tuple[TrainState, dict[str, jax.Array]]:
            key, key_update = jax.random.split(state.key)
            learner, metrics = self.learner.update(state.learner, ring, nothing, key_update)
            learner = learner.replace(env_steps=state.learner.env_steps)  # type: ignore[attr-defined]
            counts = state.counts.replace(  # type: ignore[attr-defined]
                iterations=state.counts.iterations.add(jnp.int32(1)),
                gradient_steps=state.counts.gradient_steps.add(steps),
            )
            state = TrainState(learner, None, None, key, counts)  # type: ignore[arg-type]
            return state, metrics | {"sound": sound_parts(learner)}

        return lax.scan(step, state, length=self.epoch_iterations)


def statistics(data: DataSet) -> normalizer.Normalizer:
    """The normaliser of the observations that steps act on, in float64 until the end."""
    obs = data.observations[data.acted_on()]
    mean = obs.mean(axis=0, dtype=np.float64)
    variance = np.square(obs - mean).mean(axis=0, dtype=np.float64)
    return normalizer.Normalizer(
        jnp.float32(len(obs)), jnp.asarray(mean, jnp.float32), jnp.asarray(variance, jnp.float32)
    )
