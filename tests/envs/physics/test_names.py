"""Names of observations and actions, and what a push does."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.envs.base import action_names, observation_names
from awr_mjx.envs.physics import names
from awr_mjx.envs.registry import TaskOptions


def test_names_are_in_the_order_of_the_numbers() -> None:
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body><freejoint name='root'/><geom size='1'/><body><joint type='ball'/><geom size='1'/>"
        "<body><joint name='knee'/><geom size='1'/></body></body></body></worldbody>"
        "<actuator><motor joint='knee'/></actuator></mujoco>"
    )
    positions, velocities = names.positions(model), names.velocities(model)
    assert positions[:7] == [f"root_{part}" for part in ("x", "y", "z", "qw", "qx", "qy", "qz")]
    assert positions[7:] == ["joint_1_qw", "joint_1_qx", "joint_1_qy", "joint_1_qz", "knee"]
    assert velocities[:6] == [f"root_{part}" for part in ("vx", "vy", "vz", "wx", "wy", "wz")]
    assert velocities[6:] == ["joint_1_wx", "joint_1_wy", "joint_1_wz", "knee_velocity"]
    assert (len(positions), len(velocities)) == (model.nq, model.nv)
    assert names.actuators(model) == ["actuator_0"]


@pytest.mark.parametrize("full_obs", [False, True])
@pytest.mark.parametrize("task", ["ant", "halfcheetah", "inverted_pendulum", "cartpole"])
def test_every_observation_has_a_name(task: str, full_obs: bool) -> None:
    if full_obs and task != "ant":
        pytest.skip("no full observations")
    env = registry.make(task, TaskOptions(full_obs=full_obs))
    found = observation_names(env)
    assert len(set(found)) == len(found) == env.observation_size
    assert len(set(action_names(env))) == env.action_size


def test_ant_names_are_what_the_numbers_are() -> None:
    env = registry.make("ant")
    state = env.reset(jax.random.key(0))
    named = dict(zip(observation_names(env), np.asarray(state.obs), strict=True))
    qpos, qvel = state.data.qpos, state.data.qvel
    assert list(named)[:2] == ["root_z", "root_qw"]
    assert named["root_z"] == qpos[2]
    assert named["ankle_4"] == qpos[-1]
    assert named["root_vx"] == qvel[0]
    assert named["ankle_4_velocity"] == qvel[-1]
    assert action_names(env)[:2] == ["hip_4", "ankle_4"]


@pytest.mark.parametrize(
    ("task", "moved"),
    [("ant", {0: 1.0, 1: 2.0, 2: 3.0}), ("hopper", {0: 1.0, 1: 3.0}), ("inverted_pendulum", {0: 1.0})],
)
def test_push_moves_the_first_body_where_it_can_move(task: str, moved: dict[int, float]) -> None:
    env = registry.make(task)
    state = env.reset(jax.random.key(0))
    pushed = env.pushed(state, jnp.array([1.0, 2.0, 3.0]))  # type: ignore[attr-defined]
    change = np.zeros(state.data.qvel.shape[0])
    change[list(moved)] = list(moved.values())
    np.testing.assert_allclose(pushed.data.qvel - state.data.qvel, change, atol=1e-6)
    np.testing.assert_array_equal(env.positions(pushed), state.data.qpos)  # type: ignore[attr-defined]
