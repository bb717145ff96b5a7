"""A motion clip as a film: the robot is put into each pose, and no force moves it."""

import contextlib
import copy
import pathlib
from collections.abc import Callable, Iterator
from fractions import Fraction

import mujoco
import numpy as np

from envs.imitation import reference
from envs.imitation.characters import Character
from envs.imitation.clips import Clip
from train.console.files import replacing
from train.pictures import film, video
from train.pictures.painters import make_renderer

CYCLES = 3  # of a loop
DISTANCE, SIDE, DOWN = (
    1.7,
    130.0,
    -15.0,
)  # of the camera, in sizes of the robot; degrees from its heading, and from level
STEADY = 1.0  # s: the camera follows the mean of the robot's places over so long
TILE, TILES = 0.5, 16  # m; tiles of the floor to a side, around the robot
LIGHT = (0.4, 0.5)  # from everywhere, and from the camera; a model may have no lamp of its own
SHADES = ((0.42, 0.47, 0.55, 1.0), (0.52, 0.57, 0.65, 1.0))


def film_clip(
    robot: Character, motion: Clip, out: pathlib.Path, width: int | None, height: int | None
) -> tuple[int, Fraction, float, tuple[int, int]]:
    """Writes a film of a clip, of three cycles if it is a loop.

    Args:
      robot: whose clip it is.
      motion: the clip (`clips.checked`), with poses [T, nq].
      out: the file; .mp4, .gif, or .png for a sheet of 8 frames.
      width: pixels; 640 if not given.
      height: pixels; 480 if not given.

    Returns:
      The number of frames, frames per second, the seconds that are shown, and the size in pixels.

    Raises:
      UserError: if the file cannot be written, or nothing can be rendered on this computer.
    """
    cycles = CYCLES if motion.loop else 1
    qpos = reference.repeated(motion, cycles) if motion.loop else motion.qpos
    kind, dt, seconds = out.suffix.lower(), 1 / motion.fps, cycles * motion.seconds
    config = film.RenderConfig(pathlib.Path(), seconds=seconds, width=width, height=height)
    config.validate(kind)
    fps, size = film.frames_per_second(config, kind, dt), config.size(kind)
    times = np.minimum(film.shown_steps(config, kind, fps, dt), len(qpos) - 1)

    def draw(paint: Callable[[int], np.ndarray]) -> Iterator[np.ndarray]:
        for time in times:
            cycle = min(int(time) // (len(motion.qpos) - 1), cycles - 1) + 1
            words = f"{time * dt:.2f} s" + (f"  cycle {cycle} of {cycles}" if motion.loop else "")
            yield video.write_on(paint(int(time)), words)

    with _painter(robot, qpos, motion.fps, size) as paint, replacing(out) as part:
        paint(0)  # what cannot be drawn is found before all else
        film.write(part, out, draw(paint), len(times), fps, size)
    return len(times), fps, seconds, size


@contextlib.contextmanager
def _painter(
    robot: Character, qpos: np.ndarray, fps: float, size: tuple[int, int]
) -> Iterator[Callable[[int], np.ndarray]]:
    """Gives a function that draws the pose of a frame, uint8 [height, width, 3], by a camera that follows the robot."""
    model, camera = copy.copy(robot.model), mujoco.MjvCamera()
    model.vis.headlight.ambient[:], model.vis.headlight.diffuse[:] = LIGHT
    data = mujoco.MjData(model)
    camera.distance = DISTANCE * model.stat.extent
    camera.elevation, camera.azimuth = DOWN, np.degrees(reference.heading(qpos[0, 3:7])) + SIDE
    place = _steady(qpos[:, :2], round(STEADY * fps))
    height = float(np.median(qpos[:, 2])) * 0.9

    def paint(frame: int) -> np.ndarray:
        data.qpos[:] = qpos[frame]
        mujoco.mj_forward(model, data)
        camera.lookat[:] = *place[frame], height
        renderer.update_scene(data, camera=camera)
        _tiles(renderer.scene, place[frame])
        return np.asarray(renderer.render())

    with make_renderer(model, *size) as renderer:
        yield paint


def _steady(place: np.ndarray, frames: int) -> np.ndarray:
    """The places [T, 2], each as the mean of those around it."""
    half = max(frames // 2, 1)
    sums = np.cumsum(np.pad(place, ((half + 1, half), (0, 0)), mode="edge"), axis=0)
    return (sums[2 * half + 1 :] - sums[: -2 * half - 1]) / (2 * half + 1)


def _tiles(scene: mujoco.MjvScene, place: np.ndarray) -> None:
    """Lays tiles, which do not move along, on the floor around a place [2] (m): a bare one shows no motion."""
    first = np.floor(place / TILE).astype(int) - TILES // 2
    for i in range(TILES):
        for j in range(TILES):
            if scene.ngeom >= scene.maxgeom:
                return
            x, y = first[0] + i, first[1] + j
            mujoco.mjv_initGeom(
                scene.geoms[scene.ngeom],
                mujoco.mjtGeom.mjGEOM_BOX,
                np.array([TILE / 2, TILE / 2, 5e-4]),
                np.array([(x + 0.5) * TILE, (y + 0.5) * TILE, 0.0]),
                np.eye(3).flatten(),
                np.array(SHADES[(x + y) % 2], np.float32),
            )
            scene.ngeom += 1
