"""Motion clips: poses of a robot at equal distances in time, in one form of our own."""

import dataclasses
import pathlib
import zipfile
from collections.abc import Sequence

import numpy as np

FIELDS = ("fps", "qpos", "joint_names", "loop")
NORM = 0.02  # how far a quaternion's length may be from 1; it is made 1
UNIFORM = 1e-3  # frames whose durations differ by less, of their mean, last equally long
FPS = (1.0, 2000.0)


class BadClip(ValueError):
    """A clip that cannot be used; the message is one line that says why."""


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
    if clip.joint_names[1:] != tuple(joint_names[1:]):
        mine, its = set(clip.joint_names[1:]), set(joint_names[1:])
        odd = [f"{name} is the clip's alone" for name in clip.joint_names[1:] if name not in its][:1]
        odd += [f"{name} is the robot's alone" for name in joint_names[1:] if name not in mine][:1]
        raise BadClip(f"{source} has other joints than the robot: {', '.join(odd) or 'they are in another order'}")
    if clip.qpos.ndim != 2 or len(clip.qpos) < 2:
        count = len(clip.qpos) if clip.qpos.ndim else 0
        raise BadClip(f"{source} has {count} frame{'s' * (count != 1)}: a motion has two or more")
    if not FPS[0] <= clip.fps <= FPS[1]:
        raise BadClip(f"{source} has {clip.fps:g} frames per second: that must be from {FPS[0]:g} to {FPS[1]:g}")
    finite = np.isfinite(clip.qpos).all(axis=1)
    if not finite.all():
        raise BadClip(
            f"{source} has numbers that are not finite in {(~finite).sum()} frames, first in {finite.argmin()}"
        )
    qpos = clip.qpos.copy()
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
    return dataclasses.replace(clip, qpos=qpos)


def load(path: pathlib.Path) -> Clip:
    """A clip that `Clip.save` wrote.

    Raises:
      BadClip: if the file is none.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in FIELDS if name not in file.files]
            if missing:
                raise BadClip(f"{path} has no {' and no '.join(missing)}; it has {', '.join(file.files)}")
            names = tuple(map(str, file["joint_names"].reshape(-1)))
            return Clip(float(file["fps"]), file["qpos"].astype(np.float64), names, bool(file["loop"]))
    except BadClip:
        raise
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise BadClip(f"{path} cannot be read: {' '.join(str(error).split())}") from error


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
