"""The task of logged data whose task is not here."""

import dataclasses
from typing import Any

import jax

from awr_mjx.envs.base import UnknownTask

NAME = "none"
WORDS = "this policy was learned from data without a task (--env none), so it cannot be played here"


@dataclasses.dataclass
class Absent:
    """An `Env` of known sizes that cannot be played.

    Attributes: those of `awr_mjx.envs.base.Env`; `episode_length` and `dt` mean nothing.
    """

    observation_size: int
    action_size: int
    discrete: bool
    episode_length: int = 1
    dt: float = 1.0

    def reset(self, key: jax.Array) -> Any:
        """Raises UnknownTask: there is no first state []."""
        raise UnknownTask(WORDS)

    def step(self, state: Any, action: jax.Array) -> Any:
        """Raises UnknownTask: there is no next state []."""
        return self.reset(action)
