"""Clips in other people's files, by what is in them; pickles only where they hold arrays and nothing else."""

import pathlib
import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from awr_mjx.envs.imitation import clips, deepmimic
from awr_mjx.envs.imitation.characters import BALL, Character
from awr_mjx.envs.imitation.clips import Clip
from awr_mjx.envs.imitation.errors import BadClip

Order = Literal["wxyz", "xyzw"]
KNOWN = "npz (ours, mjlab's, holosoma's, loco-mujoco's), DeepMimic's JSON, CSV, or MimicKit's or GMR's pickle"
UPRIGHT, APART = 0.8, 0.1  # the root's axis points up by so much of 1 on average; two readings of it differ by so much
MODULES = ("numpy", "numpy._core.multiarray", "numpy._core.numeric")
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
    kind = path.suffix.lower()
    if path.is_dir():
        raise BadClip(f"{path} is a folder: name a file")
    if kind not in kinds:
        raise BadClip(f"{path} ends in {path.suffix or 'nothing'}: a clip is {KNOWN}")
    if not path.is_file():
        raise BadClip(f"there is no file {path}")
    return long_enough(clips.checked(kinds[kind](), path, robot.joint_names, robot.balls), robot, path)


def long_enough(clip: Clip, robot: Character, source: object) -> Clip:
    """The clip, if it lasts two of the robot's physics steps.

    Raises:
      BadClip: if it does not; it is called `source`.
    """
    step = robot.model.opt.timestep
    if round(clip.seconds / step) < 2:
        raise BadClip(f"{source} lasts {clip.seconds:.3g} s: that must be two steps of {step:.3g} s")
    return clip


def _rate(path: pathlib.Path, found: Any, given: float) -> float:
    """Frames per second: what the file says, or what is given where it does not."""
    if found is not None:
        return clips.rate(np.asarray(found).reshape(-1)[:1], path)  # some give it for each frame
    if not given:
        raise BadClip(f"{path} does not say how many frames a second has: give --fps (--env.fps of a task)")
    return given


def _with_root(
    path: pathlib.Path,
    robot: Character,
    rate: float,
    position: np.ndarray,
    quaternion: np.ndarray,
    joints: np.ndarray,
    names: Sequence[str] = (),
) -> Clip:
    """A clip of a robot of hinges, not a loop: root [T, 3] and [T, 4] (w x y z), joint angles [T, n].

    Where the file has the joints' `names`, they may be in another order than the robot's.
    """
    if joints.ndim != 2 or joints.shape[1] + 7 != robot.model.nq:
        raise BadClip(
            f"{path} has {joints.shape[-1]} joint angles a frame, and {robot.name} {robot.model.nq - 7} numbers below "
            "its root"
        )
    mine = robot.joint_names
    qpos = np.concatenate([position, quaternion, joints], axis=1)
    return Clip(rate, clips.numbers(qpos, "motion", path), (mine[0], *names) if names else mine, loop=False)


def _joint_names(found: Mapping[str, np.ndarray], robot: Character) -> tuple[str, ...]:
    """What a file calls the joints below the root; nothing if it does not say."""
    said = clips.words(found.get("joint_names", clips.PICKLED))
    return said[1:] if len(said) == robot.model.njnt else said


def _npz(path: pathlib.Path, robot: Character, fps: float) -> Clip:
    found = clips.arrays(path)
    if {"qpos", "loop"} <= set(found):  # ours, if perhaps not all of it
        return clips.of(found, path)
    names, root = _joint_names(found, robot), robot.joint_names[0]
    try:
        if {"qpos", "frequency"} <= set(found):  # loco-mujoco
            qpos, rate = clips.plain(found, "qpos", path), _rate(path, clips.plain(found, "frequency", path), fps)
            if len(parts := found.get("split_points", np.empty(0))) > 2:
                raise BadClip(f"{path} holds {len(parts) - 1} motions: write each into a file of its own")
            return Clip(
                rate, clips.numbers(qpos, "qpos", path), (root, *names) if names else robot.joint_names, loop=False
            )
        if "joint_pos" in found:
            joints = clips.plain(found, "joint_pos", path)
            rate = _rate(path, clips.plain(found, "fps", path) if "fps" in found else None, fps)
            if joints.ndim == 2 and joints.shape[1] == robot.model.nq:  # holosoma, with the root in it
                return _with_root(path, robot, rate, joints[:, :3], joints[:, 3:7], joints[:, 7:], names)
            if {"body_pos_w", "body_quat_w"} <= set(found):  # mjlab; its first body is the root
                place, turn = (clips.plain(found, name, path)[:, 0] for name in ("body_pos_w", "body_quat_w"))
                return _with_root(path, robot, rate, place, turn, joints, names)
    except BadClip:
        raise
    except (ValueError, TypeError, IndexError) as error:
        raise BadClip(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    raise BadClip(f"{path} has {', '.join(sorted(found)) or 'nothing'}: a clip is {KNOWN}")


def _csv(path: pathlib.Path, robot: Character, fps: float, order: Order | None) -> Clip:
    """Rows of root position (m), quaternion and joint angles (rad), as Unitree's; without a header."""
    try:
        with warnings.catch_warnings():  # that it is empty is said below
            warnings.simplefilter("ignore")
            rows = np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise BadClip(
            f"{path} cannot be read, which must be rows of numbers without a header: {' '.join(str(error).split())}"
        ) from error
    if not rows.size:
        raise BadClip(f"{path} is empty")
    if rows.shape[1] < 7:
        raise BadClip(f"{path} has {rows.shape[1]} columns: root position, quaternion and joint angles are wanted")
    quaternion = rows[:, 3:7]
    clips.sound(rows[:, :7], path, 7, [3])  # first: one of another length would look like one that is not upright
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
        raise BadClip(
            f"{path} does not show in which order its quaternions are: give --quaternion wxyz, or xyzw"
            " (for a task, to awr-mjx clip convert)"
        )
    return better


class _Arrays(pickle.Unpickler):
    """Reads what is made of plain values and NumPy's arrays, and runs nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        now = module.replace("numpy.core", "numpy._core")  # what NumPy 1 called otherwise
        if now in MODULES and name in MAKERS:
            return super().find_class(now, name)
        if (module, name) == ("_codecs", "encode"):  # by which pickles older than Python 3 hold bytes
            return _latin1
        raise BadClip(f"it would run {module}.{name}, and only arrays are read from a pickle")


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise BadClip(f"it holds text in {encoding}, and only arrays are read from a pickle")
    return text.encode(encoding)


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
            return _with_root(path, robot, _rate(path, found["fps"], 0.0), position, np.roll(turned, 1, axis=1), joints)
    except BadClip:
        raise
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
    return Clip(_rate(path, found["fps"], 0.0), qpos, robot.joint_names, loop=bool(found.get("loop_mode", 0)))


def from_rotation_vectors(vectors: np.ndarray) -> np.ndarray:
    """Quaternions [T, 4] (w x y z) of rotation vectors [T, 3] (rad)."""
    angle = np.linalg.norm(vectors, axis=1, keepdims=True)
    scale = np.where(angle > 1e-9, np.sin(angle / 2) / np.where(angle > 1e-9, angle, 1.0), 0.5)
    return np.concatenate([np.cos(angle / 2), scale * vectors], axis=1)
