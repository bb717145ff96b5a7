"""Trainings from Python: what begins one, goes on with it, and what it leaves."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from awr_mjx.api.setup import Folder, start
from awr_mjx.envs.base import Env
from awr_mjx.envs.registry import register
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import metrics_log, restoring
from awr_mjx.train.engine.command_line import parse
from awr_mjx.train.engine.guest import Guest
from awr_mjx.train.engine.train import train as run_training


@dataclasses.dataclass(frozen=True)
class Run:
    """A training on the disk; wherever a folder is wanted it can be given instead.

    Attributes:
      folder: the run folder.
    """

    folder: pathlib.Path

    def __fspath__(self) -> str:
        return str(self.folder)

    @property
    def summary(self) -> dict[str, Any]:
        """How the training ended: `summary.json`; empty before that."""
        path = self.folder / "summary.json"
        return dict(json.loads(path.read_text())) if path.is_file() else {}

    @property
    def steps(self) -> list[int]:
        """Its checkpoints, by their env steps, oldest first."""
        return restoring.steps(self.folder)

    def curve(self, name: str = "mode_return") -> tuple[np.ndarray, np.ndarray]:
        """What was logged as `name`: steps, float64 [K], and values, float64 [K].

        Raises:
          UserError: if nothing was logged by that name.
        """
        lines = metrics_log.lines(self.folder)
        found = [(metrics_log.step_of(line), line[name]) for line in lines if name in line]
        if not found:
            known = ", ".join(sorted(set().union(*lines) - set(metrics_log.CLOCKS))) or "nothing yet"
            raise UserError(f"{self.folder} has logged no {name!r}; it has {known}")
        steps, values = zip(*found, strict=True)
        return np.array(steps, float), np.array(values, float)


def train(
    env: str | Env,
    *,
    run_dir: Folder | None = None,
    variant: str = "awr",
    task: Mapping[str, Any] | None = None,
    data: Folder | Sequence[Folder] = (),
    begin: Folder | None = None,
    on_log: Callable[[int, dict[str, float]], object] | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Trains a policy and returns its run. Ctrl-C stops it, as ever with a checkpoint from which `resume` goes on.

    Args:
      env: the name of a task, or a task of one's own: any object with the members of `awr_mjx.envs.base.Env`, which is
        known by the name of its class from then on.
      run_dir: the folder to make; checkpoints/TASK-TIME if not given.
      variant: a relative of AWR, such as "rwr" or "bc".
      task: options of the task, such as {"physics": "exact"}.
      data: a set of logged data to learn from instead, or several.
      begin: a run, or a set, to begin from (`--from`).
      on_log: called with the steps and everything that is logged then, by name, after each epoch and each evaluation.
        If it returns True the training stops, with a checkpoint. So it does if it raises, which is then raised here.
      quiet: print nothing but warnings.
      **settings: what `python -m awr_mjx.train.main --help` lists: `minutes=3`, `num_envs=2048`, `seed=1`, `beta=0.2`.

    Raises:
      UserError, UnknownTask, BrokenTask: for what cannot be done, before anything long starts.
      Failed: if training diverged.
    """
    args = ["--env", _named(env), "--variant", variant]
    args += _option("run_dir", run_dir) + _option("from", begin)
    args += _option("data", [data] if isinstance(data, str | os.PathLike) else list(data))
    for name, value in (task or {}).items():
        args += _option(f"env.{name}", value)
    return _train([*args, *_all(settings)], on_log, quiet)


def resume(
    run: Folder,
    *,
    on_log: Callable[[int, dict[str, float]], object] | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Goes on with a run, exactly where it stopped; `settings` may be `num_steps`, `minutes` and others of its limits.

    A run of a task of one's own needs it to be known (`register`). Raises what `train` does.
    """
    return _train([*_option("resume", run), *_all(settings)], on_log, quiet)


def _train(args: list[str], on_log: Any, quiet: bool) -> Run:
    command = parse(args)
    start(command.config)
    guest = Guest(on_log, quiet)
    if command.num_seeds != 1:
        raise UserError("several seeds in one program are for awr-mjx train: call train once for each here")
    _, folder = run_training(command, guest)
    guest.raise_trouble()
    return Run(folder)


def _named(env: str | Env) -> str:
    """The name of a task, which an object gets from its class."""
    if isinstance(env, str):
        return env
    name = type(env).__name__
    register(name, lambda: env, "an object")
    return name


def _all(settings: Mapping[str, Any]) -> list[str]:
    return [word for name, value in settings.items() for word in _option(name, value)]


def _option(name: str, value: Any) -> list[str]:
    """A setting as on the command line; nothing for None and for an empty list."""
    if value is None or (isinstance(value, list | tuple) and not value):
        return []
    if isinstance(value, list | tuple):
        return [f"--{name}", *(os.fspath(one) if isinstance(one, os.PathLike) else str(one) for one in value)]
    return [f"--{name}", os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
