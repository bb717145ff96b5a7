"""The program for clips: what it says of them, and what it writes."""

import dataclasses
import json
import pathlib
import subprocess
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from awr_mjx.envs.imitation import clips, inspection, march, mjcf
from awr_mjx.envs.imitation.clips import Clip
from awr_mjx.train import clip, commands
from awr_mjx.train.console.commands import COMMANDS
from tests.envs.imitation.made import G1, column, needs_g1, needs_motions, robot_file, still
from tests.reference import REFERENCE
from tests.runs import Done, here, refused
from tests.trained import python


def said(*args: object) -> list[str]:
    done = here(clip.main, *args)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def looks(lines: list[str]) -> set[str]:
    """What the lines that begin with `look` are about; the others begin with `ok`."""
    assert {line.split()[0] for line in lines} <= {"ok", "look"}
    return {line[6:].partition(":")[0] for line in lines if line.startswith("look")}


def saved(folder: pathlib.Path, **changed: Any) -> tuple[Clip, pathlib.Path, pathlib.Path]:
    """A clip of the small robot that stands, its file, and the robot's."""
    robot = robot_file(folder)
    made = dataclasses.replace(still(mjcf.character(robot)), **changed)
    made.save(folder / "made.npz")
    return made, folder / "made.npz", robot


def test_the_march_is_sound_in_every_line() -> None:
    lines = said("check", "march")
    assert [line[6:].partition(":")[0] for line in lines] == [
        "duration", "joint limits", "height", "feet", "seam", "speed", "bodies", "floor"
    ]  # fmt: skip
    assert not looks(lines)
    assert lines[0] == "ok    duration: 73 frames at 60 per second, 1.2 s, a loop"
    assert lines[-1] == "ok    floor: left_foot, right_foot may touch it"


def test_what_is_unsound_is_said_with_its_size(tmp_path: pathlib.Path) -> None:
    made, place, robot = saved(tmp_path)
    of = mjcf.character(robot)
    time = np.arange(31) / 30
    made.qpos[:, 0], made.qpos[:, 2] = 0.5 * time, made.qpos[:, 2] + 0.05
    made.qpos[:, column(of, "left_tail")] = 1.25 * time
    made.qpos[:, column(of, "right_tail")] = np.where(np.arange(31) == 15, -0.9, 0.0)
    dataclasses.replace(made, fps=15.0).save(place)
    lines = said("check", place, "--robot", robot)
    assert looks(lines) == {"duration", "joint limits", "height", "seam", "speed", "bodies", "floor"}
    text = "\n".join(lines)
    for words in (
        "duration: 31 frames at 15 per second, 2 s, a loop: speeds between so few are guesses",
        "joint limits: 6 of 31 frames beyond, the worst left_tail by 0.250 rad",
        "height: lowest point 0.050 m, median 0.050 m; --raise -0.050 puts the lowest on the floor",
        "feet: slide at 0.250 m/s at most, ",
        "seam: the pose does not close: joints to 1.250 rad (left_tail), root to 0.000 m in height and 0.000 rad",
        "speed: 13.5 rad/s at most, right_tail; 2 jumps, at 1.00 s, 1.07 s",
        "bodies: left_tail and right_tail are ",
        "floor: no body may touch it",
    ):
        assert words in text, (words, text)


@pytest.mark.parametrize(
    ("figures", "about"),
    [
        ({"fps": 19.9}, "duration"),
        ({"beyond": 1, "beyond_most": 0.01, "beyond_joint": "a"}, "joint limits"),
        ({"lowest": 0.031}, "height"),
        ({"lowest": -0.031}, "height"),
        ({"slide": 0.301}, "feet"),
        ({"slide_body": ""}, "feet"),
        ({"seam_angle": 0.101}, "seam"),
        ({"seam_tilt": 0.101}, "seam"),
        ({"seam_height": -0.021}, "seam"),
        ({"fastest": 30.1}, "speed"),
        ({"jumps": (3,)}, "speed"),
        ({"overlap": 0.011, "overlap_bodies": ("a", "b")}, "bodies"),
        ({"touching": ()}, "floor"),
        ({"fallen": 1, "fallen_body": "trunk"}, "floor"),
    ],
)
def test_each_figure_is_looked_at(figures: dict[str, Any], about: str, tmp_path: pathlib.Path) -> None:
    sound: dict[str, Any] = {
        "lowest": 0.029,
        "slide": 0.299,
        "seam_angle": 0.099,
        "seam_tilt": 0.099,
        "seam_height": 0.019,
    }
    sound |= {"fastest": 29.9, "overlap": 0.009, "overlap_bodies": ("a", "b"), "seam_turn": 2.0, "fps": 20.0}
    made, _, robot = saved(tmp_path)
    seen = dataclasses.replace(inspection.inspect(mjcf.character(robot), made), **sound)
    assert all(ok for ok, _ in clip.described(seen))
    found = list(clip.described(dataclasses.replace(seen, **figures)))
    assert [words.partition(":")[0] for ok, words in found if not ok] == [about]
    assert all(ok for ok, words in clip.described(dataclasses.replace(seen, loop=False, **figures)) if "seam" in words)


def test_the_march_as_a_file_is_the_march(tmp_path: pathlib.Path) -> None:
    out = tmp_path / "march.npz"
    assert said("convert", "march", "--out", out) == [
        f"written to {out}: 73 frames at 60 per second, 1.2 s, a loop, 12 joints of humanoid"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["march.npz"]
    found, wanted = clips.load(out), march.march()
    np.testing.assert_array_equal(found.qpos, wanted.qpos)
    assert (found.fps, found.loop, found.joint_names) == (wanted.fps, wanted.loop, wanted.joint_names)
    assert said("check", out, "--robot", "humanoid") == said("check", "march")


def test_a_part_is_raised_and_no_loop_unless_that_is_said(tmp_path: pathlib.Path) -> None:
    made, place, robot = saved(tmp_path)
    made.qpos[:, 0] = np.arange(31)
    made.save(place)
    out = tmp_path / "part.npz"
    convert = ("convert", place, "--robot", robot, "--out", out, "--start", 0.19, "--end", 0.5)
    assert "10 frames at 30 per second, 0.3 s, no loop, 5 joints of robot" in said(*convert, "--raise", -0.125)[0]
    found = clips.load(out)
    np.testing.assert_array_equal(found.qpos[:, 0], np.arange(6, 16))
    np.testing.assert_allclose(found.qpos[:, 2], 0.6 - 0.125)
    assert not found.loop
    assert "a loop" in said(*convert, "--loop", "true")[0] and clips.load(out).loop
    said("convert", place, "--robot", robot, "--out", out, "--loop", "false")
    assert not clips.load(out).loop and len(clips.load(out).qpos) == 31
    said("convert", place, "--robot", robot, "--out", out, "--start", 0.5)
    assert len(clips.load(out).qpos) == 16
    refused(here(clip.main, "convert", place, "--robot", robot, "--out", place, "--raise", 1), "would be lost")
    np.testing.assert_allclose(clips.load(place).qpos[:, 2], 0.6)


def test_rate_and_order_of_a_csv_are_those_that_are_said(tmp_path: pathlib.Path) -> None:
    robot = robot_file(tmp_path, neck=False)
    np.savetxt(tmp_path / "a.csv", np.tile([0, 0, 0.6, 0, 0, 0, 1, 0, 0, 0, 0], (5, 1)), delimiter=",")
    out = tmp_path / "a.npz"
    csv = ("convert", tmp_path / "a.csv", "--robot", robot, "--out", out, "--fps", 25)
    refused(here(clip.main, *csv), "give --quaternion")
    said(*csv, "--quaternion", "xyzw")
    np.testing.assert_array_equal(clips.load(out).qpos[:, 3:7], [(1, 0, 0, 0)] * 5)
    assert clips.load(out).fps == 25


def test_it_is_a_command_of_awr_mjx() -> None:
    assert COMMANDS["clip"][0] == "train.clip"
    done = here(commands.main, "clip")
    assert done.returncode == 0
    assert [line.split(":")[0].split()[-2:] for line in done.stdout.splitlines()] == [
        [kind, "CLIP"] for kind in ("check", "convert", "preview")
    ]


def previewed(*args: object, **more: Any) -> Done:
    """In a process of its own, as MuJoCo chooses its graphics when it is imported."""
    done = python("-m", "train.clip", "preview", *args, **more)
    if done.returncode == 2 and "cannot render here" in done.stderr and "env" not in more:
        pytest.skip(done.stderr.strip())
    return done


def test_a_film_of_a_loop_is_of_three_cycles(tmp_path: pathlib.Path) -> None:
    """A robot that goes 1 m in a cycle, over a floor of squares of 1 m in two shades."""
    made, place, robot = saved(tmp_path)
    made.qpos[:, 0] = np.arange(31) / 30
    made.save(place)
    out = tmp_path / "a.mp4"
    done = previewed(place, "--robot", robot, "--out", out, "--width", 160, "--height", 128)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}: 90 frames at 30 per second, 3 s, 160x128\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "made.npz", "robot.xml"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", out, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    read = subprocess.run(command, capture_output=True, timeout=60, check=True)
    frames = np.frombuffer(read.stdout, np.uint8).reshape(-1, 128, 160, 3).astype(int)
    assert len(frames) == 90
    assert frames[0].std() > 5  # something is to be seen,
    floor = frames[:, 100:]
    other = np.abs(floor[15] - floor[45]).mean()
    assert other > 3  # a cycle later it is over a square of the other shade,
    assert np.abs(floor[15] - floor[75]).mean() < 0.5 * other  # and after two of the first


def test_a_sheet_of_a_clip_that_is_no_loop(tmp_path: pathlib.Path) -> None:
    _, place, robot = saved(tmp_path, loop=False)
    out = tmp_path / "a.png"
    done = previewed(place, "--robot", robot, "--out", out, "--width", 64, "--height", 48)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}: 8 frames, 1 s, 64x48\n"
    with Image.open(out) as image:
        assert image.size == (4 * 64, 2 * 48)


def test_a_computer_without_opengl_gets_one_line(tmp_path: pathlib.Path) -> None:
    done = previewed("march", "--out", tmp_path / "a.png", env={"MUJOCO_GL": "nothing"})
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot render here with MUJOCO_GL=nothing (RuntimeError: ")
    assert done.stderr.count("\n") == 1 and not list(tmp_path.iterdir())
    done = python("-m", "train.clip", "check", "march", env={"MUJOCO_GL": "nothing"})
    assert done.returncode == 0 and "look" not in done.stdout  # which draws nothing


@needs_motions
def test_a_clip_of_deepmimics(tmp_path: pathlib.Path) -> None:
    """Its walk is put together of two halves, which shows at the shoulder in frame 19."""
    robot, walk = REFERENCE / "characters" / "humanoid3d.txt", REFERENCE / "motions" / "humanoid3d_walk.txt"
    rows = np.array(json.loads(walk.read_text())["Frames"])[:, 39:43]  # the left shoulder
    angle = 2 * np.arccos(np.abs((rows[1:] * rows[:-1]).sum(axis=1)).clip(max=1))
    assert (angle.argmax(), round(float(angle.max()), 1)) == (18, 0.5)
    lines = said("check", walk, "--robot", robot)
    assert looks(lines) == {"seam", "speed"}
    assert any("left_shoulder; 1 jump, at 0.63 s" in line for line in lines)
    out = tmp_path / "walk.npz"
    said("convert", walk, "--robot", robot, "--out", out)
    assert said("check", out, "--robot", robot) == lines


@needs_g1
def test_a_clip_of_a_g1() -> None:
    lines = said("check", REFERENCE / "g1" / "g1_walk.csv", "--robot", G1, "--fps", 30)
    assert looks(lines) <= {"height"}
    assert lines[0] == "ok    duration: 150 frames at 30 per second, 4.967 s, no loop"
    assert lines[-1] == "ok    floor: left_ankle_roll_link, right_ankle_roll_link may touch it"
