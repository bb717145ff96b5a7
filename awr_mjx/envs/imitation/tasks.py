"""The tasks `imitate/NAME`: which robot, which clips."""

import math
import pathlib
from collections.abc import Sequence

import numpy as np

from awr_mjx.envs.base import UnknownTask
from awr_mjx.envs.imitation import march, readers, reference
from awr_mjx.envs.imitation.characters import Character
from awr_mjx.envs.imitation.clips import FPS, Clip
from awr_mjx.envs.imitation.errors import BadCharacter, BadClip
from awr_mjx.envs.imitation.robots import OWN, robot
from awr_mjx.envs.imitation.task import Actions, Imitation

MARCH = "march"  # the clip that is computed
OFF = 0.1  # m: as far from the floor as only a jump is, or a clip that was recorded on another one
LOW = 0.1  # of how far the robot reaches: a root as low is on the floor
NAMES = {
    "march": "the project's humanoid marches on the spot: a clip that is computed, so nothing has to be brought",
    "humanoid": "a humanoid and a clip of your own, or DeepMimic's humanoid3d",
    "dog": "DeepMimic's dog3d, or another",
    "robot": "any robot in MJCF",
}


def make(
    name: str,
    character: str = "",
    clips: Sequence[str] = (),
    touch: Sequence[str] = (),
    actions: Actions = "residual",
    fps: float = 0.0,
    give_up: float = 0.0,
) -> Imitation:
    """The task `imitate/NAME`.

    Args:
      name: one of `NAMES`.
      character: the robot's file (`robots.robot`).
      clips: files of its clips (`readers.read`).
      touch: names of bodies that may touch the floor besides those that do in the clips.
      actions: what an action means (`Imitation`).
      fps: frames per second of clips that do not say.
      give_up: how far off training gives up, in heights of the root (`Imitation`).

    Raises:
      UnknownTask: if the robot or a clip cannot be used, or is missing.
    """
    if name == MARCH:
        character, clips = character or OWN, clips or (MARCH,)
    if not clips:
        raise UnknownTask(f"imitate/{name} needs a clip to imitate: --env.clip FILE (see awr-mjx clip --help)")
    if not character:
        raise UnknownTask(f"imitate/{name} needs a robot: --env.robot FILE.xml (MJCF), DeepMimic's FILE.txt, or {OWN}")
    if fps and not FPS[0] <= fps <= FPS[1]:
        raise UnknownTask(f"--env.fps must be from {FPS[0]:g} to {FPS[1]:g}, not {fps:g}")
    if not 0 <= give_up < math.inf:
        raise UnknownTask(f"--env.give_up must be a number of heights of the root, or 0 for never, not {give_up:g}")
    try:
        one = robot(character)
        if one.model.njnt == 1:
            raise BadCharacter(f"{one.name} has no joint below its root, so nothing of it could be moved")
        found = [_clip(clip, one, fps) for clip in clips]
        if fps and all(abs(clip.fps - fps) > 1e-6 * fps for clip in found):
            raise BadClip(f"{', '.join(clips)}: how many frames a second has is known, leave --env.fps out")
        unknown = [body for body in touch if body not in one.bodies]
        if unknown:
            raise BadCharacter(f"{one.name} has no body {unknown[0]}: it has {', '.join(one.bodies)}")
        task = Imitation(one.touching(touch), found, actions, give_up)
        task.remarks += _odd(task, dict(zip(clips, found, strict=True)), give_up)
        return task
    except (BadCharacter, BadClip) as error:
        raise UnknownTask(str(error)) from error
    except NotImplementedError as error:
        raise UnknownTask(f"{character} has what cannot be simulated: {error}") from error


def _clip(clip: str, one: Character, fps: float) -> Clip:
    if clip != MARCH:
        return readers.read(pathlib.Path(clip), one, fps)
    if one.joint_names != robot(OWN).joint_names:
        raise BadClip(f"{MARCH} is a motion of {OWN}, our own: {one.name} needs a clip of its own, --env.clip FILE")
    return march.march(one)


def _odd(task: Imitation, found: dict[str, Clip], give_up: float) -> tuple[str, ...]:
    """What is odd about a task's clips, a line each.

    Raises:
      BadClip: if nobody could learn them.
    """
    one, more = task.robot, "awr-mjx clip check says more, and clip convert --raise moves a clip"
    odd: list[str] = []
    if not task.may_touch:
        raise BadClip(f"nothing of {one.name} comes to the floor in {', '.join(found)}: {more}")
    for name, clip in found.items():
        low, lies_on = reference.standing(one, clip, task.may_touch)
        falls, frames = int((lies_on > 0).sum()), len(low)
        if falls:
            body = one.bodies[int(np.bincount(lies_on[lies_on > 0]).argmax()) - 1]
            words = f"in {falls} of {frames} frames of {name} {one.name} is on its {body}, which counts as a fall"
            if 2 * falls > frames:
                raise BadClip(f"{words}: --env.touch {body} if it shall be there")
            odd.append(f"{words} unless --env.touch says {body}")
        off = float(np.median(low))
        if abs(off) > OFF:
            odd.append(f"{name} is {abs(off):.2f} m {'above' if off > 0 else 'below'} the floor: {more}")
    height, reach = task.measure
    if give_up and height < LOW * reach:
        raise BadClip(
            f"the root of {one.name} is {height:.2f} m above the floor in its clips, in the mean, which is no measure "
            f"for --env.give_up: {more}; else give --env.give_up 0"
        )
    return tuple(odd)
