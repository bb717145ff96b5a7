"""An evaluation from data: what counts for which network, the interval, and the returns it is held against."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm.fitted_q import FittedQConfig
from awr_mjx.train.console.errors import Failed, UserError
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.datasets.packing import packed
from awr_mjx.train.engine import fitted_q
from tests.train.datasets.made import episodes
from tests.trained import make_player

KINDS = ((4, "terminated"), (3, "truncated"), (5, "both"), (2, "cut off"), (9, "truncated"), (1, "terminated"))
QUICK = FittedQConfig(gamma=0.9, networks=3, steps=200, batch_size=32, lr=1e-2, hidden=(8,))


def cartpole(actions: int = 0) -> DataSet:
    found = episodes(*KINDS, *KINDS, size=4, actions=actions)
    return found if actions else dataclasses.replace(found, actions=found.actions % 2)


def test_a_network_takes_whole_episodes_as_often_as_it_drew_them() -> None:
    found = cartpole()
    ring = packed([found])
    weights = fitted_q._resampled(found, ring, 50, seed=0)
    assert weights.shape == (50, *ring.rows.valid.shape)
    of_steps = weights.reshape(50, -1)[:, ring.places]
    first = of_steps[:, found.starts]
    np.testing.assert_array_equal(of_steps, first[:, found.episode_of()])
    np.testing.assert_allclose(of_steps.mean(axis=1), 1.0, rtol=1e-5)
    assert weights.reshape(50, -1).sum(axis=1) == pytest.approx(len(found.rewards))  # nothing beside the steps
    missing = (first == 0).mean()
    assert 0.25 < missing < 0.45  # (1 - 1/12)^12 = 0.35
    assert len(np.unique(first, axis=0)) == 50


def test_the_interval_is_that_of_the_mean() -> None:
    # Networks alike: the mean of 400 draws of a standard normal is within 1.96 / 20 in 95 %.
    q = np.random.default_rng(0).normal(size=(1, 400)).repeat(4, axis=0)
    low, high = fitted_q.interval(q, np.random.default_rng(1))
    assert low == pytest.approx(q.mean() - 0.098, abs=0.012)
    assert high == pytest.approx(q.mean() + 0.098, abs=0.012)
    # Networks that do not agree are in it.
    low, high = fitted_q.interval(np.array([[1.0] * 5, [9.0] * 5]), np.random.default_rng(1))
    assert (low, high) == (1.0, 9.0)


def test_discounted_returns() -> None:
    found = cartpole()
    want = []
    for start, steps in zip(found.starts, found.steps, strict=True):
        want.append(sum(0.9**t * found.rewards[start + t] for t in range(steps)))
    np.testing.assert_allclose(fitted_q.discounted(found, 0.9), want, rtol=1e-6)


def test_a_policy_acts_no_further_out_than_the_data() -> None:
    player = make_player("inverted_pendulum")
    found = episodes((50, "truncated"), size=4, actions=1)
    found = dataclasses.replace(found, actions=0.3 * found.actions)
    obs = jnp.asarray(np.random.default_rng(0).normal(size=(200, 4)), jnp.float32)
    free = np.asarray(player.learner.policy(player.learned.policy, player.learned.normalizer, obs).mode())
    assert (np.abs(free) > 0.31).mean() > 0.2
    seen = fitted_q._actor(player, found, sample=False)(obs, jax.random.key(0))
    np.testing.assert_array_equal(seen, np.clip(free, found.actions.min(), found.actions.max()))


@pytest.mark.parametrize("sample", [False, True])
def test_an_evaluation(sample: bool) -> None:
    player, found, told = make_player("cartpole"), cartpole(), list[float]()
    seen = fitted_q.evaluate(player, found, 0.25, QUICK, sample, 0, told.append)
    assert (seen["episodes"], seen["episodes_learned_from"]) == (3, 9)
    assert seen["low"] <= seen["estimate"] <= seen["high"]
    assert seen["estimate"] == pytest.approx(np.mean(seen["by_network"]))
    assert told == sorted(told) and told[-1] == 1.0
    if sample:  # where there is most to draw
        assert fitted_q.evaluate(player, found, 0.25, QUICK, sample, 0, told.append) == seen
    assert seen["actions"] == ("sampled" if sample else "mode")


def test_q_is_asked_in_first_observations() -> None:
    found = cartpole()

    class Method:
        """Q is 100 s_0 + 10 times the action, by the second of two networks -1 more."""

        def q(self, _: object, obs: jax.Array, action: jax.Array) -> jax.Array:
            return jnp.stack([100 * obs[:, 0] + 10 * action, 100 * obs[:, 0] + 10 * action - 1])

    obs = np.stack([found.observations[start + i] for i, start in enumerate(found.starts)])
    want = 100 * obs[:, 0] + 10 * (obs[:, 1] > 0)
    seen = fitted_q._first(Method(), None, found, lambda obs, _: obs[:, 1] > 0, 3, jax.random.key(0))  # type: ignore[arg-type]
    np.testing.assert_allclose(seen, [want, want - 1], rtol=1e-5, atol=1e-4)


def test_nothing_held_out_asks_in_all() -> None:
    seen = fitted_q.evaluate(make_player("cartpole"), cartpole(), 0.0, QUICK, False, 0, lambda _: None)
    assert seen["episodes"] == seen["episodes_learned_from"] == 12
    assert seen["behaviour"] == pytest.approx(fitted_q.discounted(cartpole(), 0.9).mean())


def test_too_few_episodes_are_refused() -> None:
    with pytest.raises(UserError, match="a set of 12 episodes is too small to hold"):
        fitted_q.evaluate(make_player("cartpole"), cartpole(), 0.97, QUICK, False, 0, lambda _: None)


def test_what_diverges_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = cartpole()
    broken = dataclasses.replace(found, rewards=np.full_like(found.rewards, 3e38))
    with pytest.raises(Failed, match="not finite"):
        fitted_q.evaluate(make_player("cartpole"), broken, 0.25, QUICK, False, 0, lambda _: None)
