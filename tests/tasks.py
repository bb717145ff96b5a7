"""Small tasks in plain JAX, of which every number is known."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.envs.base import State

ZERO = jnp.float32(0.0)


class Chain:
    """Places 0..L-1 in a row. Each step moves on by one, whatever the action; leaving the last place pays 1.

    After the last place comes a failure, or (`end` "never") place 0 again, so that only a time limit ends an episode.
    The observation is the place, one-hot; that of a failure is place 0, so that its value, wrongly used, would show.
    """

    dt = 0.1

    def __init__(
        self,
        length: int = 4,
        end: Literal["failure", "never"] = "failure",
        episode_length: int = 1000,
        discrete: bool = False,
    ) -> None:
        self.length, self.fails = length, end == "failure"
        self.observation_size, self.action_size = length, 3 if discrete else 2
        self.episode_length, self.discrete = episode_length, discrete

    def value(self, gamma: float) -> np.ndarray:
        """V [L] in closed form: 1 is paid after L - 1 - place further steps, once, or every L steps for ever."""
        first = gamma ** (self.length - 1.0 - np.arange(self.length))
        return first if self.fails else first / (1 - gamma**self.length)

    def reset(self, key: jax.Array) -> State:
        place = jax.random.randint(key, (), 0, self.length)
        return State(place, jax.nn.one_hot(place, self.length), ZERO, ZERO)

    def step(self, state: State, action: jax.Array) -> State:
        left = state.data == self.length - 1
        place = (state.data + 1) % self.length
        reward = left.astype(jnp.float32)
        return State(place, jax.nn.one_hot(place, self.length), reward, reward * self.fails)


class Walk:
    """A point that each action moves by up to 1; it fails beyond +-`bound`. Observation: [birth, steps, position].

    `birth` is drawn anew by each reset and never changes, so that it tells one episode from all others.
    """

    observation_size, action_size, discrete, dt = 3, 1, False, 0.1

    def __init__(self, bound: float = 2.0, episode_length: int = 6) -> None:
        self.bound, self.episode_length = bound, episode_length

    def reset(self, key: jax.Array) -> State:
        birth = jax.random.uniform(key)
        return State({"key": key}, jnp.stack([birth, ZERO, ZERO]), ZERO, ZERO, {"distance": ZERO})

    def step(self, state: State, action: jax.Array) -> State:
        birth, steps, position = state.obs
        position = position + jnp.clip(action[0], -1.0, 1.0)
        failed = (jnp.abs(position) > self.bound).astype(jnp.float32)
        obs = jnp.stack([birth, steps + 1.0, position])
        return State(state.data, obs, birth + position, failed, {"distance": jnp.abs(position)})


class Hopeless(Walk):
    """A walk that training gives up as soon as it is right of its middle, which by its own rule is no failure."""

    def given_up(self, state: State) -> jax.Array:
        return state.obs[2] > 0


class Broken:
    """A task that breaks at random steps, of share `steps`, and at a share `resets` of its resets.

    Then its observation, reward or data (one of them at random) is nan, inf or -inf.
    """

    observation_size, action_size, discrete, dt, episode_length = 2, 1, False, 0.1, 10

    def __init__(self, steps: float = 0.1, resets: float = 0.0) -> None:
        self.steps, self.resets = steps, resets

    def reset(self, key: jax.Array) -> State:
        key, key_bad, key_x = jax.random.split(key, 3)
        x = jax.random.uniform(key_x)
        bad = jax.random.uniform(key_bad) < self.resets
        obs = jnp.stack([x, jnp.where(bad, jnp.nan, x * x)])
        return State({"key": key, "x": x}, obs, ZERO, ZERO)

    def step(self, state: State, action: jax.Array) -> State:
        key, key_bad, key_kind = jax.random.split(state.data["key"], 3)
        bad = jax.random.uniform(key_bad) < self.steps
        kind = jax.random.randint(key_kind, (), 0, 9)
        number = jnp.array([jnp.nan, jnp.inf, -jnp.inf])[kind % 3]

        def spoil(x: jax.Array, place: int) -> jax.Array:
            return jnp.where(bad & (kind // 3 == place), number, x)

        x = 0.9 * state.data["x"] + 0.1 * jnp.clip(action[0], -1.0, 1.0)
        obs = spoil(jnp.stack([x, x * x]), 0)
        return State({"key": key, "x": spoil(x, 2)}, obs, spoil(1.0 - x * x, 1), ZERO)


def leaves_of(tree: Any) -> dict[str, np.ndarray]:
    """Every leaf of a tree by its path, on the host; random keys as their bits."""

    def host(x: jax.Array) -> np.ndarray:
        return np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x)

    return {jax.tree_util.keystr(path): host(x) for path, x in jax.tree_util.tree_leaves_with_path(tree)}
