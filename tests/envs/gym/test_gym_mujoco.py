"""Robots, the ant above all, beside Gymnasium's own and the C MuJoCo beneath them."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.envs.base import State

gym = pytest.importorskip("gymnasium")
mujoco = pytest.importorskip("mujoco")
from docs.studies.physics import midpoint  # noqa: E402


@pytest.fixture(scope="module")
def ant() -> Any:
    return registry.make("ant")


@pytest.fixture(scope="module")
def gym_ant() -> Iterator[Any]:
    options = {"include_cfrc_ext_in_observation": False, "contact_cost_weight": 0.0, "disable_env_checker": True}
    env = gym.make("Ant-v5", **options).unwrapped
    env.reset(seed=0)
    yield env
    env.close()


def test_ant_carries_43_numbers_of_physics_and_not_a_whole_simulation(ant: Any) -> None:
    state = jax.eval_shape(ant.reset, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(state.data)) == 15 + 14 + 14  # qpos, qvel, warm start


def scripted(ant: Any, qpos: np.ndarray, qvel: np.ndarray) -> Any:
    """Returns an ant whose physics has been replaced by a jump to (qpos, qvel)."""
    env = object.__new__(type(ant))
    env.__dict__.update(ant.__dict__)
    after = env.init_physics(jnp.asarray(qpos), jnp.asarray(qvel))
    env.step_physics = lambda physics, ctrl: (after, {"x": after.qpos[0]})
    return env


def start(ant: Any, qpos: np.ndarray, qvel: np.ndarray) -> State:
    state = ant.reset(jax.random.key(0))
    return state.replace(data=ant.init_physics(jnp.asarray(qpos), jnp.asarray(qvel)), info={"x": jnp.float32(qpos[0])})


def test_ant_observes_and_rewards_as_gymnasium(ant: Any, gym_ant: Any) -> None:
    rng = np.random.default_rng(1)
    gym_ant.reset(seed=1)
    for _ in range(5):
        before = gym_ant.data.qpos.copy(), gym_ant.data.qvel.copy()
        action = rng.uniform(-1, 1, 8).astype(np.float32)
        obs, reward, terminated, _, info = gym_ant.step(action)
        after = gym_ant.data.qpos.copy(), gym_ant.data.qvel.copy()
        state = scripted(ant, *after).step(start(ant, *before), jnp.asarray(action))
        np.testing.assert_allclose(state.obs, obs, rtol=1e-5, atol=1e-6)
        # Gymnasium reads the torso's place as of the last stage of RK4, a little off the final qpos; ours is of qpos.
        # x is of order 1 m in float32 (1e-7) and is divided by 0.05 s.
        forward = (after[0][0] - before[0][0]) / 0.05
        assert float(state.metrics["reward_forward"]) == pytest.approx(forward, abs=2e-5)
        assert forward == pytest.approx(info["reward_forward"], abs=0.02)
        assert float(state.reward) == pytest.approx(reward - info["reward_forward"] + forward, abs=3e-5)
        assert float(state.metrics["reward_control"]) == pytest.approx(info["reward_ctrl"], abs=1e-5)
        assert float(state.metrics["reward_healthy"]) == info["reward_survive"]
        assert bool(state.done) == terminated


@pytest.mark.parametrize("height", [0.19, 0.21, 0.99, 1.01, np.nan])
def test_ant_is_healthy_when_gymnasiums_is(ant: Any, gym_ant: Any, height: float) -> None:
    qpos, qvel = ant.mj_model.qpos0.copy(), np.zeros(14)
    qpos[2] = height
    gym_ant.data.qpos[:], gym_ant.data.qvel[:] = qpos, qvel
    healthy = bool(gym_ant.is_healthy)
    state = scripted(ant, qpos, qvel).step(start(ant, ant.mj_model.qpos0, qvel), jnp.zeros(8))
    assert bool(state.done) == (not healthy)
    assert float(state.metrics["reward_healthy"]) == float(healthy)


def test_ant_clips_actions_before_it_charges_for_them(ant: Any) -> None:
    qpos, qvel = ant.mj_model.qpos0, np.zeros(14)
    state = scripted(ant, qpos, qvel).step(start(ant, qpos, qvel), jnp.array([3.0, -3.0] + [0.5] * 6))
    assert float(state.metrics["reward_control"]) == pytest.approx(-0.5 * (1 + 1 + 6 * 0.25))


@pytest.mark.parametrize("name", ["ant", "walker2d"])
def test_a_robot_in_the_air_moves_as_in_c_mujoco(name: str) -> None:
    """Off the floor and inside the joint limits nothing is approximate: float32 MJX against float64 C."""
    env: Any = registry.make(name)
    model, rng, count = env.mj_model, np.random.default_rng(2), 8
    qpos = np.tile(model.qpos0, (count, 1))
    if name == "ant":
        qpos[:, 2] = 2.0
        qpos[:, 3:7] = rng.standard_normal((count, 4))
        qpos[:, 3:7] /= np.linalg.norm(qpos[:, 3:7], axis=1, keepdims=True)
        qpos[:, 7:] = model.jnt_range[1:].mean(1)
    else:
        qpos[:, 1] = 3.0
        qpos[:, 3:] = model.jnt_range[3:].mean(1)
    qvel = rng.standard_normal((count, model.nv))
    ctrl = 0.1 * rng.uniform(-1, 1, (count, model.nu))  # ant: 15 N m, at most 0.09 rad and 0.75 rad/s in 0.05 s
    step = jax.jit(jax.vmap(lambda q, v, u: env.step_physics(env.init_physics(q, v), u)[0]))
    physics = step(*(jnp.asarray(x, jnp.float32) for x in (qpos, qvel, ctrl)))
    data = mujoco.MjData(model)
    for i in range(count):
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:], data.ctrl[:] = qpos[i], qvel[i], ctrl[i]
        if env.fast.midpoint:
            midpoint(model, data, ctrl[i], env.frame_skip)
        else:
            mujoco.mj_step(model, data, env.frame_skip)
        assert data.nefc == 0
        np.testing.assert_allclose(physics.qpos[i], data.qpos, atol=1e-5)
        np.testing.assert_allclose(physics.qvel[i], data.qvel, atol=1e-4)


def test_ant_left_alone_stands_about_as_gymnasiums(ant: Any, gym_ant: Any) -> None:
    """Loose on purpose: one evaluation per step, with softer limits, is not RK4, so only posture is compared.

    Gymnasium's ant itself creeps on its feet (from 0.57 m after 1 s to 0.49 m after 10 s), and stands at 0.62 m with
    Euler in place of RK4: 0.06 m is what the integrator alone changes. Limits or contacts that do not hold let it sink
    to 0.38 m or through the floor.
    """
    gym_ant.set_state(ant.mj_model.qpos0, np.zeros(14))
    step = jax.jit(jax.vmap(ant.step))
    state = jax.tree.map(lambda x: jnp.asarray(x)[None], start(ant, ant.mj_model.qpos0, np.zeros(14)))
    for _ in range(60):  # 3 s
        gym_ant.step(np.zeros(8))
        state = step(state, jnp.zeros((1, 8)))
    assert abs(float(state.data.qpos[0, 2]) - gym_ant.data.qpos[2]) < 0.08  # m
    assert np.abs(np.asarray(state.data.qvel)).max() < 0.1
    assert not state.done.any()
