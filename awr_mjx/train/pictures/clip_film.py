"""A motion clip as a film: the robot is put into each pose, and no force moves it."""

import copy
import pathlib
import types
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from awr_mjx.envs.imitation import reference
from awr_mjx.envs.imitation.characters import Character
from awr_mjx.envs.imitation.clips import Clip
from awr_mjx.train.console.files import replacing
from awr_mjx.train.pictures import film, video
from awr_mjx.train.pictures.live import Shown
from awr_mjx.train.pictures.painters import find_camera, painter

CYCLES = 3  # of a loop


def film_clip(
    robot: Character, motion: Clip, out: pathlib.Path, width: int | None, height: int | None
) -> tuple[int, Fraction, float, tuple[int, int]]:
    """Writes a film of a clip, of three cycles if it is a loop.

    Args:
      robot: whose clip it is.
      motion: the clip (`clips.checked`), with poses [T, nq].
      out: the file; .mp4, .gif, or .png for a sheet of 8 frames.
      width: pixels; those of `film.SIZE` if not given.
      height: pixels; likewise.

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

    def draw(paint: Callable[[Shown], np.ndarray]) -> Iterator[np.ndarray]:
        for time in times:
            cycle = min(int(time) // (len(motion.qpos) - 1), cycles - 1) + 1
            words = f"{time * dt:.2f} s" + (f"  cycle {cycle} of {cycles}" if motion.loop else "")
            yield video.write_on(paint(_shown(qpos[time])), words)

    # A painter sees of a task no more than its model, whose buffer for pictures it may change.
    scene: Any = types.SimpleNamespace(mj_model=copy.copy(robot.model), dt=dt)
    with painter(scene, *size, find_camera(scene, None)) as paint, replacing(out) as part:
        paint(_shown(qpos[0]))  # what cannot be drawn is found before all else
        film.write(part, out, draw(paint), len(times), fps, size)
    return len(times), fps, seconds, size


def _shown(pose: np.ndarray) -> Shown:
    return Shown(pose, np.zeros(0), 0.0, 0.0, 0, False)
