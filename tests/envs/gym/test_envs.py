"""The tasks against what they copy: Gymnasium's own environments and the C MuJoCo beneath them."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs import base, registry
from envs.base import State

gym = pytest.importorskip("gymnasium")
mujoco = pytest.importorskip("mujoco")
from docs.studies.physics import midpoint  # noqa: E402

TASKS = ("ant", "cartpole", "inverted_pendulum")


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


# --- registry and protocol ---


def test_registry_makes_all_tasks_and_they_speak_the_protocol() -> None:
    assert set(TASKS) <= set(registry.names()) and registry.names() == sorted(registry.names())
    for name in TASKS:
        assert isinstance(registry.make(name), base.Env)


@pytest.mark.parametrize(("wrong", "hint"), [("antt", "did you mean 'ant'?"), ("zzzzzz", "(known: ")])
def test_unknown_task_names_the_nearest_on_one_line(wrong: str, hint: str) -> None:
    with pytest.raises(registry.UnknownTask) as error:
        registry.make(wrong)
    message = str(error.value)
    assert isinstance(error.value, ValueError)
    assert repr(wrong) in message and hint in message and "cartpole" in message and "\n" not in message


def test_a_user_can_register_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    marker: Any = object()
    registry.register("mine", lambda: marker)
    assert registry.make("mine") is marker and "mine" in registry.names()


def test_mujoco_is_imported_only_when_a_task_needs_it() -> None:
    code = "import sys; from envs import registry; registry.make('cartpole'); sys.exit('mujoco' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", TASKS)
def test_states_are_strongly_typed_and_keep_their_shape(name: str) -> None:
    env = registry.make(name)
    shape, dtype = ((), jnp.int32) if env.discrete else ((env.action_size,), jnp.float32)
    action = jax.ShapeDtypeStruct(shape, dtype)
    first = jax.eval_shape(env.reset, jax.random.key(0))
    second = jax.eval_shape(env.step, first, action)
    assert first.obs.shape == (env.observation_size,)
    assert jax.tree.structure(first) == jax.tree.structure(second)  # type: ignore[operator]
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert (a.shape, a.dtype, a.weak_type) == (b.shape, b.dtype, b.weak_type) == (a.shape, jnp.float32, False)


def test_ant_carries_43_numbers_of_physics_and_not_a_whole_simulation(ant: Any) -> None:
    state = jax.eval_shape(ant.reset, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(state.data)) == 15 + 14 + 14  # qpos, qvel, warm start


# --- ant: the rules, given the same physics ---


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


# --- ant: the physics on MJX ---


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


# --- the small tasks ---


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
