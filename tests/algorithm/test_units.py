"""Values in units of the returns: the same values after a change of units, and the same learning at any scale."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm import replay, units
from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner, LearnerState

CONFIG = AwrConfig(
    value_units="returns", policy_hidden=(8,), value_hidden=(8,), batch_size=32, policy_updates=5, value_updates=20
)
OBS = np.random.default_rng(0).normal(size=(12, 4, 3)).astype(np.float32)


def ring_of(scale: float) -> replay.Ring:
    """Twelve rows of four environments, with rewards that follow from the observations, times `scale`."""
    rng = np.random.default_rng(1)
    rows = replay.Rows(
        obs=jnp.asarray(OBS),
        action=jnp.asarray(rng.normal(size=(12, 4, 2)), jnp.float32),
        reward=jnp.asarray((1.0 + OBS[..., 0]) * np.float32(scale)),
        terminated=jnp.asarray(rng.random((12, 4)) < 0.2),
        valid=jnp.ones((12, 4), bool),
    )
    return replay.insert(replay.init(12, 4, 3, 2, False), rows)


@functools.cache
def learner_with(value_units: Any) -> tuple[Learner, Any, Any]:
    learner = Learner(dataclasses.replace(CONFIG, value_units=value_units), 3, 2, False)
    return learner, jax.jit(learner.init), jax.jit(learner.update)


@functools.cache
def learned(scale: float, value_units: Any = "returns", iterations: int = 4) -> tuple[LearnerState, dict[str, float]]:
    _, init, update = learner_with(value_units)
    state, ring, metrics = init(jax.random.key(0)), ring_of(scale), {}
    for i in range(iterations):
        state, metrics = update(state, ring, jnp.zeros((4, 3)), jax.random.key(i))
    return state, {name: float(value) for name, value in metrics.items()}


@pytest.mark.parametrize("power", [-20, -13, 13, 20])
def test_rewards_of_any_size_teach_the_same_policy(power: int) -> None:
    (one, _), (other, metrics) = learned(1.0), learned(2.0**power)
    # A power of two changes no rounding, so that not a bit of the networks may differ.
    jax.tree.map(np.testing.assert_array_equal, one.policy, other.policy)
    np.testing.assert_array_equal(one.value["out"]["kernel"], other.value["out"]["kernel"])
    np.testing.assert_array_equal(one.value["units"] * 2.0**power, other.value["units"])
    assert metrics["advantage_std"] == learned(1.0)[1]["advantage_std"] * 2.0**power
    # In units of the horizon they would.
    far = [learned(scale, "horizon")[0].policy["net"]["out"]["kernel"] for scale in (1.0, 2.0**power)]
    assert not np.array_equal(*far)


def test_another_unit_changes_no_value() -> None:
    state, _ = learned(1.0)
    learner, *_ = learner_with("returns")
    before = learner.value(state, jnp.asarray(OBS))
    g = 50.0 + 7.0 * jnp.asarray(OBS[..., 1])
    after = state.replace(value=units.rescaled(state.value, g, jnp.ones((12, 4), bool)))  # type: ignore[attr-defined]
    np.testing.assert_allclose(after.value["units"], [float(g.mean()), float(g.std())], rtol=1e-5)
    np.testing.assert_allclose(learner.value(after, jnp.asarray(OBS)), before, rtol=1e-5, atol=1e-4)
    assert not np.allclose(after.value["out"]["kernel"], state.value["out"]["kernel"])


def test_before_the_first_returns_values_are_zero_and_then_their_mean() -> None:
    learner, init, _ = learner_with("returns")
    state = init(jax.random.key(0))
    np.testing.assert_array_equal(learner.value(state, jnp.asarray(OBS)), np.zeros((12, 4)))
    g = 50.0 + 7.0 * jnp.asarray(OBS[..., 1])
    after = state.replace(value=units.rescaled(state.value, g, jnp.ones((12, 4), bool)))
    np.testing.assert_allclose(learner.value(after, jnp.asarray(OBS)), 50.0, atol=2.0)


def test_invalid_rows_do_not_count() -> None:
    state, _ = learned(1.0)
    valid = jnp.arange(48).reshape(12, 4) % 2 == 0
    g = jnp.where(valid, 5.0 + jnp.asarray(OBS[..., 1]), jnp.nan)
    found = units.rescaled(state.value, g, valid)["units"]
    np.testing.assert_allclose(found, [np.mean(g[valid]), np.std(g[valid])], rtol=1e-5)


def test_returns_without_any_spread_are_harmless() -> None:
    state, metrics = learned(0.0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((state.policy, state.value)))
    assert all(np.isfinite(value) for value in metrics.values())
