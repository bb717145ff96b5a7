"""Settings arrive where they work: what a `Learner` hands on to the functions that are tested by themselves."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm import replay
from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner, LearnerState

# No hidden layer and observations of 0: the networks' outputs are their biases.
PLAIN = {"policy_hidden": (), "value_hidden": (), "rollout_steps": 4, "buffer_blocks": 1, "batch_size": 8}


@functools.cache
def learner(size: int = 1, discrete: bool = False, **changes: Any) -> Learner:
    return Learner(AwrConfig(**PLAIN | changes), 2, size, discrete)  # type: ignore[arg-type]


def ring(rewards: list[float], action: Any = 0.0, size: int = 1, discrete: bool = False) -> replay.Ring:
    """One episode of one environment, which ends with a failure; every observation is 0, every action the same."""
    time = len(rewards)
    rows = replay.Rows(
        obs=jnp.zeros((time, 1, 2)),
        action=jnp.full((time, 1) if discrete else (time, 1, size), action, jnp.int32 if discrete else jnp.float32),
        reward=jnp.asarray(rewards, jnp.float32)[:, None],
        terminated=jnp.asarray(np.arange(time) == time - 1)[:, None],
        valid=jnp.ones((time, 1), bool),
    )
    return replay.insert(replay.init(time, 1, 2, size, discrete), rows)


def start(of: Learner, policy_bias: list[float] | None = None, value_bias: float = 0.0) -> LearnerState:
    state = jax.jit(of.init)(jax.random.key(0))
    policy, value = state.policy, state.value
    if policy_bias:
        policy = policy | {"net": {"out": policy["net"]["out"] | {"bias": jnp.asarray(policy_bias, jnp.float32)}}}
    value = {"out": value["out"] | {"bias": jnp.full(1, value_bias, jnp.float32)}}
    return state.replace(policy=policy, value=value)


def update(of: Learner, state: LearnerState, of_ring: replay.Ring) -> tuple[LearnerState, dict[str, float]]:
    after, metrics = jax.jit(of.update)(state, of_ring, jnp.zeros((1, 2)), jax.random.key(1))
    return after, {name: float(x) for name, x in metrics.items()}


def bias(params: Any) -> np.ndarray:
    return np.asarray(params["out"]["bias"], float)


def test_gamma_end_discounts_returns_as_it_does_values() -> None:
    # lambda 0: G_t = r_t + gamma V(s'), V = f / (1 - gamma) with f = 1, and 0 after the failure.
    # gamma 0.9: V 10, G 9, 9, 9, 1. gamma 0.5: V 2, G 1, 1, 1, 1.
    of = learner(gamma=0.9, gamma_end=0.5, gamma_steps=8, lam=0.0)
    state = start(of, value_bias=1.0)
    for steps, value, returns in ((0, 10.0, [9.0, 9.0, 9.0, 1.0]), (8, 2.0, [1.0, 1.0, 1.0, 1.0])):
        now = state.replace(env_steps=jnp.int32(steps))  # type: ignore[attr-defined]
        g, v = of.relabel(now, ring([0.0, 0.0, 0.0, 1.0]), jnp.zeros((1, 2)))
        np.testing.assert_allclose(v[:, 0], value, rtol=1e-5)
        np.testing.assert_allclose(g[:, 0], returns, rtol=1e-5)


def test_lambda_arrives() -> None:
    # lambda 1, V 10 everywhere, gamma 0.9: 0.9^3 of the last reward, nothing of the values.
    of = learner(gamma=0.9, lam=1.0)
    g, _ = of.relabel(start(of, value_bias=1.0), ring([0.0, 0.0, 0.0, 1.0]), jnp.zeros((1, 2)))
    np.testing.assert_allclose(g[:, 0], [0.729, 0.81, 0.9, 1.0], rtol=1e-5)


def test_the_live_observation_is_the_newest_rows_successor() -> None:
    # V(s) = s_0 / (1 - gamma) = 2 s_0, so that it is worth 6 at s_0 = 3: G = 0 + 0.5 * 6.
    of = learner(gamma=0.5, lam=0.0)
    rows = ring([0.0]).rows.replace(terminated=jnp.zeros((1, 1), bool))  # type: ignore[attr-defined]
    value = {"out": {"kernel": jnp.array([[1.0], [0.0]]), "bias": jnp.zeros(1)}}
    state = start(of).replace(value=value)  # type: ignore[attr-defined]
    whole = replay.insert(replay.init(1, 1, 2, 1, False), rows)
    g, _ = of.relabel(state, whole, jnp.array([[3.0, 9.0]]))
    np.testing.assert_allclose(g, 3.0, rtol=1e-5)


def test_the_value_is_fitted_in_units_of_the_horizon() -> None:
    # Returns of 1 and a horizon of 10: the network's target is 0.1. A plain SGD step of 1 from 0 gets there at once.
    of = learner(gamma=0.9, optimizer="sgd", momentum=0.0, value_lr=1.0, value_updates=1, policy_updates=0)
    state, loss = of.regress_value(start(of), ring(4 * [0.0]), jnp.ones((4, 1)), jax.random.key(0))
    assert bias(state.value) == pytest.approx(0.1)
    assert float(loss) == pytest.approx(0.5 * 0.1**2)


def test_monte_carlo_draws_the_rows_that_count_and_no_others() -> None:
    """One of 64 rows counts. Eight rows drawn from all would most likely miss it, and nothing be learned."""
    sgd = {"optimizer": "sgd", "momentum": 0.0, "value_lr": 1.0, "value_updates": 1, "gamma": 0.0}
    few = ring(64 * [0.0])
    valid = jnp.asarray(np.arange(64) == 40)[:, None]
    few = few.replace(rows=few.rows.replace(valid=valid))  # type: ignore[attr-defined]
    for kind, learned in (("monte_carlo", 1.0), ("td_lambda", 0.0)):
        of = learner(**sgd, returns=kind)
        state, _ = of.regress_value(start(of), few, jnp.ones((64, 1)), jax.random.key(0))
        assert bias(state.value) == pytest.approx(learned), kind


def test_normalizer_steps_freeze_the_normaliser() -> None:
    rows = ring(4 * [0.0]).rows
    later = rows.replace(obs=rows.obs + 5.0)  # type: ignore[attr-defined]
    for limit, mean, count in ((0, 2.5, 8), (4, 0.0, 4), (5, 2.5, 8)):
        of = learner(normalizer_steps=limit)
        stats = of.observe(of.observe(start(of), rows), later).normalizer
        np.testing.assert_allclose(stats.mean, mean)
        assert int(stats.count) == count


SGD = {"optimizer": "sgd", "momentum": 0.0, "policy_lr": 0.1, "policy_updates": 1, "value_updates": 0}


@pytest.mark.parametrize(("bound", "logit", "mean"), [(2.0, 0.0, 2.6), (0.0, 2.0, 3.0)])
def test_bound_coef_draws_means_into_range(bound: float, logit: float, mean: float) -> None:
    # Weights of 0: the penalty alone. From 3, its slope is bound_coef (3 - 1), and the step 0.1 times that.
    of = learner(**SGD, bound_coef=bound, logit_coef=logit)
    state, loss = of.regress_policy(start(of, [3.0]), ring(4 * [0.0]), jnp.zeros((4, 1)), jax.random.key(0))
    assert bias(state.policy["net"]) == pytest.approx(mean)
    assert float(loss) == pytest.approx(0.5 * bound * 2.0**2)


@pytest.mark.parametrize(("bound", "logit", "shrunk"), [(0.0, 0.5, 0.95), (0.5, 0.0, 1.0)])
def test_logit_coef_draws_logits_to_0(bound: float, logit: float, shrunk: float) -> None:
    # The slope is logit_coef times the logits: 1 - 0.1 * 0.5 = 0.95 of them is left.
    of, logits = learner(3, discrete=True, **SGD, bound_coef=bound, logit_coef=logit), [1.0, -2.0, 3.0]
    rows = ring(4 * [0.0], 0, 3, discrete=True)
    state, loss = of.regress_policy(start(of, logits), rows, jnp.zeros((4, 1)), jax.random.key(0))
    np.testing.assert_allclose(bias(state.policy["net"]), shrunk * np.array(logits), rtol=1e-5)
    assert float(loss) == pytest.approx(0.5 * logit * 14.0)


def test_the_kl_is_that_of_the_new_policy_from_the_old() -> None:
    # KL(p || q) of normal distributions: log(s_q / s_p) + (s_p^2 + (m_p - m_q)^2) / (2 s_q^2) - 1/2.
    def kl(m_p: float, s_p: float, m_q: float, s_q: float) -> float:
        return float(np.log(s_q / s_p) + (s_p**2 + (m_p - m_q) ** 2) / (2 * s_q**2) - 0.5)

    of = learner(**SGD | {"policy_updates": 3}, learn_std=True, std_min=0.0, weighting="uniform")
    before = start(of)
    after, metrics = update(of, before, ring(4 * [0.0], 1.0))
    (new, new_std), (old, old_std) = (
        (float(bias(s.policy["net"])[0]), float(of.action_std(s.policy)[0])) for s in (after, before)
    )
    expected, exchanged = kl(new, new_std, old, old_std), kl(old, old_std, new, new_std)
    assert abs(expected - exchanged) > 0.1 * expected > 0.01
    assert metrics["kl"] == pytest.approx(expected, rel=1e-3)


def test_the_policy_takes_the_share_of_its_step_that_the_state_says() -> None:
    of = learner(**SGD, bound_coef=0.0, target_kl=0.01)
    rows, moved = ring(4 * [0.0], 1.0), []
    for share in (1.0, 0.25):
        state = start(of).replace(policy_step=jnp.float32(share))  # type: ignore[attr-defined]
        after, _ = of.regress_policy(state, rows, jnp.ones((4, 1)), jax.random.key(0))
        moved.append(bias(after.policy["net"])[0])
    # The slope of -log pi at mean 0 for an action of 1 is -1 / 0.4^2 = -6.25.
    assert moved == pytest.approx([0.625, 0.15625], rel=1e-4)


def test_the_policy_step_shrinks_after_an_iteration_that_moved_too_far() -> None:
    of = learner(**SGD, bound_coef=0.0, target_kl=1e-4, weighting="uniform")
    before = start(of).replace(policy_step=jnp.float32(1.0))  # type: ignore[attr-defined]
    after, metrics = update(of, before, ring(4 * [0.0], 1.0))
    assert metrics["kl"] > 1e-3
    assert float(after.policy_step) == pytest.approx(0.8)  # no more than a fifth in one iteration


def test_the_policys_step_falls_to_nothing() -> None:
    of = learner(policy_lr_steps=2 * 20, policy_updates=20, value_updates=0)
    state, moved = start(of, policy_bias=[0.0]), []
    for _ in range(3):
        after, _ = update(of, state, ring([0.0, 0.0, 0.0, 1.0], action=0.5))
        moved.append(abs(bias(after.policy["net"])[0] - bias(state.policy["net"])[0]))
        state = after
    assert moved[0] > 2 * moved[1] > 0.0
    assert moved[2] == 0.0


def test_cloning_uses_no_value() -> None:
    of = learner(weighting="uniform", value_updates=0)
    clones = []
    for noise in (0.0, float("nan")):
        after, metrics = update(of, start(of, policy_bias=[0.0], value_bias=noise), ring([0.0, 3.0], action=0.5))
        clones.append(bias(after.policy["net"])[0])
        assert metrics["weight_mean"] == metrics["weight_max"] == 1.0
    assert clones[0] == clones[1] > 0.0
