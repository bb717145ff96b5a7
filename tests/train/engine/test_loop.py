"""The training loop as a whole: exact, repeatable, compiled once, in place, and safe from broken tasks."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.train.engine import counters
from awr_mjx.train.engine.counters import Counter
from awr_mjx.train.engine.loop import Loop, TrainState
from tests.tasks import Broken, Chain, Hopeless, leaves_of

SMALL = AwrConfig(
    rollout_steps=2, buffer_blocks=16, policy_hidden=(8,), value_hidden=(8,), batch_size=32, policy_updates=2,
    value_updates=3, learn_std=True,
)  # fmt: skip
N, PLACES = 1024, 64


@functools.cache
def chain_loop() -> Loop:
    """Two iterations of 2 steps an epoch, on chains of 64 places with a time limit of 4 steps."""
    return Loop(Chain(PLACES, "never", episode_length=4), SMALL, N, epoch_iterations=2)


def run(state: TrainState, epochs: int) -> tuple[TrainState, list[dict[str, np.ndarray]]]:
    metrics = []
    for _ in range(epochs):
        state, found = chain_loop().epoch(state)
        metrics.append({k: np.asarray(v) for k, v in found.items()})
    return state, metrics


def assert_same(a: Any, b: Any) -> None:
    first, second = leaves_of(a), leaves_of(b)
    assert first.keys() == second.keys()
    for name, x in first.items():
        assert x.dtype == second[name].dtype, name
        np.testing.assert_array_equal(x, second[name], err_msg=name)


def through_the_host(state: TrainState) -> TrainState:
    """The state as new arrays made of plain NumPy ones, laid where they were, as a restored checkpoint's are."""

    def copy(x: jax.Array) -> jax.Array:
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jax.device_put(jax.random.wrap_key_data(jnp.array(np.array(jax.random.key_data(x)))), x.sharding)
        return jax.device_put(np.array(x), x.sharding)

    return jax.tree.map(copy, state)


def test_a_run_that_was_put_aside_goes_on_bit_for_bit() -> None:
    """4 epochs in one go, and 2 + 2 with all of the state through the host in between: the same, and metrics too."""
    whole, metrics = run(chain_loop().init(0), 4)
    half, first = run(chain_loop().init(0), 2)
    resumed, second = run(through_the_host(half), 2)
    assert_same(whole, resumed)
    assert_same(metrics, first + second)


def test_everything_follows_from_the_seed() -> None:
    one, other = run(chain_loop().init(1), 2)[0], run(chain_loop().init(2), 2)[0]
    assert_same(one, run(chain_loop().init(1), 2)[0])
    policy, ring = (
        [not np.array_equal(x, y) for x, y in zip(leaves_of(a).values(), leaves_of(b).values(), strict=True)]
        for a, b in ((one.learner.policy, other.learner.policy), (one.ring.rows.action, other.ring.rows.action))
    )
    assert all(policy)
    assert all(ring)


def test_training_ends_what_a_task_gives_up() -> None:
    loop = Loop(Hopeless(bound=1e9, episode_length=8), SMALL, 64)
    _, metrics = loop.epoch(loop.init(0))
    assert float(metrics["terminated_share"][0]) > 0.1  # by the task's own rule nothing ever fails


def test_it_is_compiled_once() -> None:
    state, _ = run(chain_loop().init(3), 3)
    run(through_the_host(state), 2)
    assert chain_loop().epoch.jitted._cache_size() == 1


@pytest.mark.parametrize(
    "loop",
    [
        Loop(Chain(), SMALL, N),
        Loop(Chain(discrete=True), SMALL, N),
        Loop(Broken(), AwrConfig(optimizer="sgd", target_ess=0.3), N),
        Loop(Chain(), AwrConfig(advantage="raw", relabel="once", baseline=False, weighting="uniform"), N),
    ],
    ids=["learned std", "discrete", "sgd", "uniform"],
)
def test_an_epoch_gives_back_exactly_the_types_it_took(loop: Loop) -> None:
    """Else it would be compiled again for its own result: also for weak types, which cannot be seen in a printout."""
    before = jax.eval_shape(lambda: loop.init(0))
    after, _ = jax.eval_shape(loop.epoch, before)
    signature = [
        [(jax.tree_util.keystr(p), x.shape, x.dtype, x.weak_type) for p, x in jax.tree_util.tree_leaves_with_path(s)]
        for s in (before, after)
    ]
    assert signature[0] == signature[1]
    assert not any(weak for *_, weak in signature[0])


def test_counters_go_on_past_32_bits() -> None:
    add = jax.jit(Counter.add)
    counter, total = counters.zero(), 0
    for amount in [7, 2**31 - 1, 2**31 - 1, 2**31 - 1, 0, 2**31 - 1, 1, 123_456_789]:
        counter, total = add(counter, jnp.int32(amount)), total + amount
        assert int(counter) == total
    assert total > 2**33
    edge = Counter(jnp.uint32(4), jnp.uint32(2**32 - 3))
    assert [int(add(edge, jnp.int32(k))) - 2**34 for k in (2, 3, 4)] == [2**32 - 1, 2**32, 2**32 + 1]


def test_counts_are_exact() -> None:
    state = chain_loop().init(4)
    start = Counter(jnp.uint32(1), jnp.uint32(2**32 - 40))
    state = state.replace(counts=state.counts.replace(env_steps=start))  # type: ignore[attr-defined]
    state, metrics = run(state, 6)
    counts = {name: int(getattr(state.counts, name)) for name in state.counts.__annotations__}
    # 6 epochs of 2 iterations, each of 1024 environments and 2 steps, 2 and 3 gradient steps.
    finished = sum(int(m["episodes_finished"].sum()) for m in metrics)
    expected = {"iterations": 12, "env_steps": 2**33 - 40 + 12 * 1024 * 2, "gradient_steps": 12 * (2 + 3)}
    assert counts == expected | {"episodes": finished, "quarantined": 0}
    # 24 rows of each environment: a first episode of 1 to 4 rows, then periods of a reset and 4 rows.
    # After 1 row: 23 = 4 * 5 + 3 -> 4 whole episodes. After 2, 3 or 4: 22, 21 or 20 rows -> 4.
    assert finished == 4 * N


def test_the_ring_holds_what_happened() -> None:
    """In the order of time, each row's successor is the next row: true final places, one reset row, a fresh episode."""
    state, metrics = run(chain_loop().init(5), 10)  # 40 rows through a ring of 32
    assert (int(state.ring.filled), int(state.ring.head)) == (32, 8)
    rows = jax.tree.map(lambda x: np.roll(np.asarray(x), -8, axis=0), state.ring.rows)
    place = np.concatenate([rows.obs.argmax(-1), np.asarray(state.env.env.obs).argmax(-1)[None]])
    valid = rows.valid
    assert (np.diff(place, axis=0) % PLACES == 1)[valid].all()
    np.testing.assert_array_equal(rows.reward, valid & (place[:-1] == PLACES - 1))
    assert rows.reward.sum() > 0
    assert not rows.terminated.any()
    for i in range(28):  # a time limit of 4 steps: of 5 rows in a row exactly one is a reset
        assert (valid[i : i + 5].sum(0) == 4).all()
    # What the metrics say of it, and of the last 2 rows.
    assert metrics[-1]["ring_valid"][-1] == valid.sum()
    np.testing.assert_allclose(metrics[-1]["reward_per_step"][-1], rows.reward[-2:][valid[-2:]].mean(), rtol=1e-6)
    assert all(found["episode_steps"][i] == 4 for found in metrics for i in (0, 1) if found["episodes_finished"][i])


def test_the_normaliser_has_seen_every_valid_row() -> None:
    state, _ = run(chain_loop().init(6), 3)  # 12 rows, all of them still in the ring of 32
    seen = np.asarray(state.ring.rows.obs)[np.asarray(state.ring.rows.valid)].astype(float)
    stats = state.learner.normalizer
    assert int(stats.count) == len(seen) < 12 * N
    np.testing.assert_allclose(stats.mean, seen.mean(0), rtol=1e-5)
    np.testing.assert_allclose(stats.variance, seen.var(0), rtol=1e-5)


def test_advantages_are_those_of_the_ring_and_the_live_observations() -> None:
    """One epoch's last advantages, worked out again from what it left: 4 rows and the observations after them."""
    state, metrics = run(chain_loop().init(7), 1)
    learned, rows = state.learner, jax.tree.map(lambda x: np.asarray(x)[:4], state.ring.rows)
    obs = jnp.asarray(np.concatenate([rows.obs, state.env.env.obs[None]]))
    values = np.asarray(chain_loop().learner.value(learned, obs), float)
    g = np.zeros((4, N))
    for n in range(N):
        for t in (3, 2, 1, 0):  # nothing ever fails; the trace goes on where the next row is valid
            goes_on = t < 3 and rows.valid[t + 1, n]
            next_g = SMALL.lam * g[t + 1, n] + (1 - SMALL.lam) * values[t + 1, n] if goes_on else values[t + 1, n]
            g[t, n] = rows.reward[t, n] + SMALL.gamma * next_g
    advantages = (g - values[:4])[rows.valid]
    assert metrics[-1]["advantage_std"][-1] == pytest.approx(advantages.std(), rel=1e-4)
    weights = np.minimum(np.exp((advantages - advantages.mean()) / (advantages.std() + 1e-5)), 20.0)
    assert metrics[-1]["weight_mean"][-1] == pytest.approx(weights.mean(), rel=1e-4)


def test_the_ring_never_exists_twice() -> None:
    """The compiled epoch takes over its state's memory, and has no room for a second ring besides."""
    state = jax.eval_shape(lambda: chain_loop().init(0))
    usage = chain_loop().epoch.lower(state).compile().memory_analysis()
    assert usage
    ring = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state.ring))
    payload = 32 * N * (4 * (PLACES + 2 + 1) + 2)
    assert payload <= ring <= 1.05 * payload
    assert usage.alias_size_in_bytes >= ring
    # New rows are a sixteenth of the ring; returns, values, advantages and weights have 4 bytes where a row has 270.
    assert usage.temp_size_in_bytes < ring / 2


def test_a_broken_task_cannot_spoil_a_run() -> None:
    """A tenth of all steps and resets break: over 60 iterations nothing that lasts ever holds such a number."""
    config = AwrConfig(
        rollout_steps=4, buffer_blocks=1, policy_hidden=(8,), value_hidden=(8,), batch_size=64, policy_updates=4,
        value_updates=4,
    )  # fmt: skip
    loop = Loop(Broken(steps=0.1, resets=0.1), config, 40, epoch_iterations=4)
    state = loop.init(0)
    start = leaves_of(state.learner.policy)
    quarantined = good = 0
    for _ in range(15):
        state, metrics = loop.epoch(state)
        for name, x in (leaves_of(state) | leaves_of(metrics)).items():
            assert np.isfinite(x).all(), name
        quarantined += int(metrics["quarantined"].sum())
        good += int(metrics["ring_valid"].sum())  # the ring is one block long: the rows of this iteration
    assert int(state.counts.quarantined) == quarantined
    # Of all steps taken (resets are none) a tenth, with the standard deviation of a binomial.
    steps = quarantined + good
    assert abs(quarantined - 0.1 * steps) < 5 * (0.1 * 0.9 * steps) ** 0.5
    assert steps < int(state.counts.env_steps) == 15 * 4 * 4 * 40
    changed = leaves_of(state.learner.policy)
    assert all((changed[name] != x).any() for name, x in start.items())  # it has learned from the rest
