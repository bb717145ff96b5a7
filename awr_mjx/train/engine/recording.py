"""Records what policies do: whole episodes, by many environments at once."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.algorithm.learner import Learner, LearnerState
from awr_mjx.algorithm.replay import Rows
from awr_mjx.envs import tables
from awr_mjx.envs.base import Env
from awr_mjx.envs.vector import VectorEnv, VectorState
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.datasets.recorded import from_rows

CHUNK = 16  # control steps between two draws of new starts
Chunk = tuple[VectorState, Rows, jax.Array, jax.Array]  # rows and log-densities [CHUNK, N], steps that broke []


class Recorder:
    """Plays policies of one architecture in one task; compiled once for all of them."""

    def __init__(self, env: Env, learner: Learner, num_envs: int, mode: bool) -> None:
        """`num_envs` environments N step at once; actions are the `mode`, or samples."""
        self.env, self.learner, self.num_envs, self.mode = env, learner, num_envs, mode
        self.venv = VectorEnv(env, num_envs)
        self._init, self._run = tables.jit(self.venv.init, env), tables.jit(self._chunk, env)

    def whole_episodes(
        self, learned: LearnerState, steps: int, key: jax.Array, tell: Callable[[float], None]
    ) -> DataSet:
        """The first whole episodes that together have at least `steps` steps, in the order in which they begin.

        Every episode that begins is waited for, so that short ones are not more frequent than they are.

        Args:
          learned: the policy.
          steps: the steps to record.
          key: all randomness follows from it.
          tell: called with the share that is done, from time to time.

        Raises:
          UserError: if the task breaks in every episode.
        """
        state = self._init(jax.random.fold_in(key, 0))
        state = state.replace(steps=jnp.zeros_like(state.steps), whole=jnp.ones_like(state.whole))  # none is under way
        parts: list[tuple[Rows, np.ndarray]] = []
        broken = 0
        while True:
            state, rows, log_probs, quarantined = self._run(learned, state, jax.random.fold_in(key, len(parts) + 1))
            parts.append(jax.tree.map(np.asarray, (rows, log_probs)))
            broken += int(quarantined)
            # What is over so far can be known without putting it together; that is done when it may be enough.
            finished = sum(int(part.valid.sum()) for part, _ in parts[: max(0, len(parts) - 1)])
            tell(min(finished / steps, 0.99))
            if finished >= steps:
                found = _first(parts, state, steps)
                if found is not None:
                    return found
            if broken > max(steps, self.num_envs * self.env.episode_length):
                raise UserError("the task breaks in nearly every step, so there is nothing to record")

    def _chunk(self, learned: LearnerState, state: VectorState, key: jax.Array) -> Chunk:
        key_pool, key_steps = jax.random.split(key)

        def step(state: VectorState, key: jax.Array) -> tuple[VectorState, tuple[Rows, jax.Array, jax.Array]]:
            key_action, key_env = jax.random.split(key)
            obs = state.env.obs
            policy = self.learner.policy(learned.policy, learned.normalizer, obs)
            action = policy.mode() if self.mode else policy.sample(key_action)
            state, outcome = self.venv.step(state, action, key_env)
            rows = Rows(obs, action, outcome.reward, outcome.terminated, outcome.valid)
            return state, (rows, policy.log_prob(action), outcome.quarantined.sum())

        state, (rows, log_probs, quarantined) = jax.lax.scan(step, state, jax.random.split(key_steps, CHUNK))
        return self.venv.refresh(state, key_pool), rows, log_probs, quarantined.sum()


def _first(parts: list[tuple[Rows, np.ndarray]], state: VectorState, steps: int) -> DataSet | None:
    """The first episodes of at least `steps` steps, if all that began as early are over."""
    rows, log_probs = jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)
    found, begun = from_rows(rows, np.asarray(state.env.obs), np.asarray(state.ended), log_probs)
    order = np.argsort(begun, kind="stable")
    over = (found.terminated | found.truncated)[order]
    first_open = int(np.argmin(over)) if not over.all() else len(over)
    sums = np.cumsum(found.steps[order][:first_open])
    if not len(sums) or sums[-1] < steps:
        return None
    return found.select(order[: int(np.searchsorted(sums, steps)) + 1])
