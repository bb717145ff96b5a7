"""Robots by the names that one types, and what is none."""

import pathlib

import pytest

from awr_mjx.envs.imitation import march, robots
from awr_mjx.envs.imitation.errors import BadCharacter
from tests.envs.imitation.made import robot_file

BALL = """
<mujoco><worldbody><body pos="0 0 0.2"><freejoint/><geom type="sphere" size="0.2"/></body></worldbody></mujoco>
"""
MESH = """
<mujoco><asset><mesh name="m" vertex="0 0 0 1 0 0 0 1 0 0 0 1"/></asset>
<worldbody><body><freejoint/><geom type="mesh" mesh="m"/></body></worldbody></mujoco>
"""


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("robot", None, "is no robot: give an MJCF file"),
        ("robot.urdf", "", "is no robot: give an MJCF file"),
        ("robot.xml", None, "there is no file "),
        ("robot.txt", None, "cannot be read: No such file"),
        ("robot.xml", "", "cannot be read: "),
        ("robot.xml", "<mujoco>", "cannot be read: "),
        ("robot.xml", "<mujoco/>", "has no free joint at its root"),
        ("robot.xml", BALL.replace("<freejoint/>", '<joint type="hinge"/>'), "has no free joint at its root"),
        (
            "robot.xml",
            BALL.replace("</worldbody>", "<body><freejoint/><geom size='.1'/></body></worldbody>"),
            "has 2 free joints",
        ),
        (
            "robot.xml",
            BALL.replace("</body>", "<body><joint name='s' type='slide'/><geom size='.1'/></body></body>"),
            "joint s is neither a hinge nor a ball",
        ),
        ("robot.xml", MESH, "has no sphere, capsule or box that could touch the floor"),
    ],
)
def test_what_is_no_robot_is_refused(name: str, text: str | None, words: str, tmp_path: pathlib.Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(BadCharacter) as caught:
        robots.robot(str(tmp_path / name))
    assert words in str(caught.value) and "\n" not in str(caught.value)
    if name.endswith(("xml", "txt")):
        (tmp_path / "folder.xml").mkdir()
        with pytest.raises(BadCharacter, match="is a folder"):
            robots.robot(str(tmp_path / "folder.xml"))


def test_robots_by_name(tmp_path: pathlib.Path) -> None:
    assert robots.robot("humanoid").joint_names == march.humanoid().joint_names
    assert robots.robot(str(robot_file(tmp_path))).name == "robot"
