"""Tasks of other packages behind our protocol: their physics and rewards, our vectorisation, resets and time limits."""

from typing import Any

import jax
import jax.numpy as jnp

from envs.base import State
from envs.physics import names


class Adapted:
    """An environment object of Brax or MuJoCo Playground, or one that looks like it, as a task.

        registry.register("mine", lambda: Adapted(MyBraxEnv(), episode_length=500))

    Its `reset(rng)` and `step(state, action)` must not reset by themselves: pass the bare environment, without
    wrappers. Actions are clipped to [-1, 1] before it sees them. Where observations are a dict, `obs_key` is used.

    Attributes:
      inner: the environment itself.
    """

    discrete = False

    def __init__(self, inner: Any, episode_length: int = 1000, obs_key: str = "state") -> None:
        """`inner` has `reset`, `step`, `action_size`, `observation_size` and `dt` (seconds)."""
        self.inner, self.episode_length, self._obs_key = inner, episode_length, obs_key
        self.action_size, self.dt = int(inner.action_size), float(inner.dt)
        model = getattr(inner, "mj_model", None) or getattr(getattr(inner, "sys", None), "mj_model", None)
        if model is not None:  # Playground has it, Brax keeps it in `sys`
            self.mj_model = model
            if self.mj_model.nu == self.action_size:
                self.action_names = names.actuators(self.mj_model)
        self.observation_size = jax.eval_shape(self.reset, jax.random.key(0)).obs.shape[0]

    def reset(self, key: jax.Array) -> State:
        """Returns the first state of an episode drawn with `key`; `data` holds the environment's own state."""
        return self._translate(self.inner.reset(jax.random.key_data(key)))

    def step(self, state: State, action: jax.Array) -> State:
        """Returns the state one control step later with `action` float32 [A], clipped to [-1, 1]."""
        return self._translate(self.inner.step(state.data, jnp.clip(action, -1.0, 1.0)))

    def positions(self, state: State) -> jax.Array:
        """Returns the MuJoCo model's positions [nq], for pictures."""
        inner = state.data
        data = inner.pipeline_state if hasattr(inner, "pipeline_state") else inner.data
        return data.qpos if hasattr(data, "qpos") else data.q

    def _translate(self, inner: Any) -> State:
        obs = inner.obs[self._obs_key] if isinstance(inner.obs, dict) else inner.obs
        obs, reward, done = (jnp.asarray(x, jnp.float32) for x in (obs, inner.reward, inner.done))
        return State(inner, obs, reward, done)
