"""The servos of a robot in MJCF: how stiff, how damped and how strong its actuators, or its joints, say they are."""

import pathlib

import mujoco
import numpy as np

from awr_mjx.envs.imitation.errors import BadCharacter
from awr_mjx.envs.physics.ground import ground
from awr_mjx.envs.physics.joints import ROOT

JOINT, JOINT_IN_PARENT = int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT)
FIXED, NONE, AFFINE = (
    int(mujoco.mjtGain.mjGAIN_FIXED),
    int(mujoco.mjtBias.mjBIAS_NONE),
    int(mujoco.mjtBias.mjBIAS_AFFINE),
)
GRAVITY, DAMPING = 9.81, 0.1  # m/s^2; s of stiffness, where a file has no gains


def servos(m: mujoco.MjModel, geoms: np.ndarray, path: pathlib.Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stiffness [nv] (N m/rad), damping [nv] (N m s/rad) and torque limits [njnt] (N m) of a file's servos.

    Args:
      m: the file's model.
      geoms: int [G], those that could touch the floor; how high the root is above them says how strong a robot must be
        of whose servos the file says nothing.
      path: the file, for messages.

    Raises:
      BadCharacter: if what drives the robot is nothing that a servo could be.
    """
    kp, kd, limit, driven = np.zeros(m.nv), np.zeros(m.nv), np.full(m.njnt, np.inf), set()
    for joint in map(int, np.flatnonzero(m.jnt_actfrclimited)):
        limit[joint] = np.abs(m.jnt_actfrcrange[joint]).max()
    for i in range(m.nu):
        joint = int(m.actuator_trnid[i, 0])
        driving = int(m.actuator_trntype[i]) in (JOINT, JOINT_IN_PARENT)
        if not driving or joint == 0:
            name, what = m.actuator(i).name or f"number {i}", "the root" if driving else "no joint"
            raise BadCharacter(f"{path}: actuator {name} drives {what}, which is not simulated: take it out")
        dofs = np.flatnonzero(m.dof_jntid == joint)
        gear = float(np.linalg.norm(m.actuator_gear[i, : len(dofs)]))  # of a ball, of the axis that is driven
        driven.add(joint)
        if int(m.actuator_biastype[i]) == AFFINE:  # a servo of position, or, if it is not stiff, of velocity
            more = np.maximum if len(dofs) > 1 else np.add  # a ball's axes have one each, and are equal here
            kp[dofs] = more(kp[dofs], -m.actuator_biasprm[i, 1] * gear**2)
            kd[dofs] = more(kd[dofs], -m.actuator_biasprm[i, 2] * gear**2)
        limit[joint] = min(limit[joint], _most(m, i) * gear)
    stiff = kp > 0
    if (kp < 0).any():
        raise BadCharacter(f"{path}: joint {_name(m, kp < 0)} has a servo of negative stiffness")
    if stiff.any():
        soft = np.isin(m.dof_jntid, list(driven)) & ~stiff
        if soft.any():
            raise BadCharacter(
                f"{path}: joint {_name(m, soft)} has an actuator, but none of position, as {_name(m, stiff)} has: give "
                "one to both, or to none"
            )
        springs = m.jnt_stiffness.reshape(m.njnt, -1).any(axis=1)[m.dof_jntid]
        if springs.any():
            raise BadCharacter(
                f"{path}: joint {_name(m, springs)} has a spring besides the file's servos, which is not simulated: "
                "set its stiffness to 0"
            )
        return kp, kd, limit
    kp[:], kd[:] = 0.0, 0.0
    kp[ROOT:] = m.jnt_stiffness.reshape(m.njnt, -1)[m.dof_jntid[ROOT:], 0]
    if not kp.any():
        kp[ROOT:] = m.body_mass.sum() * GRAVITY * _height(m, geoms)
        kd[ROOT:] = DAMPING * kp[ROOT:]
    return kp, kd, limit


def _most(m: mujoco.MjModel, actuator: int) -> float:
    """The most that an actuator gives (N m at a gear of 1)."""
    most = np.inf
    if m.actuator_forcelimited[actuator]:
        most = float(np.abs(m.actuator_forcerange[actuator]).max())
    plain = int(m.actuator_gaintype[actuator]) == FIXED and int(m.actuator_biastype[actuator]) == NONE
    if plain and m.actuator_ctrllimited[actuator]:  # a motor: what it is told is a torque, by its gain
        told = abs(float(m.actuator_gainprm[actuator, 0])) * float(np.abs(m.actuator_ctrlrange[actuator]).max())
        most = min(most, told)
    return most


def _name(m: mujoco.MjModel, dofs: np.ndarray) -> str:
    """The name of the joint of the first of some coordinates, bool [nv]."""
    joint = int(m.dof_jntid[int(dofs.argmax())])
    return m.joint(joint).name or str(joint)


def _height(m: mujoco.MjModel, geoms: np.ndarray) -> float:
    """How high the root is as the file has it (m): above the floor, or, if that is more, above the lowest point."""
    data = mujoco.MjData(m)
    mujoco.mj_kinematics(m, data)
    lowest = ground(m, [int(geom) for geom in geoms]).heights(data.geom_xpos, data.geom_xmat).min()
    return max(float(m.qpos0[2]), float(m.qpos0[2] - lowest))
