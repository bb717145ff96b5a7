"""Clips in our own form: files, times, signs of quaternions, cycles, and what is no clip of a robot."""

import dataclasses
import io
import pathlib
import re
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from awr_mjx.envs.imitation import clips, reference
from awr_mjx.envs.imitation.clips import Clip
from awr_mjx.envs.imitation.errors import BadClip
from tests.envs.imitation.made import about, column, robot, still

NAMES = ("root", "arm")
X, Z = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def poses(arm: list[float], turns: list[float] | None = None) -> np.ndarray:
    """Of a root, turned about z, and a hinge."""
    found = np.zeros((len(arm), 8))
    found[:, 3:7] = [about(Z, turn) for turn in turns or [0.0] * len(arm)]
    found[:, 7] = arm
    return found


def fields(**changed: Any) -> dict[str, Any]:
    return {"fps": 30.0, "qpos": poses([0, 1, 2]), "joint_names": np.array(NAMES), "loop": True} | changed


def test_a_clip_comes_back_from_its_file(tmp_path: pathlib.Path) -> None:
    written = Clip(50.5, poses([0.1, 0.2, 0.3], [0, 1, 2]), NAMES, loop=True)
    written.save(tmp_path / "clip.part")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.part"]
    found = clips.load(tmp_path / "clip.part")
    np.testing.assert_array_equal(found.qpos, written.qpos)
    assert (found.fps, found.joint_names, found.loop) == (50.5, NAMES, True)
    assert found.seconds == pytest.approx(2 / 50.5)
    dataclasses.replace(written, loop=False).save(tmp_path / "clip.part")
    assert not clips.load(tmp_path / "clip.part").loop


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"loop": None, "fps": None}, "has no fps and no loop; it has qpos, joint_names"),
        ({"fps": np.array([30.0, 60.0])}, "has fps .30. 60..: one number is wanted"),
        ({"fps": "fast"}, "has fps .'fast'.: one number is wanted"),
        ({"fps": None}, "has no fps; it has qpos"),
        ({"qpos": np.full((3, 8), "x")}, "has qpos of type <U1: real numbers are wanted"),
        ({"qpos": np.full((3, 8), 1j)}, "has qpos of type complex128: real numbers are wanted"),
        ({"loop": "False"}, "has loop .'False'.: true or false is wanted"),
        ({"loop": 2}, "has loop .2.: true or false is wanted"),
        ({"joint_names": np.array(NAMES, object)}, "holds joint_names as a pickle"),
    ],
)
def test_an_npz_that_is_no_clip_is_refused(changed: dict[str, Any], words: str, tmp_path: pathlib.Path) -> None:
    given = {name: value for name, value in fields(**changed).items() if value is not None}
    np.savez(tmp_path / "clip.npz", **given)
    with pytest.raises(BadClip, match=words) as caught:
        clips.load(tmp_path / "clip.npz")
    assert str(caught.value).startswith(str(tmp_path / "clip.npz"))


def half(found: bytes) -> bytes:
    return found[: len(found) // 2]


def spoilt(found: bytes) -> bytes:
    """The same archive with one number changed, which its checksum tells."""
    place = found.index(np.float64(30.0).tobytes())
    return found[:place] + b"\x01" + found[place + 1 :]


def encrypted(found: bytes) -> bytes:
    """The same archive said to be encrypted, for which zipfile has a RuntimeError."""
    return found.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01").replace(
        b"PK\x01\x02\x2d\x03\x2d\x00\x00", b"PK\x01\x02\x2d\x03\x2d\x00\x01"
    )


def text_within(found: bytes) -> bytes:
    """An archive in which a file of text is called as an array should be."""
    place = io.BytesIO()
    with zipfile.ZipFile(place, "w") as archive:
        for name in clips.FIELDS:
            archive.writestr(name, "text")
    return place.getvalue()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (half, "cannot be read"),
        (spoilt, "cannot be read"),
        (encrypted, "cannot be read"),
        (text_within, "true or false is wanted"),
        (lambda _: b"", "cannot be read"),
        (lambda _: b"a clip", "cannot be read"),
    ],
    ids=["half", "spoilt", "encrypted", "text within", "empty", "text"],
)
def test_a_spoilt_file_is_refused(change: Callable[[bytes], bytes], words: str, tmp_path: pathlib.Path) -> None:
    place = tmp_path / "clip.npz"
    Clip(30.0, poses([0, 1, 2]), NAMES, loop=True).save(place)
    clips.load(place)
    place.write_bytes(change(place.read_bytes()))
    with pytest.raises(BadClip, match=words) as caught:
        clips.load(place)
    assert "\n" not in str(caught.value)


def test_an_array_alone_is_no_clip(tmp_path: pathlib.Path) -> None:
    with (tmp_path / "clip.npz").open("wb") as file:
        np.save(file, poses([0, 1]))
    with pytest.raises(BadClip, match="is no npz"):
        clips.load(tmp_path / "clip.npz")


def test_between_frames_joints_go_straight_and_quaternions_turn_evenly() -> None:
    found = clips.interpolated(poses([0, 1, 3], [0, 1.2, 1.2]), np.array([0.0, 0.25, 1.5, 2.0]), [3])
    np.testing.assert_allclose(found[:, 7], [0, 0.25, 2, 3], atol=1e-12)
    np.testing.assert_allclose(found[:, 3:7], [about(Z, turn) for turn in (0, 0.3, 1.2, 1.2)], atol=1e-12)


def test_between_opposite_signs_the_short_way_is_gone() -> None:
    given = poses([0, 0], [0, 0.4])
    given[1, 3:7] *= -1
    np.testing.assert_allclose(clips.interpolated(given, np.array([0.5]), [3])[0, 3:7], about(Z, 0.2), atol=1e-12)


def test_frames_of_uneven_length_become_as_short_as_the_shortest() -> None:
    found = Clip.at_times(np.array([0, 0.1, 0.3]), poses([0, 1, 3], [0, 0.1, 0.3]), NAMES, True, [3])
    assert found.fps == pytest.approx(10)
    np.testing.assert_allclose(found.qpos, poses([0, 1, 2, 3], [0, 0.1, 0.2, 0.3]), atol=1e-12)
    assert found.loop
    even = Clip.at_times(np.array([0, 0.1, 0.20005]), poses([0, 1, 3]), NAMES, False, [3])
    np.testing.assert_array_equal(even.qpos, poses([0, 1, 3]))
    assert even.fps == pytest.approx(2 / 0.20005)
    assert not even.loop


def test_quaternions_are_made_1_and_change_no_sign() -> None:
    given = poses([0] * 4, [0.0, 0.1, 0.2, 0.3])
    given[1:3, 3:7] *= -1.01
    found = clips.checked(Clip(30.0, given, NAMES, loop=False), "it", NAMES, [3])
    np.testing.assert_allclose(found.qpos, poses([0] * 4, [0.0, 0.1, 0.2, 0.3]), atol=1e-12)
    assert given[1, 3] < 0, "the clip that was given is as it was"


def not_finite(frame: int) -> np.ndarray:
    found = poses([0, 1, 2, 3])
    found[frame, 0] = np.nan
    found[3, 7] = np.inf
    return found


def longer(by: float) -> np.ndarray:
    found = poses([0, 1, 2])
    found[1, 3:7] *= by
    return found


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"joint_names": ("root", "leg")}, "leg is the clip's alone, arm is the robot's alone"),
        ({"joint_names": ("root",)}, "arm is the robot's alone"),
        ({"joint_names": ()}, "arm is the robot's alone"),
        ({"qpos": poses([0])}, "it has 1 frame: a motion has two or more"),
        ({"qpos": poses([0])[:0]}, "it has 0 frames"),
        ({"qpos": np.float64(1.0)}, "it has qpos of shape ..: a row for each frame is wanted"),
        ({"qpos": poses([0, 1])[..., None]}, "it has qpos of shape .2, 8, 1."),
        ({"qpos": poses([0, 2e4])}, "it has a number of 2e.04: angles are in radians, places in metres"),
        ({"qpos": poses([0, 1])[:, :7]}, "it has 7 numbers a frame, and the robot 8"),
        ({"qpos": np.pad(poses([0, 1]), ((0, 0), (0, 1)))}, "it has 9 numbers a frame, and the robot 8"),
        ({"fps": 0.0}, "it has 0 frames per second: that must be from 1 to 2000"),
        ({"fps": np.nan}, "it has nan frames per second"),
        ({"fps": -30.0}, "it has -30 frames per second"),
        ({"fps": 1e6}, "it has 1e\\+06 frames per second"),
        ({"qpos": not_finite(2)}, "not finite in 2 of 4 frames, first in 2"),
        ({"qpos": longer(1.03)}, "a quaternion of length 1.03 in frame 1, numbers 3 to 6"),
        ({"qpos": longer(0.0)}, "a quaternion of length 0 in frame 1"),
    ],
)
def test_what_is_no_clip_of_the_robot_is_refused(changed: dict[str, Any], words: str) -> None:
    clip = dataclasses.replace(Clip(30.0, poses([0, 1, 2]), NAMES, loop=False), **changed)
    with pytest.raises(BadClip, match=words) as caught:
        clips.checked(clip, "it", NAMES, [3])
    assert re.match("it has ", str(caught.value))


def test_joints_in_another_order_are_sorted() -> None:
    """The robot has hinge a, ball b and hinge c; the clip c, b and a."""
    root, ball, zero = poses([0, 1])[:, :7], np.tile([0.6, 0.8, 0, 0], (2, 1)), np.zeros((2, 1))
    given = np.concatenate([root, zero + 3, ball, zero + 1], axis=1)
    wanted = np.concatenate([root, zero + 1, ball, zero + 3], axis=1)
    names, balls = ("root", "a", "b", "c"), [3, 8]
    found = clips.checked(Clip(30.0, given, ("root", "c", "b", "a"), loop=False), "it", names, balls)
    np.testing.assert_array_equal(found.qpos, wanted)
    assert found.joint_names == names
    with pytest.raises(BadClip, match="one is there twice"):
        clips.checked(Clip(30.0, given, ("root", "c", "b", "a", "a"), loop=False), "it", names, balls)
    with pytest.raises(BadClip, match="12 numbers a frame, and the robot 13"):
        clips.checked(Clip(30.0, given[:, :-1], ("root", "c", "b", "a"), loop=False), "it", names, balls)


def test_the_roots_name_is_of_no_matter(tmp_path: pathlib.Path) -> None:
    of = robot(tmp_path)
    given = still(of)
    renamed = dataclasses.replace(given, joint_names=("pelvis", *given.joint_names[1:]))
    found = clips.checked(renamed, "it", of.joint_names, of.balls)
    np.testing.assert_array_equal(found.qpos, given.qpos)


def test_cycles_follow_each_other_turned_and_moved(tmp_path: pathlib.Path) -> None:
    """A cycle that goes 1 m ahead and then turns to the left by a right angle: four of them are a square."""
    of = robot(tmp_path)
    given = still(of, 3)
    given.qpos[:, 0], given.qpos[:, 1] = [0.0, 1.0, 1.0], 0.0
    given.qpos[2, 3:7] = about(Z, np.pi / 2)
    given.qpos[:, column(of, "left_hip")] = [0.1, 0.2, 0.3]
    np.testing.assert_allclose(reference.cycle(given), [1, 0, np.pi / 2], atol=1e-12)
    found = reference.repeated(given, 4)
    assert found.shape == (9, of.model.nq)
    corners = [(0, 0), (1, 0), (1, 0), (1, 1), (1, 1), (0, 1), (0, 1), (0, 0), (0, 0)]
    np.testing.assert_allclose(found[:, :2], corners, atol=1e-12)
    np.testing.assert_allclose(found[:, 2], 0.6, atol=1e-12)
    np.testing.assert_allclose(
        reference.heading(found[::2, 3:7]) % (2 * np.pi) % 6.283, np.arange(5) % 4 * np.pi / 2, atol=1e-3
    )
    np.testing.assert_allclose(found[:, column(of, "left_hip")], [0.1, 0.2] * 4 + [0.3], atol=1e-12)


def test_cycles_that_begin_elsewhere_turn_about_their_origin(tmp_path: pathlib.Path) -> None:
    of = robot(tmp_path)
    given = still(of, 2)
    given.qpos[:, :2] = [(2.0, 0.0), (3.0, 0.0)]
    given.qpos[:, 3:7] = [about(Z, 0.5), about(Z, 0.5 + np.pi / 2)]
    found = reference.repeated(given, 2)
    np.testing.assert_allclose(found[:, :2], [(2, 0), (3, 0), (3, 1)], atol=1e-12)
    np.testing.assert_allclose(
        reference.heading(found[:, 3:7]), [0.5, 0.5 + np.pi / 2, 0.5 + np.pi - 2 * np.pi], atol=1e-9
    )
