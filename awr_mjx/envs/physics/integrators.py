"""A physics step made of evaluations of the dynamics: Euler's, a midpoint and the fourth-order Runge-Kutta method."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
from flax import struct

from awr_mjx.envs.physics.rotations import turn


@struct.dataclass
class Physics:
    """All of the simulation that outlives a control step; the rest of `mjx.Data` follows from it.

    Attributes:
      qpos: float32 [nq], positions (m, rad, unit quaternions).
      qvel: float32 [nv], velocities (m/s, rad/s).
      qacc_warmstart: float32 [nv], the last accelerations, where the constraint solver starts (m/s^2, rad/s^2).
    """

    qpos: jax.Array
    qvel: jax.Array
    qacc_warmstart: jax.Array


Forward = Callable[[Physics], tuple[jax.Array, Any]]
Integrator = Callable[[mujoco.MjModel, Forward, Physics], tuple[Physics, Any]]


def runge_kutta(mj_model: mujoco.MjModel, forward: Forward, physics: Physics) -> tuple[Physics, Any]:
    """One step of the classic fourth-order Runge-Kutta method: what `mjx.step` does, in a third of the compile time.

    MJX writes the dynamics out once per stage; here they stand once, in a scan over the four stages. What the scan
    carries differs between environments from the start, or `jax.vmap` would go through the dynamics a second time.

    Args:
      mj_model: the model, for its joints and its timestep.
      forward: gives (accelerations [nv], what is seen [...]) of a state.
      physics: the state before the step.

    Returns:
      The state after the step, and what the last evaluation showed.
    """
    h = float(mj_model.opt.timestep)
    ahead = jnp.array([0, 0.5, 0.5, 1], jnp.float32) * h
    weights = jnp.array([1, 2, 2, 1], jnp.float32) / 6

    def stage(carry: tuple[jax.Array, jax.Array], ahead: jax.Array) -> tuple[tuple[jax.Array, jax.Array], Any]:
        velocity, acceleration = carry  # of the stage before; the first is not ahead, so that they only warm the solver
        qpos = integrate_positions(mj_model, physics.qpos, velocity, ahead)
        velocity = physics.qvel + ahead * acceleration
        acceleration, seen = forward(Physics(qpos, velocity, acceleration))
        return (velocity, acceleration), (velocity, acceleration, seen)

    start = (physics.qvel, physics.qacc_warmstart)
    (_, last), (velocities, accelerations, seen) = jax.lax.scan(stage, start, ahead)
    qpos = integrate_positions(mj_model, physics.qpos, weights @ velocities, h)
    qvel = physics.qvel + h * (weights @ accelerations)
    return Physics(qpos, qvel, last), jax.tree.map(lambda x: x[-1], seen)


def euler(mj_model: mujoco.MjModel, forward: Forward, physics: Physics) -> tuple[Physics, Any]:
    """One step of MuJoCo's Euler method without implicit damping: positions move with the new velocities.

    Arguments and results are those of `runge_kutta`.
    """
    h = float(mj_model.opt.timestep)
    acceleration, seen = forward(physics)
    qvel = physics.qvel + h * acceleration
    return Physics(integrate_positions(mj_model, physics.qpos, qvel, h), qvel, acceleration), seen


def midpoint(mj_model: mujoco.MjModel, forward: Forward, physics: Physics) -> tuple[Physics, Any]:
    """One step that evaluates the dynamics once, half a step ahead: of second order, where MuJoCo's Euler is of first.

    Positions drift for half a step, velocities change by the acceleration there, positions drift for the other half.
    That acceleration depends on the velocity half a step ahead: predicted with the step before's acceleration.
    Arguments and results are those of `runge_kutta`.
    """
    h = float(mj_model.opt.timestep)
    halfway = integrate_positions(mj_model, physics.qpos, physics.qvel, h / 2)
    velocity = physics.qvel + h / 2 * physics.qacc_warmstart
    acceleration, seen = forward(Physics(halfway, velocity, physics.qacc_warmstart))
    qvel = physics.qvel + h * acceleration
    return Physics(integrate_positions(mj_model, halfway, qvel, h / 2), qvel, acceleration), seen


def integrate_positions(
    mj_model: mujoco.MjModel, qpos: jax.Array, qvel: jax.Array, seconds: jax.Array | float
) -> jax.Array:
    """Returns positions [nq] after moving with velocities `qvel` [nv] for so many `seconds`."""
    parts = []
    for kind, q, v in zip(mj_model.jnt_type, mj_model.jnt_qposadr, mj_model.jnt_dofadr, strict=True):
        if kind == mujoco.mjtJoint.mjJNT_FREE:
            parts.append(qpos[q : q + 3] + seconds * qvel[v : v + 3])
            parts.append(turn(qpos[q + 3 : q + 7], seconds * qvel[v + 3 : v + 6]))
        elif kind == mujoco.mjtJoint.mjJNT_BALL:
            parts.append(turn(qpos[q : q + 4], seconds * qvel[v : v + 3]))
        else:
            parts.append(qpos[q : q + 1] + seconds * qvel[v : v + 1])
    return jnp.concatenate(parts)
