"""The tasks `imitate/NAME`: which robot, which clips."""

import math
import pathlib
from collections.abc import Sequence

from envs.base import UnknownTask
from envs.imitation import march, readers
from envs.imitation.clips import FPS
from envs.imitation.errors import BadCharacter, BadClip
from envs.imitation.robots import OWN, robot
from envs.imitation.task import Actions, Imitation

MARCH = "march"  # the clip that is computed
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
        found = [march.march(one) if clip == MARCH else readers.read(pathlib.Path(clip), one, fps) for clip in clips]
        unknown = [body for body in touch if body not in one.bodies]
        if unknown:
            raise BadCharacter(f"{one.name} has no body {unknown[0]}: it has {', '.join(one.bodies)}")
        return Imitation(one.touching(touch), found, actions, give_up)
    except (BadCharacter, BadClip) as error:
        raise UnknownTask(str(error)) from error
    except NotImplementedError as error:
        raise UnknownTask(f"{character} has what cannot be simulated: {error}") from error
