"""The two regressions end where algebra says that they must."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from awr_mjx.algorithm import learner as learning
from awr_mjx.algorithm import normalizer, replay
from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner, LearnerState
from tests.tasks import Chain

# A minibatch, for losses that do not look at it.
ROW = replay.Batch(jnp.zeros((1, 1)), jnp.zeros((1, 1)), {}, jnp.ones(1, bool))


def places(minibatches: int) -> replay.Places:
    """Places of one row, the first, for each of some minibatches."""
    return replay.Places(*2 * [jnp.zeros((minibatches, 1), jnp.int32)])


SMALL = {"policy_hidden": (), "value_hidden": (), "batch_size": 512}


def ring_of(rows: dict[str, np.ndarray], discrete: bool = False) -> replay.Ring:
    steps, envs, size = rows["obs"].shape
    ring = replay.init(steps, envs, size, rows["action"].shape[-1], discrete)
    types = {"terminated": bool, "valid": bool, "action": jnp.int32 if discrete else jnp.float32}
    return replay.insert(ring, replay.Rows(**{k: jnp.asarray(v, types.get(k, jnp.float32)) for k, v in rows.items()}))


@functools.cache
def compiled(learner: Learner) -> Callable[..., Any]:
    return jax.jit(learner.update)


@functools.cache
def fresh(learner: Learner) -> LearnerState:
    return jax.jit(learner.init)(jax.random.key(0))


def train(learner: Learner, ring: replay.Ring, live: np.ndarray, updates: int) -> tuple[LearnerState, dict[str, float]]:
    """`updates` iterations of AWR on one ring that stays as it is."""
    state = learner.observe(fresh(learner), ring.rows)
    for i in range(updates):
        state, metrics = compiled(learner)(state, ring, jnp.asarray(live, jnp.float32), jax.random.key(i))
    return state, {k: float(v) for k, v in metrics.items()}


def chain_rows(chain: Chain, time: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What the vector environment would record of L chains that start at each place, and their last observations."""
    size, envs = chain.length, chain.length
    rows = {k: np.zeros((time, envs)) for k in ("reward", "terminated", "valid")}
    places = np.zeros((time + 1, envs), int)
    for n in range(envs):
        place, steps, ended = n, 0, False
        for t in range(time):
            places[t, n] = place
            if ended:
                place, steps, ended = (n + t) % size, 0, False
                continue
            left = place == size - 1
            place, steps = (place + 1) % size, steps + 1
            rows["valid"][t, n], rows["reward"][t, n] = True, left
            rows["terminated"][t, n] = left and chain.fails
            ended = bool(rows["terminated"][t, n]) or steps == chain.episode_length
        places[time, n] = place
    rows["obs"], rows["action"] = np.eye(size)[places[:-1]], np.zeros((time, envs, 2))
    return rows, np.eye(size)[places[-1]]


@functools.cache
def critic(**changes: Any) -> Learner:
    plain = {"gamma": 0.9, "lam": 0.8, "value_lr": 0.02, "value_updates": 100, "policy_updates": 5}
    config = AwrConfig(**SMALL | plain | changes)  # type: ignore[arg-type]
    return Learner(config, 4, 2, discrete=False)


@pytest.mark.parametrize("end", ["failure", "never"])
def test_the_critic_finds_the_value_of_a_chain(end: Any) -> None:
    """Failures are worth nothing, and a time limit after 3 steps (shorter than the chain) takes nothing away."""
    chain = Chain(4, end, episode_length=3 if end == "never" else 1000)
    rows, live = chain_rows(chain, 24)
    assert (rows["valid"] == 0).sum() >= 16
    state, metrics = train(critic(), ring_of(rows), live, 40)
    found = critic().value(state, jnp.eye(4))
    np.testing.assert_allclose(found, chain.value(0.9), atol=0.03)
    assert metrics["explained_variance"] > 0.98


def samples(actions: list[float], weights: list[float], discrete: bool = False) -> replay.Ring:
    """Equally many samples of each action. With gamma 0 and no baseline the return is the reward, log of the weight."""
    count = len(actions)
    time = np.arange(12 * count) % (count + 1)  # every (count + 1)th row is not valid, and would weigh most
    valid = np.repeat((time < count)[:, None], 4, axis=1)
    action = np.array([*actions, 2 if discrete else 5.0])[time][:, None].repeat(4, axis=1)
    reward = np.log([*weights, 19.0])[time][:, None].repeat(4, axis=1)
    rows = {
        "obs": np.zeros((len(time), 4, 1)),
        "action": action if discrete else action[..., None],
        "reward": reward,
        "terminated": np.zeros_like(valid),
        "valid": valid,
    }
    return ring_of(rows, discrete)


@functools.cache
def actor(size: int = 1, discrete: bool = False, **changes: Any) -> Learner:
    plain = {"gamma": 0.0, "baseline": False, "advantage": "raw", "value_updates": 0, "bound_coef": 0.0}
    config = AwrConfig(**SMALL | plain | {"policy_lr": 0.01, "policy_updates": 100} | changes)  # type: ignore[arg-type]
    return Learner(config, 1, size, discrete)


def test_the_policy_moves_to_the_weighted_mean() -> None:
    # Actions -0.4 (weight 1) and 0.6 (weight 3): mean (-0.4 + 1.8) / 4 = 0.35,
    # variance (0.75^2 + 3 * 0.25^2) / 4 = 0.1875, std 0.433.
    learner = actor(learn_std=True, std_min=0.1)
    state, metrics = train(learner, samples([-0.4, 0.6], [1.0, 3.0]), np.zeros((4, 1)), 5)
    policy = learner.policy(state.policy, state.normalizer, jnp.zeros((1, 1)))
    assert float(policy.mode()[0, 0]) == pytest.approx(0.35, abs=0.03)
    assert float(learner.action_std(state.policy)[0]) == pytest.approx(0.433, abs=0.03)
    assert metrics["weight_mean"] == pytest.approx(2.0, rel=1e-5)
    # (1 + 3)^2 / (1 + 9) / 2
    assert metrics["effective_sample_share"] == pytest.approx(0.8, rel=1e-5)


def test_a_learned_std_does_not_fall_below_its_floor() -> None:
    """All actions are the same, so that the likelihood of a std of 0 is infinite."""
    learner = actor(learn_std=True, std_min=0.1)
    state, metrics = train(learner, samples([0.3, 0.3], [1.0, 1.0]), np.zeros((4, 1)), 10)
    std = float(learner.action_std(state.policy)[0])
    assert 0.1 <= std < 0.12
    assert metrics["action_std"] == pytest.approx(std)


def test_a_categorical_policy_moves_to_the_weights_shares() -> None:
    # Weights 1, 3, 4 of equally many samples: probabilities 1/8, 3/8, 1/2.
    learner = actor(3, discrete=True, policy_lr=0.03)
    state, metrics = train(learner, samples([0, 1, 2], [1.0, 3.0, 4.0], discrete=True), np.zeros((4, 1)), 5)
    logits = learner.policy(state.policy, state.normalizer, jnp.zeros(1)).logits  # type: ignore[attr-defined]
    np.testing.assert_allclose(jax.nn.softmax(logits), [0.125, 0.375, 0.5], atol=0.03)
    assert np.isfinite(list(metrics.values())).all()
    assert "action_std" not in metrics


def assert_same(a: Any, b: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(a), jax.tree.leaves(b))


def test_no_updates_leave_the_parameters_alone() -> None:
    learner = actor(learn_std=True, std_min=0.1)  # no update of the value
    state, metrics = train(learner, samples([-0.4, 0.6], [1.0, 3.0]), np.zeros((4, 1)), 1)
    assert_same((state.value, state.value_opt), (fresh(learner).value, fresh(learner).value_opt))
    assert metrics["value_loss"] == 0.0
    rows, live = chain_rows(Chain(4), 24)
    learner = critic(relabel="once", policy_updates=0)
    state, metrics = train(learner, ring_of(rows), live, 1)
    assert_same((state.policy, state.policy_opt), (fresh(learner).policy, fresh(learner).policy_opt))
    assert (metrics["policy_loss"], metrics["kl"]) == (0.0, 0.0)


def test_what_an_iteration_reports() -> None:
    rows, live = chain_rows(Chain(4), 24)
    _, metrics = train(critic(), ring_of(rows), live, 1)
    expected = "explained_variance value_loss policy_loss advantage_std beta weight_mean weight_max weight_clipped"
    expected += " effective_sample_share kl entropy action_std value_mean ring_valid"
    assert set(metrics) == set(expected.split())
    assert np.isfinite(list(metrics.values())).all()
    assert metrics["ring_valid"] == rows["valid"].sum()
    assert metrics["kl"] > 0
    # Two dimensions of std 0.4: 2 (log 0.4 + 0.5 log(2 pi e)) = 1.005296.
    assert metrics["entropy"] == pytest.approx(1.005296, rel=1e-5)


def test_weights_come_from_values_before_or_after_their_regression() -> None:
    rows, live = chain_rows(Chain(4), 24)
    once, twice = critic(relabel="once", policy_updates=0), critic()
    state = once.observe(fresh(once), ring_of(rows).rows)
    before = np.asarray(once.value(state, jnp.asarray(rows["obs"], jnp.float32)))
    before = before[rows["valid"] > 0].mean()
    _, metrics = train(once, ring_of(rows), live, 1)
    assert metrics["value_mean"] == pytest.approx(before, rel=1e-5, abs=1e-5)
    state, metrics = train(twice, ring_of(rows), live, 1)
    after = np.asarray(twice.value(state, jnp.asarray(rows["obs"], jnp.float32)))
    after = after[rows["valid"] > 0].mean()
    assert metrics["value_mean"] == pytest.approx(after, rel=1e-5)
    assert abs(after - before) > 0.1


def test_values_are_in_units_of_reward() -> None:
    """The network speaks in units of 1 / (1 - gamma); V does not."""
    learner = Learner(AwrConfig(**SMALL, gamma=0.98, obs_clip=3.0), 2, 1, discrete=False)  # type: ignore[arg-type]
    params = {"out": {"kernel": jnp.array([[0.5], [-1.0]]), "bias": jnp.array([0.25])}}
    stats = normalizer.Normalizer(jnp.array(5.0), jnp.array([1.0, 0.0]), jnp.array([4.0, 1.0]))
    # Normalised (2, 1) and (clipped) (3, 0): 50 (1 - 1 + 0.25) = 12.5 and 50 (1.5 + 0.25) = 87.5.
    state = dataclasses.replace(learner.init(jax.random.key(0)), value=params, normalizer=stats)
    found = learner.value(state, jnp.array([[5.0, 1.0], [99.0, 0.0]]))
    np.testing.assert_allclose(found, [12.5, 87.5], rtol=1e-5)


def test_the_first_policy_hardly_prefers_an_action() -> None:
    learner = actor(learn_std=True, std_min=0.1)
    policy = fresh(learner).policy
    assert 0 < float(jnp.abs(policy["net"]["out"]["kernel"]).max()) <= 0.01
    assert (np.asarray(policy["net"]["out"]["bias"]) == 0).all()
    np.testing.assert_allclose(learner.action_std(policy), 0.4, rtol=1e-5)  # the config's
    # A weak type would be lost in the first update, and all be compiled again.
    assert not any(x.weak_type for x in jax.tree.leaves(jax.eval_shape(learner.init, jax.random.key(0))))


@pytest.mark.parametrize(("optimizer", "expected"), [("sgd", [0.9, 0.719, 0.4724]), ("adam", [0.9, 0.8, 0.7])])
def test_optimisers_by_hand(optimizer: Any, expected: list[float]) -> None:
    # Loss p on p = 1, slope 1, step 0.1. Momentum 0.81: velocities 1, 1.81, 2.4661 -> 0.9, 0.719, 0.4724.
    learner = Learner(AwrConfig(optimizer=optimizer, momentum=0.81, policy_lr=0.1), 1, 1, discrete=False)
    tx = learner._policy_tx
    for updates, want in enumerate(expected, start=1):
        p = jnp.array(1.0)
        found, _, _ = learning.regress(lambda p, _: p, tx, p, tx.init(p), lambda _: ROW, places(updates))
        assert float(found) == pytest.approx(want, rel=1e-4)


def test_regression_reports_the_mean_loss() -> None:
    # Loss p^2 / 2 with step 0.5: p = 4, 2, 1 has losses 8, 2, 0.5: mean 3.5, and p ends at 0.5.
    tx, p = optax.sgd(0.5), jnp.array(4.0)
    p, _, loss = learning.regress(lambda p, _: 0.5 * p**2, tx, p, tx.init(p), lambda _: ROW, places(3))
    assert (float(p), float(loss)) == pytest.approx((0.5, 3.5))


def test_gamma_end_follows_gamma_after_its_env_steps() -> None:
    # 2 rows of 4 environments are 8 env steps an iteration: 16 of them with a horizon of 10, then 80.
    config = AwrConfig(**SMALL, rollout_steps=2, gamma=0.9, gamma_end=0.9875, gamma_steps=16)  # type: ignore[arg-type]
    learner = Learner(config, 3, 1, discrete=False)
    ring = replay.init(config.capacity, 4, 3, 1, discrete=False)
    state, horizons = learner.init(jax.random.key(0)), []
    first = float(learner.value(state, jnp.ones(3)))
    for _ in range(4):
        state, metrics = learner.update(state, ring, jnp.zeros((4, 3)), jax.random.key(1))
        horizons.append(float(metrics["horizon"]))
    assert horizons == pytest.approx([10.0, 10.0, 80.0, 80.0], rel=1e-5)
    assert int(state.env_steps) == 32
    late = learner.init(jax.random.key(0)).replace(env_steps=state.env_steps)  # type: ignore[attr-defined]
    assert float(learner.value(late, jnp.ones(3))) == pytest.approx(8 * first, rel=1e-4)


def test_a_scheduled_std_goes_to_its_end_in_a_straight_line() -> None:
    """A quarter of the way in each of four iterations of 32 env steps, whatever the actions; the mean still learns."""
    learner = actor(std=0.4, std_end=0.1, std_steps=128)
    state, ring, stds = fresh(learner), samples([0.3, 0.3], [1.0, 1.0]), []
    for i in range(6):
        policy = learner.policy(state.policy, state.normalizer, jnp.zeros(1))
        stds.append(float(policy.std[0]))  # type: ignore[attr-defined]
        state, metrics = compiled(learner)(state, ring, jnp.zeros((4, 1)), jax.random.key(i))
        assert metrics["action_std"] == pytest.approx(stds[-1])
    assert stds == pytest.approx([0.4, 0.325, 0.25, 0.175, 0.1, 0.1])
    assert float(policy.mode()[0]) == pytest.approx(0.3, abs=0.03)
    assert "std" not in fresh(actor(3, discrete=True, std_end=0.1)).policy


def test_the_policy_step_follows_the_target_kl() -> None:
    # The KL of a step is quadratic in it: twice the target asks for 1 / sqrt(2), which is more than one iteration may
    # change (0.8); 1.1 times the target for 1 / sqrt(1.1). It never exceeds policy_lr itself.
    step = functools.partial(learning.next_step, target=0.01)
    one = jnp.ones(())
    assert float(step(one, jnp.float32(0.02))) == pytest.approx(0.8)
    assert float(step(one, jnp.float32(0.011))) == pytest.approx(1.1**-0.5, rel=1e-5)
    assert float(step(0.5 * one, jnp.float32(0.0))) == pytest.approx(0.5 / 0.8)
    assert float(step(one, jnp.float32(0.001))) == 1.0


def test_a_target_kl_is_kept() -> None:
    """The policy runs after actions that change sides: far in every iteration, unless its step is held back."""

    def kl_of_iterations(target: float) -> list[float]:
        learner = actor(policy_lr=0.2, policy_updates=10, target_kl=target)
        sides = [samples([side, side], [1.0, 1.0]) for side in (-0.5, 0.5)]
        state, found = fresh(learner), []
        for i in range(60):
            live, key = jnp.zeros((4, 1)), jax.random.key(i)
            state, metrics = compiled(learner)(state, sides[i % 2], live, key)
            found.append(float(metrics["kl"]))
        return found

    assert np.mean(kl_of_iterations(0.0)[-20:]) > 0.1
    found = kl_of_iterations(0.01)
    assert np.mean(found[-20:]) == pytest.approx(0.01, rel=0.3)
    assert found[0] < 0.02  # from the first step on, which follows a critic that knows nothing
