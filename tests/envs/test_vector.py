"""N environments as one, row by row against a simulation in plain Python."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.base import Env, State
from envs.vector import LIMIT, BrokenTask, VectorEnv, VectorState, check_task, strong
from tests.tasks import Broken, Chain, Walk, leaves_of

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


def test_the_pool_is_redrawn_part_by_part() -> None:
    venv, state = thousand()
    refresh = jax.jit(venv.refresh)
    assert venv.pool_size == 248
    first = now = np.asarray(state.pool.obs[:, 0])
    for turn in range(8):
        state = refresh(state, jax.random.key(10 + turn))
        before, now = now, np.asarray(state.pool.obs[:, 0])
        changed = np.flatnonzero(before != now)
        np.testing.assert_array_equal(changed, np.arange(62) + turn % 4 * 62)
        assert not np.isin(now[changed], before).any()
    assert not np.isin(first, now).any()


def test_resets_come_from_the_whole_pool() -> None:
    venv, state = thousand()
    state = state.replace(ended=jnp.ones(1000, bool))  # type: ignore[attr-defined]
    after, outcome = jax.jit(venv.step)(state, jnp.zeros((1000, 1)), jax.random.key(1))
    assert not np.asarray(outcome.valid).any()
    pool, fresh = np.asarray(state.pool.obs[:, 0]), np.asarray(after.env.obs[:, 0])
    assert np.isin(fresh, pool).all()
    # 1000 draws leave 248 (1 - 1/248)^1000 = 4.4 of 248 places out, give or take 2.
    assert venv.pool_size - len(np.unique(fresh)) < 16
    # The whole state is the pool's, not only the observation.
    place = np.array([np.flatnonzero(pool == x)[0] for x in fresh])
    np.testing.assert_array_equal(bits(after.env), bits(state.pool)[place])


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
    state = venv.init(jax.random.key(0))
    state, outcome = venv.step(state, jnp.zeros((N, 1)), jax.random.key(1))
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
        state = refresh(state, jax.random.key(turn))
        renewed = (bits(state.pool) != before).any(axis=1).sum()
        assert 1 <= renewed < 16  # of the 16 that are re-drawn, some are not finite


def test_strong_types() -> None:
    weak = {"a": jnp.asarray(1.0), "b": jnp.full(3, 2), "key": jax.random.key(0)}
    assert weak["a"].weak_type
    found = strong(weak)
    assert not found["a"].weak_type
    assert not found["b"].weak_type
    assert (float(found["a"]), found["b"].dtype) == (1.0, jnp.int32)
    np.testing.assert_array_equal(jax.random.key_data(found["key"]), jax.random.key_data(weak["key"]))


@pytest.mark.parametrize(
    "task", [Chain(), Chain(discrete=True), Walk(), Broken(resets=0.5)], ids=["chain", "discrete", "walk", "broken"]
)
def test_sound_tasks_pass(task: Env) -> None:
    assert isinstance(task, Env)
    check_task(task)


class WrongObservation(Walk):
    observation_size = 4


class WrongReward(Walk):
    def reset(self, key: jax.Array) -> State:
        return super().reset(key).replace(reward=jnp.zeros(1))  # type: ignore[attr-defined]


class OtherFields(Walk):
    def step(self, state: State, action: jax.Array) -> State:
        return super().step(state, action).replace(metrics={})  # type: ignore[attr-defined]


class OtherType(Walk):
    def step(self, state: State, action: jax.Array) -> State:
        stepped = super().step(state, action)
        return stepped.replace(done=stepped.done > 0)  # type: ignore[attr-defined]


class Raises(Walk):
    def step(self, state: State, action: jax.Array) -> State:
        raise KeyError("friction\nand more")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Raises(), r"step raises KeyError: .*\(.*test_vector.py:\d+\)"),
        (WrongObservation(), r"reset gives obs float32\[3\], not float32\[4\]"),
        (WrongReward(), r"reset gives reward float32\[1\], not float32\[\]"),
        (OtherFields(), "the state that step gives has other fields than the one that reset gives"),
        (OtherType(), r"state.done is float32\[\] after reset, bool\[\] after step"),
        (Broken(resets=1.0), "every reset of 64 gives a number that is not finite"),
    ],
    ids=["exception", "observation", "reward", "fields", "type", "resets"],
)
def test_a_broken_task_is_refused_in_one_line(task: Env, message: str) -> None:
    with pytest.raises(BrokenTask, match="^broken task: " + message) as caught:
        check_task(task)
    assert "\n" not in str(caught.value)
