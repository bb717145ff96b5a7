"""What it takes to play a policy without this project: the robot as MJCF, its servos, and its clips as they are played.

All of it is plain JSON values. The model is written by hand because MuJoCo writes 6 digits, and because files that a
robot's own MJCF names, such as meshes, are not there where the policy is played.
"""

import json
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import jax
import mujoco
import numpy as np

from awr_mjx.envs.imitation.characters import FREE, HINGE, Character
from awr_mjx.envs.imitation.reference import Reference

DECIMALS = 7  # what float32 has behind the point
JOINTS = {int(getattr(mujoco.mjtJoint, f"mjJNT_{kind.upper()}")): kind for kind in ("free", "ball", "hinge")}
GEOMS = {int(getattr(mujoco.mjtGeom, f"mjGEOM_{kind.upper()}")): kind for kind in ("plane", "sphere", "capsule", "box")}


def deployment(robot: Character, clips: Reference, may_touch: Sequence[int]) -> dict[str, Any]:
    """What there is to know of a robot and its clips; docs/imitation.md says what is what.

    Args:
      robot: the robot.
      clips: its clips.
      may_touch: the bodies that may touch the floor.
    """
    m = robot.model
    return {
        "mjcf": mjcf(robot),
        "timestep": float(m.opt.timestep),
        "joint_names": list(robot.joint_names),
        "kp": robot.kp.tolist(),
        "kd": robot.kd.tolist(),
        "torque_limit": [float(most) if np.isfinite(most) else None for most in robot.torque_limit],
        "may_touch": [robot.bodies[body - 1] for body in may_touch],
        "ends": [robot.bodies[body - 1] for body in robot.ends],
        "clips": [_clip(clips, number) for number in range(len(clips.rows))],
    }


def _clip(clips: Reference, number: int) -> dict[str, Any]:
    first = int(clips.first[number])
    rows = slice(first, first + int(clips.rows[number]))

    def listed(table: jax.Array, part: slice | int) -> list[Any]:
        return np.asarray(table, np.float64)[part].round(DECIMALS).tolist()

    return {
        "loop": bool(clips.loops[number]),
        "cycle": listed(clips.cycle, number),
        "qpos": listed(clips.qpos, rows),
        "qvel": listed(clips.qvel, rows),
        "lift": listed(clips.lift, rows),
    }


def mjcf(robot: Character) -> str:
    """The robot and its floor as MJCF that names no other file, to MuJoCo's full precision.

    Of its geoms those are there that could touch the floor; they may (`contype` 1), and touch nothing else.
    """
    m = robot.model
    top = ElementTree.Element("mujoco", model=robot.name)
    _add(top, "compiler", angle="radian", autolimits="false")
    # What `characters.prepare` has set, and the little else that a step goes by.
    option = _add(
        top,
        "option",
        timestep=m.opt.timestep,
        gravity=m.opt.gravity,
        impratio=m.opt.impratio,
        integrator="Euler",
        cone="pyramidal",
    )
    _add(option, "flag", eulerdamp="disable")
    places = [_add(top, "worldbody")]
    for body in range(m.nbody):
        if body:
            places.append(_body(places[m.body_parentid[body]], robot, body))
        for joint in np.flatnonzero(m.jnt_bodyid == body):
            _joint(places[body], robot, int(joint))
        for geom in np.flatnonzero(m.geom_bodyid == body):
            if body == 0 or geom in robot.geoms:
                _geom(places[body], m, int(geom))
    ElementTree.indent(top)
    return ElementTree.tostring(top, "unicode")


def _body(parent: ElementTree.Element, robot: Character, body: int) -> ElementTree.Element:
    m = robot.model
    found = _add(parent, "body", name=robot.bodies[body - 1], pos=m.body_pos[body], quat=m.body_quat[body])
    if m.body_mass[body]:
        moment = {"mass": m.body_mass[body], "diaginertia": m.body_inertia[body]}
        _add(found, "inertial", pos=m.body_ipos[body], quat=m.body_iquat[body], **moment)
    return found


def _joint(body: ElementTree.Element, robot: Character, joint: int) -> None:
    m, dof = robot.model, int(robot.model.jnt_dofadr[joint])
    kind = int(m.jnt_type[joint])
    found = {"damping": m.dof_damping[dof], "armature": m.dof_armature[dof]}
    if kind != FREE:
        found["pos"] = m.jnt_pos[joint]
    if kind == HINGE:
        found |= {"axis": m.jnt_axis[joint], "ref": m.qpos0[m.jnt_qposadr[joint]]}
    if m.jnt_limited[joint]:
        found |= {"limited": "true", "range": m.jnt_range[joint], "margin": m.jnt_margin[joint]}
    found |= {"solreflimit": m.jnt_solref[joint], "solimplimit": m.jnt_solimp[joint]}
    _add(body, "joint", name=robot.joint_names[joint], type=JOINTS[kind], **found)


def _geom(body: ElementTree.Element, m: mujoco.MjModel, geom: int) -> None:
    floor = int(m.geom_bodyid[geom]) == 0
    names = ("pos", "quat", "size", "friction", "solref", "solimp", "margin", "gap", "condim", "priority", "solmix")
    found = {name: getattr(m, f"geom_{name}")[geom] for name in (*names, "rgba")}
    touches = {"contype": int(not floor), "conaffinity": int(floor)}
    _add(body, "geom", type=GEOMS[int(m.geom_type[geom])], mass=0, **touches, **found)


def _add(parent: ElementTree.Element, tag: str, **values: Any) -> ElementTree.Element:
    """Adds an element; numbers and arrays are written so that they are read again as they are."""
    told = {name: value if isinstance(value, str) else _numbers(value) for name, value in values.items()}
    return ElementTree.SubElement(parent, tag, told)


def _numbers(value: Any) -> str:
    return " ".join(json.dumps(number) for number in np.atleast_1d(value).tolist())
