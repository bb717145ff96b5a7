"""InvertedPendulum beside Gymnasium's own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.envs import registry

gym = pytest.importorskip("gymnasium")


def test_inverted_pendulum_steps_as_gymnasiums() -> None:
    env: Any = registry.make("inverted_pendulum")
    theirs = gym.make("InvertedPendulum-v5", disable_env_checker=True).unwrapped
    theirs.reset(seed=0)
    rng, count = np.random.default_rng(4), 32
    obs = rng.uniform([-0.5, -0.25, -1, -1], [0.5, 0.25, 1, 1], (count, 4)).astype(np.float32)
    action = rng.uniform(-1.5, 1.5, (count, 1)).astype(np.float32)  # some beyond the range: both clip
    state = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), count))
    state = state.replace(data=jax.vmap(env.init_physics)(obs[:, :2], obs[:, 2:]), obs=jnp.asarray(obs))
    state = jax.jit(jax.vmap(env.step))(state, jnp.asarray(action))
    for i in range(count):
        theirs.set_state(obs[i, :2].astype(np.float64), obs[i, 2:].astype(np.float64))
        expected, reward, terminated, _, _ = theirs.step(3 * action[i].clip(-1, 1))
        # float32 against float64, both RK4; up to 300 N push the cart to speeds of about 1 m/s
        np.testing.assert_allclose(state.obs[i], expected, rtol=1e-4, atol=1e-4)
        assert (float(state.reward[i]), bool(state.done[i])) == (reward, terminated)
    assert 0 < float(state.done.sum()) < count  # both outcomes were seen
    assert env.dt == pytest.approx(theirs.dt)
    theirs.close()
