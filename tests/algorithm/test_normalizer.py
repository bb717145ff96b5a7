"""The observation normaliser against NumPy's mean and variance of all that it saw."""

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from awr_mjx.algorithm import normalizer

SIZE = 3  # of an observation


def run(batches: list[np.ndarray], masks: list[np.ndarray], limit: int = 0) -> normalizer.Normalizer:
    stats = normalizer.init(SIZE)
    for obs, valid in zip(batches, masks, strict=True):
        stats = normalizer.update(stats, jnp.asarray(obs, jnp.float32), jnp.asarray(valid), limit)
    return stats


def data(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Batches of unequal mean, spread and number of valid rows."""
    rng = np.random.default_rng(seed)
    batches = [rng.normal(3 * i, 1 + i, (4, 6, SIZE)) for i in range(count)]
    return batches, [rng.random((4, 6)) < 0.3 + 0.2 * i for i in range(count)]


def test_merging_batches_is_numpy_on_all_of_them() -> None:
    batches, masks = data(4)
    stats = run(batches, masks)
    seen = np.concatenate([obs[valid] for obs, valid in zip(batches, masks, strict=True)])
    assert int(stats.count) == len(seen)
    np.testing.assert_allclose(stats.mean, seen.mean(0), rtol=1e-5)
    np.testing.assert_allclose(stats.variance, seen.var(0), rtol=1e-5)


def test_rows_that_are_not_valid_do_not_leak() -> None:
    batches, masks = data(4)
    clean = run(batches, masks)
    for bad in (np.nan, np.inf, 1e30):
        spoilt = [np.where(valid[..., None], obs, bad) for obs, valid in zip(batches, masks, strict=True)]
        dirty = run(spoilt, masks)
        np.testing.assert_array_equal(clean.mean, dirty.mean)
        np.testing.assert_array_equal(clean.variance, dirty.variance)


def test_a_batch_without_a_valid_row_changes_nothing() -> None:
    batches, masks = data(2)
    none = np.zeros((4, 6), bool)
    before, after = run(batches, masks), run([*batches, batches[0]], [*masks, none])
    np.testing.assert_array_equal(before.mean, after.mean)
    np.testing.assert_array_equal(before.variance, after.variance)
    first = run([batches[0]], [none])  # not even when it is the first
    np.testing.assert_array_equal(first.variance, 1.0)


def test_it_freezes_once_enough_is_in() -> None:
    batches = [np.full((4, 6, SIZE), float(i)) for i in range(4)]
    masks = [np.ones((4, 6), bool)] * 4
    # 24 observations a batch: the limit of 30 is passed within the second batch (of zeros and ones: mean 0.5).
    stats = run(batches, masks, limit=30)
    assert int(stats.count) == 48
    np.testing.assert_allclose(stats.mean, 0.5)
    np.testing.assert_allclose(stats.variance, 0.25)
    np.testing.assert_allclose(run(batches, masks).mean, 1.5)  # without a limit: 0, 1, 2, 3


def test_float32_keeps_a_small_spread_on_a_large_offset() -> None:
    """The naive sum of squares, 1e8 with a spread of 1, has no correct digit in float32."""
    rng = np.random.default_rng(0)
    batches = [(1e4 + rng.normal(size=(8, 512, SIZE))).astype(np.float32) for _ in range(30)]
    stats = run(batches, [np.ones((8, 512), bool)] * 30)
    seen = np.concatenate(batches).astype(np.float64)
    np.testing.assert_allclose(stats.variance, seen.var((0, 1)), rtol=1e-3)
    np.testing.assert_allclose(stats.mean, seen.mean((0, 1)), rtol=1e-6)


def test_normalising() -> None:
    stats = normalizer.Normalizer(jnp.array(9.0), jnp.array([1.0, 2.0, 3.0]), jnp.array([4.0, 0.25, 1.0]))
    obs = jnp.array([[3.0, 2.5, 3.0], [-100.0, 2.0, 100.0]])
    # (3 - 1) / 2, (2.5 - 2) / 0.5, 0; then (-100 - 1) / 2 and 97 beyond the clip.
    np.testing.assert_allclose(normalizer.normalize(stats, obs, 5.0), [[1, 1, 0], [-5, 0, 5]], rtol=1e-6)


def test_a_constant_observation_is_divided_by_the_floor() -> None:
    stats = run([np.full((4, 6, SIZE), 7.0)], [np.ones((4, 6), bool)])
    np.testing.assert_allclose(stats.variance, 0.0)
    # 0.02 above the mean is 2 floors of 0.01.
    np.testing.assert_allclose(normalizer.normalize(stats, jnp.full(SIZE, 7.02), 10.0), 2.0, rtol=1e-3)


def test_a_new_normaliser_changes_nothing() -> None:
    obs = jnp.array([[1.0, -2.0, 9.0]])
    np.testing.assert_array_equal(normalizer.normalize(normalizer.init(SIZE), obs, 10.0), obs)


def test_shapes_are_checked_while_testing() -> None:
    """The annotations of the package are enforced in this test run: an axis too few is refused, and named."""
    with pytest.raises(jaxtyping.TypeCheckError, match="obs"):
        normalizer.update(normalizer.init(SIZE), jnp.zeros((6, SIZE)), jnp.ones((4, 6), bool))
