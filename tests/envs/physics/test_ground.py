"""The lowest points of geoms against the contacts that MuJoCo finds with a plane."""

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from awr_mjx.envs.physics.ground import ground

SHAPES = """
<mujoco><worldbody><geom type="plane" size="0 0 1"/>
<body><freejoint/><geom type="sphere" size=".1"/></body>
<body><freejoint/><geom type="capsule" size=".05 .2" pos=".1 0 0" quat="1 .3 .2 0"/></body>
<body><freejoint/><geom type="box" size=".1 .2 .05" pos="0 0 .1"/></body>
</worldbody></mujoco>"""


def test_points_are_where_mujoco_has_contacts() -> None:
    m = mujoco.MjModel.from_xml_string(SHAPES)
    m.geom_margin[:] = 10.0  # so that MuJoCo tells of points above the floor too
    data, rng = mujoco.MjData(m), np.random.default_rng(0)
    points = ground(m, [1, 2, 3])
    assert points.geoms.tolist() == [1, 2, 2, 3, 3, 3, 3]
    for _ in range(50):
        quats = rng.normal(size=(3, 4))
        quats /= np.linalg.norm(quats, axis=1, keepdims=True)
        data.qpos[:] = np.concatenate(
            [np.append(rng.uniform(-0.2, 0.2, 3) + np.array([3.0 * i, 0, 0]), q) for i, q in enumerate(quats)]
        )
        mujoco.mj_forward(m, data)
        found = sorted((c.geom[1], round(c.dist, 5), *c.pos.round(4)) for c in data.contact if c.geom[0] == 0)
        height, place = points.points(
            jnp.asarray(data.geom_xpos, jnp.float32), jnp.asarray(data.geom_xmat, jnp.float32)
        )
        ours = sorted(
            (g, round(float(h), 5), *np.asarray(p)) for g, h, p in zip(points.geoms, height, place, strict=True)
        )
        np.testing.assert_allclose([row[1:] for row in ours], [row[1:] for row in found], atol=2e-4)
        np.testing.assert_allclose(points.heights(data.geom_xpos, data.geom_xmat), height, atol=1e-5)


def test_other_shapes_are_refused() -> None:
    m = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><geom name='tin' type='cylinder' size='1 1'/></worldbody></mujoco>"
    )
    with pytest.raises(NotImplementedError, match="geom tin is neither a sphere, a capsule nor a box"):
        ground(m, [0])
