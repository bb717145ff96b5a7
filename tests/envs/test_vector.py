"""N environments as one, row by row against a simulation in plain Python."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.envs.advance import LIMIT
from awr_mjx.envs.base import State
from awr_mjx.envs.vector import VectorEnv, VectorState
from tests.tasks import Broken, Walk, leaves_of

N = 24


def bits(tree: Any) -> np.ndarray:
    """Whatever is in a tree of leaves [N, ...], as one row of numbers for each environment."""
    return np.concatenate([x.reshape(len(x), -1).astype(float) for x in leaves_of(tree).values()], axis=1)


def test_every_row_is_that_of_a_plain_simulation() -> None:
    """True final observations, failure or time limit, next-step reset, whole episodes' returns: 60 steps of `Walk`."""
    task = Walk(bound=2.0, episode_length=6)
    venv = VectorEnv(task, N)
    state = jax.jit(venv.init)(jax.random.key(0))
    step = jax.jit(venv.step)
    rng = np.random.default_rng(0)
    births = np.asarray(state.pool.obs[:, 0])

    steps = np.asarray(state.steps).tolist()  # the first episodes start at some phase of the time limit
    episodes: list[dict[str, Any]] = [
        {"birth": birth, "walked": 0, "position": np.float32(0), "steps": steps[n], "return": 0.0, "whole": False}
        for n, birth in enumerate(np.asarray(state.env.obs[:, 0]))
    ]
    ended = [False] * N
    seen = {"failures": 0, "limits": 0, "whole": 0, "both": 0}
    for t in range(60):
        action = rng.uniform(-1.5, 1.5, (N, 1)).astype(np.float32)  # beyond what the task clips to
        obs = np.asarray(state.env.obs)
        state, outcome = step(state, jnp.asarray(action), jax.random.key(t))
        outcome, after = jax.tree.map(np.asarray, outcome), np.asarray(state.env.obs)
        assert not outcome.quarantined.any()
        for n, episode in enumerate(episodes):
            np.testing.assert_array_equal(obs[n], [episode["birth"], episode["walked"], episode["position"]])
            if ended[n]:  # the action is ignored, and a fresh episode begins
                assert (outcome.valid[n], outcome.reward[n], outcome.terminated[n]) == (False, 0, False)
                assert not outcome.finished[n]
                assert after[n, 0] in births
                episodes[n] = {"birth": after[n, 0], "walked": 0, "position": np.float32(0), "steps": 0, "return": 0.0}
                episodes[n]["whole"] = True
                ended[n] = False
                continue
            episode["position"] += np.clip(action[n, 0], -1, 1)
            episode["walked"] += 1
            episode["steps"] += 1
            reward = episode["birth"] + episode["position"]
            episode["return"] += reward
            failed, limit = abs(episode["position"]) > 2.0, episode["steps"] == 6
            ended[n] = bool(failed or limit)
            assert outcome.valid[n]
            assert outcome.terminated[n] == failed
            assert outcome.finished[n] == (ended[n] and episode["whole"])
            np.testing.assert_allclose(outcome.reward[n], reward, rtol=1e-6)
            if outcome.finished[n]:
                assert outcome.episode_steps[n] == episode["steps"] == episode["walked"]
                np.testing.assert_allclose(outcome.episode_return[n], episode["return"], rtol=1e-5, atol=1e-5)
            seen["failures"] += bool(failed and not limit)
            seen["limits"] += bool(limit and not failed)
            seen["both"] += bool(limit and failed)
            seen["whole"] += bool(outcome.finished[n])
        np.testing.assert_array_equal(state.ended, ended)
    assert min(seen.values()) > 0, seen  # every kind of end was there


@functools.cache
def thousand() -> tuple[VectorEnv, VectorState]:
    """1000 walks with a time limit of 8 steps, and a pool of 62 x 4 reset states."""
    venv = VectorEnv(Walk(episode_length=8), 1000)
    return venv, jax.jit(venv.init)(jax.random.key(1))


def test_first_episodes_start_at_all_phases_of_the_time_limit() -> None:
    _, state = thousand()
    counts = np.bincount(np.asarray(state.steps), minlength=8)
    assert len(counts) == 8
    # Binomial: 125 expected, standard deviation (1000 / 8 * 7 / 8)^0.5 = 10.5.
    assert (np.abs(counts - 125) < 5 * 10.5).all()
    assert not np.asarray(state.whole).any()
    assert not np.asarray(state.ended).any()
    assert len(np.unique(np.asarray(state.env.obs[:, 0]))) > 990  # not copies of a few resets


def all_reset(state: VectorState, n: int = 1000) -> VectorState:
    """The first `n` environments have ended."""
    return state.replace(ended=jnp.arange(1000) < n)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("resets", "redrawn"), [(0, 0), (1, 62), (62, 62), (63, 124), (240, 248), (1000, 248)])
def test_as_much_of_the_pool_is_redrawn_as_was_used(resets: int, redrawn: int) -> None:
    venv, state = thousand()
    assert venv.pool_size == 248
    pool = np.asarray(state.pool.obs[:, 0])
    used, _ = step_thousand()(all_reset(state, resets), jnp.zeros((1000, 1)), jax.random.key(1))
    starts = np.asarray(used.env.obs[:resets, 0])
    np.testing.assert_array_equal(starts[:248], pool[:resets])  # each takes the next, as long as there are any
    assert np.isin(starts, pool).all()
    fresh = jax.jit(venv.refresh)(used, jax.random.key(2))
    now = np.asarray(fresh.pool.obs[:, 0])
    np.testing.assert_array_equal(np.flatnonzero(pool != now), np.arange(redrawn))
    assert not np.isin(now[:redrawn], pool).any() and len(np.unique(now)) == 248
    assert int(fresh.pool_head) == 0


@functools.cache
def step_thousand() -> Any:
    return jax.jit(thousand()[0].step)


def test_short_episodes_start_in_many_ways() -> None:
    """64 walks of 8 steps, 32 steps an iteration: 3 or 4 resets each in turn, of which a pool of 64 is redrawn."""
    venv = VectorEnv(Walk(bound=1e9, episode_length=8), 64)

    def iteration(state: VectorState, key: jax.Array) -> tuple[VectorState, Any]:
        def step(state: VectorState, key: jax.Array) -> tuple[VectorState, Any]:
            after, outcome = venv.step(state, jnp.zeros((64, 1)), key)
            return after, (~outcome.valid, after.env.obs[:, 0])

        key_pool, key_steps = jax.random.split(key)
        state, seen = jax.lax.scan(step, state, jax.random.split(key_steps, 32))
        return venv.refresh(state, key_pool), seen

    state = jax.jit(venv.init)(jax.random.key(0))
    _, (fresh, births) = jax.jit(lambda s: jax.lax.scan(iteration, s, jax.random.split(jax.random.key(1), 50)))(state)
    starts = np.asarray(births)[np.asarray(fresh)]
    resets = 50 * 32 * 64 / 9  # every ninth row is a reset
    assert abs(len(starts) - resets) < 64
    # 64 new ones in each of 50 iterations, of 227 resets: 28 %. A quarter of the pool, as it was, gave 7 %.
    assert len(np.unique(starts)) / len(starts) > 0.27
    # An environment hardly ever starts twice in a row in the same way.
    n = 7
    own = np.asarray(births)[:, :, n][np.asarray(fresh)[:, :, n]]
    assert (own[1:] == own[:-1]).mean() < 0.1


def test_resets_come_from_the_whole_pool() -> None:
    _, state = thousand()
    after, outcome = step_thousand()(all_reset(state), jnp.zeros((1000, 1)), jax.random.key(1))
    assert not np.asarray(outcome.valid).any()
    pool, fresh = np.asarray(state.pool.obs[:, 0]), np.asarray(after.env.obs[:, 0])
    assert set(pool) == set(fresh)
    # The 752 that are drawn take one place three times on average, and none very often: binomial, deviation 1.7.
    assert np.unique(fresh[248:], return_counts=True)[1].max() < 16
    # The whole state is the pool's, not only the observation.
    place = np.array([np.flatnonzero(pool == x)[0] for x in fresh])
    np.testing.assert_array_equal(bits(after.env), bits(state.pool)[place])


def test_a_pool_of_an_older_run_goes_on() -> None:
    """There `pool_head` was the next place to be redrawn: a multiple of a quarter of the pool, below its size."""
    venv, state = thousand()
    old = state.replace(pool_head=jnp.int32(186))  # type: ignore[attr-defined]
    after, _ = step_thousand()(all_reset(old, 10), jnp.zeros((1000, 1)), jax.random.key(1))
    np.testing.assert_array_equal(after.env.obs[:10, 0], state.pool.obs[186:196, 0])
    fresh = jax.jit(venv.refresh)(after, jax.random.key(2))
    assert not np.isin(fresh.pool.obs[:, 0], state.pool.obs[:, 0]).any()


@functools.cache
def broken() -> tuple[VectorEnv, VectorState]:
    """Environments of which a fifth of the steps and two fifths of the resets give a number that is not finite."""
    venv = VectorEnv(Broken(steps=0.2, resets=0.4), N)
    return venv, jax.jit(venv.init)(jax.random.key(0))


def test_a_number_that_is_not_finite_is_quarantined() -> None:
    venv, state = broken()
    step, alone = jax.jit(venv.step), jax.jit(jax.vmap(venv.env.step))
    action = jnp.zeros((N, 1))
    quarantined = ignored = 0
    kinds = set()
    for t in range(25):
        stepped = alone(state.env, action)
        for name, leaf in leaves_of(stepped).items():
            kinds |= {(name, str(x)) for x in leaf.flat if not np.isfinite(x)}
        bad = ~np.isfinite(bits(stepped)).all(axis=1)
        ended = np.asarray(state.ended)
        pool = bits(state.pool)
        state, outcome = step(state, action, jax.random.key(t))
        # Where an episode is over the step does not count, whatever it gives.
        np.testing.assert_array_equal(outcome.quarantined, bad & ~ended)
        np.testing.assert_array_equal(outcome.valid, ~bad & ~ended)
        assert (np.asarray(outcome.reward)[bad] == 0).all()
        assert not np.asarray(outcome.terminated | outcome.finished)[bad].any()
        assert np.isfinite(bits((state.env, state.episode_return))).all()
        # A broken environment goes on at once, in a fresh episode.
        rows = bits(state.env)[bad]
        assert all((pool == row).all(axis=1).any() for row in rows)
        assert not np.asarray(state.ended)[bad].any()
        assert (np.asarray(state.steps)[bad] == 0).all()
        assert np.asarray(state.whole)[bad].all()
        quarantined += int((bad & ~ended).sum())
        ignored += int((bad & ended).sum())
    assert quarantined > 50
    assert ignored > 0
    assert kinds == {(place, x) for place in (".obs", ".reward", ".data['x']") for x in ("nan", "inf", "-inf")}


class Exploding(Walk):
    """Its observation leaps to 1e20 in the first step: finite, but its square is not."""

    def step(self, state: State, action: jax.Array) -> State:
        stepped = super().step(state, action)
        return stepped.replace(obs=jnp.full_like(stepped.obs, 1e20))  # type: ignore[attr-defined]


def test_an_explosion_is_quarantined_before_it_overflows() -> None:
    venv = VectorEnv(Exploding(), N)
    state = jax.jit(venv.init)(jax.random.key(0))
    state, outcome = jax.jit(venv.step)(state, jnp.zeros((N, 1)), jax.random.key(1))
    assert np.asarray(outcome.quarantined).all()
    assert not np.asarray(outcome.valid).any()
    assert np.abs(np.asarray(state.env.obs)).max() <= LIMIT


def test_resets_that_are_not_finite_are_left_out() -> None:
    venv, state = broken()
    refresh = jax.jit(venv.refresh)
    for turn in range(6):
        assert np.isfinite(bits(state.env)).all()
        assert np.isfinite(bits(state.pool)).all()
        before = bits(state.pool)
        state = refresh(state.replace(pool_head=jnp.int32(1)), jax.random.key(turn))  # type: ignore[attr-defined]
        renewed = (bits(state.pool) != before).any(axis=1).sum()
        assert 1 <= renewed < 16  # of the 16 that are re-drawn, some are not finite
