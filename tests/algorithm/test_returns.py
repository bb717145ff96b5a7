"""TD(lambda) returns against the textbook's forward view, in float64, and against values known in closed form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm import replay, returns

GAMMA, LAM = 0.95, 0.9
W = np.array([1.5, -2.0, 0.7])  # V(s) = s . W + 3, so that the value of every state is known


def value(obs: jax.Array) -> jax.Array:
    return obs @ jnp.asarray(W, jnp.float32) + 3.0


@functools.partial(jax.jit, static_argnames=("gamma", "lam"))
def relabel(ring: replay.Ring, live: jax.Array, gamma: float, lam: float) -> tuple[jax.Array, jax.Array]:
    return returns.relabel(ring, value, live, gamma, lam)


def episodes(rng: np.random.Generator, time: int, envs: int) -> dict[str, np.ndarray]:
    """Rows [time, envs] as the vector environment makes them: an episode's end is followed by one invalid row.

    Failures, time limits, and (quarantine) invalid rows that no end came before.
    """
    terminated, valid = np.zeros((time, envs), bool), np.zeros((time, envs), bool)
    for n in range(envs):
        ended = False
        for t in range(time):
            event = rng.choice(["on", "failure", "limit", "broken"], p=[0.7, 0.1, 0.1, 0.1])
            valid[t, n] = not ended and event != "broken"
            terminated[t, n] = valid[t, n] and event == "failure"
            ended = valid[t, n] and event != "on"
    return {
        "obs": rng.normal(size=(time, envs, 3)),
        "action": rng.normal(size=(time, envs, 2)),
        "reward": np.where(valid, rng.normal(size=(time, envs)), 0.0),
        "terminated": terminated,
        "valid": valid,
    }


def fill(rows: dict[str, np.ndarray], capacity: int, block: int) -> replay.Ring:
    """A ring of `capacity` rows into which `rows` went, `block` rows at a time."""
    time, envs = rows["reward"].shape
    ring = replay.init(capacity, envs, 3, 2, discrete=False)
    for start in range(0, time, block):
        part = {k: v[start : start + block] for k, v in rows.items()}
        arrays = {k: jnp.asarray(v, bool if v.dtype == bool else jnp.float32) for k, v in part.items()}
        ring = replay.insert(ring, replay.Rows(**arrays))
    return ring


def forward_view(rows: dict[str, np.ndarray], live: np.ndarray, n: int, t: int, gamma: float, lam: float) -> float:
    """G_t of environment n by its definition: n-step returns, weighted (1 - lam) lam^(k-1), the last the rest.

    An episode's data go from t to its last valid row; each n-step return adds the value of the state it stops in.
    """
    time = len(rows["reward"])
    states = np.concatenate([rows["obs"][:, n], live[None, n]])
    last = t
    while not rows["terminated"][last, n] and last + 1 < time and rows["valid"][last + 1, n]:
        last += 1
    total, rewards = 0.0, 0.0
    for k in range(1, last - t + 2):  # k-step return: rewards of rows t .. t + k - 1, then V of the state after them
        rewards += gamma ** (k - 1) * rows["reward"][t + k - 1, n]
        bootstrap = 0.0 if rows["terminated"][t + k - 1, n] else gamma**k * (states[t + k] @ W + 3.0)
        share = lam ** (k - 1) * (1.0 if t + k - 1 == last else 1 - lam)
        total += share * (rewards + bootstrap)
    return total


# A ring of 12 rows, 3 at a time: partly filled, just full, wrapped by one block, by two, and all the way round twice.
@pytest.mark.parametrize("time", [3, 9, 12, 15, 18, 36])
@pytest.mark.parametrize("lam", [0.0, LAM, 1.0])
def test_relabel_is_the_forward_view(time: int, lam: float) -> None:
    rng = np.random.default_rng(time)
    rows, live = episodes(rng, time, 16), rng.normal(size=(16, 3))
    g, v = relabel(fill(rows, 12, 3), jnp.asarray(live, jnp.float32), GAMMA, lam)
    newest = {k: a[-12:] for k, a in rows.items()}
    place = np.arange(time)[-12:] % 12  # row a of all time lies at a mod 12
    assert rows["valid"][-12:].sum() > 20
    for i, t in enumerate(place):
        for n in np.flatnonzero(newest["valid"][i]):
            np.testing.assert_allclose(g[t, n], forward_view(newest, live, int(n), i, GAMMA, lam), rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(v[t, n], newest["obs"][i, n] @ W + 3.0, rtol=1e-5, atol=1e-5)


def test_one_step_by_hand() -> None:
    # r 1, V' 10, G' 20, gamma 0.5, lam 0.75. Trace on: 1 + 0.5 (0.25 * 10 + 0.75 * 20) = 9.75.
    # Time limit (successor row not valid): 1 + 0.5 * 10 = 6. Failure: 1.
    r, v, g = jnp.full(3, 1.0), jnp.full(3, 10.0), jnp.full(3, 20.0)
    terminated, valid_tp1 = jnp.array([False, False, True]), jnp.array([True, False, False])
    found = returns.td_lambda_step(r, terminated, valid_tp1, v, g, 0.5, 0.75)
    np.testing.assert_allclose(found, [9.75, 6.0, 1.0], rtol=1e-6)


def test_lambda_1_sums_the_rewards_and_adds_the_last_value() -> None:
    # Rewards 1, 2, 3, 4, then the live state, worth V = 0 . W + 3 = 3. lam = 1, gamma 0.5:
    # 4 + 1.5 = 5.5; 3 + 2.75 = 5.75; 2 + 2.875 = 4.875; 1 + 2.4375 = 3.4375.
    rows = {
        "obs": np.ones((4, 1, 3)),
        "action": np.zeros((4, 1, 2)),
        "reward": np.array([[1.0], [2.0], [3.0], [4.0]]),
        "terminated": np.zeros((4, 1), bool),
        "valid": np.ones((4, 1), bool),
    }
    g, _ = relabel(fill(rows, 4, 2), jnp.zeros((1, 3)), 0.5, 1.0)
    np.testing.assert_allclose(g[:, 0], [3.4375, 4.875, 5.75, 5.5], rtol=1e-6)
    rows["terminated"][3] = True  # the same, ended by a failure: 4; 5; 4.5; 3.25
    g, _ = relabel(fill(rows, 4, 2), jnp.zeros((1, 3)), 0.5, 1.0)
    np.testing.assert_allclose(g[:, 0], [3.25, 4.5, 5.0, 4.0], rtol=1e-6)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("end", ["limit", "failure"])
def test_a_time_limit_does_not_change_the_value_and_a_failure_does(lam: float, end: str) -> None:
    # Reward 1 for ever is worth 1 / (1 - gamma) = 20. With that V, a time limit must give G = 20 for every row and
    # lambda; k steps before a failure G is, for lam = 1, 1 + gamma + ... = 20 (1 - gamma^k).
    valid = np.array([[True], [True], [True], [False], [True], [True]])
    rows = {
        "obs": jnp.zeros((6, 1, 3)),
        "action": jnp.zeros((6, 1, 2)),
        "reward": jnp.asarray(valid, jnp.float32),
        "terminated": jnp.asarray((np.arange(6) == 2)[:, None] & (end == "failure")),
        "valid": jnp.asarray(valid),
    }
    ring = replay.insert(replay.init(6, 1, 3, 2, discrete=False), replay.Rows(**rows))
    g, _ = returns.relabel(ring, lambda obs: jnp.full(obs.shape[0], 20.0), jnp.zeros((1, 3)), GAMMA, lam)
    found = np.asarray(g)[valid]
    if end == "limit":
        np.testing.assert_allclose(found, 20.0, rtol=1e-6)
    else:
        np.testing.assert_allclose(found[2:], [1.0, 20.0, 20.0], rtol=1e-6)
        # row 1: 1 + gamma ((1 - lam) 20 + lam 1); row 0: 1 + gamma ((1 - lam) 20 + lam G_1)
        g_1 = 1 + GAMMA * ((1 - lam) * 20 + lam)
        np.testing.assert_allclose(found[:2], [1 + GAMMA * ((1 - lam) * 20 + lam * g_1), g_1], rtol=1e-6)
        if lam == 1.0:
            np.testing.assert_allclose(found[:3], 20 * (1 - GAMMA ** np.array([3, 2, 1])), rtol=1e-5)


def test_the_newest_row_is_followed_by_the_live_observation_not_by_the_oldest_row() -> None:
    rng = np.random.default_rng(0)
    rows, live = episodes(rng, 18, 4), rng.normal(size=(4, 3))
    rows["valid"][:], rows["terminated"][:] = True, False
    ring = fill(rows, 12, 3)
    assert int(ring.head) == 6
    g, _ = relabel(ring, jnp.asarray(live, jnp.float32), GAMMA, LAM)
    np.testing.assert_allclose(g[5], rows["reward"][17] + GAMMA * (live @ W + 3.0), rtol=1e-5, atol=1e-5)


def test_rows_that_are_not_valid_cannot_leak() -> None:
    rng = np.random.default_rng(1)
    rows, live = episodes(rng, 12, 8), jnp.asarray(rng.normal(size=(8, 3)), jnp.float32)
    valid = rows["valid"]
    clean, _ = relabel(fill(rows, 12, 3), live, GAMMA, LAM)
    rows["reward"] = np.where(valid, rows["reward"], 1e9)
    rows["action"] = np.where(valid[..., None], rows["action"], 1e9)
    dirty, _ = relabel(fill(rows, 12, 3), live, GAMMA, LAM)
    assert (~valid).sum() > 5
    np.testing.assert_array_equal(np.asarray(clean)[valid], np.asarray(dirty)[valid])
