"""The training loop: one state, one iteration, one jitted epoch. Nothing that influences training lives outside."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax

from awr_mjx import reduce, replay
from awr_mjx.config import AwrConfig
from awr_mjx.learner import Learner, LearnerState
from envs.base import Env
from envs.vector import Outcome, VectorEnv, VectorState, strong
from train import counters
from train.counters import Counter


@struct.dataclass
class Counts:
    """What a run has done so far, 64 bits each."""

    iterations: Counter
    env_steps: Counter
    gradient_steps: Counter
    episodes: Counter
    quarantined: Counter


@struct.dataclass
class TrainState:
    """Everything that training needs: a run that goes on from a saved one is the same run, bit for bit."""

    learner: LearnerState
    ring: replay.Ring
    env: VectorState
    key: jax.Array
    counts: Counts


class Loop:
    """AWR on N = `num_envs` copies of a task: `init` makes a `TrainState`, `epoch` trains for some iterations."""

    def __init__(self, env: Env, config: AwrConfig, num_envs: int, epoch_iterations: int = 1) -> None:
        self.config, self.num_envs, self.epoch_iterations = config, num_envs, epoch_iterations
        self.venv = VectorEnv(env, num_envs)
        self.learner = Learner(config, env.observation_size, env.action_size, env.discrete)
        self.steps_per_iteration = num_envs * config.rollout_steps
        # The state is donated: the ring is updated where it lies and never exists twice.
        self.epoch = jax.jit(self._epoch, donate_argnums=0)

    def init(self, seed: int) -> TrainState:
        """A fresh state; everything in it follows from `seed`."""
        return jax.jit(self._init)(jax.random.key(seed))

    def _init(self, key: jax.Array) -> TrainState:
        key, key_learner, key_env = jax.random.split(key, 3)
        learner = self.learner
        ring = replay.init(
            self.config.capacity, self.num_envs, learner.observation_size, learner.action_size, learner.discrete
        )
        counts = Counts(*(counters.zero() for _ in Counts.__annotations__))
        return strong(TrainState(learner.init(key_learner), ring, self.venv.init(key_env), key, counts))

    def _epoch(self, state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        """`epoch_iterations` iterations; metrics are arrays [epoch_iterations]. The given state is used up."""
        return lax.scan(lambda s, _: self.iteration(s), state, length=self.epoch_iterations)

    def iteration(self, state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        """One iteration of AWR: collect T steps of N environments, then regress value and policy on the ring."""
        key, key_collect, key_pool, key_update = jax.random.split(state.key, 4)
        env, rows, outcome = self.collect(state.learner, state.env, key_collect)
        env = self.venv.refresh(env, key_pool)
        learner = self.learner.observe(state.learner, rows)
        ring = replay.insert(state.ring, rows)
        learner, metrics = self.learner.update(learner, ring, env.env.obs, key_update)
        counts, seen = self._count(state.counts, rows, outcome)
        return TrainState(learner, ring, env, key, counts), metrics | seen

    def collect(
        self, learner: LearnerState, env: VectorState, key: jax.Array
    ) -> tuple[VectorState, replay.Rows, Outcome]:
        """Lets the policy act for T steps; gives the environments, their rows [T, N, ...] and outcomes [T, N]."""

        def act(env: VectorState, key: jax.Array) -> tuple[VectorState, tuple[replay.Rows, Outcome]]:
            key_action, key_env = jax.random.split(key)
            obs = env.env.obs
            action = self.learner.policy(learner.policy, learner.normalizer, obs).sample(key_action)
            env, outcome = self.venv.step(env, action, key_env)
            return env, (replay.Rows(obs, action, outcome.reward, outcome.terminated, outcome.valid), outcome)

        env, (rows, outcome) = lax.scan(act, env, jax.random.split(key, self.config.rollout_steps))
        return env, rows, outcome

    def _count(self, counts: Counts, rows: replay.Rows, outcome: Outcome) -> tuple[Counts, dict[str, Any]]:
        """Counters moved on by one iteration, and what its episodes were like."""

        def number(mask: jax.Array) -> jax.Array:
            return reduce.total(mask.astype(jnp.int32))

        gradient_steps = self.config.value_updates + self.config.policy_updates
        counts = Counts(
            iterations=counts.iterations.add(jnp.int32(1)),
            env_steps=counts.env_steps.add(jnp.int32(self.steps_per_iteration)),
            gradient_steps=counts.gradient_steps.add(jnp.int32(gradient_steps)),
            episodes=counts.episodes.add(number(outcome.finished)),
            quarantined=counts.quarantined.add(number(outcome.quarantined)),
        )
        seen = {
            "reward_per_step": reduce.mean(rows.reward, rows.valid),
            "terminated_share": reduce.mean(rows.terminated.astype(jnp.float32), rows.valid),
            "episodes_finished": number(outcome.finished),
            "episode_return": reduce.mean(outcome.episode_return, outcome.finished),
            "episode_steps": reduce.mean(outcome.episode_steps.astype(jnp.float32), outcome.finished),
            "quarantined": number(outcome.quarantined),
        }
        return counts, seen
