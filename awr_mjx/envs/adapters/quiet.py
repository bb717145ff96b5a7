"""Other packages print and warn while they are imported and build their tasks; what matters is in docs/tasks.md."""

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator

from awr_mjx.envs import graphics


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing that Python prints to stdout, or that it or MuJoCo warns of in here, is shown; exceptions pass."""
    graphics.do_without()
    mujoco = sys.modules.get("mujoco")
    before = mujoco.get_mju_user_warning() if mujoco else None
    try:
        if mujoco:  # else it would write to stderr, and MUJOCO_LOG.TXT into the working directory
            mujoco.set_mju_user_warning(lambda _: None)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        if mujoco:
            mujoco.set_mju_user_warning(before)
