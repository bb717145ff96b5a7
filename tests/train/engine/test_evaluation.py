"""Whole episodes of tasks whose returns, lengths and terms are known."""

import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.config import AwrConfig
from envs.base import State
from tests.tasks import Walk
from train.engine.evaluation import make_evaluator, play
from train.engine.loop import Loop


class Steady:
    """Stands for a learner whose policy always does `action`."""

    def __init__(self, action: float) -> None:
        self._action = action

    def policy(self, params: None, stats: None, obs: jax.Array) -> Any:
        return types.SimpleNamespace(mode=lambda: jnp.full((*obs.shape[:-1], 1), self._action))


class Bursting(Walk):
    """From the third step on its metric is NaN."""

    def step(self, state: State, action: jax.Array) -> State:
        stepped = super().step(state, action)
        distance = jnp.where(stepped.obs[1] >= 3, jnp.nan, stepped.metrics["distance"])
        return stepped.replace(metrics={"distance": distance})  # type: ignore[attr-defined, no-any-return]


def test_episodes_and_their_terms() -> None:
    keys = jax.random.split(jax.random.key(0), 5)
    births = np.asarray(jax.vmap(Walk().reset)(keys).obs[:, 0])
    for task, action, positions in (
        (Walk(bound=2.0), 0.75, [0.75, 1.5, 2.25]),  # fails
        (Walk(bound=9.0, episode_length=4), -0.5, [-0.5, -1.0, -1.5, -2.0]),  # is at its limit
        (Bursting(bound=9.0), 0.5, [0.5, 1.0]),  # breaks in a third step, which does not pay
    ):
        seen = play(task, Steady(action), None, None, keys)  # type: ignore[arg-type]
        np.testing.assert_allclose(seen.returns, len(positions) * births + sum(positions), rtol=1e-5)
        assert seen.lengths.tolist() == [len(positions) + isinstance(task, Bursting)] * 5
        np.testing.assert_allclose(seen.terms["distance"], np.full(5, np.abs(positions).sum()), rtol=1e-6)
        program = make_evaluator(task, Steady(action), 5)  # type: ignore[arg-type]
        returns, lengths = program(None, None, jax.random.key(0))  # type: ignore[arg-type]
        np.testing.assert_allclose(returns, seen.returns, rtol=1e-6)
        np.testing.assert_array_equal(lengths, seen.lengths)


def test_training_tells_the_means_of_a_tasks_terms() -> None:
    """A walk's metric is its distance from the middle, which the ring's observations have too."""
    config = AwrConfig(rollout_steps=12, buffer_blocks=1, batch_size=32, policy_hidden=(8,), value_hidden=(8,))
    loop = Loop(Walk(bound=1.5, episode_length=5), config, 32)
    before = loop.init(0)
    env, rows, outcome = jax.jit(loop.collect)(before.learner, before.env, jax.random.key(1))
    after = np.concatenate([rows.obs[1:], env.env.obs[None]])[..., 2]
    want = np.abs(after)[np.asarray(rows.valid)]
    assert 0.05 < 1 - np.asarray(rows.valid).mean() < 0.6
    np.testing.assert_allclose(outcome.terms["distance"].sum(), want.sum(), rtol=1e-5)
    _, metrics = loop._count(before.counts, rows, outcome)
    np.testing.assert_allclose(metrics["terms/distance"], want.mean(), rtol=1e-5)
    assert "terms/distance" in jax.eval_shape(loop.epoch, before)[1]
