"""What is measured of a clip, on clips with one fault each of a known size: it is found, and nothing else is."""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import pytest

from awr_mjx.envs.imitation import inspection, march, mjcf, readers, robots
from awr_mjx.envs.imitation.characters import Character
from awr_mjx.envs.imitation.clips import Clip
from awr_mjx.envs.imitation.errors import BadClip
from tests.envs.imitation.made import about, column, needs_motions, robot, robot_file, still
from tests.reference import REFERENCE

TIMES = np.arange(31) / 30  # s, of `still`
BELL = np.sin(np.pi * TIMES) ** 2  # from 0 to 1 and back
BALL = """
<mujoco><worldbody><body pos="0 0 0.2"><freejoint/><geom type="sphere" size="0.2"/></body></worldbody></mujoco>
"""
LEG = """
<mujoco><worldbody><body name="shin" pos="0 0 0.5"><freejoint/>
  <geom type="capsule" fromto="0 0 -0.05 0 0 -0.46" size="0.04"/>
  <body name="foot" pos="0 0 -0.4"><joint name="ankle" axis="0 1 0"/>
    <geom type="box" size="0.08 0.04 0.02" pos="0 0 -0.08"/></body></body></worldbody></mujoco>
"""


@pytest.fixture
def of(tmp_path: pathlib.Path) -> Character:
    return robot(tmp_path)


def found(of: Character, motion: Clip, **figures: Any) -> None:
    """`inspect` gives these figures, those of `still` for all others."""
    usual = dataclasses.asdict(inspection.inspect(of, still(of, loop=motion.loop)))
    seen = dataclasses.asdict(inspection.inspect(of, motion))
    if "slide" not in figures:  # else which of them stands best is a matter of rounding
        assert seen["slide_body"]
        usual = {name: value for name, value in usual.items() if name not in ("slide_body", "slide_frame")}
    for name, value in (usual | figures).items():
        assert seen[name] == (pytest.approx(value, abs=2e-6) if isinstance(value, float) else value), name


def with_column(of: Character, joint: str, angles: np.ndarray) -> Clip:
    given = still(of)
    given.qpos[:, column(of, joint)] = angles
    return given


def test_a_robot_that_stands_is_sound(of: Character) -> None:
    seen = inspection.inspect(of, still(of))
    assert (seen.frames, seen.fps, seen.seconds, seen.loop) == (31, 30, 1, True)
    assert (seen.beyond, seen.beyond_most, seen.beyond_joint) == (0, 0, "")
    assert (seen.lowest, seen.lowest_median, seen.to_floor) == pytest.approx((0, 0, 0), abs=1e-9)
    assert seen.touching == ("left_foot", "right_leg")
    assert (seen.slide, seen.seam_angle, seen.seam_height, seen.seam_tilt, seen.seam_turn) == (0, 0, 0, 0, 0)
    assert (seen.fastest, seen.jumps, seen.overlap, seen.overlap_bodies) == (0, (), 0, ())


def test_a_clip_is_as_long_as_it_is(of: Character) -> None:
    found(of, dataclasses.replace(still(of), fps=60.0), fps=60.0, seconds=0.5)
    given = still(of)
    found(of, dataclasses.replace(given, qpos=given.qpos[:11], loop=False), frames=11, seconds=1 / 3)


def test_a_root_that_is_too_high(of: Character) -> None:
    given = still(of)
    given.qpos[:, 2] += 0.025
    found(of, given, lowest=0.025, lowest_median=0.025)
    assert inspection.inspect(of, given).to_floor == pytest.approx(-0.025)
    given.qpos[:, 2] += 0.2
    found(of, given, lowest=0.225, lowest_median=0.225, touching=())


def test_a_root_that_sinks_for_a_while(of: Character) -> None:
    """The median stays, as it is only low in ten frames of 31."""
    given = still(of)
    given.qpos[5:15, 2] -= 0.02
    found(of, given, lowest=-0.02, lowest_median=0.0)


def test_feet_that_slide(of: Character) -> None:
    """The whole robot is drawn over the floor at 0.5 m/s; the seam is none the worse."""
    given = still(of)
    given.qpos[:, 0], given.qpos[:, 1] = 0.3 * TIMES, 0.4 * TIMES
    seen = inspection.inspect(of, given)
    found(of, given, slide=0.5, slide_body=seen.slide_body, slide_frame=seen.slide_frame)


def test_one_foot_that_slides(of: Character) -> None:
    """The robot turns about its right foot at 0.6 rad/s; that foot's corners, and the left's, are so far from there."""
    given = still(of)
    centre, angle = np.array([0.0, -0.15]), 0.6 * TIMES
    given.qpos[:, 0] = centre[0] + 0.15 * -np.sin(angle)
    given.qpos[:, 1] = centre[1] + 0.15 * np.cos(angle)
    given.qpos[:, 3:7] = [about((0, 0, 1), one) for one in angle]
    chord = 2 * np.sin(0.6 / 30 / 2) * 30  # a thirtieth of a second, as the crow flies
    farthest = np.hypot(0.08, 0.3 + 0.04)
    frame = inspection.inspect(of, given).slide_frame
    found(of, given, slide=chord * farthest, slide_body="left_foot", slide_frame=frame, seam_turn=0.6)


def test_a_foot_in_the_air_does_not_slide(of: Character) -> None:
    """The left foot, level, swings with its leg, 0.4 m long: it is over 1 cm high where the leg is over 0.224 rad."""

    def swung(angle: np.ndarray) -> Clip:
        given = with_column(of, "left_hip", angle)
        given.qpos[:, column(of, "left_ankle")] = -angle
        return given

    assert inspection.inspect(of, swung(0.3 + 0.5 * BELL)).slide == pytest.approx(0, abs=1e-6)
    angle = 0.8 * BELL
    near = 0.4 * (1 - np.cos(angle)) <= 0.01
    speed = 0.4 * np.abs(np.diff(np.sin(angle))) * 30
    fastest = speed[near[:-1] & near[1:]].max()
    assert fastest < 0.9 * speed.max()
    seen = inspection.inspect(of, swung(angle))
    assert seen.slide == pytest.approx(fastest, abs=1e-6)
    assert seen.slide_body == "left_foot"


def test_a_foot_that_a_dip_left_above_the_lowest_point_still_slides(of: Character) -> None:
    given = still(of)
    given.qpos[:, 0] = 0.5 * TIMES
    given.qpos[20, 2] -= 0.05
    seen = inspection.inspect(of, given)
    assert (seen.lowest, seen.slide) == pytest.approx((-0.05, 0.5), abs=1e-6)


def test_a_shin_that_turns_in_its_ankle_is_no_foot_that_slides(tmp_path: pathlib.Path) -> None:
    """The lower end of the shin is as low as the sole, 0.06 m below the ankle about which it swings."""
    (tmp_path / "leg.xml").write_text(LEG)
    of = mjcf.character(tmp_path / "leg.xml")
    given, angle = still(of), 0.1 * BELL
    given.qpos[:, 0], given.qpos[:, 2] = 0.4 * np.sin(angle), 0.1 + 0.4 * np.cos(angle)
    given.qpos[:, 3:7] = [about((0, 1, 0), one) for one in angle]
    given.qpos[:, column(of, "ankle")] = -angle
    seen = inspection.inspect(of, given)
    assert (seen.touching, seen.slide_body) == (("foot",), "foot")
    assert max(abs(seen.lowest), seen.slide) < 1e-3


def test_a_ball_that_rolls_does_not_slide(tmp_path: pathlib.Path) -> None:
    """At 0.3 m/s it turns by a = 0.05 rad a frame; the point that was below moves by r (a - sin a)."""
    (tmp_path / "ball.xml").write_text(BALL)
    of = mjcf.character(tmp_path / "ball.xml")
    given = still(of)
    given.qpos[:, 0] = 0.3 * TIMES
    assert inspection.inspect(of, given).slide == pytest.approx(0.3, abs=1e-6)
    given.qpos[:, 3:7] = [about((0, 1, 0), 0.3 / 0.2 * time) for time in TIMES]
    seen = inspection.inspect(of, given)
    assert seen.slide == pytest.approx(30 * 0.2 * (0.05 - np.sin(0.05)), abs=1e-6)
    assert (seen.fastest_joint, seen.seam_joint, seen.touching) == ("", "", ("body 1",))


def test_a_joint_beyond_its_limit(of: Character) -> None:
    """Its limits are -1 and 1 rad; a thousandth of a rad more is taken for rounding."""
    angle = 1.3 * BELL
    speed = np.abs(np.diff(angle)).max() * 30
    over = int((angle > 1.001).sum())
    assert 5 < over < 20
    moving = {"fastest": speed, "fastest_joint": "left_tail"}
    found(of, with_column(of, "left_tail", -angle), beyond=over, beyond_most=0.3, beyond_joint="left_tail", **moving)
    at = with_column(of, "left_tail", -1.0005 * BELL)
    found(of, at, fastest=1.0005 * speed / 1.3, fastest_joint="left_tail")


def test_a_seam_that_jumps(of: Character) -> None:
    given = with_column(of, "left_tail", -0.4 * TIMES)
    moving = {"fastest": 0.4, "fastest_joint": "left_tail"}
    found(of, given, seam_angle=0.4, seam_joint="left_tail", **moving)
    found(of, dataclasses.replace(given, loop=False), **moving)  # only a loop has a seam


def test_a_seam_at_which_a_ball_jumps(of: Character) -> None:
    given = still(of)
    axis = np.array([0.6, 0.0, 0.8])
    given.qpos[:, column(of, "neck") :][:, :4] = [about(axis, 0.7 * time) for time in TIMES]
    found(of, given, seam_angle=0.7, seam_joint="neck", fastest=0.7, fastest_joint="neck")


def test_a_seam_at_which_the_root_jumps(of: Character) -> None:
    """Up by 3 cm, and forward by 0.02 rad; a turn, which the next cycle goes on from, is no jump."""
    given = still(of)
    given.qpos[:, 2] += 0.03 * TIMES
    given.qpos[:, 3:7] = [about((0, 1, 0), 0.02 * time) for time in TIMES]
    seen = inspection.inspect(of, given)
    assert (seen.seam_height, seen.seam_tilt, seen.seam_turn, seen.seam_angle) == pytest.approx(
        (0.03, 0.02, 0, 0), abs=1e-6
    )
    given.qpos[:, 3:7] = [about((0, 0, 1), 2.5 * time) for time in TIMES]
    seen = inspection.inspect(of, given)
    assert (seen.seam_tilt, seen.seam_turn) == pytest.approx((0, 2.5), abs=1e-6)


@pytest.mark.parametrize("joint", ["left_tail", "root"])
def test_a_jump_inside(joint: str, of: Character) -> None:
    """Steps of 0.4 rad, or of 0.2 m, into frame 10, and back into frame 20; a quick motion is none."""
    given = still(of)
    given.qpos[10:20, 0 if joint == "root" else column(of, joint)] = -0.4 if joint != "root" else 0.2
    moving: dict[str, Any] = {"fastest": 12.0, "fastest_joint": joint} if joint != "root" else {"slide": 6.0}
    if joint == "root":
        moving |= {"slide_body": inspection.inspect(of, given).slide_body, "slide_frame": 9}
    found(of, given, jumps=(10, 20), **moving)
    quick = with_column(of, "left_tail", -0.4 * np.clip(np.arange(31) - 10, 0, 2))
    assert inspection.inspect(of, quick).jumps == (11, 12)
    quick = with_column(of, "left_tail", -0.31 * np.clip(np.arange(31) - 10, 0, 3))
    assert inspection.inspect(of, quick).jumps == ()


def test_a_frame_that_is_out_of_place(of: Character) -> None:
    given = with_column(of, "left_tail", np.where(np.arange(31) == 12, -0.5, 0.0))
    found(of, given, jumps=(12, 13), fastest=15.0, fastest_joint="left_tail")


def test_two_bodies_inside_each_other(of: Character) -> None:
    """The balls at the tails' ends are 0.2 m apart, and each comes nearer by 0.3 sin a; they touch at 0.1 m."""
    given = with_column(of, "left_tail", 0.25 * BELL)
    given.qpos[:, column(of, "right_tail")] = -0.25 * BELL
    depth = 0.1 - (0.2 - 2 * 0.3 * np.sin(0.25))
    speed = np.abs(np.diff(0.25 * BELL)).max() * 30
    assert depth > 0.04
    pair = ("left_tail", "right_tail")
    found(of, given, overlap=depth, overlap_bodies=pair, overlap_frame=15, fastest=speed, fastest_joint="left_tail")


def test_what_is_built_inside_each_other_is_no_fault(tmp_path: pathlib.Path) -> None:
    """With balls of 0.12 m the tails are 4 cm inside each other as they are built, and only what is more counts."""
    place = robot_file(tmp_path)
    place.write_text(place.read_text().replace('size="0.05"', 'size="0.12"'))
    of = mjcf.character(place)
    assert inspection.inspect(of, still(of)).overlap == pytest.approx(0, abs=1e-9)
    given = with_column(of, "left_tail", 0.1 * BELL)
    reach = 0.3 * np.array([np.cos(0.1), np.sin(0.1)])
    apart = np.hypot(0.3 - reach[0], 0.2 - reach[1])
    assert inspection.inspect(of, given).overlap == pytest.approx(0.2 - apart, abs=1e-6)


def test_the_march_is_sound() -> None:
    seen = inspection.inspect(march.humanoid(), march.march())
    assert seen.touching == ("left_foot", "right_foot")
    assert (seen.beyond, seen.jumps, seen.overlap) == (0, (), 0)
    assert max(abs(seen.lowest), abs(seen.lowest_median), abs(seen.seam_turn), seen.seam_angle, seen.seam_tilt) < 1e-6
    assert 0 < seen.slide < 0.05
    assert 5 < seen.fastest < 15


@needs_motions
def test_deepmimics_clips_are_as_they_were_measured_elsewhere() -> None:
    """Lowest points, and how deep bodies are inside each other, as another program gave them."""
    known = {"humanoid3d_walk": (-0.005, 0.007, 0), "humanoid3d_backflip": (-0.018, -0.004, 0.042)}
    known |= {"dog3d_trot": (-0.014, 0.000, 0.017), "dog3d_spin": (-0.018, -0.012, 0.030)}
    for name, figures in known.items():
        of = robots.robot(str(REFERENCE / "characters" / f"{name.partition('_')[0]}.txt"))
        seen = inspection.inspect(of, readers.read(REFERENCE / "motions" / f"{name}.txt", of))
        assert (seen.lowest, seen.lowest_median, seen.overlap) == pytest.approx(figures, abs=1e-3), name


def test_a_clip_shorter_than_two_steps_is_refused(of: Character) -> None:
    with pytest.raises(BadClip, match="shorter than two steps"):
        inspection.inspect(of, dataclasses.replace(still(of, 2), fps=60.0))
