"""CartPole beside Gymnasium's own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.envs import drawing, registry

gym = pytest.importorskip("gymnasium")


def test_cartpole_is_gymnasiums_step_by_step() -> None:
    env, theirs = registry.make("cartpole"), gym.make("CartPole-v1", disable_env_checker=True).unwrapped
    step, rng = jax.jit(env.step), np.random.default_rng(3)
    starts = [np.asarray(env.reset(jax.random.key(i)).obs) for i in range(8)]
    starts += [np.array([x, 2 * np.sign(x), 0, 0], np.float32) for x in (-2.3, 2.3)]  # out by position
    for first in starts:
        theirs.reset(seed=0)
        theirs.state = first.astype(np.float64)
        state = env.reset(jax.random.key(0)).replace(data=jnp.asarray(first), obs=jnp.asarray(first))
        for _ in range(200):
            action = int(rng.integers(2))
            # Every step starts from Gymnasium's float64 state: an unstable pole would magnify the rounding of float32.
            state = state.replace(data=jnp.asarray(theirs.state, jnp.float32))
            obs, reward, terminated, _, _ = theirs.step(action)
            state = step(state, jnp.int32(action))
            np.testing.assert_allclose(state.obs, obs, rtol=1e-5, atol=1e-5)
            assert (float(state.reward), bool(state.done)) == (reward, terminated)
            if terminated:
                break
        assert terminated
    theirs.close()


def test_cartpole_and_pendulum_start_as_gymnasiums() -> None:
    for name, bound in (("cartpole", 0.05), ("inverted_pendulum", 0.01)):
        obs = np.asarray(jax.vmap(registry.make(name).reset)(jax.random.split(jax.random.key(0), 4096)).obs)
        assert np.abs(obs).max() <= bound
        np.testing.assert_allclose(obs.std(0), bound / np.sqrt(3), rtol=0.05)


def test_picture_shows_cart_pole_and_push() -> None:
    env: Any = registry.make("cartpole")
    state = env.reset(jax.random.key(0)).replace(data=jnp.array([1.2, 9.0, -0.1, 9.0]))
    np.testing.assert_allclose(env.positions(state), [1.2, -0.1])

    def middle(pose: tuple[float, float], action: float, colour: tuple[int, int, int]) -> float:
        """The mean column (m) of pixels of a colour in an image of 320 pixels, 6 m wide."""
        image = env.picture(np.array(pose), np.array([action]), 320, 180)
        assert image.shape == (180, 320, 3) and image.dtype == np.uint8
        return float(np.nonzero((image == colour).all(axis=2))[1].mean() - 159.5) * 6 / 320

    for x in (-2.0, 0.0, 1.2):
        assert middle((x, 0.0), 0.0, drawing.BODY) == pytest.approx(x, abs=0.02)
        assert middle((x, 0.0), 0.0, drawing.ARROW) < x - 0.25  # pushed to the left
        assert middle((x, 0.0), 1.0, drawing.ARROW) > x + 0.25
        for angle in (-0.2, 0.2):  # of a pole of 1 m, whose middle is half of its sine off; positive is clockwise
            assert middle((x, angle), 0.0, drawing.OTHER) == pytest.approx(x + np.sin(angle) / 2, abs=0.02)
