"""What advantages become: weights, the effective sample size, and the beta that gives a wanted one."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm import returns
from awr_mjx.algorithm.config import AwrConfig

RNG = np.random.default_rng(0)
G, V = RNG.normal(50.0, 20.0, (12, 16)), RNG.normal(45.0, 10.0, (12, 16))
VALID = RNG.random((12, 16)) < 0.8


def weigh(
    g: np.ndarray, v: np.ndarray, valid: np.ndarray, config: AwrConfig
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    as_jax = jnp.asarray(g, jnp.float32), jnp.asarray(v, jnp.float32), jnp.asarray(valid)
    advantages, weights, found = returns.advantages_and_weights(*as_jax, config)
    return np.asarray(advantages), np.asarray(weights), {k: float(x) for k, x in found.items()}


@pytest.mark.parametrize("advantage", ["standardized", "raw"])
@pytest.mark.parametrize("baseline", [True, False])
def test_weights_are_those_of_a_loop_over_the_samples(advantage: str, baseline: bool) -> None:
    beta = 0.7 if advantage == "standardized" else 30.0
    config = AwrConfig(advantage=advantage, baseline=baseline, beta=beta, weight_max=4.0)  # type: ignore[arg-type]
    advantages, weights, found = weigh(G, V, VALID, config)

    samples = [(g, v) for g, v, ok in zip(G.flat, V.flat, VALID.flat, strict=True) if ok]
    plain = [g - (v if baseline else 0.0) for g, v in samples]
    centre = sum(plain) / len(plain)
    std = (sum((a - centre) ** 2 for a in plain) / len(plain)) ** 0.5
    scaled = [(a - centre) / (std + 1e-5) for a in plain] if advantage == "standardized" else plain
    want = np.array([min(np.exp(a / beta), 4.0) for a in scaled])

    np.testing.assert_allclose(advantages[VALID], plain, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(weights[VALID], want, rtol=2e-5)
    assert (weights[~VALID] == 0).all()
    clipped = (want == 4.0).mean()
    assert 0.02 < clipped < 0.98  # both sides of the clip are in the test
    share = want.sum() ** 2 / (want**2).sum() / len(want)
    expected = {
        "advantage_std": std,
        "beta": beta,
        "weight_mean": want.mean(),
        "weight_max": 4.0,
        "weight_clipped": clipped,
        "effective_sample_share": share,
    }
    assert found == pytest.approx(expected, rel=2e-5)


def test_behaviour_cloning_weighs_every_valid_sample_alike() -> None:
    _, weights, found = weigh(G, V, VALID, AwrConfig(weighting="uniform"))
    np.testing.assert_array_equal(weights, VALID.astype(np.float32))
    assert found["effective_sample_share"] == pytest.approx(1.0)
    assert found["weight_clipped"] == 0


def test_rows_that_are_not_valid_change_nothing() -> None:
    clean = weigh(G, V, VALID, AwrConfig(target_ess=0.3))
    dirty = weigh(np.where(VALID, G, np.nan), np.where(VALID, V, 1e30), VALID, AwrConfig(target_ess=0.3))
    np.testing.assert_array_equal(clean[1], dirty[1])
    assert clean[2] == dirty[2]


@pytest.mark.parametrize("advantage", ["standardized", "raw"])
@pytest.mark.parametrize("target_ess", [0.0, 0.3])
def test_huge_advantages_do_not_overflow(advantage: str, target_ess: float) -> None:
    g = np.array([[1e15, -1e15, -3e14, 0.0]])
    config = AwrConfig(advantage=advantage, beta=0.05, target_ess=target_ess)  # type: ignore[arg-type]
    _, weights, found = weigh(g, np.zeros((1, 4)), np.ones((1, 4), bool), config)
    assert np.isfinite(weights).all()
    assert np.isfinite(list(found.values())).all()
    if target_ess == 0:
        scaled = g if advantage == "raw" else (g - g.mean()) / g.std()
        want = np.exp(np.minimum(scaled / 0.05, np.log(20.0)))
        np.testing.assert_allclose(weights, want, rtol=1e-4, atol=1e-9)
        assert want[0, 0] == pytest.approx(20.0)


def test_equal_advantages_give_equal_weights() -> None:
    # The standard deviation is 0: A / (0 + 1e-5) = 0 and w = exp(0) = 1.
    _, weights, found = weigh(np.full((2, 3), 7.0), np.zeros((2, 3)), np.ones((2, 3), bool), AwrConfig())
    np.testing.assert_allclose(weights, 1.0)
    assert found["effective_sample_share"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("weights", "valid", "share"),
    [
        ([3.0, 3.0, 3.0, 3.0], [1, 1, 1, 1], 1.0),
        ([0.0, 5.0, 0.0, 0.0], [1, 1, 1, 1], 0.25),
        ([1.0, 3.0], [1, 1], 0.8),  # 4^2 / (1 + 9) / 2
        ([1.0, 3.0, 100.0], [1, 1, 0], 0.8),
        ([0.0, 0.0], [1, 1], 0.0),
    ],
)
def test_effective_sample_share(weights: list[float], valid: list[int], share: float) -> None:
    found = returns.effective_sample_share(jnp.asarray(weights), jnp.asarray(valid, bool))
    assert float(found) == pytest.approx(share, rel=1e-6)


def test_effective_sample_share_of_gaussian_advantages() -> None:
    # E[w]^2 / E[w^2] = exp(1 / beta^2) / exp(2 / beta^2) = exp(-1 / beta^2); here on 200,000 samples, beta = 1.5.
    a = np.random.default_rng(1).normal(size=200_000)
    found = returns.effective_sample_share(jnp.exp(jnp.asarray(a, jnp.float32) / 1.5), jnp.ones(200_000, bool))
    assert float(found) == pytest.approx(np.exp(-1 / 1.5**2), rel=0.02)


@pytest.mark.parametrize("share", [0.55, 0.7, 0.95])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_beta_for_a_share_in_closed_form(share: float, scale: float) -> None:
    # Half of the advantages +s, half -s, x = s / beta: share = (e^x + e^-x)^2 / (2 (e^2x + e^-2x))
    # = (1 + cosh 2x) / (2 cosh 2x), so cosh 2x = 1 / (2 share - 1).
    a = jnp.asarray(np.tile([scale, -scale, 1e9], 5), jnp.float32)
    valid = jnp.asarray(np.tile([True, True, False], 5))
    beta = returns.beta_for_share(a, valid, share)
    assert float(beta) == pytest.approx(2 * scale / np.arccosh(1 / (2 * share - 1)), rel=1e-3)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("advantage", ["standardized", "raw"])
def test_the_wanted_share_is_reached(share: float, advantage: str) -> None:
    config = AwrConfig(target_ess=share, weight_max=1e30, advantage=advantage)  # type: ignore[arg-type]
    _, weights, found = weigh(G, V, VALID, config)
    w = weights[VALID].astype(float)
    assert w.sum() ** 2 / (w**2).sum() / len(w) == pytest.approx(share, rel=1e-3)
    assert found["effective_sample_share"] == pytest.approx(share, rel=1e-3)
    fixed = weigh(G, V, VALID, dataclasses.replace(config, target_ess=0.0, beta=found["beta"]))
    np.testing.assert_allclose(fixed[1], weights, rtol=1e-4)


@pytest.mark.parametrize(
    ("slope", "offset", "expected"), [(1, 0, 1), (1, 9, 1), (0, 50, 0), (0.5, 0, 0.75), (-1, 0, -3)]
)
def test_explained_variance(slope: float, offset: float, expected: float) -> None:
    # V = slope G + offset leaves var(G - V) = (1 - slope)^2 var(G).
    g = jnp.asarray(np.where(VALID, G, np.nan), jnp.float32)
    found = returns.explained_variance(g, slope * g + offset, jnp.asarray(VALID))
    assert float(found) == pytest.approx(expected, abs=1e-4)
