"""Gymnasium's CartPole-v1 in closed form: the smallest task there is, to see a program learn within seconds."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.envs.base import State, Twin


class CartPole:
    """Gymnasium's CartPole-v1: keep a pole upright by pushing its cart left or right.

    Observation float32 [4]: cart position (m), velocity (m/s), pole angle (rad), angular velocity (rad/s).
    Action int32 []: 0 pushes left, 1 right, with 10 N.
    Reward: 1 for each step, also for the one that ends the episode.
    Episode ends where |position| > 2.4 m or |angle| > 12 degrees.
    """

    observation_size = 4
    action_size = 2
    discrete = True
    episode_length = 500
    dt = 0.02
    gymnasium = Twin("CartPole-v1")
    observation_names = ("cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity")
    action_names = ("left", "right")

    gravity = 9.8
    cart_mass = 1.0
    pole_mass = 0.1
    half_length = 0.5
    force = 10.0
    max_position = 2.4
    max_angle = 12 * 2 * math.pi / 360
    reset_noise = 0.05

    def reset(self, key: jax.Array) -> State:
        """Returns a start state: all four numbers U(-0.05, 0.05), drawn with `key`."""
        obs = jax.random.uniform(key, (4,), jnp.float32, -self.reset_noise, self.reset_noise)
        zero = jnp.zeros((), jnp.float32)
        return State(data=obs, obs=obs, reward=zero, done=zero)

    def step(self, state: State, action: jax.Array) -> State:
        """Returns the state 0.02 s later (explicit Euler, as Gymnasium's), with `action` int32 [] of 0 or 1."""
        _, velocity, angle, angular_velocity = state.data
        force = jnp.where(action == 1, self.force, -self.force)
        sin, cos = jnp.sin(angle), jnp.cos(angle)
        total_mass = self.cart_mass + self.pole_mass
        mass_length = self.pole_mass * self.half_length

        push = (force + mass_length * jnp.square(angular_velocity) * sin) / total_mass
        angular_acceleration = (self.gravity * sin - cos * push) / (
            self.half_length * (4.0 / 3.0 - self.pole_mass * jnp.square(cos) / total_mass)
        )
        acceleration = push - mass_length * angular_acceleration * cos / total_mass

        rate = jnp.stack([velocity, acceleration, angular_velocity, angular_acceleration])
        obs = state.data + self.dt * rate
        failed = (jnp.abs(obs[0]) > self.max_position) | (jnp.abs(obs[2]) > self.max_angle)
        return State(obs, obs, jnp.ones((), jnp.float32), failed.astype(jnp.float32), state.metrics, state.info)

    def positions(self, state: State) -> jax.Array:
        """Returns what `picture` needs, float32 [2]: the cart's position (m) and the pole's angle (rad)."""
        return state.data[::2]

    def picture(self, pose: np.ndarray, action: np.ndarray, width: int, height: int) -> np.ndarray:
        """Returns an image, uint8 [height, width, 3], of `positions` [2] after `action` [1]."""
        from awr_mjx.envs.gym import cartpole_picture

        return cartpole_picture.draw(
            position=float(pose[0]),
            angle=float(pose[1]),
            push=2 * int(action[0]) - 1,
            length=2 * self.half_length,
            limits=(self.max_position, self.max_angle),
            size=(width, height),
        )
