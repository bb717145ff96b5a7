"""How JAX and MuJoCo's graphics are set up where the process is somebody else's."""

import os

from awr_mjx.envs import registry
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import jax_setup
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.pictures import painters

Folder = str | os.PathLike[str]
TROUBLE: list[UserError] = []  # why nothing can be drawn here, once MuJoCo has been tried
_tried: list[bool] = []


def start(config: TrainConfig) -> None:
    """Makes ready for a run of these settings, as often as wanted.

    Raises:
      UserError: if JAX was used before in a way that cannot be changed.
    """
    if not _tried:
        _tried.append(True)
        if trouble := painters.prepare_graphics():
            TROUBLE.append(trouble)
    jax_setup.start_jax(registry.calls_lapack(config.env, config.task), jax_setup.cores(), reserve=True)
