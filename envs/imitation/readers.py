"""Clips in other people's files, by what is in them; pickles only where they hold arrays and nothing else."""

import pathlib
import pickle
import zipfile
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from envs.imitation import clips, deepmimic
from envs.imitation.characters import BALL, Character
from envs.imitation.clips import BadClip, Clip

Order = Literal["wxyz", "xyzw"]
KNOWN = "npz (ours, mjlab's, holosoma's, loco-mujoco's), DeepMimic's JSON, CSV, or MimicKit's or GMR's pickle"
UPRIGHT, APART = 0.8, 0.1  # the root's axis points up by so much of 1 on average; two readings of it differ by so much
MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
MAKERS = ("ndarray", "dtype", "_reconstruct", "scalar", "_frombuffer")


def read(path: pathlib.Path, robot: Character, fps: float = 0.0, quaternion: Order | None = None) -> Clip:
    """The motion of `robot` that a file holds.

    Args:
      path: the file.
      robot: whose motion it is.
      fps: frames per second, where the file does not say; 0 if that is not known.
      quaternion: the order of numbers in a quaternion, where the file does not say and it cannot be recognised.

    Raises:
      BadClip: if the file is none of the known ones, or does not fit the robot.
    """
    kinds: dict[str, Callable[[], Clip]] = {
        ".npz": lambda: _npz(path, robot, fps),
        ".csv": lambda: _csv(path, robot, fps, quaternion),
        ".pkl": lambda: _pickle(path, robot),
        ".txt": lambda: deepmimic.clip(path, robot),
        ".json": lambda: deepmimic.clip(path, robot),
    }
    if path.suffix not in kinds:
        raise BadClip(f"{path} ends in {path.suffix or 'nothing'}: a clip is {KNOWN}")
    if not path.is_file():
        raise BadClip(f"there is no file {path}")
    return clips.checked(kinds[path.suffix](), path, robot.joint_names, robot.balls)


def _rate(path: pathlib.Path, found: Any, given: float) -> float:
    """Frames per second: what the file says, or what is given where it does not."""
    rate = float(np.asarray(found).reshape(-1)[0]) if found is not None else given
    if not rate:
        raise BadClip(f"{path} does not say how many frames a second has: give --fps")
    return rate


def _with_root(
    path: pathlib.Path, robot: Character, rate: float, position: np.ndarray, quaternion: np.ndarray, joints: np.ndarray
) -> Clip:
    """A clip of a robot of hinges, not a loop: root [T, 3] and [T, 4] (w x y z), joint angles [T, n]."""
    if joints.ndim != 2 or joints.shape[1] + 7 != robot.model.nq:
        raise BadClip(
            f"{path} has {joints.shape[-1]} joint angles a frame, and {robot.name} {robot.model.nq - 7} numbers below "
            "its root"
        )
    return Clip(
        rate, np.concatenate([position, quaternion, joints], axis=1).astype(float), robot.joint_names, loop=False
    )


def _npz(path: pathlib.Path, robot: Character, fps: float) -> Clip:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = set(file.files)
            if set(clips.FIELDS) <= names:
                return clips.load(path)
            if {"qpos", "frequency"} <= names:  # loco-mujoco
                return Clip(
                    _rate(path, file["frequency"], fps), file["qpos"].astype(float), robot.joint_names, loop=False
                )
            if "joint_pos" in names:
                joints, rate = file["joint_pos"], _rate(path, file["fps"] if "fps" in names else None, fps)
                if joints.ndim == 2 and joints.shape[1] == robot.model.nq:  # holosoma, with the root in it
                    return _with_root(path, robot, rate, joints[:, :3], joints[:, 3:7], joints[:, 7:])
                if {"body_pos_w", "body_quat_w"} <= names:  # mjlab; its first body is the root
                    return _with_root(path, robot, rate, file["body_pos_w"][:, 0], file["body_quat_w"][:, 0], joints)
    except BadClip:
        raise
    except (OSError, ValueError, TypeError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise BadClip(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    raise BadClip(f"{path} has {', '.join(sorted(names)) or 'nothing'}: a clip is {KNOWN}")


def _csv(path: pathlib.Path, robot: Character, fps: float, order: Order | None) -> Clip:
    """Rows of root position (m), quaternion and joint angles (rad), as Unitree's; without a header."""
    try:
        rows = np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise BadClip(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if rows.shape[1] < 7:
        raise BadClip(f"{path} has {rows.shape[1]} columns: root position, quaternion and joint angles are wanted")
    quaternion = rows[:, 3:7]
    if (order or _order(path, quaternion)) == "xyzw":
        quaternion = np.roll(quaternion, 1, axis=1)
    return _with_root(path, robot, _rate(path, None, fps), rows[:, :3], quaternion, rows[:, 7:])


def _order(path: pathlib.Path, quaternion: np.ndarray) -> Order:
    """The order in which a robot that walks and turns is upright, if there is one such order."""
    squares = np.square(quaternion)
    up: dict[Order, float] = {
        "wxyz": float(1 - 2 * (squares[:, 1] + squares[:, 2]).mean()),
        "xyzw": float(1 - 2 * (squares[:, 0] + squares[:, 1]).mean()),
    }
    better, worse = sorted(up, key=lambda order: -up[order])
    if up[better] < UPRIGHT or up[better] - up[worse] < APART:
        raise BadClip(f"{path} does not show in which order its quaternions are: give --quaternion wxyz, or xyzw")
    return better


class _Arrays(pickle.Unpickler):
    """Reads what is made of plain values and NumPy's arrays, and runs nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module in MODULES and name in MAKERS:
            return super().find_class(module, name)
        raise BadClip(f"it would run {module}.{name}, and only arrays are read from a pickle")


def _pickle(path: pathlib.Path, robot: Character) -> Clip:
    try:
        with path.open("rb") as file:
            found = _Arrays(file).load()
    except BadClip as error:
        raise BadClip(f"{path}: {error}") from error
    except Exception as error:  # a pickle that is spoilt can raise anything
        raise BadClip(f"{path} cannot be read: {type(error).__name__} {' '.join(str(error).split())}") from error
    if not isinstance(found, dict) or not {"fps"} < set(found):
        raise BadClip(f"{path} is neither MimicKit's nor GMR's: it holds no dictionary with fps")
    try:
        if "frames" in found:
            return _mimickit(path, robot, found)
        if {"root_pos", "root_rot", "dof_pos"} <= set(found):
            position, turned, joints = (np.asarray(found[name], float) for name in ("root_pos", "root_rot", "dof_pos"))
            return _with_root(path, robot, float(found["fps"]), position, np.roll(turned, 1, axis=1), joints)
    except (ValueError, TypeError, IndexError) as error:
        raise BadClip(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    raise BadClip(f"{path} has {', '.join(map(str, found))}: a clip is {KNOWN}")


def _mimickit(path: pathlib.Path, robot: Character, found: dict[str, Any]) -> Clip:
    """Frames of root position, and the root's and each joint's rotation vector, or angle where it is a hinge."""
    frames = np.asarray(found["frames"], float)
    m = robot.model
    if frames.ndim != 2 or frames.shape[1] != m.nv:
        raise BadClip(f"{path} has {frames.shape[-1]} numbers a frame, and {robot.name} {m.nv} coordinates")
    qpos = np.empty((len(frames), m.nq))
    qpos[:, :3], qpos[:, 3:7] = frames[:, :3], from_rotation_vectors(frames[:, 3:6])
    for joint in range(1, m.njnt):
        q, v = m.jnt_qposadr[joint], m.jnt_dofadr[joint]
        if m.jnt_type[joint] == BALL:
            qpos[:, q : q + 4] = from_rotation_vectors(frames[:, v : v + 3])
        else:
            qpos[:, q] = frames[:, v]
    return Clip(float(found["fps"]), qpos, robot.joint_names, loop=bool(found.get("loop_mode", 0)))


def from_rotation_vectors(vectors: np.ndarray) -> np.ndarray:
    """Quaternions [T, 4] (w x y z) of rotation vectors [T, 3] (rad)."""
    angle = np.linalg.norm(vectors, axis=1, keepdims=True)
    scale = np.where(angle > 1e-9, np.sin(angle / 2) / np.where(angle > 1e-9, angle, 1.0), 0.5)
    return np.concatenate([np.cos(angle / 2), scale * vectors], axis=1)
