import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm import returns, static
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.datasets.packing import laid, packed
from tests.train.datasets.made import episodes

GAMMA = 0.9
KINDS = ((4, "terminated"), (3, "truncated"), (5, "both"), (2, "cut off"), (9, "truncated"), (1, "terminated"))


def plain_returns(found: DataSet, value: np.ndarray, lam: float) -> np.ndarray:
    """TD(lambda) returns of every step, by the definition: a loop over episodes, from their ends."""
    out = np.zeros(len(found.rewards))
    for i, (start, steps) in enumerate(zip(found.starts, found.steps, strict=True)):
        after = 0.0
        for t in reversed(range(steps)):
            v_next = value[start + i + t + 1]
            if t == steps - 1:
                after = 0.0 if found.terminated[i] else v_next
            else:
                after = (1 - lam) * v_next + lam * out[start + t + 1]
            out[start + t] = found.rewards[start + t] + GAMMA * after
    return out


@pytest.mark.parametrize("lam", [0.0, 0.95, 1.0])
def test_returns_are_those_of_a_plain_loop(lam: float) -> None:
    found = episodes(*KINDS, *KINDS, (30, "truncated"), (17, "cut off"))
    ring = jax.tree.map(jnp.asarray, packed([found]))
    weights = np.random.default_rng(1).normal(size=3).astype(np.float32)

    def value(obs: jax.Array) -> jax.Array:
        return jnp.tanh(obs @ weights)

    lanes = ring.rows.valid.shape[1]
    g, v = returns.relabel(ring, value, jnp.full((lanes, 3), jnp.nan), GAMMA, lam)
    of_steps = np.asarray(g).reshape(-1)[ring.places]
    expected = plain_returns(found, np.tanh(found.observations @ weights), lam)
    assert np.isfinite(of_steps).all()
    np.testing.assert_allclose(of_steps, expected, atol=1e-5)
    np.testing.assert_allclose(
        np.asarray(v).reshape(-1)[ring.places], np.tanh(found.observations[found.acted_on()] @ weights), atol=1e-5
    )


def test_every_step_is_in_the_ring_once() -> None:
    found = episodes(*KINDS)
    ring = packed([found])
    assert ring.rows.valid.sum() == len(found.rewards)
    assert len(set(ring.places.tolist())) == len(found.rewards)
    for name, array in (("reward", found.rewards), ("action", found.actions)):
        rows = getattr(ring.rows, name)
        np.testing.assert_array_equal(rows.reshape(-1, *rows.shape[2:])[ring.places], array)


@pytest.mark.parametrize(
    "lengths", [[1001] * 100, [1001] * 3 + [5] * 999, list(range(2, 400)), [7], [200_001, 101, 51]]
)
def test_little_is_empty_and_nothing_overlaps(lengths: list[int]) -> None:
    of = np.array(lengths)
    lane, offset, lanes, capacity = laid(of)
    used = np.zeros((lanes, capacity), int)
    for place, first, length in zip(lane, offset, of, strict=True):
        used[place, first : first + length] += 1
    assert used.max() == 1
    assert lanes * capacity <= 1.05 * of.sum()


def test_sets_are_drawn_by_their_shares() -> None:
    small, large = episodes((5, "terminated"), seed=1), episodes(*((50, "truncated"),) * 4, seed=2)
    for shares, expected in (((), 5 / 205), ((1.0, 1.0), 0.5), ((3.0, 1.0), 0.75)):
        ring = jax.tree.map(jnp.asarray, packed([small, large], shares))
        places = static.draw(ring, jax.random.key(0), 20, 1000)
        drawn = places.time * ring.rows.valid.shape[1] + places.env
        assert bool(ring.rows.valid[places.time, places.env].all())
        share = float(jnp.isin(drawn, ring.places[:5]).mean())
        assert abs(share - expected) < 0.02
        one = jnp.unique(drawn, return_counts=True)[1]
        assert len(one) == 205  # every step is drawn
