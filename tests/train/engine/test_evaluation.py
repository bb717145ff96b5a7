"""Episodes of which every return is known in closed form."""

import dataclasses
import functools
import operator
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner
from awr_mjx.envs.base import State
from awr_mjx.train.engine.evaluation import Evaluator, ManyEvaluator
from awr_mjx.train.engine.loop import AXIS, Loop
from tests.tasks import Chain, Hopeless, Walk

EPISODES, SIZE = 32, 5


@functools.cache
def learner() -> Learner:
    return Learner(AwrConfig(policy_hidden=(), value_hidden=()), SIZE, 2, discrete=False)


def play(task: Any, of: Learner | None = None, episodes: int = EPISODES) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places [E] where the episodes start, their returns and lengths."""
    of = of or learner()
    state, key = jax.jit(of.init)(jax.random.key(0)), jax.random.key(1)
    starts = jax.vmap(task.reset)(jax.random.split(key, episodes)).data
    seen = Evaluator(task, of, episodes)(state.policy, state.normalizer, key)
    assert (seen.returns.dtype, seen.lengths.dtype) == (jnp.float32, jnp.int32)
    return np.asarray(starts), seen.returns, seen.lengths


class PaysAlways(Chain):
    """Pays 1 in every step."""

    def step(self, state: State, action: jax.Array) -> State:
        return super().step(state, action).replace(reward=jnp.float32(1.0))  # type: ignore[attr-defined]


def test_nothing_counts_after_an_episodes_end() -> None:
    """Episodes that are over wait for those that began at the chain's other end, and are paid no more."""
    starts, returns, lengths = play(PaysAlways(SIZE, "failure"))
    assert set(starts) == set(range(SIZE))
    np.testing.assert_array_equal(lengths, SIZE - starts)
    np.testing.assert_array_equal(returns, lengths)


@pytest.mark.parametrize("limit", [1, 4, 13])
def test_the_time_limit_ends_every_episode(limit: int) -> None:
    starts, returns, lengths = play(Chain(SIZE, "never", episode_length=limit))
    np.testing.assert_array_equal(lengths, limit)
    np.testing.assert_array_equal(returns, (starts + limit) // SIZE)  # a reward each time that it goes round


class Breaks(Chain):
    """Pays 1 in every step; the last place breaks it, for one step, with a reward that is not finite."""

    def step(self, state: State, action: jax.Array) -> State:
        after = super().step(state, action)
        reward = jnp.where(after.reward > 0, jnp.inf, 1.0)
        return dataclasses.replace(after, reward=reward)


def test_a_number_that_is_not_finite_ends_an_episode_with_what_it_had() -> None:
    starts, returns, _ = play(Breaks(SIZE, "never", episode_length=20))
    np.testing.assert_array_equal(returns, SIZE - 1 - starts)


class Asks(Chain):
    """Pays what the action is, so that a return tells which actions were taken."""

    def step(self, state: State, action: jax.Array) -> State:
        return dataclasses.replace(super().step(state, action), reward=action[0])


def test_it_plays_the_mode_action_for_normalised_observations() -> None:
    # a_0 = w . (s - 1) / 2, where s is one-hot: (w_s - sum w) / 2.
    of, w = learner(), np.arange(1.0, SIZE + 1)
    state, key = jax.jit(of.init)(jax.random.key(0)), jax.random.key(1)
    kernel = jnp.asarray(np.stack([w, 0 * w], axis=1), jnp.float32)
    policy = {"net": {"out": {"kernel": kernel, "bias": jnp.zeros(2)}}}
    stats = state.normalizer.replace(mean=jnp.ones(SIZE), variance=jnp.full(SIZE, 4.0))
    task = Asks(SIZE, "never", episode_length=3)
    returns = Evaluator(task, of, EPISODES)(policy, stats, key).returns
    starts = np.asarray(jax.vmap(task.reset)(jax.random.split(key, EPISODES)).data)
    places = (starts[:, None] + np.arange(3)) % SIZE
    np.testing.assert_allclose(returns, ((w[places] - w.sum()) / 2).sum(1), rtol=1e-5)


def test_many_policies_are_played_at_once_as_each_alone() -> None:
    """Each of its own starts, for as long as its own episodes last: one's come to the chain's end sooner."""
    of, weights = learner(), np.arange(1.0, 3 * SIZE + 1).reshape(3, SIZE)
    stats = jax.jit(of.init)(jax.random.key(0)).normalizer
    kernels = jnp.asarray(np.stack([weights, 0 * weights], axis=-1), jnp.float32)
    policies = {"net": {"out": {"kernel": kernels, "bias": jnp.zeros((3, 2))}}}
    many = jax.tree.map(lambda x: jnp.stack([x, x + 1, x + 2]), stats)
    keys, task = jax.random.split(jax.random.key(2), 3), Asks(SIZE, "failure")
    together = ManyEvaluator(task, of, 2, Mesh(np.asarray(jax.devices()[:1]), (AXIS,)))
    found = together.each(lambda: False, policies, many, keys)
    assert found and len({tuple(one.lengths.tolist()) for one in found}) > 1
    for i, one in enumerate(found):
        policy, its = jax.tree.map(operator.itemgetter(i), (policies, many))
        alone = Evaluator(task, of, 2)(policy, its, keys[i])
        np.testing.assert_array_equal(one.lengths, alone.lengths)
        np.testing.assert_allclose(one.returns, alone.returns, rtol=1e-5)
    assert together.each(lambda: True, policies, many, keys) is None


def test_sampled_actions_are_drawn_anew_in_every_step_of_every_episode() -> None:
    """Of noise that is drawn once, for an episode or for all of them, a sum of three has another variance."""
    of, episodes = learner(), 4000
    state, key = jax.jit(of.init)(jax.random.key(0)), jax.random.key(1)
    task = Asks(SIZE, "never", episode_length=3)
    modes, drawn = (
        Evaluator(task, of, episodes, sample=sample)(state.policy, state.normalizer, key).returns
        for sample in (False, True)
    )
    noise = (drawn - modes) / of.config.std
    assert noise.mean() == pytest.approx(0, abs=4 * np.sqrt(3 / episodes))
    assert noise.var() == pytest.approx(3, abs=4 * 3 * np.sqrt(2 / episodes))
    assert len(np.unique(noise)) > episodes // 2


class Steady:
    """Stands for a learner whose policy always does `action`."""

    def __init__(self, action: float) -> None:
        self._action = action

    def policy(self, params: None, stats: None, obs: jax.Array) -> Any:
        return types.SimpleNamespace(mode=lambda: jnp.full((*obs.shape[:-1], 1), self._action))


class Bursting(Walk):
    """From the third step on its metric is NaN."""

    def step(self, state: State, action: jax.Array) -> State:
        stepped = super().step(state, action)
        distance = jnp.where(stepped.obs[1] >= 3, jnp.nan, stepped.metrics["distance"])
        return dataclasses.replace(stepped, metrics={"distance": distance})


def test_episodes_and_their_terms() -> None:
    keys = jax.random.split(jax.random.key(0), 5)
    births = np.asarray(jax.vmap(Walk().reset)(keys).obs[:, 0])
    for task, action, positions in (
        (Walk(bound=2.0), 0.75, [0.75, 1.5, 2.25]),  # fails
        (Hopeless(bound=2.0), 0.75, [0.75, 1.5, 2.25]),  # the same: only training gives up
        (Walk(bound=9.0, episode_length=4), -0.5, [-0.5, -1.0, -1.5, -2.0]),  # is at its limit
        (Bursting(bound=9.0), 0.5, [0.5, 1.0]),  # breaks in a third step, which does not pay
    ):
        seen = Evaluator(task, Steady(action), 5)(None, None, jax.random.key(0))  # type: ignore[arg-type]
        np.testing.assert_allclose(seen.returns, len(positions) * births + sum(positions), rtol=1e-5)
        assert seen.lengths.tolist() == [len(positions) + isinstance(task, Bursting)] * 5
        want = [[np.abs(positions).sum(), len(positions)]] * 5
        np.testing.assert_allclose(seen.terms["distance"], want, rtol=1e-6)
        assert seen.broken.tolist() == [isinstance(task, Bursting)] * 5
        assert seen.whole(task.episode_length) == (task.episode_length == 4)  # the others fail, or break
        assert seen.terms_per_step() == {"terms/distance": pytest.approx(np.abs(positions).mean())}


class Silent(Walk):
    """Has something to tell in its first two steps of an episode alone, and `never` in none."""

    def terms(self, state: State, action: jax.Array, after: State) -> dict[str, jax.Array]:
        late = after.obs[1] > 2
        return {"early": jnp.where(late, jnp.inf, 3.0), "never": jnp.log(-1.0 - after.obs[1] ** 2)}


def test_a_term_is_the_mean_over_the_steps_in_which_it_is_finite() -> None:
    task = Silent(bound=9.0, episode_length=6)
    seen = Evaluator(task, Steady(0.5), 5)(None, None, jax.random.key(0))  # type: ignore[arg-type]
    assert seen.lengths.tolist() == [6] * 5 and not seen.broken.any()
    assert seen.terms_per_step() == {"terms/early": 3.0, "terms/distance": pytest.approx(1.75)}
    config = AwrConfig(rollout_steps=12, buffer_blocks=1, batch_size=32, policy_hidden=(8,), value_hidden=(8,))
    loop = Loop(task, config, 32)
    before = loop.init(0)
    _, rows, outcome = jax.jit(loop.collect)(before.learner, before.env, jax.random.key(1))
    metrics = loop._count(before.counts, rows, outcome)[1]
    assert metrics["terms/early"] == 3.0 and np.isnan(metrics["terms/never"])


def test_training_tells_the_means_of_a_tasks_terms() -> None:
    """A walk's metric is its distance from the middle, which the ring's observations have too."""
    config = AwrConfig(rollout_steps=12, buffer_blocks=1, batch_size=32, policy_hidden=(8,), value_hidden=(8,))
    loop = Loop(Walk(bound=1.5, episode_length=5), config, 32)
    before = loop.init(0)
    env, rows, outcome = jax.jit(loop.collect)(before.learner, before.env, jax.random.key(1))
    after = np.concatenate([rows.obs[1:], env.env.obs[None]])[..., 2]
    want = np.abs(after)[np.asarray(rows.valid)]
    assert 0.05 < 1 - np.asarray(rows.valid).mean() < 0.6
    np.testing.assert_allclose(outcome.terms["distance"].sum(axis=0), [want.sum(), want.size], rtol=1e-5)
    _, metrics = loop._count(before.counts, rows, outcome)
    np.testing.assert_allclose(metrics["terms/distance"], want.mean(), rtol=1e-5)
    assert "terms/distance" in jax.eval_shape(loop.epoch, before)[1]
