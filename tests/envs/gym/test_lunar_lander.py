"""The lander against Gymnasium's, which is Box2D itself: its numbers, flights, touch-downs, rewards, wind."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.envs.box2d.world import step_in_flight
from awr_mjx.envs.gym.lunar_lander import HEIGHT, PAD_Y, LunarLander, _shaping
from awr_mjx.envs.registry import TaskOptions

pytest.importorskip("Box2D")
seeding = pytest.importorskip("gymnasium.utils.seeding")
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    from docs.studies import lunar_lander as study


@pytest.fixture(scope="module")
def env() -> LunarLander:
    return LunarLander()


def test_masses_are_box2ds(env: LunarLander) -> None:
    theirs: Any = study.gymnasium.make("LunarLander-v3").unwrapped
    theirs.reset(seed=0)
    for shape, body in ((env.scene.hull, theirs.lander), (env.scene.leg, theirs.legs[0])):
        about = body.inertia - body.mass * body.localCenter.lengthSquared
        assert 1 / shape.inv_mass == pytest.approx(body.mass, rel=1e-5)
        assert 1 / shape.inv_inertia == pytest.approx(about, rel=1e-4)
    assert env.centre == pytest.approx(tuple(theirs.lander.localCenter), abs=1e-5)


def test_reset_draws_ground_and_push(env: LunarLander) -> None:
    states = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), 512))
    ground = np.asarray(states.data.ground)
    np.testing.assert_allclose(ground[:, 4:7], 0.99 * PAD_Y, rtol=1e-6)
    assert 0.0 <= ground.min() and ground.max() <= 0.99 * HEIGHT / 2
    np.testing.assert_allclose(ground[:, 2].mean(), 0.33 * (HEIGHT / 2 + PAD_Y), atol=0.1)
    speeds = np.asarray(states.obs[:, 2:4]) * [5.0, 7.5]  # m/s
    bound = 1000.0 * env.dt * env.scene.hull.inv_mass
    assert np.abs(speeds[:, 0]).max() < bound * 1.02
    np.testing.assert_allclose(speeds[:, 0].std(), bound / np.sqrt(3), rtol=0.1)
    np.testing.assert_allclose(speeds[:, 1].mean(), -10 * env.dt, atol=0.3)
    assert (np.asarray(states.obs[:, 6:]) == 0).all()


def test_free_flight_follows_gymnasium(env: LunarLander) -> None:
    steps = 50
    episodes = [study.record(seed, study.POLICIES["random"], steps) for seed in range(12)]
    flights = [e for e in episodes if len(e.actions) == steps and e.touch() > steps]
    assert len(flights) >= 8
    assert study.errors(env, flights, [0] * len(flights), steps).max() < 1e-4


def test_touch_downs_follow_gymnasium(env: LunarLander) -> None:
    episodes, starts = study.landings(24)
    found = study.errors(env, episodes, starts, study.HORIZON).max(axis=1)
    assert np.median(found) < 1e-3
    assert np.quantile(found, 0.75) < 1e-2


def test_rewards_are_gymnasiums() -> None:
    episode = study.record(3, study.heuristic, 1000)
    shaping = np.asarray(jax.vmap(_shaping)(jnp.asarray(episode.obs)))
    fuel = np.array([0.0, 0.03, 0.3, 0.03])[episode.actions]
    np.testing.assert_allclose(np.diff(shaping)[:-1] - fuel[:-1], episode.rewards[:-1], atol=2e-3)


def test_an_episode_of_gymnasiums_controller_lands(env: LunarLander) -> None:
    returns, lengths, landed = map(np.asarray, study.our_episodes(env, "heuristic", 64))
    assert landed.mean() > 0.8
    assert returns[landed > 0].min() > 100 > returns[landed == 0].max()
    assert 150 < lengths.mean() < 400


def test_wind_is_gymnasiums() -> None:
    env: Any = registry.make("lunar_lander", TaskOptions(wind=True))
    assert env.gymnasium.options == {"enable_wind": True}
    theirs: Any = study.gymnasium.make("LunarLander-v3", enable_wind=True).unwrapped
    theirs.reset(seed=1)
    theirs.wind_idx, theirs.torque_idx = 123, -4567
    state = jax.jit(env.reset)(jax.random.key(0))
    bodies, hinges = map(jnp.asarray, study.moment(theirs))
    flight = state.data.replace(world=study.world_of(bodies, hinges), wind=jnp.int32(123), turbulence=jnp.int32(-4567))
    state, step = state.replace(data=flight), jax.jit(env.step)
    for _ in range(30):
        obs, *_ = theirs.step(0)
        state = step(state, jnp.int32(0))
    np.testing.assert_allclose(state.obs, obs, atol=1e-4)
    assert (int(state.data.wind), int(state.data.turbulence)) == (153, -4537)


def test_picture_shows_lander_and_flame(env: LunarLander) -> None:
    state = jax.jit(env.reset)(jax.random.key(0))
    pose = np.array(env.positions(state))
    still = env.picture(pose, np.array([0.0]), 96, 64)
    assert still.shape == (64, 96, 3) and still.dtype == np.uint8
    assert len(np.unique(still.reshape(-1, 3), axis=0)) > 5
    for action in (1.0, 2.0, 3.0):
        assert (env.picture(pose, np.array([action]), 96, 64) != still).any()
    pose[0] += 5.0
    assert (env.picture(pose, np.array([0.0]), 96, 64) != still).any()


def test_first_step_follows_gymnasium(env: LunarLander) -> None:
    theirs: Any = study.gymnasium.make("LunarLander-v3")
    first = jax.jit(lambda world: env.observe(step_in_flight(env.scene, world)))
    for seed in range(4):
        draws, _ = seeding.np_random(seed)
        draws.uniform(0, HEIGHT / 2, size=12)  # the ground
        vx, vy = (env.dt * env.scene.hull.inv_mass * draws.uniform(-1000, 1000) for _ in range(2))
        world = env.hung()
        hull = world.bodies[0]._replace(vx=jnp.float32(vx), vy=jnp.float32(vy))
        obs = first(dataclasses.replace(world, bodies=(hull, *world.bodies[1:])))
        np.testing.assert_allclose(obs, theirs.reset(seed=seed)[0], atol=1e-4)
