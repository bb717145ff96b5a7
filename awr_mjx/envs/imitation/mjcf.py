"""Any robot in MJCF as a character: one free root, and hinges or balls below it."""

import pathlib

import mujoco
import numpy as np

from awr_mjx.envs.imitation.characters import FREE, Character, prepare, trunk_of
from awr_mjx.envs.imitation.errors import BadCharacter
from awr_mjx.envs.imitation.gains import servos
from awr_mjx.envs.imitation.scene import furnish
from awr_mjx.envs.physics.ground import POINTS

TIMESTEP = 1 / 60  # s


def character(path: pathlib.Path) -> Character:
    """The robot in a file.

    Its servos have the gains of its position actuators, or, where it has none, the stiffness and damping of its joints,
    or, where it has none of these either, its weight times the height of its root for a radian, and a tenth of that for
    a radian per second. What stands in the world besides it is left out.

    Raises:
      BadCharacter: if the file is none, or the robot cannot imitate.
    """
    if not path.is_file():
        raise BadCharacter(f"{path} is a folder: name a file" if path.is_dir() else f"there is no file {path}")
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        _clear(spec)
        written = spec.compile()
    except (ValueError, RuntimeError) as error:
        raise BadCharacter(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    _refuse_another(written, path)
    _refuse_forces(written, path)
    solid = (written.geom_contype | written.geom_conaffinity) != 0
    held = np.array([int(kind) in POINTS for kind in written.geom_type], bool)
    geoms = np.flatnonzero(solid & held)
    if not len(geoms):
        raise BadCharacter(f"{path} has no sphere, capsule or box that could touch the floor")
    left_out = _left_out(written, solid, held)
    kp, kd, limit = servos(written, geoms, path)
    model = _bare(spec, path)
    geoms += int((model.geom_bodyid == 0).sum())  # the floor, which is the world's, comes before the robot's
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
        geoms=tuple(map(int, geoms)),
        may_touch=(),
        trunk=trunk_of(model),
        left_out=left_out,
    )


def _clear(spec: mujoco.MjSpec) -> None:
    """Takes away what stands in the world and does not move, and what watches."""
    spec.compiler.discardvisual = False  # or all geoms would go later, when nothing of them touches
    for kind in ("keys", "sensors", "excludes", "pairs"):
        for one in list(getattr(spec, kind)):
            spec.delete(one)
    for one in [*spec.worldbody.geoms, *(body for body in spec.worldbody.bodies if not _moves(body))]:
        spec.delete(one)


def _moves(body: mujoco.MjsBody) -> bool:
    return bool(body.joints) or any(_moves(child) for child in body.bodies)


def _left_out(m: mujoco.MjModel, solid: np.ndarray, held: np.ndarray) -> tuple[str, ...]:
    """What of a file is not simulated, a line each, where one may imitate without it."""
    found = []
    meshes = sorted(set(m.geom_bodyid[solid & ~held]) - set(m.geom_bodyid[solid & held]))
    if meshes:
        found.append(f"{_names(m, meshes)}: no sphere, capsule or box, so nothing of it touches the floor")
    rubs = [int(joint) for joint in np.unique(m.dof_jntid[m.dof_frictionloss > 0])]
    if rubs:
        found.append(f"friction in {len(rubs)} joint{'s' * (len(rubs) > 1)} is not simulated")
    balls = (m.jnt_type == mujoco.mjtJoint.mjJNT_BALL) & (m.jnt_limited != 0)
    if balls.any():
        found.append(f"limits of {balls.sum()} ball joint{'s' * (balls.sum() > 1)} are not simulated")
    return tuple(found)


def _names(m: mujoco.MjModel, bodies: list[int]) -> str:
    names = [m.body(int(body)).name or f"body {body}" for body in bodies]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _bare(spec: mujoco.MjSpec, path: pathlib.Path) -> mujoco.MjModel:
    """The model without what drives or watches it, whose geoms touch nothing, on a floor at height 0."""
    for kind in ("actuators", "tendons"):
        for one in list(getattr(spec, kind)):
            spec.delete(one)
    for joint in spec.joints:
        joint.stiffness, joint.frictionloss = np.zeros_like(joint.stiffness), 0.0
        if joint.type == mujoco.mjtJoint.mjJNT_BALL:
            joint.limited = mujoco.mjtLimited.mjLIMITED_FALSE
    for geom in spec.geoms:
        geom.contype, geom.conaffinity, geom.condim = 0, 0, 3
    furnish(spec)
    try:
        model = spec.compile()
    except (ValueError, RuntimeError) as error:
        raise BadCharacter(f"{path} cannot be used: {' '.join(str(error).split())}") from error
    prepare(model, TIMESTEP)
    return model


def _refuse_another(m: mujoco.MjModel, path: pathlib.Path) -> None:
    """Raises BadCharacter unless the file has one robot, that floats."""
    moving = [body for body in range(1, m.nbody) if m.body_parentid[body] == 0]
    if len(moving) > 1 and (m.jnt_type == FREE).sum() < 2:
        raise BadCharacter(f"{path} has more that moves than one robot: {_names(m, moving)}; leave the others out")
    if m.njnt == 0 or m.jnt_type[0] != FREE:
        raise BadCharacter(f"{path} has no free joint at its root")


def _refuse_forces(m: mujoco.MjModel, path: pathlib.Path) -> None:
    """Raises BadCharacter for forces that the physics of imitation does not know."""
    for name in ("density", "viscosity"):
        if getattr(m.opt, name):
            raise BadCharacter(f"{path}: {name} must be 0, not {getattr(m.opt, name):g}: no fluid is simulated")
    for body in map(int, np.flatnonzero(m.body_gravcomp)):
        raise BadCharacter(f"{path}: gravcomp of {m.body(body).name or body} must be 0: weight is not compensated")
    if m.neq:
        raise BadCharacter(f"{path} has {m.neq} constraints in <equality>, which are not simulated: take them out")
    pull = (m.tendon_stiffness, m.tendon_damping, m.tendon_frictionloss, m.tendon_limited)
    if any(np.any(values) for values in pull):
        raise BadCharacter(f"{path} has tendons that pull or have limits, which are not simulated: take them out")
