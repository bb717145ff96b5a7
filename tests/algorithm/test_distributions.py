"""Policies' distributions against closed forms, numerical integrals and sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm.distributions import Categorical, Distribution, Gaussian

RNG = np.random.default_rng(0)
MEAN, STD = RNG.normal(size=(4, 3)), np.array([0.2, 0.5, 1.5])
LOGITS = RNG.normal(size=(4, 5)) * 2 + 7
DRAWS = 40_000


def gaussian(mean: np.ndarray = MEAN, std: np.ndarray = STD) -> Gaussian:
    return Gaussian(jnp.asarray(mean, jnp.float32), jnp.asarray(std, jnp.float32))


def categorical(logits: np.ndarray = LOGITS) -> Categorical:
    return Categorical(jnp.asarray(logits, jnp.float32))


def density(x: np.ndarray, mean: float, std: float) -> np.ndarray:
    return np.exp(-((x - mean) ** 2) / (2 * std**2)) / (std * np.sqrt(2 * np.pi))


def probabilities(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def test_both_are_distributions() -> None:
    assert isinstance(gaussian(), Distribution)
    assert isinstance(categorical(), Distribution)


def test_gaussian_log_prob() -> None:
    action = MEAN + RNG.normal(size=(4, 3)) * STD
    want = [sum(np.log(density(action[i, d], MEAN[i, d], STD[d])) for d in range(3)) for i in range(4)]
    np.testing.assert_allclose(gaussian().log_prob(jnp.asarray(action, jnp.float32)), want, rtol=1e-5)


def test_gaussian_log_prob_is_of_the_unclipped_sample() -> None:
    # 1.7 lies outside [-1, 1]: -0.5 (1.7 / 0.5)^2 - log 0.5 - log sqrt(2 pi) = -5.78 + 0.6931 - 0.9189.
    found = gaussian(np.zeros((1, 1)), np.array([0.5])).log_prob(jnp.array([[1.7]]))
    assert float(found[0]) == pytest.approx(-6.0058, abs=1e-4)


def test_gaussian_entropy_and_kl_are_integrals() -> None:
    p, q = (0.3, 0.4), (-0.2, 0.7)
    x = np.linspace(-8, 8, 200_001)
    dx = x[1] - x[0]
    f, g = density(x, *p), np.maximum(density(x, *q), 1e-300)
    log_f = np.log(np.maximum(f, 1e-300))
    ours, theirs = (gaussian(np.array([[mean]]), np.array([std])) for mean, std in (p, q))
    assert float(ours.entropy()[0]) == pytest.approx(-(f * log_f).sum() * dx, rel=1e-5)
    assert float(ours.kl(theirs)[0]) == pytest.approx((f * (log_f - np.log(g))).sum() * dx, rel=1e-5)


def test_gaussian_dimensions_add_up() -> None:
    whole = gaussian()
    parts = [gaussian(MEAN[:, [d]], STD[[d]]) for d in range(3)]
    other = gaussian(MEAN + 0.1, STD * 1.2)
    others = [gaussian(MEAN[:, [d]] + 0.1, STD[[d]] * 1.2) for d in range(3)]
    np.testing.assert_allclose(whole.entropy(), sum(part.entropy() for part in parts), rtol=1e-5)
    kl = sum(part.kl(o) for part, o in zip(parts, others, strict=True))
    np.testing.assert_allclose(whole.kl(other), kl, rtol=1e-4)
    np.testing.assert_allclose(whole.kl(gaussian()), 0.0, atol=1e-6)


def test_gaussian_samples() -> None:
    wide = gaussian(np.broadcast_to(MEAN[0], (DRAWS, 3)))
    action = np.asarray(wide.sample(jax.random.key(0)))
    # 5 standard errors: std / sqrt(n) of a mean, std / sqrt(2 n) of a standard deviation.
    assert (np.abs(action.mean(0) - MEAN[0]) < 5 * STD / DRAWS**0.5).all()
    assert (np.abs(action.std(0) - STD) < 5 * STD / (2 * DRAWS) ** 0.5).all()
    correlation = np.corrcoef(action.T) - np.eye(3)
    assert (np.abs(correlation) < 5 / DRAWS**0.5).all()
    np.testing.assert_array_equal(gaussian().mode(), MEAN.astype(np.float32))


def test_categorical_log_prob() -> None:
    p = probabilities(LOGITS)
    for action in range(5):
        found = categorical().log_prob(jnp.full(4, action, jnp.int32))
        np.testing.assert_allclose(found, np.log(p[:, action]), rtol=1e-4, atol=1e-5)


def test_categorical_entropy_and_kl() -> None:
    p, q = probabilities(LOGITS), probabilities(LOGITS[::-1])
    np.testing.assert_allclose(categorical().entropy(), -(p * np.log(p)).sum(-1), rtol=1e-4)
    found = categorical().kl(categorical(LOGITS[::-1].copy()))
    np.testing.assert_allclose(found, (p * np.log(p / q)).sum(-1), rtol=1e-3)
    np.testing.assert_allclose(categorical(np.zeros((2, 5))).entropy(), np.log(5), rtol=1e-6)


def test_categorical_does_not_change_with_an_offset_of_the_logits() -> None:
    action = jnp.array([0, 1, 2, 3], jnp.int32)
    near, far = categorical().log_prob(action), categorical(LOGITS + 1000).log_prob(action)
    np.testing.assert_allclose(near, far, atol=1e-3)


def test_categorical_samples() -> None:
    p = probabilities(LOGITS[0])
    action = np.asarray(categorical(np.broadcast_to(LOGITS[0], (DRAWS, 5))).sample(jax.random.key(0)))
    assert action.dtype == np.int32
    share = np.bincount(action, minlength=5) / DRAWS
    assert (np.abs(share - p) < 5 * np.sqrt(p * (1 - p) / DRAWS)).all()
    np.testing.assert_array_equal(categorical().mode(), LOGITS.argmax(-1))
