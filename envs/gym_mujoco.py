"""Gymnasium's MuJoCo tasks on MJX: the same rules, observations and rewards, with physics tuned for large batches."""

import jax
import jax.numpy as jnp

from envs.base import State
from envs.mjx_task import MjxTask


class Ant(MjxTask):
    """Gymnasium's Ant-v5 without contact forces: run along +x on four legs.

    Observation float32 [27]: qpos without x and y (height, quaternion, 8 joint angles), then qvel [14].
    Action float32 [8] in [-1, 1]: joint torques in units of 150 N m, in Gymnasium's order (legs 4, 1, 2, 3; hip
    before ankle). The task clips the action first and uses the clipped one for both the physics and the control
    cost; Gymnasium charges for the unclipped action, which for actions inside the range is the same.
    Reward: torso's velocity along x (m/s, over the control step) + 1 if healthy - 0.5 sum of squared actions.
    Healthy: all numbers finite and torso's height in [0.2, 1.0] m; otherwise the episode ends.
    Left out of Ant-v5: the contact forces in the observation and their cost of 5e-4. The physics differs too (Euler,
    two solver iterations, softer limits and contacts, only the feet touch the floor): see `assets/ant.xml`.
    """

    observation_size = 27
    episode_length = 1000

    healthy_z = (0.2, 1.0)
    healthy_reward = 1.0
    control_cost_weight = 0.5
    reset_noise = 0.1

    def __init__(self) -> None:
        """Loads the model."""
        super().__init__("ant.xml", frame_skip=5)
        self._qpos0 = jnp.asarray(self.mj_model.qpos0, jnp.float32)

    def reset(self, key: jax.Array) -> State:
        """Returns a start state: the standing pose + U(-0.1, 0.1), velocities 0.1 N(0, 1), drawn with `key`."""
        key_qpos, key_qvel = jax.random.split(key)
        noise = self.reset_noise
        qpos = self._qpos0 + jax.random.uniform(key_qpos, self._qpos0.shape, jnp.float32, -noise, noise)
        qvel = noise * jax.random.normal(key_qvel, (self.mj_model.nv,), jnp.float32)
        physics = self.init_physics(qpos, qvel)
        zero = jnp.zeros((), jnp.float32)
        metrics = dict.fromkeys(("reward_forward", "reward_healthy", "reward_control", "x_position"), zero)
        return State(physics, self._observe(qpos, qvel), zero, zero, metrics)

    def step(self, state: State, action: jax.Array) -> State:
        """Returns the state after one control step (0.05 s) with `action` float32 [8], clipped to [-1, 1]."""
        action = jnp.clip(action.astype(jnp.float32), -1.0, 1.0)
        physics = self.step_physics(state.data, action)
        qpos, qvel = physics.qpos, physics.qvel

        low, high = self.healthy_z
        finite = jnp.isfinite(qpos).all() & jnp.isfinite(qvel).all()
        healthy = (finite & (low <= qpos[2]) & (qpos[2] <= high)).astype(jnp.float32)
        forward = (qpos[0] - state.data.qpos[0]) / self.dt
        control = -self.control_cost_weight * jnp.sum(jnp.square(action))
        metrics = {
            "reward_forward": forward,
            "reward_healthy": self.healthy_reward * healthy,
            "reward_control": control,
            "x_position": qpos[0],
        }
        reward = forward + self.healthy_reward * healthy + control
        return State(physics, self._observe(qpos, qvel), reward, 1.0 - healthy, metrics, state.info)

    def _observe(self, qpos: jax.Array, qvel: jax.Array) -> jax.Array:
        return jnp.concatenate([qpos[2:], qvel])
