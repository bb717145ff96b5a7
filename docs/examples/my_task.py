"""A task of one's own, whole: a point on a line that is to be brought to rest at 0.

awr-mjx check --tasks my_task.py --env point
awr-mjx train --tasks my_task.py --env point --num_envs 256 --num_steps 400_000
awr-mjx watch --tasks my_task.py --run RUN
"""

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.envs import drawing, registry
from awr_mjx.envs.base import State

LIMIT = 3.0  # m; beyond it an episode fails


class Point:
    """Observation: position (m) and velocity (m/s). Action: acceleration, -1 to 1 m/s^2."""

    observation_size, action_size, discrete = 2, 1, False
    episode_length, dt = 200, 0.05  # control steps; s

    def reset(self, key: jax.Array) -> State:
        """The first state of an episode: at rest, up to 2 m from 0."""
        position = jax.random.uniform(key, minval=-2.0, maxval=2.0)
        obs = jnp.stack([position, jnp.zeros(())])
        return State(data=obs, obs=obs, reward=jnp.zeros(()), done=jnp.zeros(()))

    def step(self, state: State, action: jax.Array) -> State:
        """The state one control step later."""
        force = jnp.clip(action[0], -1.0, 1.0)
        velocity = state.data[1] + self.dt * force
        position = state.data[0] + self.dt * velocity
        obs = jnp.stack([position, velocity])
        reward = 1.0 - position**2 - 0.1 * force**2
        return State(data=obs, obs=obs, reward=reward, done=jnp.float32(jnp.abs(position) > LIMIT))

    def positions(self, state: State) -> jax.Array:
        """What a picture is of; with the next method, it can be rendered and watched. Training needs neither."""
        return state.data

    def picture(self, positions: np.ndarray, action: np.ndarray, width: int, height: int) -> np.ndarray:
        """An image, uint8 [height, width, 3]: the point, the place where it is to be, and how it is pushed."""
        canvas = drawing.Canvas((width, height), world=(2 * LIMIT, 3.0), corner=(-LIMIT, -1.0))
        canvas.floor()
        canvas.line([(0.0, 0.0), (0.0, 1.0)], drawing.METAL)
        canvas.disc((positions[0], 0.2), 0.2, drawing.BODY)
        canvas.arrow((positions[0], 0.2), (np.clip(action[0], -1.0, 1.0), 0.0))
        return canvas.image()


registry.register("point", Point)
