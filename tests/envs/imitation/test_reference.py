"""Tables of clips: poses, speeds, bodies and cycles against MuJoCo and against what is known of the clips."""

import mujoco
import numpy as np
import pytest

from awr_mjx.envs.imitation import clips, march, reference
from awr_mjx.envs.imitation.clips import BadClip, Clip
from tests.envs.imitation.others import clip, here

ROBOT = march.humanoid()
LOOPS = ["humanoid3d_walk", "humanoid3d_spinkick", "humanoid3d_cartwheel", "dog3d_trot", "dog3d_spin"]


def moving(seconds: float = 1.0, fps: float = 30.0, loop: bool = False) -> Clip:
    """The robot flies forward at 0.5 m/s and turns about the vertical at 0.3 rad/s, with its left knee at 0.7 rad/s."""
    m = ROBOT.model
    qpos = np.tile(m.qpos0, (round(seconds * fps) + 1, 1))
    for frame, pose in enumerate(qpos):
        time = frame / fps
        pose[0], pose[2] = 0.5 * time, 2.0
        pose[3], pose[6] = np.cos(0.15 * time), np.sin(0.15 * time)
        pose[m.joint("left_knee").qposadr[0]] = 0.7 * time
    return Clip(fps, qpos, ROBOT.joint_names, loop)


def test_poses_and_speeds_are_those_of_the_motion() -> None:
    found, _ = reference.build(ROBOT, [moving()])
    m = ROBOT.model
    assert found.rows.tolist() == [61] and not found.loops[0]
    speed = np.zeros(m.nv)
    speed[0], speed[5], speed[m.joint("left_knee").dofadr[0]] = 0.5, 0.3, 0.7
    np.testing.assert_allclose(found.qvel, np.tile(speed, (61, 1)), atol=1e-5)
    np.testing.assert_allclose(found.qpos[:, 0], 0.5 * np.arange(61) / 60, atol=1e-6)
    # The knee moves the centre of mass a little; the rest is the root's speed.
    np.testing.assert_allclose(found.com_velocity[:, 0], 0.5, atol=0.05)
    assert np.asarray(found.lift).max() == 0.0


def test_bodies_are_where_mujoco_has_them() -> None:
    motion = march.march()
    found, _ = reference.build(ROBOT, [motion])
    m, data = ROBOT.model, mujoco.MjData(ROBOT.model)
    for row in range(0, int(found.rows[0]), 5):
        data.qpos[:] = found.qpos[row]
        mujoco.mj_kinematics(m, data)
        turned = np.zeros(9)
        mujoco.mju_quat2Mat(turned, np.asarray(found.qpos[row, 3:7], float))
        angle = np.arctan2(turned[3], turned[0])
        back = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        bodies = (data.xpos[1:] - data.xpos[1]) @ back.T
        np.testing.assert_allclose(found.bodies[row], bodies, atol=1e-5)


def test_the_centre_of_mass_moves_as_its_places_do() -> None:
    motion = march.march()
    found, _ = reference.build(ROBOT, [motion])
    m, data = ROBOT.model, mujoco.MjData(ROBOT.model)
    places = []
    for pose in np.asarray(found.qpos, float):
        data.qpos[:] = pose
        mujoco.mj_forward(m, data)
        places.append(data.subtree_com[1].copy())
    between = np.diff(np.array(places), axis=0) * 60
    mean = (np.asarray(found.com_velocity)[1:] + np.asarray(found.com_velocity)[:-1]) / 2
    assert np.abs(between - mean).max() < 0.05 and np.abs(between).max() > 0.2


@pytest.mark.parametrize("name", LOOPS)
def test_a_cycle_leads_to_where_the_next_begins(name: str) -> None:
    """Moved and turned by a cycle, the first frame's root has the place and the heading of the last frame's."""
    robot, motions = clip(here(name), name)
    found, _ = reference.build(robot, motions)
    x, y, angle = np.asarray(found.cycle[0], float)
    first, last = motions[0].qpos[0], motions[0].qpos[-1]
    c, s = np.cos(angle), np.sin(angle)
    np.testing.assert_allclose(np.array([[c, -s], [s, c]]) @ first[:2] + [x, y], last[:2], atol=1e-6)
    turned = np.zeros(4)
    mujoco.mju_mulQuat(turned, np.array([np.cos(angle / 2), 0, 0, np.sin(angle / 2)]), first[3:7])
    ends = reference.heading(np.stack([turned, last[3:7]]))
    assert abs((ends[0] - ends[1] + np.pi) % (2 * np.pi) - np.pi) < 1e-6
    assert int(found.rows[0]) == round(motions[0].seconds * 60)


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("humanoid3d_walk", "ankle"),
        ("humanoid3d_run", "ankle"),
        ("humanoid3d_spinkick", "ankle"),
        ("humanoid3d_backflip", "ankle"),
        ("humanoid3d_cartwheel", "ankle wrist"),
        ("dog3d_canter", "finger toe"),
        ("dog3d_spin", "finger toe"),
    ],
)
def test_what_touches_the_floor_is_what_deepmimic_lets_touch_it(name: str, ends: str) -> None:
    """Its `fall_contact_bodies` are written out by hand for each clip; here they follow from the clips."""
    robot, motions = clip(here(name), name)
    _, touch = reference.build(robot, motions)
    names = {robot.model.body(body).name for body in touch}
    assert names == {f"{side}_{end}" for side in ("left", "right") for end in ends.split()}


def test_several_clips_lie_one_after_the_other() -> None:
    one, other = moving(0.5), march.march()
    found, _ = reference.build(ROBOT, [one, other])
    assert found.rows.tolist() == [31, 72] and found.first.tolist() == [0, 31]
    assert found.loops.tolist() == [False, True] and len(found.qpos) == 103
    np.testing.assert_allclose(found.qpos[31], other.qpos[0], atol=1e-6)


def test_a_clip_that_is_hardly_one_is_refused() -> None:
    with pytest.raises(BadClip, match="shorter than two steps"):
        reference.build(ROBOT, [Clip(60.0, moving().qpos[:2], ROBOT.joint_names, False)])


def test_the_robot_is_lifted_out_of_the_floor() -> None:
    motion = march.march()
    sunk = clips.Clip(motion.fps, motion.qpos - np.eye(len(ROBOT.model.qpos0))[2] * 0.02, motion.joint_names, True)
    found, _ = reference.build(ROBOT, [sunk])
    np.testing.assert_allclose(found.lift, 0.02, atol=1e-5)
