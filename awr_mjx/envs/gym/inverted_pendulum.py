"""Gymnasium's InvertedPendulum-v5 on MJX: two joints, no contact; compiles and learns within seconds."""

import jax
import jax.numpy as jnp

from awr_mjx.envs.base import State, Twin
from awr_mjx.envs.physics import models
from awr_mjx.envs.physics.mjx_task import MjxTask


class InvertedPendulum(MjxTask):
    """Gymnasium's InvertedPendulum-v5: balance a pole on a cart that runs on a rail.

    Observation float32 [4]: cart position (m), pole angle (rad), and their velocities (m/s, rad/s).
    Action float32 [1] in [-1, 1], clipped: 1 stands for Gymnasium's action 3, which its gear makes 300 N.
    Reward: 1 while healthy, else 0. Healthy: all numbers finite and |angle| <= 0.2 rad; otherwise the episode ends.
    """

    observation_size = 4
    episode_length = 1000

    max_angle = 0.2
    max_ctrl = 3.0
    reset_noise = 0.01
    gymnasium = Twin("InvertedPendulum-v5", action_scale=max_ctrl)
    observation_names = ("cart_position", "pole_angle", "cart_velocity", "pole_angular_velocity")

    def __init__(self) -> None:
        """Loads the model."""
        super().__init__(models.exact("inverted_pendulum.xml"), frame_skip=2)

    def reset(self, key: jax.Array) -> State:
        """Returns a start state: positions and velocities U(-0.01, 0.01), drawn with `key`."""
        noise = self.reset_noise
        obs = jax.random.uniform(key, (4,), jnp.float32, -noise, noise)
        zero = jnp.zeros((), jnp.float32)
        return State(self.init_physics(obs[:2], obs[2:]), obs, zero, zero)

    def step(self, state: State, action: jax.Array) -> State:
        """Returns the state after one control step (0.04 s) with `action` float32 [1], clipped to [-1, 1]."""
        action = jnp.clip(action.astype(jnp.float32), -1.0, 1.0)
        physics = self.step_physics(state.data, self.max_ctrl * action)[0]
        obs = jnp.concatenate([physics.qpos, physics.qvel])
        healthy = (jnp.isfinite(obs).all() & (jnp.abs(obs[1]) <= self.max_angle)).astype(jnp.float32)
        return State(physics, obs, healthy, 1.0 - healthy, state.metrics, state.info)
