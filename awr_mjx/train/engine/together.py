"""Trainings of one task in one program: `--num_seeds`, and sweeps of settings that are numbers."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.console.files import read_object
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import restoring, run_folder
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.loop import TrainState
from awr_mjx.train.engine.many import NUMBERS, Many

SEED = "seed-{}"  # the folder of one of several seeds
MOST = 4096  # seeds in one program


def natural(name: str) -> list[Any]:
    """A key that sorts names by the numbers in them: seed-2 comes before seed-10."""
    return [float(part) if i % 2 else part for i, part in enumerate(re.split(r"(\d+(?:\.\d+)?)", name))]


def of_seeds(config: TrainConfig, number: int) -> dict[str, TrainConfig]:
    """The settings of `number` seeds that count up from that of `config`, by the names of their folders."""
    if number == 1:
        return {"": config}
    return {
        SEED.format(seed): dataclasses.replace(config, seed=seed) for seed in range(config.seed, config.seed + number)
    }


def folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """The runs to go on with in `folder`: itself, or those that were begun together in it, without the failed ones.

    Raises:
      UserError: if there are none, or if one has been trained further by itself.
    """
    if (folder / "config.json").is_file() or not folder.is_dir():
        return [folder]
    there = [path.parent for path in folder.glob("*/config.json") if settings.read(path.parent)]  # refuses a spoilt one
    found = [run for run in there if run_folder.shared_over(run)]
    runs = sorted((run for run in found if not failed(run)), key=lambda run: natural(run.name))
    if found and not runs:
        raise UserError(f"all runs in {folder} have failed: train anew")
    for run in runs:
        if not run_folder.shared_over(run, last=True):
            raise UserError(f"{run} has been trained further by itself: resume each by itself")
    return runs or [folder]


def failed(run: pathlib.Path) -> bool:
    """Whether there was no use in going on with it."""
    why = read_object(run / "summary.json").get("why")
    return isinstance(why, str) and not why.startswith("stopped by")


def read(folder: pathlib.Path) -> TrainConfig:
    """The settings of the run `folder`, or of the first of the runs in it.

    Raises:
      UserError: if there is none, or if they have other settings by now.
    """
    runs = folders(folder)
    first, *others = [settings.read(run) for run in runs]
    for run, other in zip(runs[1:], others, strict=True):
        if changed := settings.differences(own(first, other), other):
            raise UserError(f"{run} has other settings than {runs[0].name} ({changed[0]}): resume each by itself")
    return first


def refuse(configs: Mapping[str, TrainConfig], devices: int) -> None:
    """Raises UserError if trainings of these settings cannot be in one program, on so many devices (0: any number)."""
    for config in configs.values():
        dataclasses.replace(config, devices=1).validate()
    config, number = next(iter(configs.values())), len(configs)
    for name, given in (("data", config.logged), ("from", config.begin), ("wandb", config.wandb)):
        if given:
            raise UserError(f"--{name} is not for several trainings in one program: train them one after the other")
    if devices < 0 or number % max(devices, 1):
        raise UserError(f"{number} trainings cannot be shared out evenly over {devices} devices: change one")


def own(config: TrainConfig, of: TrainConfig) -> TrainConfig:
    """`config` with what is a training's own in a program of several, as `of` has it: its seed and its `NUMBERS`."""
    numbers = {name: getattr(of.awr, name) for name in NUMBERS}
    return dataclasses.replace(config, seed=of.seed, awr=dataclasses.replace(config.awr, **numbers))


def restore(runs: Sequence[pathlib.Path], many: Many) -> tuple[int, TrainState, list[str]]:
    """The newest sound state that all `runs` have: its env steps, the state, and warnings to show.

    A kill may have come between the saves of two runs; some may have a checkpoint more.

    Raises:
      UserError: if they have none in common.
    """
    common = sorted(set.intersection(*(set(restoring.steps(run)) for run in runs)), reverse=True)
    problem = UserError(f"the runs in {runs[0].parent} have no checkpoint in common: resume each by itself")
    for step in common:
        try:
            found = [restoring.restore(run, many.one.described(many.place_of(i)), step) for i, run in enumerate(runs)]
        except restoring.Mismatch:
            raise
        except UserError as error:  # one is damaged
            problem = error
            continue
        warnings = [warning for _, _, more in found for warning in more]
        return step, many.together([state for _, state, _ in found]), warnings
    raise problem


def numbers(configs: Mapping[str, TrainConfig]) -> dict[str, list[float]]:
    """The settings in which they differ beside their seeds, by name, in their order."""
    every = {name: [float(getattr(one.awr, name)) for one in configs.values()] for name in NUMBERS}
    return {name: values for name, values in every.items() if len(set(values)) > 1}
