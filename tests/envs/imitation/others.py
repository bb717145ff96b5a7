"""Characters and clips of other hands, where there are any."""

import pathlib

import pytest

from awr_mjx.envs.imitation import clips, deepmimic
from awr_mjx.envs.imitation.characters import Character
from awr_mjx.envs.imitation.clips import Clip
from tests.reference import REFERENCE

CLIPS = {
    "humanoid3d_walk", "humanoid3d_spinkick", "humanoid3d_cartwheel", "dog3d_trot", "dog3d_canter",
}  # fmt: skip


def here(name: str) -> pathlib.Path:
    """The file of one of DeepMimic's clips; skips the test without it."""
    path = REFERENCE / "motions" / f"{name}.txt"
    if not path.is_file():
        pytest.skip(f"DeepMimic's {path.name} is not there")
    return path


def clip(path: pathlib.Path, name: str) -> tuple[Character, list[Clip]]:
    """One of DeepMimic's characters, and a clip of it."""
    robot = deepmimic.character(REFERENCE / "characters" / f"{name.partition('_')[0]}.txt")
    found = clips.checked(deepmimic.clip(path, robot), path.name, robot.joint_names, robot.balls)
    return robot, [found]
