"""Contacts with the floor against C MuJoCo's: the same rows, whatever touches."""

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from awr_mjx.envs.physics.contacts import FloorContacts
from awr_mjx.envs.physics.limbs import LimbSolver
from awr_mjx.envs.physics.tree import Tree

ROBOT = """
<mujoco><worldbody>
  <geom type="plane" size="0 0 1" friction=".8"/>
  <body><freejoint/><geom type="sphere" size=".1" contype="0" conaffinity="0"/>
    <body pos=".1 0 0"><joint axis="0 1 0"/><geom name="foot" type="{}" size=".05 .2 .1" pos="0 0 -.2"/></body>
  </body>
</worldbody></mujoco>"""


@pytest.mark.parametrize("shape", ["sphere", "capsule", "box"])
def test_the_rows_are_mujocos(shape: str) -> None:
    """How fast each edge of the friction pyramids moves; among them are capsules steeper than 60 degrees."""
    m = mujoco.MjModel.from_xml_string(ROBOT.format(shape))
    m.opt.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    foot, data, rng = m.geom("foot").id, mujoco.MjData(m), np.random.default_rng(0)
    m.geom_conaffinity[foot] = 0
    tree, contacts, seen, steep = Tree(m), FloorContacts(m, [foot], LimbSolver(m)), 0, 0
    for _ in range(20):
        data.qpos[:3], data.qpos[3:7] = 0, rng.normal(size=4)
        data.qpos[3:7] /= np.linalg.norm(data.qpos[3:7])
        data.qpos[7] = rng.uniform(-1, 1)
        mujoco.mj_kinematics(m, data)
        lowest = contacts._ground.heights(data.geom_xpos, data.geom_xmat).min()
        data.qpos[2] = -lowest - 0.01
        mujoco.mj_forward(m, data)
        theirs = data.efc_J.reshape(-1, m.nv)
        edges = contacts.edges(tree.places(jnp.asarray(data.qpos, jnp.float32)), jnp.zeros(m.nv))
        ours = np.stack([edges.along(x) for x in jnp.eye(m.nv)], 1)[np.asarray(edges.weight) > 0]
        assert ours.shape == theirs.shape
        apart = np.abs(ours[:, None] - theirs[None]).max(-1)
        assert (apart.min(0) < 1e-5).all() and (apart.min(1) < 1e-5).all()
        seen, steep = seen + data.ncon, steep + (abs(data.geom_xmat[foot, 8]) > np.cos(np.pi / 6))
    assert seen >= 20 and steep > 2
