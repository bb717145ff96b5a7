"""Time and env steps to given mode returns, and where the time goes, with several seeds.

python -m train.benchmark train --env ant --seeds 3
"""

import dataclasses
import pathlib
import statistics
import tempfile
from typing import Any

from rich.console import Console
from rich.table import Table

from awr_mjx.envs import registry
from awr_mjx.train.benchmarks import campaign, loop, results
from awr_mjx.train.benchmarks.campaign import Job, Point
from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import jax_setup, surroundings
from awr_mjx.train.engine.config import UNLIMITED

# Final mode returns of AWR in the paper (Peng et al. 2019, table 1).
PAPER = {
    "ant": 5067.0,
    "halfcheetah": 9136.0,
    "hopper": 3405.0,
    "walker2d": 5813.0,
    "humanoid": 4996.0,
    "lunar_lander": 229.0,
}
SHARES = (0.25, 0.5, 0.75, 1.0)  # of the paper's return: what is to be reached where nothing else is asked for
OWN = ("env", "minutes", "num_steps", "num_evals", "seed", "run_dir", "resume")  # settings that --set may not change
SECONDS = ("train", "evaluate", "save", "compile", "wall")


@dataclasses.dataclass(frozen=True)
class TrainBenchmark:
    """What to train and what to reach."""

    env: str = "ant"
    """Task, with its preset."""
    seeds: int = 3
    """Trainings, with seeds from `first_seed` on."""
    first_seed: int = 0
    """The first training's seed."""
    minutes: float = 20.0
    """Minutes that each one trains."""
    returns: tuple[float, ...] = ()
    """Mode returns to reach; the paper's final one and quarters of it, if not given."""
    set: tuple[str, ...] = ()
    """Other settings of `train.main` than the preset's: std_min=0.06 num_envs=512."""
    at_once: int = 1
    """Trainings side by side, each on its own share of the cores. Speeds are then those of a part of the machine."""
    phases: bool = True
    """Measure the phases of an iteration too, at the end."""
    folder: pathlib.Path | None = None
    """Folder for the runs; checkpoints/benchmark/train-<env> if not given. What is finished there stays."""
    out: pathlib.Path | None = None
    """JSON file to write, and a PNG of the same name; `results.json` in the folder if not given."""


def jobs(config: TrainBenchmark, cache: pathlib.Path) -> list[Job]:
    """The trainings; they compile into an empty `cache`, so the first one is cold and the later ones are warm."""
    # An evaluation every half minute, and no other end than that of the minutes.
    common = ["--env", config.env, "--minutes", f"{config.minutes:g}", "--num_steps", str(UNLIMITED)]
    common += ["--num_evals", str(max(round(2 * config.minutes), 1)), *(f"--{setting}" for setting in config.set)]
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    env = {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    return [Job(f"seed-{seed}", (*common, "--seed", str(seed)), env=env) for seed in seeds]


def summarise(points: list[Point], returns: tuple[float, ...]) -> dict[str, Any]:
    """What a curve says: when it reached each of `returns`, its speed, and what its time went to."""
    last = points[-1]

    def reached(name: str) -> dict[str, Any]:
        first = {f"{level:g}": campaign.first_at(points, level, name) for level in returns}
        keys = ("train_seconds", "wall_seconds", "env_steps", name)
        return {level: point and {key: point[key] for key in keys} for level, point in first.items()}

    fast = {}
    if campaign.FAST in last:
        fast = {"reached_fast": reached(campaign.FAST), "final_mode_return_fast": last[campaign.FAST]}
    return {
        "reached": reached("mode_return"),
        **fast,
        "final_mode_return": last["mode_return"],
        "best_mode_return": max(point["mode_return"] for point in points),
        "env_steps": last["env_steps"],
        "env_steps_per_second": last["env_steps"] / last["train_seconds"],
        "gradient_steps_per_second": last["gradient_steps"] / last["train_seconds"],
        "seconds": {name: last[f"{name}_seconds"] for name in SECONDS},
    }


def table(config: TrainBenchmark, returns: tuple[float, ...], found: dict[str, dict[str, Any]]) -> Table:
    """A row for each seed; where a fast physics trains, with what it would have said of the highest return."""
    title = f"{config.env}, {config.minutes:g} minutes of training each"
    title += "; to a mode return: minutes of training, env steps" if returns else ""
    levels = [f"{level:g}" for level in returns]
    fast = [f"fast physics: to {level}" for level in levels[-1:]] + ["fast physics: final"]
    fast = fast if any("reached_fast" in one for one in found.values()) else []
    columns = ("seed", *(f"to {level}" for level in levels), "best", "final", *fast, "env steps/s", "gradient steps/s")
    made = Table(*columns, *(f"{name} s" for name in SECONDS), title=title)
    for name, one in found.items():
        cells = [_when(one["reached"][level]) for level in levels]
        cells += [f"{one['best_mode_return']:.0f}", f"{one['final_mode_return']:.0f}"]
        if fast:
            cells += [_when(one["reached_fast"][level]) for level in levels[-1:]]
            cells.append(f"{one['final_mode_return_fast']:.0f}")
        cells += [f"{one['env_steps_per_second']:,.0f}", f"{one['gradient_steps_per_second']:,.0f}"]
        made.add_row(name.removeprefix("seed-"), *cells, *(f"{one['seconds'][s]:.0f}" for s in SECONDS))
    return made


def _when(point: Point | None) -> str:
    return f"{point['train_seconds'] / 60:.1f} min, {point['env_steps'] / 1e6:.2f}M" if point else "-"


def main(args: list[str]) -> int:
    """Trains, measures and prints; writes JSON and a figure."""
    prog = f"{program('benchmark')} train"
    config = cli.parse(TrainBenchmark, args, prog=prog, description=(__doc__ or "").strip())
    folder = config.folder or campaign.default_folder("train", config.env)
    out = results.place(config.out, folder)
    if config.seeds < 1 or not 0 < config.minutes < float("inf") or config.first_seed < 0:
        raise UserError("seeds and minutes must be positive numbers, and first_seed zero or more")
    campaign.check_settings(config.set, OWN)
    registry.find(config.env)  # not built: the trainings are to have the accelerator
    if config.phases:
        surroundings.refuse_lost_flags(["those of the phases"])
    best = PAPER.get(config.env.removeprefix("paper/"))
    returns = config.returns or (tuple(share * best for share in SHARES) if best else ())
    with tempfile.TemporaryDirectory() as cache:
        todo = jobs(config, pathlib.Path(cache))
        campaign.train(todo, folder, config.at_once)
    curves = {job.name: campaign.trained(folder / job.name) for job in todo}
    found = {
        name: summarise(points, returns) | {"cores": campaign.cores(folder / name)} for name, points in curves.items()
    }
    result: dict[str, Any] = {"env": config.env, "settings": config.set, "runs": found, "curves": curves}
    if config.phases:
        lapack = registry.calls_lapack(config.env, registry.TaskOptions())
        jax_setup.start_jax(lapack, jax_setup.cores(), reserve=True)
        result["phases"] = loop.measure(registry.make(config.env), cli_settings(config), 5)
    panels = {config.env: {"AWR": list(curves.values())}}
    results.write(out, result, panels, "train_seconds", levels=returns[-1:])
    Console(width=170).print(table(config, returns, found))
    if config.phases:
        Console(width=loop.WIDTH).print(loop.table([result["phases"]]))
    median = statistics.median(one["final_mode_return"] for one in found.values())
    print(f"final mode return, median of {len(found)} seeds: {median:.0f}")
    return 0


def cli_settings(config: TrainBenchmark) -> Any:
    """The settings of a training as `train.main` would have them."""
    from awr_mjx.train.engine.command_line import parse

    return parse(["--env", config.env, *(f"--{setting}" for setting in config.set)]).config
