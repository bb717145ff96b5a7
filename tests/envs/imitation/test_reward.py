"""DeepMimic's reward against its formulas, written out joint by joint in NumPy."""

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from awr_mjx.envs.imitation import march
from awr_mjx.envs.imitation.characters import BALL, Character
from awr_mjx.envs.imitation.reward import WEIGHTS, Motion, Reward
from awr_mjx.envs.physics.joints import Joints
from tests.envs.imitation.others import clip, here


def by_hand(robot: Character, one: Motion, other: Motion) -> dict[str, float]:
    """The five terms, as `CalcRewardImitate` adds them up."""
    m = robot.model
    q0, q1, v0, v1 = (np.asarray(x, float) for x in (one.qpos, other.qpos, one.qvel, other.qvel))

    def angle(a: np.ndarray, b: np.ndarray) -> float:
        return float(2 * np.arccos(min(1.0, abs(a @ b))))

    def world(quat: np.ndarray, local: np.ndarray) -> np.ndarray:
        found = np.zeros(3)
        mujoco.mju_rotVecQuat(found, local, quat)
        return found

    turning = world(q1[3:7], v1[3:6]) - world(q0[3:7], v0[3:6])
    pose = robot.weight[0] * angle(q0[3:7], q1[3:7]) ** 2
    speed = robot.weight[0] * turning @ turning
    for joint in range(1, m.njnt):
        q, v = m.jnt_qposadr[joint], m.jnt_dofadr[joint]
        if m.jnt_type[joint] == BALL:
            pose += robot.weight[joint] * angle(q0[q : q + 4], q1[q : q + 4]) ** 2
            speed += robot.weight[joint] * np.sum((v0[v : v + 3] - v1[v : v + 3]) ** 2)
        else:
            pose += robot.weight[joint] * (q0[q] - q1[q]) ** 2
            speed += robot.weight[joint] * (v0[v] - v1[v]) ** 2
    ends = np.sum((np.asarray(one.ends) - np.asarray(other.ends)) ** 2)
    root = np.sum((q0[:3] - q1[:3]) ** 2) + 0.1 * angle(q0[3:7], q1[3:7]) ** 2
    root += 0.01 * np.sum((v0[:3] - v1[:3]) ** 2) + 0.001 * turning @ turning
    com = 0.1 * np.sum((np.asarray(one.com_velocity) - np.asarray(other.com_velocity)) ** 2)
    share = robot.joints / 15
    error = {"pose": 2 * share * pose, "velocity": 0.1 * share * speed, "end_effector": 10 * ends}
    error |= {"root": 5 * root, "com": 10 * com}
    return {name: float(np.exp(-value)) for name, value in error.items()}


def check(robot: Character) -> None:
    rng, m, reward, joints = np.random.default_rng(0), robot.model, Reward(robot), Joints(robot.model)

    def motion(qpos: np.ndarray) -> Motion:
        arrays = qpos, rng.normal(0, 0.5, m.nv), rng.normal(0, 0.1, (len(robot.ends), 3)), rng.normal(0, 0.5, 3)
        return Motion(*(jnp.asarray(x, jnp.float32) for x in arrays))

    for _ in range(20):
        pose = m.qpos0.copy()
        mujoco.mj_integratePos(m, pose, rng.normal(size=m.nv), 1.0)
        moved = pose.copy()
        mujoco.mj_integratePos(m, moved, rng.normal(size=m.nv), 0.2)
        one, other = motion(pose), motion(moved)
        found = reward(one, other, joints.difference(one.qpos, other.qpos))
        for name, value in by_hand(robot, one, other).items():
            assert float(found[name]) == pytest.approx(value, abs=1e-4), name
    same = reward(one, one, joints.difference(one.qpos, one.qpos))
    assert {name: float(value) for name, value in same.items()} == dict.fromkeys(WEIGHTS, 1.0)


def test_it_is_deepmimics() -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1)
    check(march.humanoid())


@pytest.mark.parametrize("name", ["humanoid3d_walk", "dog3d_trot"])
def test_it_is_deepmimics_for_its_own_characters(name: str) -> None:
    """Weights that differ from joint to joint, fixed joints that count, and more joints than 15."""
    robot, _ = clip(here(name), name)
    assert robot.joints == (15 if name.startswith("humanoid") else 23)
    assert len(np.unique(robot.weight)) > 3
    check(robot)
