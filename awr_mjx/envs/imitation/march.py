"""A clip that nobody had to record: the project's humanoid marches on the spot."""

import pathlib

import mujoco
import numpy as np

from awr_mjx.envs.imitation import mjcf
from awr_mjx.envs.imitation.characters import Character
from awr_mjx.envs.imitation.clips import Clip
from awr_mjx.envs.physics.ground import ground

HUMANOID = pathlib.Path(__file__).parent / "assets" / "humanoid.xml"
FPS, SECONDS = 60, 1.2  # of a cycle of two steps
LIFT, LEAN, SWING = 0.9, 0.05, 0.5  # rad: of a thigh, of the legs to the side on which it stands, of an arm


def humanoid() -> Character:
    """The project's own humanoid."""
    return mjcf.character(HUMANOID)


def march(robot: Character | None = None) -> Clip:
    """A cycle in which one leg is lifted and then the other, over the foot that stands, which does not slide."""
    robot = robot or humanoid()
    m = robot.model
    count = round(FPS * SECONDS)
    phase = np.arange(count + 1) / count
    qpos = np.tile(m.qpos0, (count + 1, 1))
    data, points = mujoco.MjData(m), ground(m, robot.geoms)
    feet = {side: m.body(f"{side}_foot").id for side in ("left", "right")}
    home: dict[str, np.ndarray] = {}
    for frame, share in enumerate(phase):
        pose = qpos[frame]
        wave = np.sin(2 * np.pi * share)
        up = {"left": max(0.0, wave) ** 2, "right": max(0.0, -wave) ** 2}
        lean = LEAN * np.tanh(2 * wave)  # to the right while the left leg is up
        for side, sign in (("left", 1), ("right", -1)):
            thigh = LIFT * up[side]
            _ball(m, pose, f"{side}_hip", _quat([lean, 0, 0]), _quat([0, -thigh, 0]))
            _hinge(m, pose, f"{side}_knee", 0.05 + 2.0 * thigh)
            _ball(m, pose, f"{side}_ankle", _quat([0, -0.025 - thigh, 0]), _quat([-lean, 0, 0]))
            _ball(m, pose, f"{side}_shoulder", _quat([sign * 0.15, 0, 0]), _quat([0, sign * SWING * wave, 0]))
            _hinge(m, pose, f"{side}_elbow", 0.4)
        data.qpos[:] = pose
        mujoco.mj_kinematics(m, data)
        stands = "right" if wave >= 0 else "left"
        here = data.xpos[feet[stands]].copy()
        if frame == 0:
            home = {side: data.xpos[feet[side]].copy() for side in feet}
        pose[:2] += home[stands][:2] - here[:2]
        data.qpos[:] = pose
        mujoco.mj_kinematics(m, data)
        pose[2] -= points.heights(data.geom_xpos, data.geom_xmat).min()
    return Clip(FPS, qpos, robot.joint_names, loop=True)


def _quat(rotation: list[float]) -> np.ndarray:
    quat, vector = np.zeros(4), np.array(rotation, float)
    angle = float(np.linalg.norm(vector))
    mujoco.mju_axisAngle2Quat(quat, vector / angle if angle else np.array([1.0, 0, 0]), angle)
    return quat


def _ball(m: mujoco.MjModel, pose: np.ndarray, name: str, first: np.ndarray, second: np.ndarray) -> None:
    place = int(m.joint(name).qposadr[0])
    mujoco.mju_mulQuat(pose[place : place + 4], first, second)


def _hinge(m: mujoco.MjModel, pose: np.ndarray, name: str, angle: float) -> None:
    pose[int(m.joint(name).qposadr[0])] = angle
