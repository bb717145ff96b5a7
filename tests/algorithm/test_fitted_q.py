"""Fitted Q evaluation on tasks whose Q is known in closed form."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm.fitted_q import FittedQ, FittedQConfig, td_target
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.datasets.packing import packed

SMALL = FittedQConfig(gamma=0.9, networks=2, steps=1000, batch_size=64, lr=1e-2, hidden=(16,))
STAY, GO = 0, 1


def chain(seed: int = 0) -> DataSet:
    """Places 0, 1, 2 in one-hot observations: to stay costs 1; to go earns 1, and 5 from place 2, where it ends."""
    rng = np.random.default_rng(seed)
    observations, actions, rewards, steps, terminated = [], [], [], [], []
    for _ in range(60):
        place, taken = int(rng.integers(3)), 0
        while place < 3 and taken < 4:
            action = int(rng.integers(2))
            observations.append(place)
            actions.append(action)
            rewards.append((5 if place == 2 else 1) if action == GO else -1)
            place, taken = place + action, taken + 1
        observations.append(min(place, 2))  # after a failure nothing may depend on it
        steps.append(taken)
        terminated.append(place == 3)
    return DataSet(
        np.eye(3, dtype=np.float32)[observations],
        np.array(actions, np.int32),
        np.array(rewards, np.float32),
        np.array(steps),
        np.array(terminated),
        ~np.array(terminated),
    )


def fitted(
    found: DataSet, action: int | float, config: FittedQConfig = SMALL, weights: np.ndarray | None = None
) -> tuple[FittedQ, object]:
    """The evaluation of the policy that always takes `action`, and what it has learned."""
    choices = 2 if found.discrete else 0
    taken = jnp.int32(action) if choices else jnp.array([action], jnp.float32)
    method = FittedQ(
        config, lambda obs, key: jnp.broadcast_to(taken, (len(obs), *taken.shape)), lambda obs: obs, choices
    )
    ring = jax.tree.map(jnp.asarray, packed([found]))
    if weights is None:
        weights = np.ones((config.networks, *ring.rows.valid.shape), np.float32)
    state = method.init(ring, jax.random.key(0))
    fit = jax.jit(method.fit)
    for i in range(config.rounds):
        state, _ = fit(state, ring, jnp.asarray(weights), jax.random.key(i))
    return method, state


def q_of(found: DataSet, action: int, *more: object) -> np.ndarray:
    """Q [K, place, action] of the chain."""
    method, state = fitted(found, action, *more)  # type: ignore[arg-type]
    by_action = [method.q(state, jnp.eye(3), jnp.full(3, a, jnp.int32)) for a in (STAY, GO)]  # type: ignore[arg-type]
    return np.stack(by_action, axis=-1)


def test_who_always_goes() -> None:
    # Q(2, go) = 5, Q(1, go) = 1 + 0.9 * 5 = 5.5, Q(0, go) = 1 + 0.9 * 5.5 = 5.95; Q(s, stay) = -1 + 0.9 Q(s, go).
    # The half of the data that stays would have less: their own Q(2, go) is 5 too, but Q(0, go) is far below 5.
    go = np.array([5.95, 5.5, 5.0])
    np.testing.assert_allclose(q_of(chain(), GO), np.stack([-1 + 0.9 * go, go], axis=-1)[None].repeat(2, 0), atol=0.15)


def test_who_always_stays() -> None:
    # Nobody in the data stays for more than 4 steps, where a time limit is: Q(s, stay) = -1 / (1 - 0.9) = -10.
    # Q(2, go) = 5, after which it is over; Q(0, go) = Q(1, go) = 1 + 0.9 * -10 = -8.
    want = np.array([[-10, -8], [-10, -8], [-10, 5]])
    np.testing.assert_allclose(q_of(chain(), STAY), want[None].repeat(2, 0), atol=0.3)


def test_the_scale_of_rewards_does_not_matter() -> None:
    found = chain()
    large = DataSet(**{**found.__dict__, "rewards": 1e4 * found.rewards})
    np.testing.assert_allclose(q_of(large, GO) / 1e4, q_of(found, GO), rtol=2e-3)


@pytest.mark.parametrize(
    ("terminated", "truncated", "q"), [(True, False, 1.0), (True, True, 1.0), (False, True, 10.0), (False, False, 10.0)]
)
def test_a_time_limit_bootstraps_and_a_failure_does_not(terminated: bool, truncated: bool, q: float) -> None:
    # One observation, reward 1 a step, episodes of one step: 1, or 1 / (1 - 0.9) = 10. A reward of 2 elsewhere leaves
    # room above 10.
    count = 20
    found = DataSet(
        np.tile([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], (count, 1)).astype(np.float32),
        np.zeros(2 * count, np.int32),
        np.tile([1.0, 2.0], count).astype(np.float32),
        np.ones(2 * count, np.int64),
        np.tile([terminated, True], count),
        np.tile([truncated, False], count),
    )
    method, state = fitted(found, 0)
    seen = method.q(state, jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.zeros(2, jnp.int32))  # type: ignore[arg-type]
    np.testing.assert_allclose(seen, [[q, 2.0]] * 2, atol=0.15)


def test_each_network_learns_from_what_counts_for_it() -> None:
    # Two episodes of one step that differ in nothing but their reward, 3 and 7.
    found = DataSet(
        np.ones((4, 1), np.float32),
        np.zeros(2, np.int32),
        np.array([3.0, 7.0], np.float32),
        np.ones(2, np.int64),
        np.ones(2, bool),
        np.zeros(2, bool),
    )
    ring = packed([found])
    weights = np.zeros((2, ring.rows.valid.size), np.float32)
    weights[[0, 1], ring.places] = 2.0
    method, state = fitted(found, 0, SMALL, weights.reshape(2, *ring.rows.valid.shape))
    seen = method.q(state, jnp.ones((1, 1)), jnp.zeros(1, jnp.int32))  # type: ignore[arg-type]
    np.testing.assert_allclose(seen, [[3.0], [7.0]], atol=0.1)


def test_actions_that_are_numbers() -> None:
    # Reward a for action a in [-1, 1], and so it goes on for ever: for who always takes 0.5, with a discount of 0.5,
    # Q(s, a) = a + 0.5 * 0.5 / (1 - 0.5) = a + 0.5.
    actions = np.linspace(-1, 1, 101, dtype=np.float32)[:, None]
    found = DataSet(
        np.ones((202, 1), np.float32),
        actions,
        actions[:, 0],
        np.ones(101, np.int64),
        np.zeros(101, bool),
        np.ones(101, bool),
    )
    method, state = fitted(found, 0.5, dataclasses.replace(SMALL, gamma=0.5))
    seen = method.q(state, jnp.ones((3, 1)), jnp.array([[-0.8], [0.1], [0.5]]))  # type: ignore[arg-type]
    np.testing.assert_allclose(seen, [[-0.3, 0.6, 1.0]] * 2, atol=0.1)


def test_target_by_hand() -> None:
    found = td_target(jnp.array([1.0, 1.0]), jnp.array([False, True]), jnp.array([4.0, jnp.nan]), 0.5)
    np.testing.assert_allclose(found, [3.0, 1.0])


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99, 0.9999])
def test_steps_do_not_depend_on_the_discount(gamma: float) -> None:
    config = FittedQConfig(gamma=gamma)
    assert config.steps <= config.rounds * config.steps_of_a_round <= 1.2 * config.steps
    assert gamma**config.rounds < 0.01 or config.rounds == config.steps


@pytest.mark.parametrize(
    ("name", "value"), [("gamma", 1.0), ("gamma", float("nan")), ("networks", 0), ("steps", 0), ("lr", 0.0)]
)
def test_what_makes_no_sense_is_named(name: str, value: float) -> None:
    (line,) = FittedQConfig(**{name: value}).problems()  # type: ignore[arg-type]
    assert line.startswith(f"{name} must be ") and line.endswith(f"not {value}")
