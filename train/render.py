"""Shows a trained policy's mode action as a movie: `python -m train.render --run RUN --out ant.mp4`.

The name of the file says what it will be: .mp4, .gif, or .png for a contact sheet of 8 frames. No screen is needed.
"""

import contextlib
import dataclasses
import math
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import jax
import numpy as np
import rich.console
import rich.progress

from envs.base import Env
from train import cli, video
from train import config as settings
from train.errors import UserError, run_program
from train.files import replacing
from train.live import Live, Shown
from train.runs import Player, load_policy, start_jax

KINDS = (*video.ENCODERS, ".png")
FPS_MAX = {".mp4": 240, ".gif": 50, ".png": math.inf}  # browsers slow a GIF down whose frames last less than 0.02 s
FPS_SEEN = 60  # more frames a second than this are not shown unless asked for
SIZES = (16, 4096)
SECONDS_MAX = 3600.0
SHEET, SHEET_COLUMNS = 8, 4
TOLD = 5  # episodes whose returns are printed


@dataclasses.dataclass(frozen=True)
class RenderConfig:
    """What to render."""

    run: pathlib.Path
    """Run folder."""
    out: pathlib.Path | None = None
    """File to write: .mp4, .gif, or .png for a sheet of 8 frames spread over the time; RUN/<task>.mp4 if not given."""
    step: int | None = None
    """Checkpoint, by its env steps; the newest sound one if not given."""
    seconds: float = 10.0
    """Simulated time to show; if an episode ends before, the next begins."""
    seed: int = 0
    """Start states follow from this."""
    width: int = 640
    """Pixels of a frame; even for .mp4."""
    height: int = 480
    """Pixels of a frame; even for .mp4."""
    fps: float | None = None
    """Frames per second, in real time; one per control step, up to 60, if not given."""
    camera: str | None = None
    """Name of a camera of the model, or `free`; `track` if the model has one, else `free`, if not given."""
    grid: str = "1x1"
    """Environments to show side by side, as columns x rows: 3x3 has nine, with the seeds from `seed` on."""
    overlay: bool = True
    """Write the time, the return and the reward of the episode into the picture."""

    def cells(self) -> tuple[int, int]:
        """Columns and rows of the grid.

        Raises:
          UserError: if `grid` does not say that.
        """
        found = re.fullmatch(r"([1-9]\d?)x([1-9]\d?)", self.grid)
        if not found:
            raise UserError(f"grid must be columns x rows, such as 3x2, not {self.grid!r}")
        return int(found[1]), int(found[2])

    def validate(self, kind: str) -> None:
        """Raises UserError for the first setting that makes no sense for a file of `kind`, such as ".mp4"."""
        if kind not in KINDS:
            raise UserError(f"out must end in {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {kind or 'nothing'}")
        if not 0 < self.seconds <= SECONDS_MAX:
            raise UserError(f"seconds must be above 0 and at most {SECONDS_MAX:g}, not {self.seconds}")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed must be from 0 to {2**32 - 1}, not {self.seed}")
        if self.fps is not None and not 0 < self.fps <= FPS_MAX[kind]:
            raise UserError(f"fps must be above 0 and at most {FPS_MAX[kind]} for {kind}, not {self.fps}")
        for name, cells in zip(("width", "height"), self.cells(), strict=True):
            size = getattr(self, name)
            if size % cells:
                raise UserError(f"{name} must be a multiple of {cells} for a grid of {self.grid}, not {size}")
            if not SIZES[0] <= size <= SIZES[1]:
                raise UserError(f"{name} must be from {SIZES[0]} to {SIZES[1]} pixels, not {size}")
            if kind == ".mp4" and size % 2:
                raise UserError(f"{name} must be even for .mp4, not {size}: write {size + 1}")


def play(player: Player, seed: int, count: int, steps: int) -> list[list[Shown]]:
    """What there is to see at every one of `steps` control steps in `count` environments, one after the other.

    Environment i begins as one with the seed `seed` + i would alone.
    """
    live, clips = Live(player, seed), []
    for i in range(count):
        if i:
            live.reset(seed + i)
        shown = [live.shown]
        for _ in range(steps - 1):
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
    return Fraction(rate / math.ceil(rate / min(FPS_SEEN, FPS_MAX[kind]) - 1e-9)).limit_denominator(1001)


def shown_steps(config: RenderConfig, kind: str, fps: Fraction, dt: float) -> np.ndarray:
    """The control step, int [F], that each frame shows, for control steps of `dt` seconds."""
    if kind == ".png":
        return np.linspace(0, math.ceil(config.seconds / dt), SHEET).round().astype(int)
    count = max(1, round(config.seconds * fps))
    return np.floor(np.arange(count) / (float(fps) * dt) + 1e-6).astype(int)


def load(run: pathlib.Path, step: int | None = None) -> Player:
    """The policy of a run, as `train.runs.load_policy`, in a process that can draw it.

    Raises:
      UserError: if there is none, or it cannot be drawn here.
    """
    trouble = _prepare_graphics()
    # One environment is quicker on the CPU, and an accelerator may be busy training.
    jax.config.update("jax_platforms", "cpu")
    start_jax()
    try:
        player = load_policy(run, step)
    except (ImportError, RuntimeError) as error:  # MuJoCo's own, for the same reason
        raise trouble or error from error
    if trouble and not hasattr(player.env, "picture"):
        raise trouble
    return player


def _prepare_graphics() -> UserError | None:
    """Chooses EGL where there is no screen. Must come before anything else imports MuJoCo, which looks only once.

    Returns what is wrong if MuJoCo's renderer cannot be loaded at all.
    """
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("MUJOCO_GL", "egl")
    try:
        import mujoco

        mujoco.Renderer  # noqa: B018  # missing if its own imports failed
    except Exception as error:
        return _no_renderer(error)
    return None


def _no_renderer(error: Exception) -> UserError:
    """What to do about whatever OpenGL, its Python bindings or MuJoCo raised."""
    chosen = os.environ.get("MUJOCO_GL")
    how = f"MUJOCO_GL={chosen}" if chosen else "a screen"
    return UserError(
        f"cannot render here with {how} ({type(error).__name__}: {str(error)[:200]}): "
        "install OpenGL for use without a screen (Debian, Ubuntu: apt-get install libegl1 libgl1) and set MUJOCO_GL=egl"
    )


def make_renderer(env: Env, width: int, height: int) -> Any:
    """A `mujoco.Renderer` of `width` x `height` pixels for the task's model, whose offscreen buffer grows if it must.

    Raises:
      UserError: if nothing can be rendered on this computer.
    """
    import mujoco

    model = env.mj_model  # type: ignore[attr-defined]
    screen = model.vis.global_
    screen.offwidth, screen.offheight = max(screen.offwidth, width), max(screen.offheight, height)
    try:
        return mujoco.Renderer(model, height, width)
    except Exception as error:
        raise _no_renderer(error) from error


def find_camera(env: Env, name: str | None) -> str | int:
    """The camera to use, by name, or -1 for the free one, which looks at the whole model from a fixed place.

    Raises:
      UserError: if the task cannot be rendered, or has no camera called `name`.
    """
    if hasattr(env, "picture"):
        if name:
            raise UserError(f"the task has no camera {name!r}: it draws its own picture; leave --camera out")
        return -1
    if not hasattr(env, "mj_model"):
        raise UserError("this task cannot be rendered yet: it has no MuJoCo model and draws no picture")
    model = env.mj_model
    known = [model.camera(i).name for i in range(model.ncam)]
    name = name or ("track" if "track" in known else "free")
    if name != "free" and name not in known:
        raise UserError(f"the model has no camera {name!r}; it has {', '.join([*known, 'free'])}")
    return name if name in known else -1


@contextlib.contextmanager
def painter(env: Env, width: int, height: int, camera: str | int) -> Iterator[Callable[[Shown], np.ndarray]]:
    """Gives a function that draws a moment as an image, uint8 [height, width, 3].

    Raises:
      UserError: if nothing can be rendered on this computer.
    """
    if hasattr(env, "picture"):
        yield lambda shown: env.picture(shown.pose, shown.action, width, height)
        return
    import mujoco

    model = env.mj_model  # type: ignore[attr-defined]
    data = mujoco.MjData(model)
    with make_renderer(env, width, height) as renderer:

        def paint(shown: Shown) -> np.ndarray:
            data.qpos[:] = shown.pose
            mujoco.mj_forward(model, data)
            renderer.update_scene(data, camera=camera)
            return renderer.render()

        yield paint


def draw(
    paint: Callable[[Shown], np.ndarray], dt: float, clips: list[list[Shown]], times: np.ndarray, config: RenderConfig
) -> Iterator[np.ndarray]:
    """An image, uint8 [height, width, 3], of the environments side by side at each of the control steps `times` [F]."""
    columns, rows = config.cells()
    for time in times:
        cells = []
        for clip in clips:
            shown = clip[time]
            words = f"{shown.steps * dt:.2f} s  return {shown.total:,.1f}  reward {shown.reward:.2f}"
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
    camera, (columns, rows) = find_camera(env, config.camera), config.cells()
    fps = frames_per_second(config, kind, env.dt)
    times = shown_steps(config, kind, fps, env.dt)
    size = config.width // columns, config.height // rows
    with painter(env, *size, camera) as paint, replacing(out) as part:
        clips = play(player, config.seed, columns * rows, int(times[-1]) + 1)
        frames = rich.progress.track(
            draw(paint, env.dt, clips, times, config),
            f"drawing {out.name}",
            total=len(times),
            console=rich.console.Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        if kind == ".png":
            video.write_sheet(part, frames, SHEET_COLUMNS)
        else:
            video.write_movie(part, kind, frames, fps, config.width, config.height)
    return clips, len(times), fps


def main() -> int:
    """Writes the file and prints what it shows."""
    config = cli.parse(
        RenderConfig, cli.arguments(), prog="python -m train.render", description="Render a run's mode action."
    )
    task = settings.read(config.run).env
    out = config.out or config.run / f"{task}.mp4"
    config.validate(out.suffix.lower())
    player = load(config.run, config.step)
    clips, count, fps = render(player, config, out)
    rate = "" if out.suffix.lower() == ".png" else f" at {float(fps):.4g} per second"
    print(f"{out}: {count} frames{rate}, {config.seconds:g} s, {config.width}x{config.height}")
    ends = [end for clip in clips for end in episodes(clip)]
    for end in ends[:TOLD]:
        over = "" if end.over else ", not over yet"
        print(f"{task} after {player.env_steps:,} env steps: episode return {end.total:.1f} in {end.steps} steps{over}")
    if len(ends) > TOLD:
        print(f"and {len(ends) - TOLD} more episodes")
    return 0


if __name__ == "__main__":
    run_program(main)
