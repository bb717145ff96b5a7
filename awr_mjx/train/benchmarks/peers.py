"""Our AWR, Brax's PPO and Brax's SAC on the same task object, with the same cores, clock and evaluation.

python -m train.benchmark peers --env ant --minutes 20
"""

import dataclasses
import importlib.util
import math
import pathlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from awr_mjx.envs import registry
from awr_mjx.envs.packages import install
from awr_mjx.train.benchmarks import brax_settings, campaign, results
from awr_mjx.train.benchmarks.campaign import Job, Point
from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import config as settings

PEERS = ("ppo", "sac")
EVALUATION_SECONDS = 60  # of training between two; one in two physics takes half a minute of a core
LATE_SECONDS = 3.0  # that one may come after its minute, since epochs are whole
FIRST_MINUTES = 3.0  # from here on, who is ahead is counted


@dataclasses.dataclass(frozen=True)
class PeersBenchmark:
    """What to compare."""

    env: str = "ant"
    """Task; ours with its preset, Brax's with the settings that Brax published."""
    minutes: float = 20.0
    """Minutes that each one trains, without compiling and evaluations."""
    seeds: int = 1
    """Trainings of each."""
    algorithms: tuple[str, ...] = ("awr", *PEERS)
    """Which of awr, ppo and sac; `ppo:TASK` has the settings that Brax published for another task."""
    at_once: int = 1
    """Trainings side by side, each on its own share of the cores, the seeds of one trainer together."""
    eval_physics: Literal["exact", "fast"] = "exact"
    """Where a task trains on a fast approximation of Gymnasium's physics: evaluate in Gymnasium's own, or in that."""
    folder: pathlib.Path | None = None
    """Folder for the runs; checkpoints/benchmark/peers-<env> if not given. What is finished there stays."""
    out: pathlib.Path | None = None
    """JSON file to write, and a PNG of the same name; `results.json` in the folder if not given."""


def parts(algorithm: str) -> tuple[str, str]:
    """The trainer, and the task whose published settings it is to have; empty for its own."""
    name, _, like = algorithm.partition(":")
    return name, like


def job(config: PeersBenchmark, algorithm: str, seed: int) -> Job:
    """The training of one algorithm."""
    common = ("--env", config.env, "--seed", str(seed), "--minutes", f"{config.minutes:g}")
    if algorithm == "awr":
        evaluations = max(round(config.minutes * 60 / EVALUATION_SECONDS), 1)
        ours = (
            "--num_steps",
            str(settings.UNLIMITED),
            "--num_evals",
            str(evaluations),
            *campaign.physics(config.eval_physics),
        )
        return Job(f"awr-{seed}", (*common, *ours))
    peer, like = parts(algorithm)
    more = ["--algorithm", peer, "--eval_seconds", str(EVALUATION_SECONDS), *(("--like", like) if like else ())]
    more += ["--eval_physics", config.eval_physics]  # always: folders of before there was a choice are of the fast one
    name = "-".join(filter(None, (peer, like, str(seed))))
    return Job(name, (*common, *more), module="awr_mjx.train.benchmarks.brax_trainers")


def label(algorithm: str) -> str:
    """An algorithm's name in the figure."""
    peer, like = parts(algorithm)
    return "AWR (ours)" if peer == "awr" else f"Brax {peer.upper()}" + (f", settings of {like}" if like else "")


def at(points: list[Point], minute: float, name: str = "mode_return") -> float:
    """The mode return of the newest evaluation up to `LATE_SECONDS` after a minute of training; NaN if none."""
    last = 60 * minute + LATE_SECONDS
    before = [point.get(name, math.nan) for point in points if point["train_seconds"] <= last]
    return before[-1] if before else math.nan


def compare(curves: dict[str, list[list[Point]]], minutes: float) -> dict[str, Any]:
    """Mode returns (mean of seeds) by the minute, and from which minute on ours is ahead of every peer to the end.

    So is from when on our worst seed is ahead of every peer's best.
    """
    grid = np.arange(0.5, minutes + 0.25, 0.5)

    def over_seeds(of: Callable[[list[float]], Any], value: str = "mode_return") -> dict[str, list[float]]:
        return {name: [float(of([at(c, m, value) for c in seeds])) for m in grid] for name, seeds in curves.items()}

    table, fast = over_seeds(np.mean), over_seeds(np.mean, campaign.FAST)
    result: dict[str, Any] = {"minutes": [float(m) for m in grid], "mode_return": table}
    result["ours_ahead_from_minute"] = _ahead(grid, table, table)
    result["every_seed_ahead_from_minute"] = _ahead(grid, over_seeds(np.min), over_seeds(np.max))
    known = {name: values for name, values in fast.items() if not math.isnan(values[-1])}
    return result | ({campaign.FAST: known} if known else {})


def _ahead(grid: np.ndarray, ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> float | None:
    """The first minute of `grid` from which on `ours` of AWR is above `theirs` of all others; None if there is none."""
    others = [name for name in theirs if name != "awr"]
    if "awr" not in ours or not others:
        return None
    behind = [m for i, m in enumerate(grid) if not all(ours["awr"][i] > theirs[name][i] for name in others)]
    return 0.0 if not behind else float(behind[-1] + 0.5) if behind[-1] < grid[-1] else None


def show(env: str, found: dict[str, Any], curves: dict[str, list[list[Point]]]) -> None:
    """Prints the table."""
    names = list(curves)
    table = Table("minute", *names, title=f"{env}: mode return")
    for i, minute in enumerate(found["minutes"]):
        if minute in (1.0, 2.0, FIRST_MINUTES) or minute % 5 == 0:
            table.add_row(f"{minute:g}", *(f"{found['mode_return'][name][i]:.0f}" for name in names))
    if fast := found.get(campaign.FAST):
        last_minute = f"{found['minutes'][-1]:g}, fast physics"
        table.add_row(last_minute, *(f"{fast[name][-1]:.0f}" if name in fast else "-" for name in names))
    table.add_section()
    last = {name: [points[-1] for points in seeds if points] for name, seeds in curves.items()}
    for label, key in (("env steps", "env_steps"), ("compile s", "compile_seconds"), ("all s", "wall_seconds")):
        table.add_row(label, *(", ".join(f"{p[key]:,.0f}" for p in last[name]) for name in names))
    Console(width=110).print(table)
    ahead = found["ours_ahead_from_minute"]
    print("AWR is not ahead at the end" if ahead is None else f"AWR is ahead from minute {ahead:g} to the end")
    every = found["every_seed_ahead_from_minute"]
    if every is not None and max(map(len, curves.values())) > 1:
        print(f"each of its seeds is ahead of each of theirs from minute {every:g}")


def main(args: list[str]) -> int:
    """Trains all, one after the other, and prints; writes JSON and a figure."""
    prog = f"{program('benchmark')} peers"
    config = cli.parse(PeersBenchmark, args, prog=prog, description=(__doc__ or "").strip())
    folder = config.folder or campaign.default_folder("peers", config.env)
    out = results.place(config.out, folder)
    if not 0.5 <= config.minutes < float("inf") or config.seeds < 1:
        raise UserError("minutes must be 0.5 or more, since they are compared every half minute, and seeds positive")
    peers = {name for name in config.algorithms if parts(name)[0] in PEERS}
    wrong = set(config.algorithms) - {"awr", *peers}
    if wrong or not config.algorithms:
        raise UserError(f"unknown algorithm {', '.join(sorted(wrong)) or 'none'}: choose of awr, ppo and sac")
    registry.find(config.env)
    for name, like in map(parts, peers):  # before hours of training, not after them
        brax_settings.hyper_parameters(name, config.env, like)
    if peers and importlib.util.find_spec("brax") is None:
        raise UserError(f"Brax's trainers need Brax: {install('brax')}")
    todo = {name: [job(config, name, seed) for seed in range(config.seeds)] for name in config.algorithms}
    campaign.train([one for same in todo.values() for one in same], folder, config.at_once)
    curves = {name: [campaign.curve(folder / one.name) for one in same] for name, same in todo.items()}
    found = compare(curves, config.minutes)
    result = {"env": config.env, "comparison": found, "curves": curves}
    panels = {config.env: {label(name): same for name, same in curves.items()}}
    results.write(out, result, panels, "train_seconds")
    show(config.env, found, curves)
    return 0
