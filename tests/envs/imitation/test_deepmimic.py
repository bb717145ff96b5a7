"""DeepMimic's characters and clips against an independent reading: its axes, its order of joints, its times."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
import pytest

from awr_mjx.envs.imitation import deepmimic, readers, robots
from awr_mjx.envs.imitation.characters import Character
from awr_mjx.envs.imitation.errors import BadCharacter, BadClip
from tests.envs.imitation.made import about, column, needs_motions, robot
from tests.reference import REFERENCE

# Where the numbers of each joint begin in a frame of `humanoid3d`, behind the frame's duration: in the order of the
# character's file, which is not that of MuJoCo, where all of the chest's limbs come before the legs.
COLUMNS = {
    "root": 4, "chest": 8, "neck": 12, "right_hip": 16, "right_knee": 20, "right_ankle": 21, "right_shoulder": 25,
    "right_elbow": 29, "left_hip": 30, "left_knee": 34, "left_ankle": 35, "left_shoulder": 39, "left_elbow": 43,
}  # fmt: skip
HINGES = ("right_knee", "right_elbow", "left_knee", "left_elbow")
AXES = np.array([(1.0, 0, 0), (0, 0, -1), (0, 1, 0)])  # DeepMimic's (x, y, z) is (x, -z, y)

JOINTS = [("root", "none", -1), ("chest", "spherical", 0), ("left_hip", "spherical", 0), ("left_elbow", "revolute", 1)]
X, Y, Z = (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)


def matrix(wxyz: np.ndarray) -> np.ndarray:
    """The rotation matrix of a quaternion, by Rodrigues' formula."""
    w, v = wxyz[0] / np.linalg.norm(wxyz), wxyz[1:] / np.linalg.norm(wxyz)
    cross = np.array([(0, -v[2], v[1]), (v[2], 0, -v[0]), (-v[1], v[0], 0)])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def character_file(folder: pathlib.Path, **changed: Any) -> pathlib.Path:
    """A character of three joints below the root, whose first two hang on it and whose third on the first."""
    joints, bodies = [], []
    for i, (name, kind, parent) in enumerate(JOINTS):
        place = dict(zip(("AttachX", "AttachY", "AttachZ"), (0.1, 0.2, 0.3) if i else (0, 0, 0), strict=True))
        limits = {"LimLow0": -1.0, "LimHigh0": 2.0, "TorqueLim": 50.0 + i, "DiffWeight": 0.5, "IsEndEffector": i > 1}
        joints.append({"ID": i, "Name": name, "Type": kind, "Parent": parent} | place | limits)
        body = {"Name": name, "Shape": "capsule", "Mass": 1.0 + i, "Param0": 0.1, "Param1": 0.2, "Param2": 0.1}
        body |= {f"Attach{axis}": 0.0 for axis in "XYZ"} | {f"AttachTheta{axis}": 0.0 for axis in "XYZ"}
        bodies.append(body | {f"Color{c}": 0.5 for c in "RGBA"})
    found = {"Skeleton": {"Joints": joints}, "BodyDefs": bodies} | changed
    (folder / "made.txt").write_text(json.dumps(found))
    return folder / "made.txt"


def clip_file(folder: pathlib.Path, frames: Any, loop: str = "wrap") -> pathlib.Path:
    (folder / "clip.txt").write_text(json.dumps({"Loop": loop, "Frames": frames}))
    return folder / "clip.txt"


def frame(seconds: float, step: int) -> list[float]:
    """In DeepMimic's axes, ahead (x), up (y), right (z): the root turns about y, others about their own axes."""
    turns = [about(Y, 0.1 * step), about(X, 0.2 * step), about(Z, 0.3 * step)]
    return [seconds, 1.0 * step, 0.8, 0.25 * step, *np.concatenate(turns), 0.4 * step]


@pytest.fixture
def made(tmp_path: pathlib.Path) -> Character:
    return deepmimic.character(character_file(tmp_path))


def test_a_character_by_hand(made: Character) -> None:
    """Behind the root comes the chest, then what hangs on it: the order of MuJoCo, not the file's."""
    assert made.frame_order == ("root", "chest", "left_hip", "left_elbow")
    assert made.joint_names == ("root", "chest", "left_elbow", "left_hip")
    m = made.model
    np.testing.assert_allclose(m.body("chest").pos, (0.1, -0.3, 0.2))
    np.testing.assert_allclose(m.joint("left_elbow").axis, (0, -1, 0), atol=1e-12)
    np.testing.assert_allclose(m.joint("left_elbow").range, (-1, 2))
    np.testing.assert_allclose(made.kp, [0] * 6 + [1000] * 3 + [300] + [500] * 3)
    np.testing.assert_allclose(made.kd, made.kp / 10)
    np.testing.assert_allclose(made.torque_limit[1:], [51, 53, 52])
    assert [m.body(body).name for body in made.ends] == ["left_hip", "left_elbow"]


def test_a_clip_by_hand(made: Character, tmp_path: pathlib.Path) -> None:
    """A turn to the left, about up; ahead stays ahead, and right becomes -y."""
    found = readers.read(clip_file(tmp_path, [frame(0.1, 0), frame(0.1, 1), frame(0, 2)]), made)
    assert found.fps == pytest.approx(10)
    assert (found.loop, len(found.qpos)) == (True, 3)
    np.testing.assert_allclose(found.qpos[:, :3], [(0, 0, 0.8), (1, -0.25, 0.8), (2, -0.5, 0.8)], atol=1e-12)
    for name, axis, size in (("root", Z, 0.1), ("chest", X, 0.2), ("left_hip", (0, -1.0, 0), 0.3)):
        place = column(made, name) + (3 if name == "root" else 0)
        wanted = [about(axis, size * step) for step in range(3)]
        np.testing.assert_allclose(found.qpos[:, place : place + 4], wanted, atol=1e-12)
    np.testing.assert_allclose(found.qpos[:, column(made, "left_elbow")], [0, 0.4, 0.8], atol=1e-12)


def test_frames_that_last_differently_and_no_loop(made: Character, tmp_path: pathlib.Path) -> None:
    found = readers.read(clip_file(tmp_path, [frame(0.1, 0), frame(0.2, 1), frame(9, 3)], "none"), made)
    assert found.fps == pytest.approx(10)
    assert not found.loop
    np.testing.assert_allclose(found.qpos[:, column(made, "left_elbow")], [0, 0.4, 0.8, 1.2], atol=1e-12)
    np.testing.assert_allclose(found.qpos[:, 3:7], [about(Z, 0.1 * step) for step in range(4)], atol=1e-9)


def changed(row: int, place: int, value: float) -> list[list[float]]:
    frames = [frame(0.1, 0), frame(0.2, 1), frame(0, 2)]
    frames[row][place] = value
    return frames


REFUSED: list[tuple[Any, str]] = [
    ([], "its frames are no rows of numbers"),
    (1.0, "its frames are no rows of numbers"),
    ({"a": 1}, "no clip of DeepMimic's: TypeError"),
    ([[1, 2], [3]], "no clip of DeepMimic's: ValueError"),
    ([[1, 2], [3, 4]], "has 1 numbers a frame, and made 16"),
    ([frame(0.1, 0)], "has 1 frame: a motion has two or more"),
    (changed(1, 0, 0.0), "frames that do not last from 0.0005 to 1 s"),
    (changed(0, 0, -0.1), "frames that do not last"),
    (changed(0, 0, float("nan")), "frames that do not last"),
    (changed(0, 0, 1e-9), "frames that do not last"),
    (changed(0, 0, 1e9), "frames that do not last"),
    (changed(1, 1, float("nan")), "not finite in 1 of 3 frames, first in 1"),
    (changed(1, 4, 0.0), "a quaternion of length 0.05 in frame 1, numbers 3 to 6"),
]


@pytest.mark.parametrize(("frames", "words"), REFUSED, ids=[f"{i}" for i in range(len(REFUSED))])
def test_what_is_no_clip_is_refused(frames: Any, words: str, made: Character, tmp_path: pathlib.Path) -> None:
    with pytest.raises(BadClip) as caught:
        readers.read(clip_file(tmp_path, frames), made)
    assert words in str(caught.value)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"Loop": "wrap"}', '{"Frames": []}', "[" * 100_000])
def test_what_is_no_json_of_its_kind_is_refused(text: str, made: Character, tmp_path: pathlib.Path) -> None:
    place = tmp_path / "clip.json"
    place.write_text(text)
    for reader, error in (
        (lambda: readers.read(place, made), BadClip),
        (lambda: deepmimic.character(place), BadCharacter),
    ):
        with pytest.raises(error) as caught:
            reader()
        assert str(place) in str(caught.value) and "\n" not in str(caught.value)


def test_its_clips_are_of_its_characters(tmp_path: pathlib.Path) -> None:
    with pytest.raises(BadClip, match="is a clip of DeepMimic's, and robot none of its characters"):
        readers.read(clip_file(tmp_path, [frame(0.1, 0), frame(0.1, 1)]), robot(tmp_path))


def without(name: str) -> Callable[[dict[str, Any]], None]:
    def change(found: dict[str, Any]) -> None:
        del found["Skeleton"]["Joints"][1][name]

    return change


def put(part: str, name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(found: dict[str, Any]) -> None:
        rows = found["BodyDefs"] if part == "body" else found["Skeleton"]["Joints"]
        rows[1][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("TorqueLim"), "KeyError 'TorqueLim'"),
        (without("DiffWeight"), "KeyError 'DiffWeight'"),
        (put("joint", "Parent", 7), "IndexError"),
        (put("joint", "Name", "left_hip"), "repeated name"),
        (put("joint", "Name", "wing"), "has a joint wing, whose gains are not known"),
        (put("joint", "Type", "none"), "free"),
        (put("joint", "Type", "prismatic"), "chest is prismatic: none, spherical, revolute, fixed are known"),
        (put("body", "Mass", 0.0), "ValueError"),
        (put("body", "Shape", "cone"), "body chest is a cone"),
        (lambda found: found["BodyDefs"].pop(), "ValueError"),
    ],
)
def test_what_is_no_character_is_refused(
    change: Callable[[dict[str, Any]], None], words: str, tmp_path: pathlib.Path
) -> None:
    place = character_file(tmp_path)
    found = json.loads(place.read_text())
    change(found)
    place.write_text(json.dumps(found))
    with pytest.raises(BadCharacter) as caught:
        deepmimic.character(place)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@needs_motions
@pytest.mark.parametrize("name", ["walk", "run", "backflip", "cartwheel", "spinkick"])
def test_clips_of_its_humanoid(name: str) -> None:
    of = robots.robot(str(REFERENCE / "characters" / "humanoid3d.txt"))
    found = readers.read(REFERENCE / "motions" / f"humanoid3d_{name}.txt", of)
    rows = np.array(json.loads((REFERENCE / "motions" / f"humanoid3d_{name}.txt").read_text())["Frames"])
    assert tuple(COLUMNS) == of.frame_order != of.joint_names
    assert len(found.qpos) == len(rows)
    assert found.seconds == pytest.approx(rows[:-1, 0].sum())
    np.testing.assert_allclose(found.qpos[:, :3], rows[:, 1:4] @ AXES.T, atol=1e-6)
    for joint, first in COLUMNS.items():
        place = column(of, joint) + (3 if joint == "root" else 0)
        if joint in HINGES:
            np.testing.assert_allclose(found.qpos[:, place], rows[:, first], atol=1e-6)
            continue
        for pose, row in zip(found.qpos, rows, strict=True):
            wanted = AXES @ matrix(row[first : first + 4]) @ AXES.T
            np.testing.assert_allclose(matrix(pose[place : place + 4]), wanted, atol=1e-6)


@needs_motions
def test_its_humanoid_is_as_heavy_and_stands_as_in_its_file() -> None:
    """Masses and offsets as the file has them; in the rest pose the body is upright, and right is -y."""
    place = REFERENCE / "characters" / "humanoid3d.txt"
    of = robots.robot(str(place))
    rows = json.loads(place.read_text())
    assert of.model.body_mass.sum() == pytest.approx(sum(body["Mass"] for body in rows["BodyDefs"]))
    data = mujoco.MjData(of.model)
    mujoco.mj_kinematics(of.model, data)
    placed: list[np.ndarray] = []
    for joint in rows["Skeleton"]["Joints"]:
        above = placed[joint["Parent"]] if joint["Parent"] >= 0 else np.zeros(3)
        placed.append(above + [joint[f"Attach{axis}"] for axis in "XYZ"])
        np.testing.assert_allclose(data.body(joint["Name"]).xpos, AXES @ placed[-1], atol=1e-6)
