"""Elimination limb by limb against LAPACK."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.envs.imitation import march
from awr_mjx.envs.physics.limbs import LimbSolver


@pytest.mark.parametrize("name", ["ant", "halfcheetah", "hopper", "walker2d", "humanoid"])
def test_solves_what_a_robots_inertia_may_be(name: str) -> None:
    """Inertias in random poses, with the rank-one terms of 4 stiff contacts on each body."""
    model = registry.make(name).mj_model  # type: ignore[attr-defined]
    data, rng, solve = mujoco.MjData(model), np.random.default_rng(0), jax.jit(LimbSolver(model))
    for _ in range(5):
        data.qpos[:] = model.qpos0 + rng.uniform(-0.5, 0.5, model.nq)
        mujoco.mj_forward(model, data)
        matrix = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, data, matrix)
        for body in range(1, model.nbody):
            jacobian = np.zeros((3, model.nv))
            mujoco.mj_jacBody(model, data, jacobian, None, body)
            edges = rng.normal(size=(4, 3)) @ jacobian
            matrix += 100 * edges.T @ edges
        vector = rng.normal(size=model.nv)
        expected = np.linalg.solve(matrix, vector)
        found = solve(jnp.asarray(matrix, jnp.float32), jnp.asarray(vector, jnp.float32))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_a_vectors_products_are_taken_off_within_joints() -> None:
    """Of a robot with balls in its trunk and its limbs, whose limbs are of several sizes."""
    robot = march.humanoid()
    m, linear, rng = robot.model, LimbSolver(robot.model, robot.trunk), np.random.default_rng(0)
    matrix, vector = 9.0 * m.nv * np.eye(m.nv), rng.normal(size=m.nv)
    same = m.dof_jntid[:, None] == m.dof_jntid
    assert len(linear.groups) > 1 and same[linear.limbs.trunk][:, linear.limbs.trunk].sum() > 36  # more than the root
    right = rng.normal(size=m.nv)
    solve = jax.jit(lambda m, v, y: linear.solve(linear.less(linear.blocks(m), v), y))
    found = solve(matrix, vector, right)
    assert np.allclose(found, np.linalg.solve(matrix - same * np.outer(vector, vector), right), rtol=1e-4, atol=1e-7)


def test_two_robots_are_refused() -> None:
    """Nothing couples them, but nothing of ours needs that either."""
    ball = "<body><freejoint/><geom size='1'/></body>"
    model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{ball}{ball}</worldbody></mujoco>")
    with pytest.raises(NotImplementedError, match="2 moving bodies"):
        LimbSolver(model)
