"""Characters and clips in DeepMimic's JSON: the user's own copies of them, of `xbpeng/DeepMimic`.

There y points up, x forward and z to the right; here z points up and y to the left: (x, y, z) becomes (x, -z, y). The
numbers of joints, bodies and frames are in the files; gains are in others there, and so in a table here.
"""

import json
import pathlib
from typing import Any

import mujoco
import numpy as np

from awr_mjx.envs.imitation import clips
from awr_mjx.envs.imitation.characters import Character, prepare, trunk_of
from awr_mjx.envs.imitation.clips import FPS, Clip
from awr_mjx.envs.imitation.errors import BadCharacter, BadClip
from awr_mjx.envs.imitation.scene import BODY, FRICTION, furnish

# Stiffness of the servos (N m/rad) by what a joint's name ends with; the damping is a tenth of it (s).
# Source: `data/controllers/{humanoid3d,dog3d}_ctrl.txt` there.
STIFFNESS = {
    "humanoid": {"chest": 1000, "neck": 100, "hip": 500, "knee": 500, "ankle": 400, "shoulder": 400, "elbow": 300},
    "dog": {
        "spine0": 500, "spine1": 500, "neck": 100, "head": 50, "shoulder": 200, "forearm": 200, "hand": 100,
        "finger": 50, "upper_leg": 300, "leg": 200, "foot": 150, "toe": 80, "tail0": 20, "tail1": 10,
    },
}  # fmt: skip
DAMPING = 0.1  # seconds of stiffness
LOOSE = 0.3  # how far from 1 the length of a quaternion may be
TIMESTEP = 1 / 60  # s, two of them in a control step
ARMATURE = 0.01  # kg m^2, which DeepMimic does not have, for steps as long as ours
KINDS = {
    "none": mujoco.mjtJoint.mjJNT_FREE,
    "spherical": mujoco.mjtJoint.mjJNT_BALL,
    "revolute": mujoco.mjtJoint.mjJNT_HINGE,
    "fixed": None,
}
FEET = {"humanoid": ("ankle",), "dog": ("finger", "toe")}  # what may touch the floor


def turned(xyz: np.ndarray) -> np.ndarray:
    """Vectors [..., 3] of DeepMimic's axes in ours."""
    return np.stack([xyz[..., 0], -xyz[..., 2], xyz[..., 1]], axis=-1)


def turned_quaternions(wxyz: np.ndarray) -> np.ndarray:
    """Rotations [..., 4] of DeepMimic's axes in ours."""
    return np.stack([wxyz[..., 0], wxyz[..., 1], -wxyz[..., 3], wxyz[..., 2]], axis=-1)


def _json(path: pathlib.Path, error: type[ValueError]) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except OSError as reason:
        raise error(f"{path} cannot be read: {reason.strerror}") from reason
    except (ValueError, RecursionError) as reason:
        raise error(f"{path} is no JSON: {reason}") from reason
    if not isinstance(found, dict):
        raise error(f"{path} is not DeepMimic's: it holds no object")
    return found


def character(path: pathlib.Path) -> Character:
    """The robot in a character file, `humanoid3d.txt` or `dog3d.txt`.

    Raises:
      BadCharacter: if the file is not one of DeepMimic's characters.
    """
    found = _json(path, BadCharacter)
    try:
        return _character(path, found["Skeleton"]["Joints"], found["BodyDefs"])
    except BadCharacter:
        raise
    except (KeyError, TypeError, IndexError, ValueError, ZeroDivisionError) as reason:
        words = " ".join(str(reason).split())
        raise BadCharacter(f"{path} is no character of DeepMimic's: {type(reason).__name__} {words}") from reason


def _character(path: pathlib.Path, joints: list[dict[str, Any]], bodies: list[dict[str, Any]]) -> Character:
    names = [joint["Name"] for joint in joints]
    kind = "dog" if any("tail" in name for name in names) else "humanoid"
    movable = [joint for joint in joints if joint["Type"] != "fixed"]
    model = _spec(joints, bodies, path).compile()
    prepare(model, TIMESTEP)
    # MuJoCo numbers joints limb by limb, and a frame has them in the order of the file.
    ordered = sorted(movable, key=lambda joint: model.joint(joint["Name"]).id)
    kp = np.zeros(model.nv)
    for i, joint in enumerate(ordered[1:], 1):
        kp[model.dof_jntid == i] = _stiffness(joint["Name"], kind, path)
    return Character(
        name=path.stem,
        model=model,
        kp=kp,
        kd=DAMPING * kp,
        torque_limit=np.array([np.inf, *(float(joint["TorqueLim"]) for joint in ordered[1:])]),
        weight=np.array([abs(joint["DiffWeight"]) for joint in ordered])
        / sum(abs(joint["DiffWeight"]) for joint in joints),
        joints=len(joints),
        ends=tuple(model.body(joint["Name"]).id for joint in joints if joint["IsEndEffector"]),
        geoms=tuple(model.geom(name).id for name in names),
        may_touch=tuple(model.body(name).id for name in names if name.endswith(FEET[kind])),
        trunk=trunk_of(model),
        frame_order=tuple(joint["Name"] for joint in movable),
    )


def _stiffness(name: str, kind: str, path: pathlib.Path) -> float:
    known = [end for end in STIFFNESS[kind] if name.endswith(end)]
    if not known:
        raise BadCharacter(f"{path} has a joint {name}, whose gains are not known")
    return float(STIFFNESS[kind][max(known, key=len)])


def _spec(joints: list[dict[str, Any]], bodies: list[dict[str, Any]], path: pathlib.Path) -> mujoco.MjSpec:
    """The model, in which nothing but the floor can be touched yet."""
    spec = mujoco.MjSpec()
    spec.add_default("main") if spec.default is None else None
    placed: list[Any] = []
    for joint, shape in zip(joints, bodies, strict=True):
        parent = spec.worldbody if joint["Parent"] < 0 else placed[joint["Parent"]]
        body = parent.add_body(name=joint["Name"], pos=turned(_vector(joint, "Attach")))
        placed.append(body)
        if joint["Type"] not in KINDS:
            raise BadCharacter(f"{path}: joint {joint['Name']} is {joint['Type']}: {', '.join(KINDS)} are known")
        kind = KINDS[joint["Type"]]
        if kind is not None:
            made = body.add_joint(name=joint["Name"], type=kind)
            made.armature = ARMATURE if joint["Parent"] >= 0 else 0.0
            if kind == mujoco.mjtJoint.mjJNT_HINGE:
                made.axis = turned(np.array([0.0, 0.0, 1.0]))
                made.limited, made.range = True, [joint["LimLow0"], joint["LimHigh0"]]
        geom = body.add_geom(name=joint["Name"], mass=shape["Mass"], friction=[FRICTION, 0.005, 0.0001])
        geom.type, geom.size = _shape(shape)
        geom.pos, geom.contype, geom.conaffinity = turned(_vector(shape, "Attach")), 0, 0
        geom.rgba = BODY
        angle = np.zeros(4)
        axes = np.flatnonzero(_vector(shape, "AttachTheta"))
        if len(axes) > 1:
            raise ValueError(f"body {shape['Name']} is turned about more than one axis")
        turn = np.zeros(3)
        turn[axes] = 1.0
        mujoco.mju_axisAngle2Quat(
            angle, turn if len(axes) else np.array([1.0, 0, 0]), _vector(shape, "AttachTheta").sum()
        )
        geom.quat = turned_quaternions(angle)
    spec.compiler.degree = False
    furnish(spec)
    return spec


def _vector(found: dict[str, Any], name: str) -> np.ndarray:
    return np.array([found[f"{name}{axis}"] for axis in "XYZ"], float)


def _shape(shape: dict[str, Any]) -> tuple[mujoco.mjtGeom, list[float]]:
    """Kind and half sizes of a geom; a capsule lies along DeepMimic's y, which is MuJoCo's z."""
    first, second, third = (float(shape[f"Param{i}"]) / 2 for i in range(3))
    if shape["Shape"] == "sphere":
        return mujoco.mjtGeom.mjGEOM_SPHERE, [first, 0, 0]
    if shape["Shape"] == "capsule":
        return mujoco.mjtGeom.mjGEOM_CAPSULE, [first, second, 0]
    if shape["Shape"] == "box":
        return mujoco.mjtGeom.mjGEOM_BOX, [first, third, second]
    raise ValueError(f"body {shape['Name']} is a {shape['Shape']}")


def clip(path: pathlib.Path, robot: Character) -> Clip:
    """The motion in a clip file, of `robot`; frames that last differently are resampled to the shortest.

    Raises:
      BadClip: if the file is not one of DeepMimic's clips, or of another robot.
    """
    found = _json(path, BadClip)
    try:
        frames = np.array(found["Frames"], float)
        loop = found["Loop"] == "wrap"
    except (KeyError, TypeError, ValueError) as reason:
        words = " ".join(str(reason).split())
        raise BadClip(f"{path} is no clip of DeepMimic's: {type(reason).__name__} {words}") from reason
    if not robot.frame_order:
        raise BadClip(f"{path} is a clip of DeepMimic's, and {robot.name} none of its characters")
    if frames.ndim != 2:
        raise BadClip(f"{path} is no clip of DeepMimic's: its frames are no rows of numbers")
    if frames.shape[1] != robot.model.nq + 1:
        raise BadClip(f"{path} has {frames.shape[1] - 1} numbers a frame, and {robot.name} {robot.model.nq}")
    m = robot.model
    sizes = {name: (7, 4, 0, 1)[m.joint(name).type[0]] for name in robot.frame_order}
    qpos, column = np.empty((len(frames), m.nq)), 1
    for name, size in sizes.items():
        place = int(m.joint(name).qposadr[0])
        qpos[:, place : place + size] = frames[:, column : column + size]
        column += size
    qpos[:, :3] = turned(qpos[:, :3])
    for first in robot.balls:
        part = turned_quaternions(qpos[:, first : first + 4])
        length = np.linalg.norm(part, axis=1, keepdims=True)
        loose = np.abs(length - 1) < LOOSE  # its clips are up to 0.12 off, and DeepMimic makes it 1
        qpos[:, first : first + 4] = part / np.where(loose, length, 1.0)
    qpos = clips.sound(qpos, path, m.nq, robot.balls)
    seconds = frames[:-1, 0]
    if not ((seconds >= 1 / FPS[1]) & (seconds <= 1 / FPS[0])).all():
        raise BadClip(f"{path} has frames that do not last from {1 / FPS[1]:g} to {1 / FPS[0]:g} s")
    return Clip.at_times(np.append(0.0, np.cumsum(seconds)), qpos, robot.joint_names, loop, robot.balls)
