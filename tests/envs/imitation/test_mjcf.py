"""Robots as others write them: what stands beside them, what drives them, and what of them is not simulated."""

import pathlib

import numpy as np
import pytest

from awr_mjx.envs.imitation import mjcf
from awr_mjx.envs.imitation.characters import Character
from awr_mjx.envs.imitation.errors import BadCharacter
from tests.envs.imitation.made import ROBOT, robot

TABLE = '<body name="table" pos="3 0 .5"><geom type="box" size=".5 .5 .5" mass="50"/></body>'
GROUND = '<geom type="plane" size="5 5 1" name="floor"/><body name="ground"><geom type="plane" size="1 1 1"/></body>'
SCENE = """<asset>
<texture name="floor" type="2d" builtin="flat" width="10" height="10"/>
<texture name="sky" type="skybox" builtin="flat" width="10" height="10"/>
<material name="floor" texture="floor"/>
</asset>"""
SOLE = '<geom type="box" size="0.08 0.04 0.02" pos="0 0 -0.08" mass="1"/>'
MESH = '<asset><mesh name="m" vertex="0 0 0 .1 0 0 0 .1 0 0 0 .1"/></asset>'
WEIGHT = 10.0 * 9.81 * 0.6  # of the robot, times the height of its root


def changed(folder: pathlib.Path, *changes: tuple[str, str]) -> Character:
    """The robot of `made`, without its neck, whose file has been changed."""
    text = ROBOT.format(neck="")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "robot.xml").write_text(text)
    return mjcf.character(folder / "robot.xml")


def driven(folder: pathlib.Path, *actuators: str) -> Character:
    return changed(folder, ("</mujoco>", f"<actuator>{''.join(actuators)}</actuator></mujoco>"))


def same(one: Character, other: Character) -> None:
    for name in ("kp", "kd", "torque_limit", "weight"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12, err_msg=name)
    assert (one.ends, one.geoms, one.trunk, one.bodies) == (other.ends, other.geoms, other.trunk, other.bodies)
    for name in ("body_mass", "body_inertia", "body_pos", "geom_size", "geom_pos", "geom_friction", "dof_armature"):
        np.testing.assert_array_equal(getattr(one.model, name), getattr(other.model, name), err_msg=name)


@pytest.mark.parametrize("things", [TABLE, GROUND, TABLE + GROUND])
@pytest.mark.parametrize("where", ["<worldbody>", "</worldbody>"])
def test_what_stands_in_the_world_is_left_out(things: str, where: str, tmp_path: pathlib.Path) -> None:
    both = where + things if where == "<worldbody>" else things + where
    same(changed(tmp_path, (where, both)), robot(tmp_path, neck=False))


def test_a_file_may_call_its_things_as_we_do_ours(tmp_path: pathlib.Path) -> None:
    same(changed(tmp_path, ("<worldbody>", f"{SCENE}<worldbody>")), robot(tmp_path, neck=False))


def test_what_is_there_to_be_seen_alone_is_no_matter(tmp_path: pathlib.Path) -> None:
    seen = '<geom type="box" size="1 1 1" contype="0" conaffinity="0" mass="0"/>'
    root = '<freejoint name="root"/>'
    kept = changed(tmp_path, (root, root + seen))
    discarded = changed(
        tmp_path, (root, root + seen), ('angle="radian"', 'angle="radian" inertiafromgeom="true" discardvisual="true"')
    )
    same(discarded, kept)
    own = robot(tmp_path, neck=False)
    sizes = [one.model.geom_size[list(one.geoms)] for one in (discarded, own)]
    np.testing.assert_array_equal(*sizes)


def test_gains_and_limits_of_actuators(tmp_path: pathlib.Path) -> None:
    found = driven(
        tmp_path,
        '<position joint="left_hip" kp="100" kv="5" forcerange="-30 20"/>',
        '<velocity joint="left_hip" kv="7" ctrlrange="-2 2"/>',
        '<position joint="left_ankle" kp="100" kv="5" gear="3" forcerange="-10 10"/>',
    )
    joints = {name: i for i, name in enumerate(found.joint_names)}
    place = {name: int(found.model.jnt_dofadr[i]) for name, i in joints.items()}
    hip, ankle, tail = (place[name] for name in ("left_hip", "left_ankle", "left_tail"))
    assert (found.kp[hip], found.kd[hip], found.torque_limit[joints["left_hip"]]) == (100, 12, 30)
    assert (found.kp[ankle], found.kd[ankle], found.torque_limit[joints["left_ankle"]]) == (900, 45, 30)
    assert (found.kp[tail], found.kd[tail], found.torque_limit[joints["left_tail"]]) == (0, 0, np.inf)


@pytest.mark.parametrize(
    ("actuator", "limit"),
    [
        ('<motor joint="left_hip" ctrlrange="-1 1" gear="20"/>', 20.0),
        ('<motor joint="left_hip" ctrlrange="-1 1" gear="20" forcerange="-0.5 0.5"/>', 10.0),
        ('<general joint="left_hip" gainprm="50" ctrlrange="-1 1"/>', 50.0),
        ('<velocity joint="left_hip" kv="30" ctrlrange="-2 2"/>', np.inf),  # rad/s, no torque
    ],
)
def test_what_is_no_position_actuator_says_how_strong_a_servo_is(
    actuator: str, limit: float, tmp_path: pathlib.Path
) -> None:
    found = driven(tmp_path, actuator)
    assert found.torque_limit[found.joint_names.index("left_hip")] == limit
    np.testing.assert_allclose(found.kp[6:], WEIGHT)
    np.testing.assert_allclose(found.kd[6:], 0.1 * WEIGHT)


@pytest.mark.parametrize("height", ["0", "-0.5", "0.6"])
def test_a_robot_is_as_strong_wherever_its_file_has_it(height: str, tmp_path: pathlib.Path) -> None:
    found = changed(tmp_path, ('name="trunk" pos="0 0 0.6"', f'name="trunk" pos="0 0 {height}"'))
    np.testing.assert_allclose(found.kp[6:], WEIGHT, rtol=1e-6)


TENDON = '<tendon><fixed name="t"{}><joint joint="left_hip" coef="1"/></fixed></tendon></mujoco>'


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            '<actuator><position joint="left_hip" kp="9"/><motor joint="left_ankle"/></actuator></mujoco>',
            "joint left_ankle has an actuator, but none of position, as left_hip has",
        ),
        (
            '<actuator><general joint="left_hip" gainprm="9" biastype="affine" biasprm="0 9 0"/></actuator></mujoco>',
            "joint left_hip has a servo of negative stiffness",
        ),
        (
            TENDON.format("").replace("</mujoco>", '<actuator><motor name="m" tendon="t"/></actuator></mujoco>'),
            "actuator m drives no joint",
        ),
        ('<actuator><motor joint="root"/></actuator></mujoco>', "actuator number 0 drives the root"),
        (TENDON.format(' stiffness="1"'), "tendons that pull or have limits"),
        (TENDON.format(' range="-1 1" limited="true"'), "tendons that pull or have limits"),
        ('<equality><joint joint1="left_hip" joint2="left_ankle"/></equality></mujoco>', "1 constraints in <equality>"),
    ],
)
def test_forces_that_are_not_simulated_are_refused(change: str, words: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(BadCharacter) as caught:
        changed(tmp_path, ("</mujoco>", change))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_not_simulated_is_told(tmp_path: pathlib.Path) -> None:
    assert robot(tmp_path).left_out == ()
    rubbed = changed(tmp_path, ('name="left_hip"', 'name="left_hip" frictionloss="0.1"'))
    assert rubbed.left_out == ("friction in 1 joint is not simulated",)
    meshes = changed(
        tmp_path,
        ("<worldbody>", f"{MESH}<worldbody>"),
        (SOLE, '<geom type="mesh" mesh="m" mass="1"/>'),
    )
    assert meshes.left_out == ("left_foot, right_leg: no sphere, capsule or box, so nothing of it touches the floor",)


def test_two_things_that_move_are_one_too_many(tmp_path: pathlib.Path) -> None:
    door = '<body name="door"><joint name="hinge"/><geom size="1"/></body>'
    for where, both in (("<worldbody>", f"<worldbody>{door}"), ("</worldbody>", f"{door}</worldbody>")):
        with pytest.raises(BadCharacter, match=r"more that moves than one robot: .*door.*; leave the others out"):
            changed(tmp_path, (where, both))


def test_what_has_no_name_gets_one_of_its_own(tmp_path: pathlib.Path) -> None:
    found = changed(tmp_path, ('<body name="left_leg"', "<body"), ('name="left_foot"', 'name="body 2"'))
    assert found.bodies[:3] == ("trunk", "body 2_", "body 2")
