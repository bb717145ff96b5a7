"""The one rule of what a step is worth: which numbers are broken, which infinities are meant, when an episode ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.envs.advance import advance, infinities, sound, strong, terms
from awr_mjx.envs.base import State
from awr_mjx.envs.checks import check_task
from awr_mjx.envs.vector import VectorEnv
from tests.tasks import ZERO, Hopeless, Walk


def test_strong_types() -> None:
    weak = {"a": jnp.asarray(1.0), "b": jnp.full(3, 2), "key": jax.random.key(0)}
    assert weak["a"].weak_type
    found = strong(weak)
    assert not found["a"].weak_type
    assert not found["b"].weak_type
    assert (float(found["a"]), found["b"].dtype) == (1.0, jnp.int32)
    np.testing.assert_array_equal(jax.random.key_data(found["key"]), jax.random.key_data(weak["key"]))


class Kicked(Walk):
    """Its `info` says when it was last kicked: never so far, -inf; then the step, and after the next -inf again."""

    def reset(self, key: jax.Array) -> State:
        return super().reset(key).replace(info={"kick": jnp.float32(-jnp.inf)})  # type: ignore[attr-defined]

    def step(self, state: State, action: jax.Array) -> State:
        steps = state.obs[1]
        kick = jnp.where(steps % 2 == 0, steps, -jnp.inf)
        return super().step(state, action).replace(info={"kick": kick})  # type: ignore[attr-defined]


def test_an_infinity_that_is_meant_is_let_be() -> None:
    check_task(Kicked())
    venv = VectorEnv(Kicked(bound=100.0, episode_length=100), 8)
    state = jax.jit(venv.init)(jax.random.key(0))
    step = jax.jit(venv.step)
    kicks = []
    for t in range(6):
        state, outcome = step(state, jnp.zeros((8, 1)), jax.random.key(t))
        assert not np.asarray(outcome.quarantined).any()
        kicks.append(float(state.env.info["kick"][0]))
    assert kicks == [0.0, -np.inf, 2.0, -np.inf, 4.0, -np.inf]


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"info": {"kick": jnp.float32(jnp.inf)}}, True),
        ({"info": {"kick": jnp.float32(jnp.nan)}}, False),
        ({"metrics": {"distance": jnp.float32(jnp.inf)}}, False),
        ({"metrics": {"distance": jnp.float32(1e30)}}, True),
        ({"reward": jnp.float32(-jnp.inf)}, False),
        ({"reward": jnp.float32(2e6)}, False),
        ({"obs": jnp.array([0.0, jnp.inf, 0.0])}, False),
        ({"obs": jnp.array([0.0, -2e6, 0.0])}, False),
    ],
)
def test_which_numbers_are_broken(change: dict[str, object], good: bool) -> None:
    start = Kicked().reset(jax.random.key(0))
    state = start.replace(**change)  # type: ignore[attr-defined]
    one = jax.tree.map(lambda x: x[None], (start, state))
    assert bool(sound(one[1], infinities(one[0]))[0]) == good


def test_one_step() -> None:
    """Four walks with action 1: one goes on, one fails, one is at its limit, one breaks."""
    walk = Walk(bound=2.0, episode_length=6)
    start = jax.vmap(walk.reset)(jax.random.split(jax.random.key(0), 4))
    position = jnp.array([0.0, 1.5, 0.0, jnp.nan])
    state = start.replace(obs=start.obs.at[:, 2].set(position))  # type: ignore[attr-defined]
    moved = advance(walk, state, jnp.ones((4, 1)), jnp.array([0, 0, 5, 0]), infinities(start))
    assert moved.sound.tolist() == [True, True, True, False]
    assert moved.terminated.tolist() == [False, True, False, False]
    assert moved.ended.tolist() == [False, True, True, True]
    assert moved.steps.tolist() == [1, 1, 6, 1]
    np.testing.assert_allclose(moved.reward[:3], start.obs[:3, 0] + jnp.array([1.0, 2.5, 1.0]), rtol=1e-6)
    assert float(moved.reward[3]) == 0.0


def test_training_ends_what_a_task_gives_up() -> None:
    """Walks to the left, to the right, and to where it breaks."""
    walk = Hopeless(bound=2.0, episode_length=6)
    check_task(walk)
    start = jax.vmap(walk.reset)(jax.random.split(jax.random.key(0), 3))
    state = start.replace(obs=start.obs.at[2, 2].set(jnp.inf))  # type: ignore[attr-defined]
    args = walk, state, jnp.array([[-1.0], [1.0], [1.0]]), jnp.zeros(3, jnp.int32), infinities(start)
    for training, failed in ((True, True), (False, False)):
        moved = advance(*args, training=training)
        assert moved.terminated.tolist() == [False, failed, False]
        assert moved.ended.tolist() == [False, failed, True]
        np.testing.assert_array_equal(moved.reward, advance(*args).reward)


class Telling(Walk):
    """Has terms of its own beside its metrics, and metrics that are no single numbers."""

    def step(self, state: State, action: jax.Array) -> State:
        stepped = super().step(state, action)
        metrics = {"distance": jnp.int32(3), "vector": jnp.zeros(2), "deeper": {"x": ZERO}}
        return stepped.replace(metrics=metrics)  # type: ignore[attr-defined]

    def terms(self, state: State, action: jax.Array, after: State) -> dict[str, jax.Array]:
        return {"moved": after.obs[2] - state.obs[2], "pushed": action[0] > 0}


def test_what_a_step_has_to_tell() -> None:
    task = Telling()
    before = jax.vmap(task.reset)(jax.random.split(jax.random.key(0), 3))
    action = jnp.array([[0.5], [-0.5], [1.0]])
    found = terms(task, before, action, jax.vmap(task.step)(before, action))
    assert list(found) == ["distance", "moved", "pushed"]
    assert all(x.dtype == jnp.float32 for x in found.values())
    np.testing.assert_allclose(found["moved"], action[:, 0])
    np.testing.assert_array_equal(found["pushed"], [1.0, 0.0, 1.0])
    np.testing.assert_array_equal(found["distance"], [3.0, 3.0, 3.0])
