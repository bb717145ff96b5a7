"""What runs have logged, as a report reads it: each by itself, and those that differ in their seed alone together."""

import collections
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from awr_mjx.train.console.errors import UserError, warn
from awr_mjx.train.console.files import read_object
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import metrics_log
from awr_mjx.train.engine.epoch_metrics import PER_EPISODE
from awr_mjx.train.engine.metrics_log import Values, step_of

Groups = dict[str, list["Run"]]
FAST = "mode_return_fast"  # in the fast physics, where the mode return is of the exact one
POINTS = 300  # of a curve over the iterations; more are averaged
SHOWN = 3  # settings in the name of a group of runs


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run has logged.

    Attributes:
      name: a name of its own.
      settings: its settings as `config.to_dict` has them.
      rows: its metrics, oldest first.
      about: what it was started with, as far as its `config.json` says.
      summary: how it ended, if it has.
    """

    name: str
    settings: dict[str, Any]
    rows: list[Values]
    about: dict[str, Any] = dataclasses.field(default_factory=dict)
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def task(self) -> str:
        """The task that it learns."""
        return str(self.settings["env"])

    @property
    def clock(self) -> str:
        """What its steps are called."""
        return "gradient steps" if self.settings.get("logged", {}).get("data") else "env steps"

    def points(self, name: str) -> list[Values]:
        """The rows that have a metric, with their `step`."""
        return [{**row, "step": step_of(row)} for row in self.rows if name in row]

    def evaluations(self) -> list[Values]:
        """The rows that have a mode return, with their `step`."""
        return self.points("mode_return")

    def newest(self, name: str) -> float | None:
        """The newest value of a metric."""
        return next((row[name] for row in reversed(self.rows) if name in row), None)

    def values(self, name: str) -> np.ndarray:
        """Every value of a metric, float64 [K]."""
        return np.array([row[name] for row in self.rows if name in row])

    def column(self, name: str) -> np.ndarray:
        """Steps and a metric, float64 [2, K], at most `POINTS` of them, each the mean of those it stands for."""
        values = np.array([[step_of(row), row[name]] for row in self.rows if name in row]).T
        if values.size == 0:
            return np.empty((2, 0))
        parts = np.array_split(values, min(POINTS, values.shape[1]), axis=1)
        return np.stack([part.mean(axis=1) for part in parts], axis=1)


def read(folder: pathlib.Path) -> Run:
    """What run `folder` has logged; a line that is just being written does not count.

    Raises:
      UserError: if it is not a run, or has logged nothing yet.
    """
    config = settings.read(folder)
    try:
        rows = [_without_false_zeros(row) for row in metrics_log.lines(folder)]
    except OSError as error:
        raise UserError(f"{folder} has no metrics: {error.strerror}") from error
    if not rows:
        raise UserError(f"{folder} has no metrics yet: train for longer")
    about = read_object(folder / "config.json").get("about")
    about = about if isinstance(about, dict) else {}
    return Run(folder.resolve().name, settings.to_dict(config), rows, about, read_object(folder / "summary.json"))


def _without_false_zeros(row: Values) -> Values:
    """A row as runs log it now: older ones had a return of 0 where no episode had ended."""
    if row.get("episodes_finished") == 0:
        return {name: value for name, value in row.items() if name not in PER_EPISODE}
    return row


def read_all(folders: tuple[pathlib.Path, ...]) -> tuple[tuple[pathlib.Path, ...], list[Run]]:
    """The runs among `folders`, each once, and what they have logged; what is none is left out with a warning.

    A run is called as its folder, with as many of the folders above as tell it from the others.

    Raises:
      UserError: if none of them is a run that has logged something.
    """
    found, problems, seen = dict[pathlib.Path, Run](), list[UserError](), set[str]()
    for folder in folders:
        place = os.path.realpath(folder)
        if place in seen:
            continue
        seen.add(place)
        try:
            found[folder] = read(folder)
        except UserError as error:
            problems.append(error)
    if not found:
        raise problems[0]
    warn([f"{problem}: left out" for problem in problems])
    runs = zip(found.values(), _names(list(found)), strict=True)
    return tuple(found), by_physics([dataclasses.replace(run, name=name) for run, name in runs])


def _names(folders: list[pathlib.Path]) -> list[str]:
    """The shortest end of each folder's path that no other one has."""
    paths = [folder.resolve().parts for folder in folders]

    def ends(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        return (path[-depth:] for depth in range(1, len(path) + 1))

    taken = collections.Counter(end for path in paths for end in ends(path))
    return [str(pathlib.Path(*next(end for end in ends(path) if taken[end] == 1 or end == path))) for path in paths]


def by_physics(runs: list[Run]) -> list[Run]:
    """The runs, with the mode returns of those that were evaluated in the fast physics called `mode_return_fast`.

    That is done where others of the task tell both: the two are not to be compared.
    """
    both = {run.task for run in runs if run.newest(FAST) is not None}

    def told(run: Run) -> Run:
        if run.task not in both or run.settings.get("eval_physics") != "fast":
            return run
        rows = [{FAST if name == "mode_return" else name: value for name, value in row.items()} for row in run.rows]
        return dataclasses.replace(run, rows=rows)

    return [told(run) for run in runs]


def by_task(runs: list[Run]) -> dict[str, list[Run]]:
    """The runs of each task."""
    tasks: dict[str, list[Run]] = {}
    for run in runs:
        tasks.setdefault(run.task, []).append(run)
    return tasks


def differing(runs: list[Run]) -> dict[str, list[Any]]:
    """The settings in which runs differ, by name, with each run's value."""
    flat = [settings.flatten(run.settings) for run in runs]
    return {
        name: [values.get(name) for values in flat]
        for name in flat[0]
        if any(other.get(name) != flat[0][name] for other in flat)
    }


def group(runs: list[Run]) -> Groups:
    """Runs of one task that differ in their seed alone, by a name made of the settings in which the groups differ.

    Where these are many, it is the first run's name.
    """
    seedless = [dataclasses.replace(run, settings={**run.settings, "seed": None}) for run in runs]
    alike: dict[str, list[int]] = {}
    for i, run in enumerate(seedless):
        alike.setdefault(json.dumps(run.settings, sort_keys=True), []).append(i)
    differ = differing(seedless)
    groups: Groups = {}
    for members in alike.values():
        first = runs[members[0]]
        values = [(name.rpartition(".")[2], values[members[0]]) for name, values in differ.items()]
        shown = ", ".join(f"{name} {v:,}" if type(v) is int else f"{name} {v}" for name, v in values)
        label = first.name if len(differ) > SHOWN else shown or first.task
        groups[f"{label} ({first.name})" if label in groups else label] = [runs[i] for i in members]
    return groups


def every(groups: Groups) -> Iterator[Run]:
    """All runs of all groups."""
    return (run for runs in groups.values() for run in runs)


def clock(runs: Iterable[Run]) -> str:
    """What the steps of all the runs are called."""
    names = {run.clock for run in runs}
    return names.pop() if len(names) == 1 else "steps"
