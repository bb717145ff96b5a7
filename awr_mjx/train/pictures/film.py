"""A policy's episodes as a movie, an animation or a sheet of frames."""

import dataclasses
import math
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Literal

import numpy as np

from awr_mjx.envs.base import exact
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.console.files import replacing
from awr_mjx.train.console.working import track, working
from awr_mjx.train.engine.player import Player
from awr_mjx.train.engine.restoring import Step
from awr_mjx.train.engine.streams import check_seed
from awr_mjx.train.engine.task_files import Moved, MovedOption
from awr_mjx.train.pictures import video
from awr_mjx.train.pictures.live import Live, Shown
from awr_mjx.train.pictures.painters import check_together, find_camera, painter, refuse_together

KINDS = (*video.ENCODERS, ".png")
FPS_MAX = {".mp4": 240, ".gif": 50, ".png": math.inf}  # browsers slow a GIF down whose frames last less than 0.02 s
FPS_SEEN = 60  # more frames a second than this are not shown unless asked for
SIZE = {".mp4": (1280, 720), ".gif": (480, 270), ".png": (640, 360)}  # of a frame
SIZES = (16, 4096)
SECONDS_MAX = 3600.0
SHEET, SHEET_COLUMNS = 8, 4
PHYSICS = "exact", "fast"  # from left to right


@dataclasses.dataclass(frozen=True)
class RenderConfig:
    """What to render."""

    run: pathlib.Path
    """Run folder, an exported .npz file, or the name of a policy that comes with the project (`play` lists them)."""
    out: pathlib.Path | None = None
    """File to write: .mp4, .gif, or .png for a sheet of 8 frames; TASK.mp4 in RUN, or here, if not given."""
    step: Step = None
    """Checkpoint, by its env steps, or `best` for that of the best mode return; the newest sound one if not given."""
    seconds: float = 10.0
    """Simulated time to show; if an episode ends before, the next begins."""
    seed: int = 0
    """Start states follow from this."""
    width: int | None = None
    """Pixels of a frame; even for .mp4. If not given 1280 (.gif 480, .png 640), or as much of it as fits the grid."""
    height: int | None = None
    """Pixels of a frame; even for .mp4. If not given 720 (.gif 270, .png 360), or as much of it as fits the grid."""
    fps: float | None = None
    """Frames per second, in real time; one per control step, up to 60, if not given."""
    camera: str | None = None
    """Name of a camera of the model, `free`, or `chase`, the default, which goes after the robot a little late."""
    grid: str = "1x1"
    """Environments to show side by side, as columns x rows: 3x3 has nine, with the seeds from `seed` on."""
    together: int = 1
    """Robots of the policy on one floor, with the seeds from `seed` on."""
    physics: Literal["exact", "fast"] = "exact"
    """Where a task trains on a fast approximation of Gymnasium's physics: play in Gymnasium's own, or in that."""
    both: bool = False
    """Show both of them side by side, Gymnasium's on the left, from the same start."""
    overlay: bool = True
    """Write the time, the return and the reward of the episode into the picture."""
    moved: MovedOption = dataclasses.field(default_factory=Moved)
    """Where files of the task are now that have been moved."""

    def cells(self) -> tuple[int, int]:
        """Columns and rows of the grid.

        Raises:
          UserError: if `grid` does not say that.
        """
        found = re.fullmatch(r"([1-9]\d?)x([1-9]\d?)", self.grid)
        if not found:
            raise UserError(f"grid must be columns x rows, such as 3x2, up to 99x99, not {self.grid!r}")
        if self.together > 1 and (self.both or self.grid != "1x1"):
            raise UserError("--together shows all robots in one picture: leave --grid and --both out")
        if self.both and self.physics == "fast":
            raise UserError("--both shows both physics: leave --physics fast out")
        if self.both and self.grid != "1x1":
            raise UserError(f"--both shows one environment in both physics: leave --grid {self.grid} out")
        return (2, 1) if self.both else (int(found[1]), int(found[2]))

    def size(self, kind: str) -> tuple[int, int]:
        """Width and height of a frame of a file of `kind`, in pixels."""
        even = 2 if kind == ".mp4" else 1
        (columns, rows), (width, height) = self.cells(), SIZE.get(kind, SIZE[".mp4"])
        widest, highest = (most - most % math.lcm(even, n) for most, n in ((width, columns), (height, rows)))
        return (widest if self.width is None else self.width), (highest if self.height is None else self.height)

    def validate(self, kind: str) -> None:
        """Raises UserError for the first setting that makes no sense for a file of `kind`, such as ".mp4"."""
        if kind not in KINDS:
            raise UserError(f"out must end in {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {kind or 'nothing'}")
        if not 0 < self.seconds <= SECONDS_MAX:
            raise UserError(f"seconds must be above 0 and at most {SECONDS_MAX:g}, not {self.seconds}")
        check_seed(self.seed)
        check_together(self.together)
        if self.fps is not None and not 0 < self.fps <= FPS_MAX[kind]:
            raise UserError(f"fps must be above 0 and at most {FPS_MAX[kind]} for {kind}, not {self.fps}")
        for name, size, cells in zip(("width", "height"), self.size(kind), self.cells(), strict=True):
            if not SIZES[0] <= size <= SIZES[1]:
                raise UserError(f"{name} must be from {SIZES[0]} to {SIZES[1]} pixels, not {size}")
            if size % cells:
                fits = max(size - size % cells, cells)
                what = "--both" if self.both else f"a grid of {self.grid}"
                raise UserError(f"{name} must be a multiple of {cells} for {what}, not {size}: write {fits}")
            if kind == ".mp4" and size % 2:
                raise UserError(f"{name} must be even for .mp4, not {size}: write {size + 1}")


def play(live: Live, seed: int, count: int, steps: int) -> list[list[Shown]]:
    """What there is to see at every one of `steps` control steps in `count` environments, one after the other.

    Environment i begins as one with the seed `seed` + i would alone; `live` has just begun with `seed`.
    """
    clips = []
    with working(f"playing {count * steps:,} control steps", count * steps) as tell:
        for i in range(count):
            if i:
                live.reset(seed + i)
            shown = [live.shown]
            for _ in range(steps - 1):
                tell(i * steps + len(shown))
                live.step()
                shown.append(live.shown)
            clips.append(shown)
    return clips


def episodes(clip: list[Shown]) -> list[Shown]:
    """The last moment of every episode, in order; the last one's may not be its end."""
    return [now for now, later in zip(clip, [*clip[1:], None], strict=True) if later is None or later.steps == 0]


def frames_per_second(config: RenderConfig, kind: str, dt: float) -> Fraction:
    """The frame rate asked for; else one frame every k-th control step of `dt` seconds, k as small as can be."""
    if config.fps is not None:
        return Fraction(config.fps).limit_denominator(1001)
    rate = 1 / dt
    found = Fraction(rate / math.ceil(rate / min(FPS_SEEN, FPS_MAX[kind]) - 1e-9)).limit_denominator(1001)
    return max(found, Fraction(1, 1001))


def shown_steps(config: RenderConfig, kind: str, fps: Fraction, dt: float) -> np.ndarray:
    """The control step, int [F], that each frame shows, for control steps of `dt` seconds."""
    if kind == ".png":
        return np.linspace(0, math.ceil(config.seconds / dt), SHEET).round().astype(int)
    count = max(1, round(config.seconds * fps))
    return np.floor(np.arange(count) / (float(fps) * dt) + 1e-6).astype(int)


def draw(
    paint: Callable[..., np.ndarray], dt: float, clips: list[list[Shown]], times: np.ndarray, config: RenderConfig
) -> Iterator[np.ndarray]:
    """An image, uint8 [height, width, 3], of the environments side by side at each of the control steps `times` [F]."""
    columns, rows = config.cells()
    if config.together > 1:
        for time in times:
            now = [clip[time] for clip in clips]
            words = f"{time * dt:.2f} s  {len(now)} robots  mean reward {np.mean([one.reward for one in now]):.2f}"
            image = paint(*now)
            yield video.write_on(image, words) if config.overlay else image
        return
    for time in times:
        cells: list[np.ndarray] = []
        for clip in clips:
            shown = clip[time]
            words = f"{shown.steps * dt:.2f} s  return {shown.total:,.1f}  reward {shown.reward:.2f}"
            words = f"{PHYSICS[len(cells)]}: {words}" if config.both else words
            image = paint(shown)
            cells.append(video.write_on(image, words) if config.overlay else image)
        lines = [np.concatenate(cells[i * columns : (i + 1) * columns], axis=1) for i in range(rows)]
        yield np.concatenate(lines, axis=0)


def render(player: Player, config: RenderConfig, out: pathlib.Path) -> tuple[list[list[Shown]], int, Fraction]:
    """Plays the policy and writes `out`; returns what was played, the number of frames, and frames per second.

    Raises:
      UserError: if the task or the computer cannot render, or the file cannot be written.
    """
    env, kind = player.env, out.suffix.lower()
    if config.both and not exact(env, 1, 1):
        raise UserError(f"the physics of task {player.config.env!r} is no approximation of another: leave --both out")
    if env.dt > config.seconds:
        raise UserError(
            f"a control step of this task lasts {env.dt:g} s, longer than --seconds {config.seconds:g}: "
            + (f"give {env.dt:g} or more" if env.dt <= SECONDS_MAX else "it is too slow for a movie in real time")
        )
    camera, (columns, rows) = find_camera(env, config.camera), config.cells()
    refuse_together(player, config.together)
    fps = frames_per_second(config, kind, env.dt)
    times = shown_steps(config, kind, fps, env.dt)
    width, height = config.size(kind)
    with painter(env, width // columns, height // rows, camera, config.together) as paint, replacing(out) as part:
        live, steps = Live(player, config.seed, config.both or config.physics == "exact"), int(times[-1]) + 1
        paint(*[live.shown] * config.together)  # what cannot be drawn is found before all is played
        clips = play(live, config.seed, 1 if config.both else columns * rows * config.together, steps)
        if config.both:
            clips += play(Live(player, config.seed), config.seed, 1, steps)
        write(part, out, draw(paint, env.dt, clips, times, config), len(times), fps, (width, height))
    return clips, len(times), fps


def write(
    part: pathlib.Path,
    out: pathlib.Path,
    frames: Iterable[np.ndarray],
    count: int,
    fps: Fraction,
    size: tuple[int, int],
) -> None:
    """Writes what `out` is to be to `part`, the temporary file, and shows how far it is.

    Args:
      part: the file that is written.
      out: its name to be, whose ending says what it is: .mp4, .gif, or .png for a sheet.
      frames: the images, uint8 [height, width, 3].
      count: how many; 8 of a sheet.
      fps: images per second.
      size: width and height in pixels.

    Raises:
      UserError: if ffmpeg fails.
    """
    kind = out.suffix.lower()
    shown = track(frames, f"drawing {count:,} frames of {size[0]}x{size[1]}", count)
    if kind == ".png":
        video.write_sheet(part, shown, SHEET_COLUMNS)
    else:
        video.write_movie(part, kind, shown, fps, *size)
