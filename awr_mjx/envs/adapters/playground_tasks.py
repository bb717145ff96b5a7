"""The tasks of MuJoCo Playground as `playground/NAME`; needs the extra `playground`."""

import importlib
from typing import Any

from awr_mjx.envs.adapters.adapted import Adapted
from awr_mjx.envs.adapters.quiet import quiet
from awr_mjx.envs.base import Env, UnknownTask
from awr_mjx.envs.packages import install

SOURCE = "MuJoCo Playground"


def _playground() -> Any:
    try:
        with quiet():
            return importlib.import_module("mujoco_playground").registry
    except ImportError as error:
        message = f"playground/ tasks need MuJoCo Playground: {install('playground')} ({error})"
        raise UnknownTask(message) from error


def names() -> list[str]:
    """Returns the names of Playground's tasks, without the prefix."""
    return sorted(_playground().ALL_ENVS)


def fetches(name: str) -> bool:
    """Returns whether task `name` fetches files from the network when it is first used."""
    return name not in _playground().dm_control_suite.ALL_ENVS


def make(name: str, impl: str = "jax") -> Env:
    """Returns Playground's task `name` with its own time limit and action repeat, on MJX's backend `impl`.

    Locomotion and manipulation tasks fetch models from the network when first used.

    Raises:
      UnknownTask: if the task does not run on this machine's stack.
    """
    registry = _playground()
    try:
        config = registry.get_default_config(name)
        with quiet():
            inner = registry.load(name, config_overrides={"impl": impl})
    except Exception as error:  # of many kinds: a name missing in MuJoCo, a model that cannot be fetched
        raise UnknownTask(f"playground/{name} does not run here: {' '.join(str(error).split())}") from error
    repeat = int(config.get("action_repeat", 1))
    # Playground counts time limits in its own steps. Actions of -1 to 1 are what its tasks take and scale.
    limit = -(-int(config.episode_length) // repeat)
    return Adapted(inner, limit, action_repeat=repeat, action_range=(-1.0, 1.0))
