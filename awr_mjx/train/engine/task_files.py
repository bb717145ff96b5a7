"""The files that a run's task is made of: where they are now, and whether they are those that it was trained with."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated

import tyro

from awr_mjx.envs.registry import TaskOptions
from awr_mjx.train.console.errors import UserError

KINDS = ("robot", "clip")
PARTS = "parts"  # files that the robot's reads: includes, meshes


@dataclasses.dataclass(frozen=True)
class Moved:
    """Where files of a saved run's task are now."""

    robot: str = ""
    """Where the robot of an imitate/ task is now, if its file has been moved since the training."""
    clip: tuple[str, ...] = ()
    """Where its motion clips are now, all of them in their order, if they have been moved since the training."""

    @classmethod
    def to(cls, task: TaskOptions) -> "Moved":
        """They are where the options of a task say."""
        return cls(task.robot, task.clip)


STAYED = Moved()
MovedOption = Annotated[Moved, tyro.conf.arg(name="env")]


def _paths(task: TaskOptions, kind: str) -> list[str]:
    """The files of a kind; what has no ending is the name of something that the project brings itself."""
    given = [task.robot] if kind == "robot" else task.clip
    return [path for path in given if os.path.splitext(path)[1]]


def now(run: pathlib.Path, saved: TaskOptions, moved: Moved) -> TaskOptions:
    """The options of the task that `run` has `saved`, with the files where they are now.

    Raises:
      UserError: if a file is not where the run has it, and nothing says where it is.
    """
    found = dataclasses.replace(saved, robot=moved.robot or saved.robot, clip=moved.clip or saved.clip)
    for kind in KINDS:
        paths = _paths(found, kind)
        gone = [path for path in paths if not os.path.exists(path)]
        if gone and paths != _paths(saved, kind):
            raise UserError(f"there is no file {gone[0]}")
        if gone:
            every = f", all {len(paths)} in this order" if len(paths) > 1 else ""
            raise UserError(
                f"{gone[0]}, which {run} was trained with, is not there any more: say where it is now with "
                f"--env.{kind}{every}"
            )
    return found


def parts(robot: str) -> list[str]:
    """The files that a robot's MJCF reads, in the order of their names; none if it is something else."""
    if not robot.endswith(".xml"):
        return []
    import mujoco  # which a program must not import before it is known whether there will be pictures

    try:
        found = mujoco.mju_getXMLDependencies(robot)
    except mujoco.FatalError:  # it is no XML; whoever builds the task says so
        return []
    return sorted(path for path in found if os.path.realpath(path) != os.path.realpath(robot))


def checksums(task: TaskOptions) -> dict[str, list[str]]:
    """What tells one content of the task's files from another, by their kind.

    Raises:
      UserError: if one cannot be read.
    """
    return {kind: [_checksum(path) for path in _paths(task, kind)] for kind in KINDS} | {
        PARTS: [_checksum(path) for robot in _paths(task, "robot") for path in parts(robot)]
    }


def _checksum(path: str) -> str:
    try:
        return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def changes(run: pathlib.Path, task: TaskOptions, was: Mapping[str, Sequence[str]]) -> list[str]:
    """Lines on the task's files that are others than `run` was trained with, whose checksums it has as they `was`.

    A run of before has none, or none of what the robot's file reads, and nothing is said of these.
    """
    if not was:
        return []
    found, sums = [], checksums(task)
    for kind in KINDS:
        paths, before = _paths(task, kind), was.get(kind, [])
        if len(paths) != len(before):
            found.append(f"{run} was trained with {len(before)} --env.{kind} files, and now there are {len(paths)}")
            continue
        others = [path for path, one, other in zip(paths, sums[kind], before, strict=True) if one != other]
        found += [f"{path} is not the {kind} that {run} was trained with: its content is another" for path in others]
    if PARTS in was and sorted(sums[PARTS]) != sorted(was[PARTS]):
        files = zip(parts(task.robot), sums[PARTS], strict=True)
        others = [path for path, one in files if one not in was[PARTS]]
        which = f"{others[0]} is" if others else "they are"
        found.append(f"{task.robot} reads other files, and {which} not what {run} was trained with")
    return found
