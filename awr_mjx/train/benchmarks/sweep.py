"""Settings of the algorithm compared in one program: every combination, with several seeds, side by side.

python -m train.benchmark sweep --env hopper --set beta=0.2,0.5 policy_lr=1e-4,3e-4 --seeds 4
"""

import dataclasses
import itertools
import math
import pathlib
import statistics
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from awr_mjx.envs import registry
from awr_mjx.train.benchmarks import campaign, results
from awr_mjx.train.benchmarks.campaign import Point
from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import Failed, UserError, complain
from awr_mjx.train.console.files import read_object
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import together
from awr_mjx.train.engine.command_line import Command, parse
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.many import NUMBERS
from awr_mjx.train.engine.train import train as train_all

OWN = ("env", "seed", "num_seeds", "num_steps", "minutes", "eval_physics", "run_dir", "resume")  # not by --set


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What to compare."""

    env: str = "hopper"
    """Task, with its preset."""
    set: tuple[str, ...] = ()
    """Settings of a training, NAME=VALUE; NAME=VALUE,VALUE of beta, policy_lr or another number compares."""
    seeds: int = 3
    """Trainings of each combination."""
    num_steps: int = 0
    """Env steps of each training; the preset's if not given."""
    minutes: float = 0.0
    """Minutes of training, of all together, after which they end too; 0: no limit."""
    eval_physics: Literal["exact", "fast"] = "exact"
    """Where a task trains on a fast approximation of Gymnasium's physics: evaluate in Gymnasium's own, or in that."""
    folder: pathlib.Path | None = None
    """Folder for the runs; checkpoints/benchmark/sweep-<env> if not given. Given again, it goes on there."""
    out: pathlib.Path | None = None
    """JSON file to write, and a PNG of the same name; `results.json` beside the folder's runs if not given."""


def split(given: tuple[str, ...]) -> tuple[list[str], dict[str, list[float]]]:
    """The settings that all have, and the values of those that are compared, by name.

    Raises:
      UserError: for what cannot be compared in one program, and for what is no number.
    """
    campaign.check_settings(given, OWN)
    same, compared = [], dict[str, list[float]]()
    for setting in given:
        name, _, values = setting.partition("=")
        name = name.replace("-", "_")
        if "," not in values:
            same.append(setting)
            continue
        if name not in NUMBERS:
            raise UserError(f"--set {setting}: {name} cannot be compared in one program, but {', '.join(NUMBERS)} can")
        try:
            found = [float(value) for value in values.split(",")]
        except ValueError:
            raise UserError(f"--set {setting}: {values} are not numbers") from None
        if name in compared or len(set(found)) < len(found):
            raise UserError(f"--set {setting}: {name} has a value twice")
        compared[name] = found
    return same, compared


def combinations(compared: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Every combination of the values, by its name."""
    found = [dict(zip(compared, values, strict=True)) for values in itertools.product(*compared.values())]
    return {"-".join(f"{name}-{value:.12g}" for name, value in one.items()) or "preset": one for one in found}


def several(config: TrainConfig, grid: dict[str, dict[str, float]], seeds: int) -> dict[str, TrainConfig]:
    """The settings of all trainings, by the names of their folders.

    Raises:
      UserError: if some make no sense.
    """
    found = {}
    for name, values in grid.items():
        awr = dataclasses.replace(config.awr, **values)  # type: ignore[arg-type]
        for seed in range(seeds):
            found[f"{name}-seed-{seed}"] = dataclasses.replace(config, seed=seed, awr=awr)
        found[f"{name}-seed-0"].validate()
    return found


def train(wanted: dict[str, TrainConfig], limits: list[str], folder: pathlib.Path) -> None:
    """Trains the `wanted` runs in `folder`, or goes on with them to their `limits`, as far as they are not finished.

    Raises:
      UserError: if the folder has other runs.
      Failed: if they were stopped.
    """
    there = {path.parent.name for path in folder.glob("*/config.json")}
    for name in there:
        then = settings.read(folder / name)
        now = dataclasses.replace(wanted.get(name, then), devices=then.devices)
        if there != set(wanted) or settings.differences(then, now):
            raise UserError(f"{folder} has runs of other settings: move it, or choose another --folder")
    if there and all(_over(folder / name) for name in wanted):
        return
    command = parse(["--resume", str(folder), *limits]) if there else Command(config=next(iter(wanted.values())))
    try:
        train_all(command if there else dataclasses.replace(command, run_dir=folder), several=wanted)
    except Failed as error:
        complain(f"warning: {error}")  # of some; the others are worth looking at
    if not all(_over(folder / name) for name in wanted):
        raise Failed("it was stopped: the same command again goes on, and shows the table")


def _over(run: pathlib.Path) -> bool:
    """Whether a run is finished, or there is no use in going on with it."""
    return bool(read_object(run / "summary.json").get("finished")) or together.failed(run)


def summarise(
    grid: dict[str, dict[str, float]], seeds: int, folder: pathlib.Path
) -> dict[str, tuple[dict[str, Any], list[list[Point]]]]:
    """What came of each combination, the best first by the mean of its last mode returns, and the curves of its seeds.

    A seed that has diverged counts as one of the return that it had last.
    """
    found: dict[str, tuple[dict[str, Any], list[list[Point]]]] = {}
    for name, values in grid.items():
        runs = [folder / f"{name}-seed-{seed}" for seed in range(seeds)]
        curves = [campaign.curve(run) for run in runs]
        last = [points[-1]["mode_return"] for points in curves if points]
        best = [max(point["mode_return"] for point in points) for points in curves if points]
        failed = [run.name for run in runs if together.failed(run)]
        mean = statistics.mean(last) if last else -math.inf
        found[name] = {"settings": values, "final": last, "mean": mean, "best": best, "diverged": failed}, curves
    return dict(sorted(found.items(), key=lambda one: -one[1][0]["mean"]))


def table(env: str, found: dict[str, dict[str, Any]]) -> Table:
    """A row for each combination, the best first."""
    names = list(next(iter(found.values()))["settings"]) or ["settings"]
    made = Table(*names, "mean", "mode return of each seed", "highest of each", "diverged", title=f"{env}: mode return")
    for one in found.values():
        cells = [f"{value:g}" for value in one["settings"].values()] or ["the preset's"]
        shown = [", ".join(f"{value:,.0f}" for value in one[key]) for key in ("final", "best")]
        mean = f"{one['mean']:,.0f}" if one["final"] else "-"
        made.add_row(*cells, mean, *shown, str(len(one["diverged"]) or ""))
    return made


def main(args: list[str]) -> int:
    """Trains all combinations and prints; writes JSON and a figure."""
    prog = f"{program('benchmark')} sweep"
    config = cli.parse(Sweep, args, prog=prog, description=(__doc__ or "").strip())
    folder = (config.folder or campaign.default_folder("sweep", config.env)).absolute()
    out = results.place(config.out, folder)
    if config.seeds < 1:
        raise UserError(f"seeds must be a positive number, not {config.seeds}")
    same, compared = split(config.set)
    registry.find(config.env)
    limits = [f"--minutes={config.minutes:g}", *([f"--num_steps={config.num_steps}"] if config.num_steps else [])]
    common = [f"--env={config.env}", f"--eval_physics={config.eval_physics}", *(f"--{setting}" for setting in same)]
    grid = combinations(compared)
    if len(grid) * config.seeds < 2:
        raise UserError("that is one training: give a setting several values (--set beta=0.2,0.5), or more --seeds")
    train(several(parse([*common, *limits]).config, grid, config.seeds), limits, folder)
    found = summarise(grid, config.seeds, folder)
    told = {name: one for name, (one, _) in found.items()}
    panels = {config.env: {name: [c for c in curves if c] for name, (_, curves) in found.items()}}
    results.write(out, {"env": config.env, "settings": same, "combinations": told}, panels, "env_steps")
    Console(width=120).print(table(config.env, told))
    return 0
