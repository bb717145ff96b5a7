"""What an imitation task tells about itself for those who play its policies elsewhere."""

import json
import pathlib

import mujoco
import numpy as np
import pytest

from awr_mjx.envs.imitation import deployment, march, mjcf
from awr_mjx.envs.imitation.characters import Character
from awr_mjx.envs.imitation.clips import Clip
from awr_mjx.envs.imitation.task import Imitation
from tests.envs.imitation import made

# What is not of physics: pictures, places in MuJoCo's own tables, and what is told differently.
OTHERWISE = {"body_contype", "geom_contype", "geom_matid", "body_user", "geom_user", "jnt_user"}
EVERYTHING = """
<mujoco>
  <option gravity="0.5 0 -9" impratio="2"/>
  <asset><mesh name="shell" vertex="0 0 0  0.1 0 0  0 0.2 0  0 0 0.3"/></asset>
  <worldbody>
    <body name="trunk" pos="0 0 0.6">
      <joint name="root" type="free" damping="0.1"/>
      <geom type="mesh" mesh="shell" mass="3"/>
      <geom type="box" size="0.1 0.1 0.05" euler="10 20 30" friction="1.2" solref="0.03 0.9"/>
      <body pos="0.1 0.2 0.3" euler="30 0 0">
        <joint axis="1 2 3" pos="0.01 0.02 0.03" range="-10 70" ref="5" damping="0.3" armature="0.02"
               solreflimit="0.03 1" solimplimit="0.8 0.9 0.002" margin="0.01"/>
        <geom type="capsule" size="0.05 0.1" mass="1" solimp="0.8 0.9 0.002" margin="0.02" gap="0.01" priority="1"/>
        <body name="hand" pos="0 0 0.2">
          <joint name="wrist" type="ball" pos="0 0 0.1" armature="0.01" damping="0.2"/>
          <geom type="sphere" size="0.05" mass="0.5" condim="1" solmix="2"/>
        </body>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


def everything(folder: pathlib.Path) -> Character:
    (folder / "everything.xml").write_text(EVERYTHING)
    return mjcf.character(folder / "everything.xml")


@pytest.mark.parametrize("which", ["humanoid", "everything"])
def test_the_mjcf_is_the_robot_to_the_last_digit(which: str, tmp_path: pathlib.Path) -> None:
    robot = march.humanoid() if which == "humanoid" else everything(tmp_path)
    m, found = robot.model, mujoco.MjModel.from_xml_string(deployment.mjcf(robot))
    names = [
        n for n in dir(m) if n.startswith(("body_", "jnt_", "dof_", "qpos0")) and "adr" not in n and "bvh" not in n
    ]
    names = [name for name in names if name not in OTHERWISE | {"body_geomnum", "dof_length"}]
    assert {"body_inertia", "jnt_solimp", "dof_damping", "dof_invweight0", "qpos0"} <= set(names)
    for name in names:
        np.testing.assert_allclose(getattr(found, name), getattr(m, name), rtol=1e-12, atol=1e-15, err_msg=name)
    kept = [0, *robot.geoms]  # a mesh touches nothing, and is not told
    names = ["type", "pos", "quat", "size", "friction", "solref", "solimp", "margin", "gap", "condim", "priority"]
    for name in [*names, "solmix", "bodyid", "conaffinity", "rgba"]:
        theirs, ours = getattr(found, f"geom_{name}"), getattr(m, f"geom_{name}")[kept]
        np.testing.assert_allclose(theirs, ours, rtol=1e-12, atol=1e-15, err_msg=name)
    assert found.geom_contype.tolist() == [0] + [1] * len(robot.geoms)
    for name in ("timestep", "gravity", "impratio", "integrator", "cone", "disableflags"):
        np.testing.assert_array_equal(getattr(found.opt, name), getattr(m.opt, name), err_msg=name)
    assert [found.joint(i).name for i in range(m.njnt)] == list(robot.joint_names)
    assert [found.body(i).name for i in range(1, m.nbody)] == list(robot.bodies)


def test_a_task_tells_its_servos_and_its_clips(tmp_path: pathlib.Path) -> None:
    robot = made.robot(tmp_path)
    low = np.tile(robot.model.qpos0, (31, 1))
    low[:, 2] -= 0.2
    low[:, 0] = np.linspace(0, 0.5, 31)
    clips = [made.still(robot), Clip(30.0, low, robot.joint_names, loop=True)]
    told = Imitation(robot.touching(["head"]), clips, "absolute").deployment()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["joint_names"][0] == "root" and set(told["joint_names"][1:]) == {*made.HINGES, "neck"}
    assert told["kp"] == robot.kp.tolist() and told["kd"] == robot.kd.tolist()
    assert told["torque_limit"] == [None] * robot.model.njnt  # nothing limits them
    assert "head" in told["may_touch"] and "trunk" not in told["may_touch"]
    assert set(told["ends"]) == {"left_foot", "right_leg", "left_tail", "right_tail", "head"}
    assert (told["timestep"], told["episode_length"], told["ahead"]) == (1 / 60, 600, 0.1)
    assert told["actions"] == "absolute" and told["action_scale"] == np.pi
    first, second = told["clips"]
    assert len(first["qpos"]) == 60 and first["loop"] and first["cycle"] == [0, 0, 0]  # 1 s
    np.testing.assert_allclose(second["qpos"][30], [0.25, 0, 0.4, *robot.model.qpos0[3:]], atol=1e-6)
    np.testing.assert_allclose(second["qvel"][30], [0.5, *[0.0] * (robot.model.nv - 1)], atol=1e-6)
    np.testing.assert_allclose(second["cycle"], [0.5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(second["lift"], 0.2, atol=1e-6)
    assert not np.any(first["lift"])
