"""The folder of a run, from its making on."""

import importlib.metadata
import pathlib
import sys

import jax

from train.console import files
from train.console.errors import UserError
from train.engine import config as settings
from train.engine.config import TrainConfig

RUNS = pathlib.Path("checkpoints")


def make(run: pathlib.Path, config: TrainConfig) -> None:
    """Makes the folder `run` with a `config.json` of the settings and of what they ran on.

    Raises:
      UserError: if the file system refuses.
    """
    try:
        run.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot make the run folder {run}: {error.strerror}") from error
    packages = {name: importlib.metadata.version(name) for name in ("jax", "mujoco", "mujoco-mjx", "orbax-checkpoint")}
    about = {"argv": sys.argv[1:], "packages": packages, "device": jax.devices()[0].device_kind}
    files.write_json(run / "config.json", {"settings": settings.to_dict(config), "about": about})
