"""The one look: where robots stand together, the camera that is late, the sky of models that have none."""

import types

import mujoco
import numpy as np
import pytest

from awr_mjx.envs import drawing, registry
from awr_mjx.train.pictures import stage


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return registry.make("ant").mj_model  # type: ignore[attr-defined]


def test_places_are_apart_and_about_the_middle(model: mujoco.MjModel) -> None:
    for count in (1, 2, 9, 16, 17):
        found = stage.places(model, count)
        np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-9)
        gaps = np.linalg.norm(found[:, None] - found, axis=2)[~np.eye(count, dtype=bool)]
        assert found.shape == (count, 3) and (gaps > 1.2 * model.stat.extent).all()


def test_the_camera_is_as_late_as_it_says(model: mujoco.MjModel) -> None:
    """Of a robot that moves on by v every second, it looks v times its lateness behind where that is, in the end."""
    chase, camera, speed = stage.Chase(model), mujoco.MjvCamera(), np.array([2.0, -1.0, 0.5])
    chase.place(camera, np.zeros((1, 3)), 0.0)
    np.testing.assert_allclose(camera.lookat, 0.0)
    for i in range(1, 4001):
        chase.place(camera, speed[None] * i * 0.005, 0.005)
    behind = speed * 20.0 - camera.lookat
    np.testing.assert_allclose(behind, speed * [stage.LATE, stage.LATE, stage.LATE_UP], rtol=0.02)
    chase.place(camera, np.ones((1, 3)), 0.0)  # an episode begins
    np.testing.assert_allclose(camera.lookat, 1.0)


def test_a_fast_robot_stays_in_the_picture(model: mujoco.MjModel) -> None:
    chase, camera = stage.Chase(model), mujoco.MjvCamera()
    for i in range(200):
        centre = np.array([[12.0 * i * 0.05, 0.0, 0.0]])
        chase.place(camera, centre, 0.05 if i else 0.0)
    behind = np.linalg.norm(centre[0] - camera.lookat)
    assert behind == pytest.approx(stage.BEHIND * camera.distance)  # it would be 2.4 m
    assert behind < 2.0


def test_it_looks_from_the_side_of_the_models_own_camera(model: mujoco.MjModel) -> None:
    """That of the ant is at y = -3: azimuth 90 looks along y."""
    camera = mujoco.MjvCamera()
    stage.Chase(model).place(camera, np.zeros((1, 3)), 0.0)
    assert camera.azimuth == pytest.approx(90 + stage.ROUND) and stage.HIGH <= camera.elevation <= stage.LEVEL
    wide = mujoco.MjvCamera()
    stage.Chase(model, 16).place(wide, stage.places(model, 16), 0.0)
    assert wide.distance > camera.distance + 1.5 * np.linalg.norm(stage.places(model, 16)[0])


def test_a_model_without_sky_and_light_gets_them() -> None:
    bare = mujoco.MjModel.from_xml_string("<mujoco><worldbody><body><geom size='1'/></body></worldbody></mujoco>")
    assert not stage.has_sky(bare)
    stage.dress(bare)
    assert (bare.vis.headlight.diffuse == np.float32(0.6)).all() and bare.vis.quality.shadowsize >= stage.SHADOW
    image = np.zeros((4, 2, 3), np.uint8)
    image[3, 0] = 7
    seen = stage.painted(image)
    assert (seen[3, 0] == 7).all() and tuple(seen[0, 1]) == drawing.SKY
    assert tuple(seen[3, 1]) == drawing.HORIZON


def test_physics_does_not_notice(model: mujoco.MjModel) -> None:
    def after(dressed: bool) -> np.ndarray:
        own = registry.make("ant").mj_model  # type: ignore[attr-defined]
        if dressed:
            stage.dress(own, 16)
        data = mujoco.MjData(own)
        mujoco.mj_step(own, data, 50)
        found: np.ndarray = data.qpos.copy()
        return found

    assert np.array_equal(after(False), after(True))


def test_robots_are_moved_and_the_floor_is_not(model: mujoco.MjModel) -> None:
    """What is added for the second robot lies where it stands, in front of a renderer that draws nothing."""
    scene = mujoco.MjvScene(model, maxgeom=500)

    class Drawn:
        def __init__(self) -> None:
            self.scene = scene

        def update_scene(self, data: mujoco.MjData, camera: object) -> None:
            every = int(mujoco.mjtCatBit.mjCAT_ALL)
            mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), None, mujoco.MjvCamera(), every, scene)

        def render(self) -> np.ndarray:
            return np.ones((2, 2, 3), np.uint8)

    env = types.SimpleNamespace(mj_model=model, dt=0.05)
    shown = [types.SimpleNamespace(pose=model.qpos0, ghost=None, steps=0)] * 2
    drawn = Drawn()
    stage.Stage(env, drawn, stage.CHASE, 2).paint(*shown)  # type: ignore[arg-type]
    geoms = [scene.geoms[i] for i in range(scene.ngeom)]
    moving = np.array([g.pos.copy() for g in geoms if g.category == mujoco.mjtCatBit.mjCAT_DYNAMIC])
    first, second = np.split(moving, 2)
    places = stage.places(model, 2)
    np.testing.assert_allclose(second - first, np.broadcast_to(places[1] - places[0], first.shape), atol=1e-6)
    floor = [g for g in geoms if g.type == mujoco.mjtGeom.mjGEOM_PLANE]
    assert len(floor) == 1
