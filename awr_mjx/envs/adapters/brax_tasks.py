"""The tasks of Brax as `brax/NAME`; needs the extra `brax`. Their rules are not those of Gymnasium's namesakes."""

import importlib
from typing import Any

from awr_mjx.envs.adapters.adapted import Adapted
from awr_mjx.envs.adapters.quiet import quiet
from awr_mjx.envs.base import BrokenTask, Env, UnknownTask
from awr_mjx.envs.packages import install

SOURCE = "Brax"
EPISODE_LENGTH = 1000


def _brax() -> Any:
    try:
        with quiet():
            return importlib.import_module("brax.envs")
    except ImportError as error:
        raise UnknownTask(f"brax/ tasks need Brax: {install('brax')} ({error})") from error


def names() -> list[str]:
    """Returns the names of Brax's tasks, without the prefix."""
    return sorted(_brax()._envs)


def fetches(name: str) -> bool:
    """Returns whether task `name` fetches files from the network when it is first used."""
    return False


def make(name: str, backend: str = "mjx") -> Env:
    """Returns Brax's task `name` on its physics `backend`, with a time limit of 1000 control steps.

    Raises:
      UnknownTask: if the task does not run on that backend.
    """
    try:
        with quiet():
            inner = _brax().get_environment(name, backend=backend)
            return Adapted(inner, EPISODE_LENGTH, action_range=(-1.0, 1.0))  # those whose motors take more scale it
    except BrokenTask:
        raise
    except Exception as error:  # whatever Brax says about a backend that it cannot build
        raise UnknownTask(f"brax/{name} does not run on backend {backend!r}: {error}") from error
