"""What was learned, measured on episodes that it was not learned from."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.algorithm import reduce, returns
from awr_mjx.algorithm.learner import Learner, LearnerState
from awr_mjx.algorithm.static import StaticRing
from awr_mjx.train.datasets import packing
from awr_mjx.train.datasets.data_set import DataSet

PART = 65_536  # steps whose actions are judged at once


class HeldOut:
    """Calls give, by name, how likely the held-out actions are and how far off the values."""

    def __init__(self, learner: Learner, sets: list[DataSet]) -> None:
        self.episodes = sum(len(one.steps) for one in sets)
        self._ring = jax.device_put(packing.packed(sets))
        self._judge = jax.jit(lambda state, ring: _judge(learner, state, ring))

    def __call__(self, state: LearnerState) -> dict[str, float]:
        """The mean log-density of an action, and of V the root mean square error and the explained variance.

        Values are held against the sum of rewards to the end of the episode, with V where a time limit ended it.
        """
        found = self._judge(state, self._ring)
        return {f"held_out_{name}": float(np.asarray(value)) for name, value in found.items()}


def _judge(learner: Learner, state: LearnerState, ring: StaticRing) -> dict[str, Any]:
    rows, valid = ring.rows, ring.rows.valid
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (rows.obs, rows.action))
    log_prob = jax.lax.map(
        lambda row: learner.policy(state.policy, state.normalizer, row[0]).log_prob(row[1]), flat, batch_size=PART
    )
    found = {"log_likelihood": reduce.mean(log_prob.reshape(valid.shape), valid)}
    if learner.config.value_updates:
        gamma = 1.0 - 1.0 / learner.horizon(state)
        nothing = jnp.zeros((valid.shape[1], rows.obs.shape[-1]))
        g, v = returns.relabel(ring, lambda obs: learner.value(state, obs), nothing, gamma, 1.0)
        found["value_error"] = jnp.sqrt(reduce.mean(jnp.square(g - v), valid))
        found["explained_variance"] = returns.explained_variance(g, v, valid)
    return found
