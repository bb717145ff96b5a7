"""Robots by what a user calls them."""

import pathlib

from awr_mjx.envs.imitation import deepmimic, march, mjcf
from awr_mjx.envs.imitation.characters import Character
from awr_mjx.envs.imitation.errors import BadCharacter

OWN = "humanoid"  # the project's own


def robot(name: str) -> Character:
    """The robot in an MJCF file (.xml), or in one of DeepMimic's (.txt, .json), or the project's own, `humanoid`.

    Raises:
      BadCharacter: if it is none of these, or cannot imitate.
    """
    if name == OWN:
        return march.humanoid()
    path = pathlib.Path(name).expanduser()
    if path.suffix == ".xml":
        return mjcf.character(path)
    if path.suffix in (".txt", ".json"):
        return deepmimic.character(path)
    raise BadCharacter(f"{name} is no robot: give an MJCF file (.xml), DeepMimic's character file (.txt), or {OWN}")
