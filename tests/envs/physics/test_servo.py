"""Robots with servos against C MuJoCo with the same servos, step by step and open loop."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from awr_mjx.envs.imitation import march
from awr_mjx.envs.imitation.characters import Character
from awr_mjx.envs.imitation.in_c import InC
from awr_mjx.envs.imitation.task import Imitation
from awr_mjx.envs.physics import servo
from awr_mjx.envs.physics.integrators import Physics
from tests.envs.imitation.others import CLIPS, clip, here

STARTS, STEPS = 8, 15  # of 1/30 s: half a second


@functools.cache
def march_task(iterations: int = 0) -> Imitation:
    """The march; with another number of steps of the solver and its line search than its own, if given."""
    robot = march.humanoid()
    if iterations:
        robot.model.opt.iterations = robot.model.opt.ls_iterations = iterations
    return Imitation(robot, [march.march()])


def apart(robot: Character, a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square of the joints' angles (rad) between two poses [nq]."""
    m, found = robot.model, np.zeros(robot.model.nv)
    mujoco.mj_differentiatePos(m, found, 1.0, np.asarray(a, float), np.asarray(b, float))
    return float(np.sqrt(np.square(found[6:]).sum() / (m.njnt - 1)))


def play(task: Imitation, timestep: float, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray, int]:
    """Open loop from places in the clip, towards the clip a control step ahead and some noise.

    Returns the joints' distance (rad) and the roots' (m) after half a second, [STARTS] each, and how often a servo of
    the other simulation was at its limit.
    """
    clips, robot = task.tables, task.robot
    rows = np.linspace(0, int(clips.rows[0]) - 1, STARTS, endpoint=False).astype(int)
    rng = np.random.default_rng(0)
    physics = Physics(clips.qpos[rows], clips.qvel[rows], jnp.zeros((STARTS, robot.model.nv)))
    others = [InC(robot, timestep, task.may_touch) for _ in rows]
    for one, row in zip(others, rows, strict=True):
        one.data.qpos[:], one.data.qvel[:] = clips.qpos[row], clips.qvel[row]
    moved = jax.jit(jax.vmap(task._moved))
    per_step = round(task.dt / timestep)
    for step in range(1, STEPS + 1):
        ahead = clips.qpos[(rows + step * robot.substeps) % int(clips.rows[0])]
        change = np.pad(rng.normal(0, noise, (STARTS, task.action_size)), ((0, 0), (6, 0)))
        target = jax.vmap(task._joints.moved)(ahead, jnp.asarray(change, jnp.float32))
        physics = moved(physics, target)
        for one, pose in zip(others, np.asarray(target, float), strict=True):
            for _ in range(per_step):
                one.step(pose)
    qpos = np.asarray(physics.qpos, float)
    joints = np.array([apart(robot, a, one.data.qpos) for a, one in zip(qpos, others, strict=True)])
    roots = np.array([np.linalg.norm(a[:3] - one.data.qpos[:3]) for a, one in zip(qpos, others, strict=True)])
    return joints, roots, sum(one.limited for one in others)


def test_the_marchs_physics_is_cpu_mujocos() -> None:
    joints, roots, _ = play(march_task(), 1 / 60)
    assert np.median(joints) < 0.003 and np.median(roots) < 0.003


@pytest.mark.parametrize(("iterations", "near"), [(0, 0.03), (12, 0.002)])
def test_servos_give_no_more_than_they_can(iterations: int, near: float) -> None:
    """Targets that jump by half a radian ask for more than the limits in every fifth torque or so.

    With limits that are found without the floor's push, as if a leg that stands were free to give way, joints are
    0.08 rad off however many steps the solver takes.
    """
    joints, roots, limited = play(march_task(iterations), 1 / 60, noise=0.5)
    assert limited > 0.05 * STARTS * 2 * STEPS * 10
    assert np.median(joints) < near and np.median(roots) < min(near, 0.02)


def test_long_steps_are_those_of_fine_ones() -> None:
    joints, roots, _ = play(march_task(), 1 / 1200)
    assert np.median(joints) < 0.04 and np.median(roots) < 0.04


def test_the_floor_is_as_soft_in_fine_steps() -> None:
    task = march_task()
    pose, sunk = np.asarray(task.tables.qpos[0], float), []
    for timestep in (1 / 60, 1 / 1200):
        one = InC(task.robot, timestep, task.may_touch)
        one.data.qpos[:] = pose
        for _ in range(round(0.5 / timestep)):
            one.step(pose)
        sunk.append(-min(one.data.contact.dist))
    assert sunk[0] > 0.001 and sunk[1] == pytest.approx(sunk[0], rel=0.05)


@pytest.mark.parametrize("name", sorted(CLIPS))
def test_deepmimics_characters(name: str) -> None:
    task = Imitation(*clip(here(name), name))
    dog = name.startswith("dog")
    joints, roots, _ = play(task, 1 / 60)
    assert np.median(joints) < (0.03 if dog else 0.01)
    assert np.median(roots) < (0.06 if dog else 0.02)
    joints, _, _ = play(task, 1 / 1200)
    assert np.median(joints) < 0.04


def test_parts_hold_each_point_once() -> None:
    task = march_task()
    dynamics: Any = task._dynamics
    contacts = dynamics._contacts
    count = len(contacts._ground.geoms)
    places = np.concatenate([part.points.reshape(-1) for part in contacts._parts])
    assert sorted(places[places < count]) == list(range(count)) and count == 8


def test_what_it_cannot_do_is_refused() -> None:
    robot = march.humanoid()
    model = robot.model.__copy__()
    model.dof_frictionloss[7] = 0.1
    servos = servo.Servos(model, robot.kp, robot.kd, robot.torque_limit)
    with pytest.raises(NotImplementedError, match="friction losses"):
        servo.ServoDynamics(model, servos, [], robot.trunk)
    model = robot.model.__copy__()
    model.geom_type[robot.geoms[0]] = mujoco.mjtGeom.mjGEOM_CYLINDER
    with pytest.raises(NotImplementedError, match="neither a sphere"):
        servo.ServoDynamics(model, servos, robot.geoms[:1], robot.trunk)
