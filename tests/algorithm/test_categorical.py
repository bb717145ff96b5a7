"""Values as distributions over bins: what they mean, and that they are learned."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm import categorical, replay
from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner


@pytest.mark.parametrize("bins", [32, 101])
def test_a_value_is_the_mean_of_its_distribution(bins: int) -> None:
    """Far from the ends; and the probabilities are those of a normal distribution of three quarters of a bin."""
    values = jnp.linspace(-5.0, 5.0, 41)
    found = categorical.probabilities(values, bins)
    np.testing.assert_allclose(found.sum(axis=-1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(categorical.mean(jnp.log(found + 1e-30)), values, atol=2e-3)
    ends = np.linspace(-8.0, 8.0, bins + 1)
    below = [0.5 * (1.0 + math.erf((end - 1.25) / (0.75 * 16.0 / bins * math.sqrt(2.0)))) for end in ends]
    wanted = np.diff(below)
    np.testing.assert_allclose(categorical.probabilities(jnp.float32(1.25), bins), wanted, atol=1e-5)


def test_values_beyond_the_bins_are_those_of_the_outermost() -> None:
    found = categorical.mean(jnp.log(categorical.probabilities(jnp.array([-1e6, -9.0, 9.0, 1e6]), 101) + 1e-30))
    np.testing.assert_allclose(found, [-7.6, -7.6, 7.6, 7.6], atol=0.1)


def test_the_loss_is_least_at_the_target_and_no_row_that_is_not_valid_counts() -> None:
    target, valid = jnp.array([0.5, -2.0, 3.0]), jnp.array([True, True, False])
    best = jnp.log(categorical.probabilities(target, 64) + 1e-20)
    least = categorical.loss(best, target, valid)
    for shift in (-0.3, 0.3):
        other = jnp.log(categorical.probabilities(target + shift, 64) + 1e-20)
        assert categorical.loss(other, target, valid) > least
    spoilt = best.at[2].set(jnp.inf)
    assert categorical.loss(spoilt, target, valid) == least


@pytest.mark.parametrize("bins", [0, 64])
def test_it_learns_values_as_the_other_critic_does(bins: int) -> None:
    """Returns that follow from the observation, of one thousand and a spread of a hundred."""
    config = AwrConfig(
        value_units="returns", value_bins=bins, value_hidden=(64,), batch_size=128, value_updates=400, value_lr=3e-3,
        policy_hidden=(8,), policy_updates=1,
    )  # fmt: skip
    learner = Learner(config, 3, 2, False)
    rng = np.random.default_rng(0)
    obs = jnp.asarray(rng.normal(size=(16, 32, 3)), jnp.float32)
    ones = jnp.ones((16, 32), bool)
    rows = replay.Rows(obs, jnp.zeros((16, 32, 2)), 1000.0 + 100.0 * obs[..., 0], ones, ones)
    ring = replay.insert(replay.init(16, 32, 3, 2, False), rows)
    state, _ = jax.jit(learner.update)(learner.init(jax.random.key(0)), ring, obs[0], jax.random.key(1))
    error = np.asarray(learner.value(state, obs)) - np.asarray(rows.reward)
    assert np.abs(error).mean() < 20.0
