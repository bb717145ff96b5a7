"""How every model is shown: light, shadows, haze and sky, and a camera that goes after the robot.

Numbers of a model's own pictures are changed, none of its physics.
"""

import dataclasses
import math
from typing import Any

import mujoco
import numpy as np

from awr_mjx.envs import drawing
from awr_mjx.train.pictures.live import Shown
from awr_mjx.train.pictures.painters import CHASE, GHOST

HAZE = (*drawing.unit(drawing.HORIZON), 1.0)
SHADOW, SHADOW_CLIP = 4096, 4.0  # pixels of the map of shadows; how far they reach, in extents of the model
FOG = 6.0, 30.0  # where the haze begins and ends, in extents
AHEAD, ROUND, HIGH, LEVEL = 1.15, 15.0, -20.0, -10.0  # how far off `track` it is (of its distance), and degrees
LATE, LATE_UP = 0.2, 0.8  # s that it is late, along the floor and upwards
BEHIND = 0.25  # of its distance, that it is behind a fast robot at most: that stays in the picture
APART = 1.3  # extents between robots that are together


def dress(model: Any, together: int = 1) -> None:
    """Sets a model's shadows, which reach over the robots that are `together`, and haze; gives it light if it has none.

    Must come before the renderer is made, which looks at this but once.
    """
    wide = max(1.0, math.sqrt(together) / 2)
    model.vis.quality.shadowsize = max(model.vis.quality.shadowsize, SHADOW if together == 1 else 2 * SHADOW)
    model.vis.map.shadowclip = SHADOW_CLIP * wide
    model.vis.map.fogstart, model.vis.map.fogend = FOG
    model.vis.rgba.fog[:] = model.vis.rgba.haze[:] = HAZE
    if not model.nlight:
        model.vis.headlight.ambient[:], model.vis.headlight.diffuse[:] = 0.4, 0.6


def has_sky(model: Any) -> bool:
    """Whether a model brings a sky of its own; else `painted` draws one."""
    return mujoco.mjtTexture.mjTEXTURE_SKYBOX in model.tex_type


def painted(image: np.ndarray) -> np.ndarray:
    """An image, uint8 [H, W, 3], with our sky wherever nothing was drawn, which is black there."""
    height = image.shape[0]
    nothing = ~image.any(axis=2, keepdims=True)
    return np.where(nothing, drawing.gradient(height, height - 1), image)


def places(model: Any, count: int) -> np.ndarray:
    """Where `count` robots stand on one floor, float64 [count, 3] in m from where each is alone, in a square."""
    columns = math.ceil(math.sqrt(count))
    spacing = APART * float(model.stat.extent)
    found = np.array([(i // columns, i % columns, 0) for i in range(count)], float) * spacing
    return found - found.mean(axis=0)


@dataclasses.dataclass
class Chase:
    """A camera that looks at the robots from the side where the model's `track` camera is, a little late.

    So that one sees how fast they are: what follows exactly makes them stand still.
    """

    model: Any
    count: int = 1
    _at: np.ndarray | None = None

    def place(self, camera: Any, centres: np.ndarray, passed: float) -> None:
        """Points a `mujoco.MjvCamera` at robots with `centres` of mass, float64 [count, 3], `passed` s after the last.

        It begins anew where time has not passed.
        """
        centre = centres.mean(axis=0)
        if self._at is None or passed <= 0:
            self._at = centre.copy()
        late = np.array([LATE, LATE, LATE_UP])
        self._at += (centre - self._at) * (1 - np.exp(-max(passed, 0.0) / late))
        azimuth, elevation, distance = self._side()
        behind = centre - self._at
        self._at += behind * max(0.0, 1.0 - BEHIND * distance / max(float(np.linalg.norm(behind)), 1e-9))
        spread = np.linalg.norm(centres - centre, axis=1).max() if self.count > 1 else 0.0
        camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        camera.lookat[:], camera.azimuth = self._at, azimuth + (ROUND if self.count > 1 else 0)
        camera.elevation = min(elevation, -18.0) if self.count > 1 else elevation
        camera.distance = distance + 1.6 * spread

    def _side(self) -> tuple[float, float, float]:
        """Azimuth and elevation (degrees) and distance (m), of the model's own camera but rounder and not so steep."""
        model = self.model
        number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, "track")
        forward = -model.cam_mat0[number].reshape(3, 3)[:, 2]
        azimuth = math.degrees(math.atan2(forward[1], forward[0])) + ROUND
        elevation = math.degrees(math.asin(max(-1.0, min(1.0, forward[2]))))
        distance = AHEAD * float(np.linalg.norm(model.cam_poscom0[number]))
        return azimuth, min(max(elevation, HIGH), LEVEL), distance


class Stage:
    """Robots of one model on one floor, in front of a `mujoco.Renderer`."""

    def __init__(self, env: Any, renderer: Any, camera: str | int, together: int = 1) -> None:
        """`camera` is the name of one of the model's, `CHASE`, or -1 for the free one."""
        self._model, self._renderer, self._dt = env.mj_model, renderer, float(env.dt)
        self._data = [mujoco.MjData(self._model) for _ in range(together)]
        self._ghost = mujoco.MjData(self._model)
        self._places, self._camera = places(self._model, together), camera
        self._chase = Chase(self._model, together) if camera == CHASE else None
        self._free, self._last = mujoco.MjvCamera(), 0
        self._sky = has_sky(self._model)
        renderer.scene.flags[mujoco.mjtRndFlag.mjRND_FOG] = self._sky

    def paint(self, *shown: Shown) -> np.ndarray:
        """An image, uint8 [H, W, 3], of the robots; the ghosts of what they imitate are translucent."""
        scene = self._renderer.scene
        for data, moment in zip(self._data, shown, strict=True):
            data.qpos[:] = moment.pose
            mujoco.mj_forward(self._model, data)
        self._renderer.update_scene(self._data[0], camera=self._point(shown[0].steps))
        self._move(range(scene.ngeom), self._places[0])
        self._light()
        for data, place in zip(self._data[1:], self._places[1:], strict=True):
            self._move(self._add(data), place)
        for moment, place in zip(shown, self._places, strict=True):
            if moment.ghost is not None:
                self._ghost.qpos[:] = moment.ghost
                mujoco.mj_forward(self._model, self._ghost)
                added = self._add(self._ghost)
                self._move(added, place)
                for number in added:
                    scene.geoms[number].rgba[:] = GHOST
                    scene.geoms[number].matid = -1
        image: np.ndarray = self._renderer.render()
        return image if self._sky else painted(image)

    def _point(self, steps: int) -> Any:
        """The camera, pointed at where the robots are after `steps` of their episode."""
        if not self._chase:
            return self._camera
        self._chase.place(self._free, self._centres(), (steps - self._last) * self._dt if steps else 0.0)
        self._last = steps
        return self._free

    def _light(self) -> None:
        """Has the lights that go with a robot go with the middle of all: shadows end some way off their light."""
        if len(self._data) == 1:
            return
        middle = self._centres().mean(axis=0) - self._data[0].subtree_com[1]
        for number in range(self._renderer.scene.nlight):
            light = self._renderer.scene.lights[number]
            if not light.headlight:
                light.pos[:2] += middle[:2]

    def _centres(self) -> np.ndarray:
        """The robots' centres of mass, float64 [together, 3]."""
        return np.array([data.subtree_com[1] for data in self._data]) + self._places

    def _add(self, data: Any) -> range:
        """Adds the moving bodies of `data` to the picture; returns the numbers of their geoms there."""
        first = self._renderer.scene.ngeom
        option, perturbation = mujoco.MjvOption(), mujoco.MjvPerturb()
        moving = int(mujoco.mjtCatBit.mjCAT_DYNAMIC)
        mujoco.mjv_addGeoms(self._model, data, option, perturbation, moving, self._renderer.scene)
        return range(first, self._renderer.scene.ngeom)

    def _move(self, numbers: range, place: np.ndarray) -> None:
        """Moves what moves among these geoms to where a robot stands."""
        for number in numbers:
            geom = self._renderer.scene.geoms[number]
            if geom.category == mujoco.mjtCatBit.mjCAT_DYNAMIC:
                geom.pos[:] += place
