"""What a training that imitates refuses: in one line, with nothing written, before anything long starts."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from awr_mjx.envs.imitation import mjcf
from awr_mjx.envs.imitation.clips import Clip
from awr_mjx.train import main
from awr_mjx.train.console.errors import UserError
from tests.envs.imitation.made import robot_file, still
from tests.runs import here, refused

ROBOT = "--env.robot robot.xml"
ROW = "0,0,0.6,1,0,0,0,0,0,0,0\n"  # a root's place and its quaternion, and four hinges


def changed(how: Callable[[Clip], Any]) -> Callable[[pathlib.Path], Any]:
    """Writes `a.npz`: the clip that the robot stands in, changed."""

    def write(folder: pathlib.Path) -> None:
        made = still(mjcf.character(folder / "robot.xml"))
        given = how(made)
        (given if isinstance(given, Clip) else made).save(folder / "a.npz")

    return write


def put(place: Any, value: float) -> Callable[[Clip], None]:
    def change(made: Clip) -> None:
        made.qpos[place] = value

    return change


def other_robot(old: str, new: str) -> Callable[[pathlib.Path], Any]:
    """Writes `a.npz`, a sound clip, and `robot.xml` once more, changed."""

    def write(folder: pathlib.Path) -> None:
        sound(folder)
        text = (folder / "robot.xml").read_text()
        assert old in text
        (folder / "robot.xml").write_text(text.replace(old, new, 1))

    return write


def text(name: str, content: str | bytes) -> Callable[[pathlib.Path], Any]:
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def pickled_array(folder: pathlib.Path) -> None:
    made = still(mjcf.character(folder / "robot.xml"))
    values = {"fps": 30.0, "qpos": made.qpos, "loop": True}
    np.savez(folder / "a.npz", joint_names=np.array(list(made.joint_names), dtype=object), **values)  # type: ignore[arg-type]


sound = changed(lambda made: made)
SPRING = 'name="left_hip" stiffness="5"'
SERVO = '</worldbody><actuator><position joint="left_hip" kp="100" kv="10"/></actuator>'
CODE = b"cposix\nsystem\n(S'touch mark'\ntR."


def spring_beside_a_servo(folder: pathlib.Path) -> None:
    other_robot('name="left_hip"', SPRING)(folder)
    place = folder / "robot.xml"
    place.write_text(place.read_text().replace("</worldbody>", SERVO))


def a_door(folder: pathlib.Path) -> None:
    """A second thing that hangs on the world; the clip is of both."""
    other_robot("</worldbody>", "<body><joint/><geom size='0.1'/></body></worldbody>")(folder)


def lies(folder: pathlib.Path) -> None:
    """A clip of the robot that lies on its side: its legs are there too, but the trunk is lower."""

    def laid(made: Clip) -> None:
        made.qpos[:, 2], made.qpos[:, 3:7] = 0.2, (np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0)

    changed(laid)(folder)


def no_joints(folder: pathlib.Path) -> None:
    ball = "<mujoco><worldbody><body><freejoint/><geom size='.1'/></body></worldbody></mujoco>"
    text("robot.xml", ball)(folder)
    text("a.csv", "0,0,0.1,1,0,0,0\n" * 30)(folder)


A, CSV = f"{ROBOT} --env.clip a.npz", f"{ROBOT} --env.clip a.csv"
BAD: list[tuple[str, Callable[[pathlib.Path], Any], str]] = [
    (A, changed(lambda c: dataclasses.replace(c, joint_names=("root", "b", *c.joint_names[2:]))), "other joints than"),
    (A, changed(put((3, 3), 1.1)), "a quaternion of length 1.1 in frame 3"),
    (A, changed(put((3, 8), np.nan)), "not finite in 1 of 31 frames, first in 3"),
    (A, changed(lambda c: dataclasses.replace(c, qpos=c.qpos[:1])), "a.npz has 1 frame: a motion has two or more"),
    (A, changed(lambda c: dataclasses.replace(c, fps=np.nan)), "has nan frames per second"),
    (A, changed(lambda c: dataclasses.replace(c, fps=-30.0)), "has -30 frames per second"),
    (A, changed(lambda c: dataclasses.replace(c, fps=2000.0)), "a.npz lasts 0.015 s: that must be two steps"),
    (A, lambda folder: None, "there is no file a.npz"),
    (A, text("a.npz", ""), "a.npz cannot be read"),
    (A, pickled_array, "a.npz holds joint_names as a pickle, which could run code"),
    (A, lambda folder: (folder / "a.npz").mkdir(), "a.npz is a folder: name a file"),
    (f"{ROBOT} --env.clip .", lambda folder: None, "is a folder: name a file"),
    (f"{ROBOT} --env.clip a.bvh", text("a.bvh", "HIERARCHY"), "a.bvh ends in .bvh: a clip is npz"),
    (f"{ROBOT} --env.clip a.pkl", text("a.pkl", CODE), "would run posix.system"),
    (CSV, text("a.csv", ROW * 30), "does not say how many frames a second has: give --fps (--env.fps of a task)"),
    (f"{CSV} --env.fps 30", text("a.csv", ""), "a.csv is empty"),
    (f"{CSV} --env.fps -30", text("a.csv", ROW * 30), "--env.fps must be from 1 to 2000, not -30"),
    (f"{CSV} --env.fps nan", text("a.csv", ROW * 30), "--env.fps must be from 1 to 2000, not nan"),
    (f"{A} --env.fps inf", sound, "--env.fps must be from 1 to 2000, not inf"),
    (f"{A} --env.give_up -1", sound, "--env.give_up must be a number of heights of the root, or 0 for never, not -1"),
    (f"{A} --env.give_up nan", sound, "--env.give_up must be a number of heights of the root, or 0 for never, not nan"),
    (A, other_robot("</worldbody>", "<body><freejoint/><geom size='0.1'/></body></worldbody>"), "has 2 free joints"),
    (A, other_robot('name="left_hip"', 'name="left_hip" type="slide"'), "left_hip is neither a hinge nor a ball"),
    (A, other_robot('<freejoint name="root"/>', ""), "robot.xml has no free joint at its root"),
    (A, other_robot('name="left_foot"', 'name="left_foot" gravcomp="1"'), "robot.xml: gravcomp of left_foot must be 0"),
    (A, other_robot("<worldbody>", '<option density="1"/><worldbody>'), "robot.xml: density must be 0"),
    (A, other_robot("<worldbody>", '<option viscosity="1"/><worldbody>'), "robot.xml: viscosity must be 0"),
    (A, spring_beside_a_servo, "left_hip has a spring besides the file's servos"),
    (A, a_door, "robot.xml has more that moves than one robot: trunk, body 7; leave the others out"),
    (A, other_robot("</mujoco>", ""), "robot.xml cannot be read"),
    (A, changed(lambda c: c.qpos.__setitem__((slice(None), 2), 3.0)), "nothing of robot comes to the floor in"),
    (A, changed(lambda c: c.qpos.__setitem__((slice(None), 2), 0.0)), "robot is 0.00 m above the floor in its clips"),
    (A, lies, "a.npz robot is on its trunk, which counts as a fall: --env.touch trunk if it shall be there"),
    (f"{A} --env.fps 31", sound, "how many frames a second has is known, leave --env.fps out"),
    (f"--env imitate/march {ROBOT}", lambda folder: None, "march is a motion of humanoid, our own: robot needs a clip"),
    (f"{CSV} --env.fps 30", no_joints, "robot has no joint below its root"),
    ("--env.robot no.xml --env.clip a.npz", sound, "there is no file no.xml"),
    (
        "--env.robot folder.xml --env.clip a.npz",
        lambda folder: (folder / "folder.xml").mkdir(),
        "folder.xml is a folder",
    ),
    ("--env.robot . --env.clip a.npz", sound, "is no robot: give an MJCF file"),
    (ROBOT, lambda folder: None, "imitate/robot needs a clip to imitate: --env.clip FILE"),
    ("--env.clip a.npz", sound, "imitate/robot needs a robot: --env.robot FILE.xml"),
    (f"{A} --env.touch left_foot hand", sound, "has no body hand: it has trunk, left_leg"),
    ("--env cartpole --env.clip a.npz", sound, "task 'cartpole' has no option --env.clip"),
    ("--env cartpole --env.robot robot.xml", sound, "task 'cartpole' has no option --env.robot"),
]


@pytest.mark.parametrize(("args", "write", "words"), BAD, ids=[f"{i} {row[2][:30]}" for i, row in enumerate(BAD)])
def test_bad_clips_and_robots_are_one_line(
    args: str,
    write: Callable[[pathlib.Path], Any],
    words: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("awr_mjx.train.engine.train.Loop", lambda *_: pytest.fail("something long would have started"))
    robot_file(tmp_path, neck=False)
    write(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    task = () if "--env " in args else ("--env", "imitate/robot")
    refused(here(main.main, *task, *args.split(), "--run_dir", "run"), words)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_odd_is_told_before_it_begins(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def enough(*_: Any) -> None:
        raise UserError("enough")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("awr_mjx.train.engine.train.Loop", enough)
    robot_file(tmp_path, neck=False)
    other_robot('name="left_hip"', 'name="left_hip" frictionloss="1"')(tmp_path)
    changed(lambda made: made.qpos.__setitem__((slice(20), 2), 0.3))(tmp_path)
    done = here(main.main, "--env", "imitate/robot", *A.split())
    assert done.stderr.splitlines() == [
        "warning: friction in 1 joint is not simulated",
        f"warning: {tmp_path}/a.npz is 0.30 m below the floor: awr-mjx clip check says more, and clip convert --raise "
        "moves a clip",
        "error: enough",
    ]
