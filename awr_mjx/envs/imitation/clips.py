"""Motion clips: poses of a robot at equal distances in time, in one form of our own."""

import dataclasses
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from awr_mjx.envs.imitation.errors import BadClip

FIELDS = ("fps", "qpos", "joint_names", "loop")
NORM = 0.02  # how far a quaternion's length may be from 1; it is made 1
UNIFORM = 1e-3  # frames whose durations differ by less, of their mean, last equally long
FPS = (1.0, 2000.0)
FAR = 1e4  # rad or m: nothing that moves for minutes is so far from where it was
PICKLED = np.empty(0, object)  # stands for an array that only a pickle can hold, and that is not read


@dataclasses.dataclass(frozen=True)
class Clip:
    """A motion.

    Attributes:
      fps: frames per second.
      qpos: float64 [T, nq], MuJoCo's positions (m, rad, unit quaternions w x y z), T >= 2; z points up.
      joint_names: of the joints in the order of `qpos`, the free root's first.
      loop: whether it goes on from its first frame when the last is reached: that one is the first of the next cycle,
        moved and turned by what a cycle moves and turns the root.
    """

    fps: float
    qpos: np.ndarray
    joint_names: tuple[str, ...]
    loop: bool

    @property
    def seconds(self) -> float:
        """From the first frame to the last."""
        return (len(self.qpos) - 1) / self.fps

    @classmethod
    def at_times(
        cls, times: np.ndarray, qpos: np.ndarray, joint_names: Sequence[str], loop: bool, balls: Sequence[int]
    ) -> "Clip":
        """The clip of poses [T, nq] at rising `times` [T] (s); resampled if these are not equally far apart."""
        steps = np.diff(times)
        if np.ptp(steps) > UNIFORM * steps.mean():
            count = max(2, round(float(times[-1] - times[0]) / float(steps.min())) + 1)
            even = np.linspace(times[0], times[-1], count)
            qpos, times = interpolated(qpos, np.interp(even, times, np.arange(len(times))), balls), even
        fps = (len(times) - 1) / float(times[-1] - times[0])
        return cls(fps, np.asarray(qpos, np.float64), tuple(joint_names), loop)

    def save(self, path: pathlib.Path) -> None:
        """Writes it as npz, without a pickle in it."""
        with path.open("wb") as file:
            np.savez(
                file, fps=self.fps, qpos=self.qpos, joint_names=np.array(self.joint_names, dtype=str), loop=self.loop
            )


def checked(clip: Clip, source: object, joint_names: Sequence[str], balls: Sequence[int]) -> Clip:
    """The clip with quaternions of length 1 and without jumps in their signs, if it fits a robot.

    Args:
      clip: the clip.
      source: what to call it in messages.
      joint_names: the robot's, in the order of its `qpos`.
      balls: where in `qpos` quaternions begin.

    Raises:
      BadClip: if it is of another robot, or is no motion: one frame, numbers that are not finite, a strange rate.
    """
    clip = _ordered(clip, source, joint_names, balls)
    if not FPS[0] <= clip.fps <= FPS[1]:
        raise BadClip(f"{source} has {clip.fps:g} frames per second: that must be from {FPS[0]:g} to {FPS[1]:g}")
    width = 7 + len(joint_names[1:]) + 3 * len(balls[1:])
    return dataclasses.replace(clip, qpos=sound(clip.qpos, source, width, balls))


def _ordered(clip: Clip, source: object, joint_names: Sequence[str], balls: Sequence[int]) -> Clip:
    """The clip with its joints in the robot's order.

    Raises:
      BadClip: if it has others.
    """
    its, mine = clip.joint_names[1:], tuple(joint_names[1:])
    if its == mine:
        return clip
    odd = [f"{name} is the clip's alone" for name in its if name not in mine][:1]
    odd += [f"{name} is the robot's alone" for name in mine if name not in its][:1]
    if odd or sorted(its) != sorted(mine):
        raise BadClip(f"{source} has other joints than the robot: {', '.join(odd) or 'one is there twice'}")
    wide, start, place = dict[str, int](), dict[str, int](), 7
    for name in mine:
        wide[name] = 4 if place in balls else 1
        place += wide[name]
    place = 7
    for name in its:
        start[name], place = place, place + wide[name]
    if clip.qpos.ndim != 2 or clip.qpos.shape[1] != place:
        return clip  # `sound` says so
    order = [*range(7), *(start[name] + i for name in mine for i in range(wide[name]))]
    return dataclasses.replace(clip, qpos=clip.qpos[:, order], joint_names=(clip.joint_names[0], *mine))


def sound(qpos: np.ndarray, source: object, width: int, balls: Sequence[int]) -> np.ndarray:
    """The poses [T, width] with quaternions of length 1 and without jumps in their signs.

    Args:
      qpos: the poses [T, width] (m, rad, quaternions w x y z).
      source: what to call them in messages.
      width: how many numbers a pose of the robot has.
      balls: where in a pose quaternions begin.

    Raises:
      BadClip: if they are no motion of such a robot.
    """
    if qpos.ndim != 2:
        raise BadClip(f"{source} has qpos of shape {list(qpos.shape)}: a row for each frame is wanted")
    if len(qpos) < 2:
        raise BadClip(f"{source} has {len(qpos)} frame{'s' * (len(qpos) != 1)}: a motion has two or more")
    if qpos.shape[1] != width:
        raise BadClip(f"{source} has {qpos.shape[1]} numbers a frame, and the robot {width}")
    finite = np.isfinite(qpos).all(axis=1)
    if not finite.all():
        raise BadClip(
            f"{source} has numbers that are not finite in {(~finite).sum()} of {len(qpos)} frames, first in "
            f"{finite.argmin()}"
        )
    if (far := float(np.abs(qpos).max())) > FAR:
        raise BadClip(f"{source} has a number of {far:.3g}: angles are in radians, places in metres")
    qpos = qpos.copy()
    for first in balls:
        part = qpos[:, first : first + 4]
        length = np.linalg.norm(part, axis=1)
        if (np.abs(length - 1) > NORM).any():
            frame = int(np.abs(length - 1).argmax())
            raise BadClip(
                f"{source} has a quaternion of length {length[frame]:.3g} in frame {frame}, numbers {first} to "
                f"{first + 3}: it must be 1"
            )
        part /= length[:, None]
        against = (part[1:] * part[:-1]).sum(axis=1) < 0
        part *= np.append(1.0, np.where(np.cumsum(against) % 2, -1.0, 1.0))[:, None]
    return qpos


def arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """All that is in an npz file, by name; arrays of any shape, and those that only a pickle can hold as `PICKLED`.

    Raises:
      BadClip: if the file is none, or is damaged.
    """
    try:
        with path.open("rb") as stream:  # NumPy leaves one open that it opened itself, if it is spoilt
            if not zipfile.is_zipfile(stream):  # NumPy would take it for a pickle
                raise BadClip(f"{path} cannot be read: it is no npz")
            stream.seek(0)
            found = np.load(stream, allow_pickle=False)
            with found as file:
                return {name: _array(file, name) for name in file.files}
    except BadClip:
        raise
    except Exception as error:  # a file that is spoilt can raise anything: of NumPy, zipfile, zlib, struct
        raise BadClip(f"{path} cannot be read: {' '.join(str(error).split()) or type(error).__name__}") from error


def _array(file: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(file[name])
    except ValueError as error:
        if "allow_pickle" in str(error):  # it may be one that nobody needs
            return PICKLED
        raise


def plain(found: Mapping[str, np.ndarray], name: str, source: object) -> np.ndarray:
    """One of the `arrays` of a file, of any shape.

    Raises:
      BadClip: if it is `PICKLED`.
    """
    if found[name].dtype == object:
        raise BadClip(
            f"{source} holds {name} as a pickle, which could run code: save it as an array of numbers or text"
        )
    return found[name]


def load(path: pathlib.Path) -> Clip:
    """A clip that `Clip.save` wrote.

    Raises:
      BadClip: if the file is none.
    """
    return of(arrays(path), path)


def of(found: Mapping[str, np.ndarray], source: object) -> Clip:
    """The clip in arrays by the names, and of the shapes, of `Clip`'s attributes (qpos [T, nq]).

    Raises:
      BadClip: if they are none.
    """
    missing = [name for name in FIELDS if name not in found]
    if missing:
        raise BadClip(f"{source} has no {' and no '.join(missing)}; it has {', '.join(found) or 'nothing'}")
    fps, qpos, names, loop = (plain(found, name, source) for name in FIELDS)
    if loop.size != 1 or loop.dtype.kind not in "bui" or loop.item() not in (0, 1):
        raise BadClip(f"{source} has loop {loop.reshape(-1)[:1]}: true or false is wanted")
    return Clip(rate(fps, source), numbers(qpos, "qpos", source), words(names), bool(loop.item()))


def rate(fps: np.ndarray, source: object) -> float:
    """Frames per second as a file has them, an array with one number.

    Raises:
      BadClip: if it is something else.
    """
    if fps.size != 1 or fps.dtype.kind not in "uif":
        raise BadClip(f"{source} has fps {fps.reshape(-1)[:3]}: one number is wanted, frames per second")
    return float(fps.item())


def numbers(values: np.ndarray, name: str, source: object) -> np.ndarray:
    """Real numbers of any shape as float64.

    Raises:
      BadClip: if they are text, complex or dates.
    """
    if values.dtype.kind not in "buif":
        raise BadClip(f"{source} has {name} of type {values.dtype}: real numbers are wanted")
    with np.errstate(over="ignore"):  # what is too large is not finite then, and is refused
        return values.astype(np.float64)


def words(names: np.ndarray) -> tuple[str, ...]:
    """Names of any shape, text or bytes."""
    return tuple(name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names.reshape(-1))


def interpolated(qpos: np.ndarray, frames: np.ndarray, balls: Sequence[int]) -> np.ndarray:
    """Poses [n, nq] at places [n] between the frames of `qpos` [T, nq]; quaternions turn evenly."""
    before = np.clip(np.floor(frames).astype(int), 0, len(qpos) - 2)
    share = (frames - before)[:, None]
    first, second = qpos[before], qpos[before + 1]
    found = first + share * (second - first)
    for ball in balls:
        a, b = first[:, ball : ball + 4], second[:, ball : ball + 4]
        dot = (a * b).sum(axis=1, keepdims=True)
        b, dot = np.where(dot < 0, -b, b), np.minimum(np.abs(dot), 1.0)
        angle = np.arccos(dot)
        near = angle < 1e-6
        sine = np.where(near, 1.0, np.sin(angle))
        turned = np.where(
            near, a + share * (b - a), (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / sine
        )
        found[:, ball : ball + 4] = turned / np.linalg.norm(turned, axis=1, keepdims=True)
    return found
