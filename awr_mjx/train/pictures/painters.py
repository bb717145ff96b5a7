"""What draws a moment of an episode: MuJoCo's renderer without a screen, or the task's own picture."""

import contextlib
import os
import pathlib
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from awr_mjx.envs import absent
from awr_mjx.envs.base import BrokenTask, Env
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine.jax_setup import start_jax
from awr_mjx.train.engine.player import Player, load_policy
from awr_mjx.train.engine.restoring import Step
from awr_mjx.train.engine.task_files import STAYED, Moved
from awr_mjx.train.pictures.live import Shown

GHOST = (0.45, 0.65, 1.0, 0.35)  # red, green, blue and how opaque, of what is imitated
CHASE = "chase"  # the camera that goes after the robot
TOGETHER_MOST = 100  # robots on one floor


def load(
    run: pathlib.Path, step: Step = None, moved: Moved = STAYED, find: Callable[..., Player] = load_policy
) -> Player:
    """The policy of a run, or what else `find` finds under that name, in a process that can draw it.

    Raises:
      UserError: if there is none, or it cannot be drawn here.
    """
    trouble = prepare_graphics()
    # One environment is quicker on the CPU, and an accelerator may be busy training.
    jax.config.update("jax_platforms", "cpu")
    start_jax()
    try:
        player = find(run, step, moved)
    except (ImportError, RuntimeError) as error:  # MuJoCo's own, for the same reason
        raise trouble or error from error
    if trouble and not hasattr(player.env, "picture"):
        raise trouble
    return player


def prepare_graphics() -> UserError | None:
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


def make_renderer(env: Env, width: int, height: int, together: int = 1) -> Any:
    """A `mujoco.Renderer` of `width` x `height` pixels for the task's model, whose offscreen buffer grows if it must.

    Raises:
      UserError: if nothing can be rendered on this computer.
    """
    import mujoco

    from awr_mjx.train.pictures.stage import dress

    model = env.mj_model  # type: ignore[attr-defined]
    dress(model, together)
    screen = model.vis.global_
    screen.offwidth, screen.offheight = max(screen.offwidth, width), max(screen.offheight, height)
    try:
        return mujoco.Renderer(model, height, width)
    except Exception as error:
        raise _no_renderer(error) from error


def find_camera(env: Env, name: str | None) -> str | int:
    """The camera to use, by name, or -1 for the free one, which looks at the whole model from a fixed place.

    If no `name` is given it is `CHASE`, which goes after the robot, where the model has a camera `track` to go by.

    Raises:
      UserError: if the task cannot be rendered, or has no camera called `name`.
    """
    if isinstance(env, absent.Absent):
        raise UserError(absent.WORDS)
    if hasattr(env, "picture"):
        if name:
            raise UserError(f"the task has no camera {name!r}: it draws its own picture; leave --camera out")
        return -1
    if not hasattr(env, "mj_model"):
        raise UserError("this task cannot be rendered yet: it has no MuJoCo model and draws no picture")
    model = env.mj_model
    known = [model.camera(i).name for i in range(model.ncam)]
    chase = [CHASE] if "track" in known else []
    name = name or next(iter(chase), "free")
    if name not in (*known, *chase, "free"):
        raise UserError(f"the model has no camera {name!r}; it has {', '.join([*known, *chase, 'free'])}")
    return -1 if name == "free" else name


def check_together(together: int) -> None:
    """Raises UserError if so many robots cannot be shown on one floor."""
    if not 1 <= together <= TOGETHER_MOST:
        raise UserError(f"together must be from 1 to {TOGETHER_MOST}, not {together}")


def refuse_together(player: Player, together: int) -> None:
    """Raises UserError if several are to be shown of a task that draws one."""
    if together > 1 and hasattr(player.env, "picture"):
        raise UserError(f"task {player.config.env!r} draws its own picture, of one: leave --together out")


def own_picture(env: Any, shown: Shown, width: int, height: int) -> np.ndarray:
    """The picture that the task draws itself, uint8 [height, width, 3].

    Raises:
      BrokenTask: if it raises something, or gives no such picture.
    """
    try:
        image = np.asarray(env.picture(shown.pose, shown.action, width, height))
    except Exception as error:  # of whatever kind somebody else's code raises
        place = traceback.extract_tb(error.__traceback__)[-1]
        words = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
        raise BrokenTask(f"broken task: picture raises {words}") from error
    if image.dtype != np.uint8 or image.shape != (height, width, 3):
        given = f"{image.dtype}{list(image.shape)}"
        raise BrokenTask(f"broken task: picture gives {given}, not uint8{[height, width, 3]} (height, width, colours)")
    return image


@contextlib.contextmanager
def painter(
    env: Env, width: int, height: int, camera: str | int, together: int = 1
) -> Iterator[Callable[..., np.ndarray]]:
    """Gives a function that draws a moment as an image, uint8 [height, width, 3].

    It takes a `Shown` of each of the robots that are `together` on one floor.

    Raises:
      UserError: if nothing can be rendered on this computer.
      BrokenTask: from that function, if the task's own picture is none.
    """
    if hasattr(env, "picture"):
        yield lambda shown: own_picture(env, shown, width, height)
        return
    from awr_mjx.train.pictures.stage import Stage  # it imports MuJoCo, which looks for graphics but once

    with make_renderer(env, width, height, together) as renderer:
        yield Stage(env, renderer, camera, together).paint
