"""Places, inertia and bias forces of robots against CPU MuJoCo's."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from awr_mjx.envs.imitation import march
from awr_mjx.envs.physics.tree import Tree
from tests.envs.imitation.others import CLIPS, clip, here

# All that a robot may have: joints off their body's place, several on one, bodies without, turned frames and inertias.
ALL_OF_IT = """
<mujoco><option timestep="0.01"/><worldbody><geom name="floor" type="plane" size="1 1 1"/>
<body name="root" pos="0 0 1"><freejoint/><geom type="box" size=".1 .2 .3" pos=".1 0 .05" euler="10 20 30"/>
  <body name="shell" pos="0 .1 .2" euler="0 40 0"><geom type="sphere" size=".1" pos=".2 0 0"/>
    <body name="ball" pos="0 0 .2" euler="30 0 0"><joint type="ball" pos=".05 .02 -.1" damping=".3" armature=".1"/>
      <geom type="capsule" size=".05 .1" euler="0 30 0"/>
      <body name="leaf" pos=".2 0 0"><joint axis="0 1 0" pos="0 0 .1" damping="1"/>
        <joint axis="1 0 1" pos=".1 0 0" armature=".2"/><joint axis="1 0 0"/><geom type="box" size=".1 .05 .02"/></body>
    </body></body>
  <body name="arm" pos="0 -.2 0"><joint axis="0 0 1"/><geom type="capsule" size=".05 .1" pos="0 -.1 0"/>
    <body name="hand" pos="0 -.3 0"><joint type="ball"/><geom type="sphere" size=".05"/></body></body>
</body></worldbody></mujoco>"""


def like_mujocos(m: mujoco.MjModel) -> None:
    """In three poses and motions at random."""
    tree, rng = Tree(m), np.random.default_rng(0)
    places_of, dynamics, com_velocity = jax.jit(tree.places), jax.jit(tree.dynamics), jax.jit(tree.com_velocity)
    for _ in range(3):
        data = mujoco.MjData(m)
        mujoco.mj_integratePos(m, data.qpos, rng.normal(0, 1, m.nv), 1.0)
        data.qvel[:] = rng.normal(0, 1, m.nv)
        mujoco.mj_forward(m, data)
        mujoco.mj_subtreeVel(m, data)
        matrix = np.zeros((m.nv, m.nv))
        mujoco.mj_fullM(m, data, matrix)
        qvel = jnp.asarray(data.qvel, jnp.float32)
        places = places_of(jnp.asarray(data.qpos, jnp.float32))
        inertia, free = dynamics(places, qvel)
        for found, expected in (
            (places.xpos, data.xpos),
            (places.geom_xpos, data.geom_xpos),
            (places.geom_xmat.reshape(-1, 9), data.geom_xmat),
            (places.com, data.subtree_com[1]),
            (places.cdof, data.cdof),
            (inertia, matrix),
            (free, data.qfrc_passive - data.qfrc_bias),
            (com_velocity(places, qvel), data.subtree_linvel[1]),
        ):
            np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * max(1, np.abs(expected).max()))


def test_of_all_that_a_robot_may_have() -> None:
    like_mujocos(mujoco.MjModel.from_xml_string(ALL_OF_IT))


def test_of_our_humanoid() -> None:
    like_mujocos(march.humanoid().model)


@pytest.mark.parametrize("name", sorted(CLIPS))
def test_of_deepmimics_characters(name: str) -> None:
    like_mujocos(clip(here(name), name)[0].model)


@pytest.mark.parametrize(
    ("has", "says"),
    [
        ('<joint axis="0 0 1" stiffness="1"/>', "springs"),
        ('<joint type="slide"/>', "slides"),
    ],
)
def test_what_it_cannot_do_is_refused(has: str, says: str) -> None:
    xml = ALL_OF_IT.replace('<joint axis="0 0 1"/>', has)
    with pytest.raises(NotImplementedError, match=says):
        Tree(mujoco.MjModel.from_xml_string(xml))


def test_a_fluid_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="fluid"):
        Tree(mujoco.MjModel.from_xml_string(ALL_OF_IT.replace("<option ", '<option density="1" ')))
