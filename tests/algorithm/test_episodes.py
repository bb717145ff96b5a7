"""Monte Carlo returns against a plain loop over whole episodes, and what of a ring counts for them."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm import episodes, replay
from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner, LearnerState
from awr_mjx.algorithm.variants import VARIANTS
from tests.tasks import leaves_of

GAMMA, ENVS, BLOCK, CAPACITY = 0.97, 6, 4, 24
LENGTH = CAPACITY - BLOCK  # the longest episode that the ring is sure to hold
ended = jax.jit(episodes.ended, static_argnames="newest")
jitted_insert = jax.jit(replay.insert)
SMALL: dict[str, Any] = {
    "gamma": GAMMA, "rollout_steps": BLOCK, "buffer_blocks": CAPACITY // BLOCK, "policy_hidden": (8,),
    "value_hidden": (8,), "batch_size": 64, "policy_updates": 4, "optimizer": "sgd", "policy_lr": 1e-3,
}  # fmt: skip


def history(seed: int, time: int) -> tuple[dict[str, np.ndarray], list[tuple[int, int, int, bool]]]:
    """Rows [time, ENVS] of whole episodes, each but a failure's last followed by a reset row; and the episodes.

    An episode is (environment, first row, last row, does it fail); the last ones may reach beyond the rows. Lengths are
    1 to LENGTH; the reward is 1 + noise.
    """
    rng = np.random.default_rng(seed)
    valid, terminated = np.ones((time, ENVS), bool), np.zeros((time, ENVS), bool)
    found = []
    for n in range(ENVS):
        first = 0
        while first < time:
            last = first + int(rng.integers(1, LENGTH + 1)) - 1
            fails = bool(rng.random() < 0.5)
            found.append((n, first, last, fails))
            if last < time:
                terminated[last, n] = fails
            if last + 1 < time:
                valid[last + 1, n] = False
            first = last + 2
    rows = {
        "obs": rng.normal(size=(time, ENVS, 3)),
        "action": rng.normal(size=(time, ENVS, 2)),
        "reward": np.where(valid, 1.0 + rng.normal(size=(time, ENVS)), 0.0),
        "terminated": terminated,
        "valid": valid,
    }
    return rows, found


def fill(rows: dict[str, np.ndarray]) -> replay.Ring:
    """The ring into which all `rows` went, a block at a time."""
    ring = replay.init(CAPACITY, ENVS, 3, 2, discrete=False)
    for start in range(0, len(rows["reward"]), BLOCK):
        ring = insert(ring, {k: v[start : start + BLOCK] for k, v in rows.items()})
    return ring


def insert(ring: replay.Ring, rows: dict[str, np.ndarray]) -> replay.Ring:
    types = {"terminated": bool, "valid": bool}
    return jitted_insert(ring, replay.Rows(**{k: jnp.asarray(v, types.get(k, jnp.float32)) for k, v in rows.items()}))


def sums(rows: dict[str, np.ndarray], found: list[tuple[int, int, int, bool]], time: int) -> Iterator[tuple[Any, ...]]:
    """(row, environment, return, row in which the end is known) of all rows of all episodes that are over by `time`.

    A failure is known in its own row, a time limit when the reset follows.
    """
    for n, first, last, fails in found:
        known = last if fails else last + 1
        if known >= time:
            continue
        for t in range(first, last + 1):
            yield t, n, sum(GAMMA ** (k - t) * rows["reward"][k, n] for k in range(t, last + 1)), known


@functools.cache
def learner(variant: str, **changes: Any) -> Learner:
    config = VARIANTS[variant](AwrConfig(**SMALL))
    sizes = {"rollout_steps": BLOCK, "buffer_blocks": CAPACITY // BLOCK}
    return Learner(AwrConfig(**vars(config) | sizes | changes), 3, 2, discrete=False)


@functools.partial(jax.jit, static_argnums=0)
def update(learner: Learner, *args: Any) -> tuple[LearnerState, dict[str, jax.Array]]:
    return learner.update(*args)


@functools.partial(jax.jit, static_argnums=0)
def relabelled(learner: Learner, ring: replay.Ring) -> tuple[replay.Ring, jax.Array]:
    """The ring as `learner` counts it, and its returns."""
    view = learner.counted(ring)
    return view, learner.relabel(noisy(learner, 1), view, jnp.zeros((ENVS, 3)))[0]


def noisy(learner: Learner, seed: int) -> LearnerState:
    """A fresh state whose value network has random parameters, each one from N(0, 10)."""
    state = learner.init(jax.random.key(0))
    keys = iter(jax.random.split(jax.random.key(seed), 100))
    value = jax.tree.map(lambda x: 10 * jax.random.normal(next(keys), x.shape), state.value)
    return state.replace(value=value)  # type: ignore[attr-defined]


# Partly filled, just full, wrapped by a block, and some times round: the oldest episodes have then lost their start.
@pytest.mark.parametrize("time", [BLOCK, 16, CAPACITY, CAPACITY + BLOCK, 5 * CAPACITY])
@pytest.mark.parametrize("variant", ["monte_carlo", "rwr"])
def test_a_return_is_the_plain_sum_of_rewards_to_the_end_of_the_episode(variant: str, time: int) -> None:
    rows, found = history(time, time)
    newest_block = variant == "rwr"  # on-policy
    wanted = {
        (t % CAPACITY, n): g
        for t, n, g, known in sums(rows, found, time)
        if t >= time - CAPACITY and (not newest_block or known >= time - BLOCK)
    }
    view, g = relabelled(learner(variant), fill(rows))
    counted = {(int(t), int(n)) for t, n in np.argwhere(np.asarray(view.rows.valid))}
    assert counted == set(wanted)
    for place, want in wanted.items():
        np.testing.assert_allclose(g[place], want, rtol=1e-5, atol=1e-5)
    if time > CAPACITY:
        assert 0 < len(counted) < rows["valid"][-CAPACITY:].sum()


def test_on_policy_each_row_of_each_ended_episode_counts_in_one_iteration() -> None:
    """Also the first rows of the longest episodes: the ring holds them until their end is known."""
    time = 10 * CAPACITY
    rows, found = history(3, time)
    assert max(last - first + 1 for _, first, last, _ in found) == LENGTH
    times, ring = np.zeros((time, ENVS), int), fill({k: v[:0] for k, v in rows.items()})
    for end in range(BLOCK, time + 1, BLOCK):
        ring = insert(ring, {k: v[end - BLOCK : end] for k, v in rows.items()})
        counted = np.asarray(ended(ring, BLOCK).rows.valid)
        for t in range(max(0, end - CAPACITY), end):
            times[t] += counted[t % CAPACITY]
    wanted = np.zeros_like(times)
    for t, n, _, _ in sums(rows, found, time):
        wanted[t, n] = 1
    np.testing.assert_array_equal(times, wanted)


def test_no_number_of_the_value_network_is_in_rwr() -> None:
    """Any other parameters, not-a-numbers even, and the very same weights and policy come out."""
    agent, (rows, _) = learner("rwr"), history(0, 2 * CAPACITY)
    states = [agent.init(jax.random.key(0)), noisy(agent, 1), noisy(agent, 2)]
    broken = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), states[0].value)
    states.append(states[0].replace(value=broken))  # type: ignore[attr-defined]
    outcomes = [update(agent, state, fill(rows), jnp.ones((ENVS, 3)), jax.random.key(5)) for state in states]
    first, metrics = outcomes[0]
    before, after = leaves_of(states[0].policy), leaves_of(first.policy)
    assert all((before[name] != after[name]).any() for name in after)
    for other, others in outcomes[1:]:
        for part in ("policy", "policy_opt"):
            for name, x in leaves_of(getattr(first, part)).items():
                np.testing.assert_array_equal(x, leaves_of(getattr(other, part))[name])
        assert metrics == others
    assert np.isfinite([float(x) for x in metrics.values()]).all()
    # All weights come from the sums of the rewards: exp of the standardised ones, beta 1, clipped at 20.
    g = np.array(
        [g for t, _, g, known in sums(*history(0, 2 * CAPACITY), 2 * CAPACITY) if known >= 2 * CAPACITY - BLOCK]
    )
    weights = np.minimum(np.exp((g - g.mean()) / (g.std() + 1e-5)), 20)
    assert metrics["weight_mean"] == pytest.approx(weights.mean(), rel=1e-4)
    assert metrics["weight_max"] == pytest.approx(weights.max(), rel=1e-4)


def test_monte_carlo_keeps_the_baseline() -> None:
    agent, (rows, found) = learner("monte_carlo", value_updates=3, relabel="once"), history(0, 2 * CAPACITY)
    state, ring = noisy(agent, 1), fill(rows)
    wanted = [(t % CAPACITY, n, g) for t, n, g, _ in sums(rows, found, 2 * CAPACITY) if t >= CAPACITY]
    v = np.asarray(agent.value(state, ring.rows.obs))
    advantages = np.array([g - v[t, n] for t, n, g in wanted])
    after, metrics = update(agent, state, ring, jnp.ones((ENVS, 3)), jax.random.key(0))
    assert metrics["advantage_std"] == pytest.approx(advantages.std(), rel=1e-4)
    assert (leaves_of(after.value)["['out']['bias']"] != leaves_of(state.value)["['out']['bias']"]).all()
    assert metrics["counted_share"] == pytest.approx(len(wanted) / rows["valid"][CAPACITY:].sum(), rel=1e-5)


@pytest.mark.parametrize(
    ("variant", "changes"), [("rwr", {}), ("monte_carlo", {"optimizer": "adam", "target_kl": 0.01, "target_ess": 0.3})]
)
def test_nothing_is_learned_until_an_episode_ends(variant: str, changes: dict[str, Any]) -> None:
    """No parameter moves, not by the momentum of earlier iterations either, and no statistic is not a number."""
    agent = learner(variant, **changes)
    rows, _ = history(0, CAPACITY)
    state, _ = update(agent, agent.init(jax.random.key(0)), fill(rows), jnp.ones((ENVS, 3)), jax.random.key(0))
    rows["valid"][:], rows["terminated"][:] = True, False  # one episode, not at its end
    same, metrics = update(agent, state, fill(rows), jnp.ones((ENVS, 3)), jax.random.key(1))
    before, after = leaves_of(state), leaves_of(same)
    assert {name for name in before if (before[name] != after[name]).any()} == {".env_steps"}
    assert np.isfinite([float(x) for x in metrics.values()]).all()
    for name in ("counted_share", "explained_variance", "advantage_std", "weight_mean", "weight_max", "kl"):
        assert metrics[name] == 0.0, name
    assert metrics["ring_valid"] == CAPACITY * ENVS


def test_minibatches_are_drawn_from_rows_that_count_alone() -> None:
    """Uniformly, whatever few they are."""
    ring = fill(history(7, 2 * CAPACITY)[0])
    view = ended(ring, BLOCK)
    cells = np.flatnonzero(view.rows.valid)
    draws = 20_000
    places = jax.jit(replay.draw_valid, static_argnums=(2, 3))(view, jax.random.key(0), draws // 100, 100)
    found, counts = np.unique(np.asarray(places.time * ENVS + places.env), return_counts=True)
    np.testing.assert_array_equal(found, cells)
    # Pearson's statistic of a uniform draw has mean k - 1 and variance 2 (k - 1): 5 standard deviations.
    expected, freedom = draws / len(cells), len(cells) - 1
    assert abs(((counts - expected) ** 2 / expected).sum() - freedom) < 5 * (2 * freedom) ** 0.5
    full = view.replace(rows=view.rows.replace(valid=jnp.ones((CAPACITY, ENVS), bool)))
    places = replay.draw_valid(full, jax.random.key(0), draws)
    assert len(np.unique(np.asarray(places.time * ENVS + places.env))) == CAPACITY * ENVS
