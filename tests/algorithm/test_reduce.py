"""Devices that share the environments do together what one device does with all of them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm import normalizer, replay
from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner, LearnerState
from tests.devices import on_devices, shares

C, N, SIZE, DEVICES = 4, 6, 3, 2
CONFIG = AwrConfig(
    rollout_steps=2, buffer_blocks=2, batch_size=16, policy_hidden=(), value_hidden=(), policy_updates=2,
    value_updates=3, learn_std=True, optimizer="sgd", value_lr=0.1, policy_lr=1.0, target_kl=0.01,
)  # fmt: skip


@functools.cache
def learner() -> Learner:
    return Learner(CONFIG, SIZE, 2, discrete=False)


@functools.cache
def ring() -> replay.Ring:
    """Full, wrapped around, and every number in it another; the first device has fewer valid rows than the second."""
    rng = np.random.default_rng(0)
    valid = rng.random((C, N)) < np.repeat([0.5, 0.9], N // 2)
    rows = replay.Rows(
        obs=jnp.asarray(rng.normal(size=(C, N, SIZE)), jnp.float32),
        action=jnp.asarray(rng.normal(size=(C, N, 2)), jnp.float32),
        reward=jnp.asarray(np.where(valid, rng.normal(size=(C, N)), 0.0), jnp.float32),
        terminated=jnp.asarray(valid & (rng.random((C, N)) < 0.2)),
        valid=jnp.asarray(valid),
    )
    return replay.Ring(rows, head=jnp.int32(2), filled=jnp.int32(C))


def ring_shares() -> replay.Ring:
    head, filled = (jnp.full(DEVICES, x) for x in (ring().head, ring().filled))
    return replay.Ring(shares(ring().rows, DEVICES, 1), head, filled)


def union_of_places(keys: jax.Array) -> list[replay.Places]:
    """What the devices, each with one of `keys`, are to draw from their shares, as places [U, B] in the whole ring."""
    half = replay.Ring(jax.tree.map(lambda x: x[:, : N // DEVICES], ring().rows), ring().head, ring().filled)
    share = CONFIG.batch_size // DEVICES
    # `Learner.update` splits its key in three: for minibatches of the value, of the policy, and rows for the KL.
    shapes = (CONFIG.value_updates, share), (CONFIG.policy_updates, share), (C * N // DEVICES,)
    found = []
    for number, shape in enumerate(shapes):
        drawn = [replay.draw(half, jax.random.split(key, 3)[number], *shape) for key in keys]
        time = jnp.concatenate([places.time for places in drawn], axis=-1)
        env = jnp.concatenate([places.env + d * N // DEVICES for d, places in enumerate(drawn)], axis=-1)
        found.append(replay.Places(time, env))
    return found


def test_an_update_on_two_devices_is_that_of_one_with_the_union_of_their_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = jnp.asarray(np.random.default_rng(1).normal(size=(N, SIZE)), jnp.float32)
    state = jax.jit(learner().init)(jax.random.key(0))
    state = jax.jit(learner().observe)(state, ring().rows)
    keys = jax.random.split(jax.random.key(7), DEVICES)
    update = on_devices(learner().update, (None, 0, 0, 0))
    two, metrics = update(state, ring_shares(), shares(live, DEVICES, 0), keys)

    drawn = jax.jit(union_of_places)(keys)
    assert any(not np.array_equal(x.time[..., :8], x.time[..., 8:]) for x in drawn)  # the devices' places differ
    monkeypatch.setattr(replay, "draw", lambda *_: drawn.pop(0))
    alone = Learner(CONFIG, SIZE, 2, discrete=False)
    one, expected = jax.jit(alone.update)(state, ring(), live, jax.random.key(0))
    assert not drawn

    assert_same_on_all_devices((two, metrics), (one, expected))
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), (one.policy, one.value), (state.policy, state.value))
    assert min(jax.tree.leaves(moved)) > 1e-3
    assert int(one.env_steps) == CONFIG.rollout_steps * N


def assert_same_on_all_devices(found: Any, expected: Any) -> None:
    for (path, want), got in zip(jax.tree_util.tree_leaves_with_path(expected), jax.tree.leaves(found), strict=True):
        for one_device in np.asarray(got):
            name = jax.tree_util.keystr(path)
            np.testing.assert_allclose(one_device, want, rtol=2e-5, atol=1e-6, err_msg=name)


def test_devices_share_a_minibatch() -> None:
    share = on_devices(lambda _: jnp.int32(learner().batch_share))
    assert share(jnp.zeros(4)).tolist() == 4 * [CONFIG.batch_size // 4]
    assert learner().batch_share == CONFIG.batch_size


def test_devices_normalise_alike() -> None:
    """One normaliser of all that the devices see, also where one of them sees nothing valid."""

    def observe(state: LearnerState, rows: replay.Rows) -> normalizer.Normalizer:
        return learner().observe(state, rows).normalizer

    for valid in (ring().rows.valid, ring().rows.valid.at[:, : N // 2].set(False)):
        rows = ring().rows.replace(valid=valid)  # type: ignore[attr-defined]
        start = jax.jit(learner().init)(jax.random.key(0))
        found = on_devices(observe, (None, 0))(start, shares(rows, DEVICES, 1))
        assert_same_on_all_devices(found, observe(start, rows))
        seen = np.asarray(rows.obs)[np.asarray(valid)]
        np.testing.assert_allclose(found.mean[0], seen.mean(0), rtol=1e-5, atol=1e-6)
