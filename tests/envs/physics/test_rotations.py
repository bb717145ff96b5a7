"""Rotations and poses against MuJoCo's own."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from awr_mjx.envs.imitation.march import humanoid
from awr_mjx.envs.physics import rotations
from awr_mjx.envs.physics.integrators import integrate_positions
from awr_mjx.envs.physics.joints import Joints


def quats(count: int, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(count, 4))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_rotations_are_mujocos() -> None:
    a, b = quats(200, 0), quats(200, 1)
    xyz = np.random.default_rng(2).normal(size=(200, 3))
    products, differences, turned = np.zeros((200, 4)), np.zeros((200, 3)), np.zeros((200, 3))
    for i in range(200):
        mujoco.mju_mulQuat(products[i], a[i], b[i])
        mujoco.mju_subQuat(differences[i], b[i], a[i])
        mujoco.mju_rotVecQuat(turned[i], xyz[i], a[i])
    np.testing.assert_allclose(rotations.product(jnp.asarray(a), jnp.asarray(b)), products, atol=1e-6)
    np.testing.assert_allclose(rotations.between(jnp.asarray(a), jnp.asarray(b)), differences, atol=2e-5)
    np.testing.assert_allclose(rotations.rotated(jnp.asarray(a), jnp.asarray(xyz)), turned, atol=2e-6)
    back = rotations.vector(rotations.exponential(jnp.asarray(differences, jnp.float32)))
    np.testing.assert_allclose(back, differences, atol=2e-5)


def test_small_and_no_rotations_are_exact_and_have_slopes() -> None:
    none = jnp.array([1.0, 0, 0, 0])
    np.testing.assert_array_equal(rotations.between(none, none), 0.0)
    tiny = jnp.array([1e-5, -2e-5, 3e-5])
    np.testing.assert_allclose(rotations.vector(rotations.exponential(tiny)), tiny, rtol=1e-4)
    assert np.isfinite(jax.jacobian(rotations.exponential)(jnp.zeros(3))).all()


def test_poses_are_moved_and_told_apart_as_in_mujoco() -> None:
    robot = humanoid()
    m, rng = robot.model, np.random.default_rng(0)
    joints = Joints(m)
    for _ in range(10):
        pose, change = m.qpos0.copy(), rng.normal(size=m.nv)
        mujoco.mj_integratePos(m, pose, rng.normal(size=m.nv), 1.0)
        wanted = pose.copy()
        mujoco.mj_integratePos(m, wanted, change, 0.3)
        moved = joints.moved(jnp.asarray(pose, jnp.float32), jnp.asarray(0.3 * change, jnp.float32))
        np.testing.assert_allclose(moved, wanted, atol=2e-6)
        stepped = integrate_positions(m, jnp.asarray(pose, jnp.float32), jnp.asarray(change, jnp.float32), 0.3)
        np.testing.assert_allclose(stepped, wanted, atol=2e-6)
        apart = joints.difference(jnp.asarray(pose, jnp.float32), jnp.asarray(wanted, jnp.float32))
        np.testing.assert_allclose(apart, 0.3 * change, atol=2e-5)
    order = joints.joined(jnp.arange(6.0), *joints.split(jnp.arange(float(m.nv))))
    np.testing.assert_array_equal(order, np.arange(m.nv))
