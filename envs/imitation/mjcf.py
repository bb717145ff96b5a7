"""Any robot in MJCF as a character: one free root, and hinges or balls below it."""

import pathlib

import mujoco
import numpy as np

from envs.imitation.characters import FREE, Character, prepare, trunk_of
from envs.imitation.errors import BadCharacter
from envs.imitation.scene import furnish
from envs.physics.ground import POINTS

TIMESTEP = 1 / 60  # s
JOINT, JOINT_IN_PARENT = int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT)
AFFINE = int(mujoco.mjtBias.mjBIAS_AFFINE)
GRAVITY, DAMPING = 9.81, 0.1  # m/s^2; s of stiffness, where a file has no gains


def character(path: pathlib.Path) -> Character:
    """The robot in a file.

    Its servos have the gains of its position actuators, or, where it has none, the stiffness and damping of its joints,
    or, where it has none of these either, its weight times the height of its root for a radian, and a tenth of that for
    a radian per second.

    Raises:
      BadCharacter: if the file is none, or the robot cannot imitate.
    """
    if not path.is_file():
        raise BadCharacter(f"{path} is a folder: name a file" if path.is_dir() else f"there is no file {path}")
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        written = spec.compile()
    except (ValueError, RuntimeError) as error:
        raise BadCharacter(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if written.njnt == 0 or written.jnt_type[0] != FREE:
        raise BadCharacter(f"{path} has no free joint at its root")
    _refuse_forces(written, path)
    kp, kd, limit = _gains(written, path)
    model = _bare(spec, path)
    solid = (written.geom_contype | written.geom_conaffinity)[written.geom_bodyid > 0] != 0
    geoms = [int(g) for g in np.flatnonzero(model.geom_bodyid > 0)[solid] if int(model.geom_type[g]) in POINTS]
    if not geoms:
        raise BadCharacter(f"{path} has no sphere, capsule or box that could touch the floor")
    ends = [body for body in range(1, model.nbody) if body not in model.body_parentid and body > 1]
    return Character(
        name=path.stem,
        model=model,
        kp=kp,
        kd=kd,
        torque_limit=limit,
        weight=np.full(model.njnt, 1 / model.njnt),
        joints=model.njnt,
        ends=tuple(ends),
        geoms=tuple(geoms),
        may_touch=(),
        trunk=trunk_of(model),
    )


def _bare(spec: mujoco.MjSpec, path: pathlib.Path) -> mujoco.MjModel:
    """The model without what drives or watches it, whose geoms touch nothing, on a floor at height 0."""
    for kind in ("actuators", "sensors", "tendons", "equalities", "keys", "excludes", "pairs"):
        for one in list(getattr(spec, kind, [])):
            spec.delete(one)
    for joint in spec.joints:
        joint.stiffness, joint.frictionloss = np.zeros_like(joint.stiffness), 0.0
        if joint.type == mujoco.mjtJoint.mjJNT_BALL:
            joint.limited = mujoco.mjtLimited.mjLIMITED_FALSE
    for geom in list(spec.geoms):
        if geom.parent.name == "world":
            spec.delete(geom)
        else:
            geom.contype, geom.conaffinity, geom.condim = 0, 0, 3
    furnish(spec)
    try:
        model = spec.compile()
    except (ValueError, RuntimeError) as error:
        raise BadCharacter(f"{path} cannot be used: {' '.join(str(error).split())}") from error
    prepare(model, TIMESTEP)
    return model


def _refuse_forces(m: mujoco.MjModel, path: pathlib.Path) -> None:
    """Raises BadCharacter for forces that the physics of imitation does not know."""
    for name in ("density", "viscosity"):
        if getattr(m.opt, name):
            raise BadCharacter(f"{path}: {name} must be 0, not {getattr(m.opt, name):g}: no fluid is simulated")
    for body in map(int, np.flatnonzero(m.body_gravcomp)):
        raise BadCharacter(f"{path}: gravcomp of {m.body(body).name or body} must be 0: weight is not compensated")


def _gains(m: mujoco.MjModel, path: pathlib.Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stiffness [nv], damping [nv] and torque limits [njnt] of a file's servos."""
    kp, kd, limit = np.zeros(m.nv), np.zeros(m.nv), np.full(m.njnt, np.inf)
    for joint in map(int, np.flatnonzero(m.jnt_actfrclimited)):
        limit[joint] = np.abs(m.jnt_actfrcrange[joint]).max()
    for i in range(m.nu):
        if int(m.actuator_trntype[i]) not in (JOINT, JOINT_IN_PARENT):
            continue
        driven, gear = int(m.actuator_trnid[i, 0]), abs(float(m.actuator_gear[i, 0])) or 1.0
        dofs = m.dof_jntid == driven
        if int(m.actuator_biastype[i]) == AFFINE and m.actuator_biasprm[i, 1] < 0:
            kp[dofs] = -m.actuator_biasprm[i, 1] * gear**2
            kd[dofs] = -m.actuator_biasprm[i, 2] * gear**2
            most = np.abs(m.actuator_forcerange[i]).max() if m.actuator_forcelimited[i] else np.inf
        else:
            most = np.abs(m.actuator_ctrlrange[i]).max() if m.actuator_ctrllimited[i] else np.inf
        limit[driven] = min(limit[driven], most * gear)
    for joint in map(int, np.flatnonzero(m.jnt_stiffness.reshape(m.njnt, -1).any(axis=1)) if kp.any() else ()):
        raise BadCharacter(
            f"{path}: joint {m.joint(joint).name or joint} has a spring besides the file's servos, which is not "
            "simulated: set its stiffness to 0"
        )
    if not kp.any():
        kp[6:] = m.jnt_stiffness[m.dof_jntid[6:]] if m.jnt_stiffness.ndim == 1 else m.jnt_stiffness[m.dof_jntid[6:], 0]
    if not kp.any():
        kp[6:] = m.body_mass.sum() * GRAVITY * float(m.qpos0[2])
        kd[6:] = DAMPING * kp[6:]
    return kp, kd, limit
