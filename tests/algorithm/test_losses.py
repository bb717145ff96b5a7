"""The two losses by hand, and where their gradients point."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm import losses
from awr_mjx.algorithm.distributions import Categorical, Gaussian

VALID = jnp.array([True, True, False])


def test_value_loss() -> None:
    # 0.5 ((2 - 1)^2 + (-1 - 2)^2) / 2 = 2.5; the third row does not count.
    prediction, target = jnp.array([1.0, 2.0, jnp.nan]), jnp.array([2.0, -1.0, 1e30])
    assert float(losses.value_loss(prediction, target, VALID)) == pytest.approx(2.5)
    assert float(losses.value_loss(prediction, target, jnp.zeros(3, bool))) == 0.0


def test_an_expectile_is_where_the_loss_is_least() -> None:
    # Half of the targets are 0 and half 1: the expectile tau of these is tau itself.
    target = jnp.array([0.0, 1.0, 9.0])
    for tau in (0.2, 0.5, 0.8):
        slope = jax.grad(lambda p, tau=tau: losses.value_loss(jnp.full(3, p), target, VALID, tau))
        assert float(slope(tau)) == pytest.approx(0.0, abs=1e-6)
        assert float(slope(tau - 0.1)) < 0 < float(slope(tau + 0.1))
    assert float(losses.value_loss(jnp.full(3, 0.5), target, VALID, 0.8)) == pytest.approx(0.125)


def test_policy_loss_of_a_gaussian() -> None:
    # Standard normal density, log p(x) = -x^2 / 2 - 0.918939. Row 0: x = 1, weight 2; row 1: mean 1.5, x = 1.5 - 2,
    # weight 0.5. - mean w log p = (2 * 1.418939 + 0.5 * 2.918939) / 2 = 2.148673.
    # Excess of row 1's mean over 1: 0.5. Penalty 10 * 0.5 * 0.25 = 1.25, mean over the two rows 0.625.
    policy = Gaussian(jnp.array([[0.0], [1.5], [9.0]]), jnp.array([1.0]))
    action, weight = jnp.array([[1.0], [-0.5], [3.0]]), jnp.array([2.0, 0.5, 7.0])
    assert float(losses.policy_loss(policy, action, weight, VALID, 0.0, 5.0)) == pytest.approx(2.148673, rel=1e-6)
    assert float(losses.policy_loss(policy, action, weight, VALID, 10.0, 5.0)) == pytest.approx(2.773673, rel=1e-6)


def test_policy_loss_of_a_categorical() -> None:
    # Logits (0, log 3): probabilities 1/4, 3/4. Row 0 takes action 1 (weight 2), row 1 action 0 (weight 1):
    # - (2 log 0.75 + log 0.25) / 2 = 0.980829. Penalty: 0.1 / 2 * (log 3)^2 = 0.060347 for each row.
    policy = Categorical(jnp.tile(jnp.array([0.0, np.log(3.0)]), (3, 1)))
    action, weight = jnp.array([1, 0, 0], jnp.int32), jnp.array([2.0, 1.0, 50.0])
    assert float(losses.policy_loss(policy, action, weight, VALID, 7.0, 0.0)) == pytest.approx(0.980829, rel=1e-5)
    assert float(losses.policy_loss(policy, action, weight, VALID, 7.0, 0.1)) == pytest.approx(1.041176, rel=1e-5)


def test_weighted_loss_of_any_model() -> None:
    # (2 * 0.5 + 0.25 * 4) / 2 = 1; the third row does not count.
    found = losses.weighted_loss(jnp.array([0.5, 4.0, jnp.nan]), jnp.array([2.0, 0.25, 9.0]), VALID)
    assert float(found) == pytest.approx(1.0)
    assert float(losses.weighted_loss(jnp.ones(3), jnp.ones(3), jnp.zeros(3, bool))) == 0.0


def test_the_bound_penalty_counts_each_dimension_on_both_sides() -> None:
    # Excesses 1, 0.5, 0: 0.5 * 4 * (1 + 0.25) = 2.5. Inside [-1, 1] nothing.
    policy = Gaussian(jnp.array([[-2.0, 1.5, 0.9], [1.0, -1.0, 0.0]]), jnp.ones(3))
    np.testing.assert_allclose(losses.penalty(policy, 4.0, 0.0), [2.5, 0.0])


def test_the_policy_gradient_is_a_weighted_regression() -> None:
    # d/dmean of - mean_i w_i log N(a_i; mean, std) = sum_i w_i (mean - a_i) / std^2 / n over the valid rows.
    action, weight = jnp.array([[0.3], [-0.2], [5.0]]), jnp.array([3.0, 1.0, 9.0])

    def loss(mean: jax.Array) -> jax.Array:
        policy = Gaussian(jnp.full((3, 1), mean), jnp.array([0.5]))
        return losses.policy_loss(policy, action, weight, VALID, 10.0, 0.0)

    want = (3 * (0.1 - 0.3) + 1 * (0.1 + 0.2)) / 0.25 / 2
    assert float(jax.grad(loss)(0.1)) == pytest.approx(want, rel=1e-5)
