"""The replay ring: what lies where, what is sampled, and that it is never copied."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm import replay

N = 5  # environments


def block(first: int, rows: int, discrete: bool = False) -> replay.Rows:
    """Rows number `first`, `first` + 1, ...; each number in them tells its row and environment: row + env / 10."""
    code = np.arange(first, first + rows)[:, None] + np.arange(N) / 10
    return replay.Rows(
        obs=jnp.asarray(np.stack([code, -code, code + 100], axis=-1), jnp.float32),
        action=jnp.asarray(10 * code, jnp.int32) if discrete else jnp.asarray(code[..., None] + 200, jnp.float32),
        reward=jnp.asarray(code + 300, jnp.float32),
        terminated=jnp.asarray(10 * code % 3 < 1),
        valid=jnp.asarray(10 * code % 4 >= 1),
    )


def test_an_empty_ring_holds_nothing() -> None:
    ring = replay.init(6, N, 3, 2, discrete=False)
    assert not np.asarray(ring.rows.valid).any()
    assert (int(ring.head), int(ring.filled)) == (0, 0)
    assert ring.rows.action.shape == (6, N, 2)
    actions = replay.init(6, N, 3, 2, discrete=True).rows.action
    assert (actions.shape, actions.dtype) == ((6, N), jnp.int32)


@pytest.mark.parametrize("discrete", [False, True])
def test_inserting_overwrites_the_oldest_rows(discrete: bool) -> None:
    ring = replay.init(6, N, 3, 1, discrete)
    insert = jax.jit(replay.insert)
    for number in range(8):
        ring = insert(ring, block(2 * number, 2, discrete))
        stored = 2 * number + 2
        assert int(ring.head) == stored % 6
        assert int(ring.filled) == min(stored, 6)
        for row in range(max(0, stored - 6), stored):  # the newest 6 rows of all, each at its number modulo 6
            found, want = jax.tree.map(lambda x, place=row % 6: x[place], ring.rows), block(row, 1, discrete)
            jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[0]), found, want)


def test_a_block_that_would_wrap_is_refused() -> None:
    ring = replay.init(6, N, 3, 1, discrete=False)
    with pytest.raises(ValueError, match="a ring of 6 rows cannot take blocks of 4"):
        replay.insert(ring, block(0, 4))


@pytest.mark.parametrize("blocks", [2, 5])  # 4 rows of 6 filled; wrapped around, with rows 4 to 9 in it
def test_samples_are_uniform_over_the_filled_rows(blocks: int) -> None:
    ring = replay.init(6, N, 3, 1, discrete=False)
    for number in range(blocks):
        ring = replay.insert(ring, block(2 * number, 2))
    beside = ring.rows.reward * 2
    draws = 30_000
    batch = replay.read(ring, replay.draw(ring, jax.random.key(0), draws), double=beside)

    code = np.asarray(batch.obs[:, 0], float)
    rows = range(max(0, 2 * blocks - 6), 2 * blocks)
    cells = [round(row + env / 10, 1) for row in rows for env in range(N)]
    found, counts = np.unique(np.round(code, 1), return_counts=True)
    assert list(found) == cells
    # Pearson's statistic of a uniform draw has mean k - 1 and variance 2 (k - 1): 5 standard deviations.
    expected = draws / len(cells)
    statistic = ((counts - expected) ** 2 / expected).sum()
    freedom = len(cells) - 1
    assert abs(statistic - freedom) < 5 * (2 * freedom) ** 0.5

    # All parts of a sample come from the same cell.
    np.testing.assert_allclose(batch.action[:, 0], code + 200, rtol=1e-6)
    np.testing.assert_allclose(batch.extra["double"], 2 * (code + 300), rtol=1e-6)
    np.testing.assert_array_equal(batch.valid, np.round(10 * code) % 4 >= 1)


def test_samples_follow_the_key() -> None:
    ring = replay.insert(replay.init(6, N, 3, 1, discrete=False), block(0, 6))
    first, again, other = (replay.read(ring, replay.draw(ring, jax.random.key(seed), 64)).obs for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first) != np.asarray(other)).any()


def size(tree: object) -> int:
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def test_a_row_costs_what_is_in_it() -> None:
    # 27 observations, 8 actions and a reward of 4 bytes, and two booleans: 146 bytes per row and environment.
    ring = jax.eval_shape(lambda: replay.init(64, 1024, 27, 8, discrete=False))
    payload = 64 * 1024 * (4 * (27 + 8 + 1) + 2)
    assert payload <= size(ring) <= 1.05 * payload
    # A discrete action is one number.
    ring = jax.eval_shape(lambda: replay.init(64, 1024, 8, 4, discrete=True))
    payload = 64 * 1024 * (4 * (8 + 1 + 1) + 2)
    assert payload <= size(ring) <= 1.05 * payload


def test_inserting_works_in_place() -> None:
    ring = jax.eval_shape(lambda: replay.init(256, 64, 16, 4, discrete=False))
    rows = jax.tree.map(lambda x: jax.ShapeDtypeStruct((8, *x.shape[1:]), x.dtype), ring.rows)
    program = jax.jit(replay.insert, donate_argnums=0).lower(ring, rows).compile()
    usage = program.memory_analysis()
    assert usage is not None
    assert usage.alias_size_in_bytes >= size(ring)
    assert usage.temp_size_in_bytes < 0.01 * size(ring)
