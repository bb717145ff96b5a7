"""The paper's ablations and baselines: what of AWR matters (Peng et al. 2019, figure 4).

python -m train.benchmark ablations --env hopper
"""

import dataclasses
import math
import pathlib
import statistics
from typing import Literal

from rich.console import Console
from rich.table import Table

from awr_mjx.envs import registry
from awr_mjx.train.benchmarks import campaign, results
from awr_mjx.train.benchmarks.campaign import Job
from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import surroundings
from awr_mjx.train.engine.presets import preset

VARIANTS = {
    "AWR": "awr",
    "on-policy": "on_policy",
    "no baseline": "no_baseline",
    "Monte Carlo": "monte_carlo",
    "RWR": "rwr",
}
RING_FACTORS = (0.1, 10.0)


@dataclasses.dataclass(frozen=True)
class Ablations:
    """What to leave out."""

    env: str = "hopper"
    """Task, with its preset."""
    seeds: int = 3
    """Trainings of each variant; on an accelerator, in one program."""
    num_steps: int = 0
    """Env steps of each training; the preset's if not given."""
    at_once: int = 1
    """Trainings side by side, each on its own share of the cores."""
    eval_physics: Literal["exact", "fast"] = "exact"
    """Where a task trains on a fast approximation of Gymnasium's physics: evaluate in Gymnasium's own, or in that."""
    folder: pathlib.Path | None = None
    """Folder for the runs; checkpoints/benchmark/ablations-<env> if not given. What is finished there stays."""
    out: pathlib.Path | None = None
    """JSON file to write, and a PNG of the same name; `results.json` in the folder if not given."""


def variants(config: Ablations) -> dict[str, tuple[str, ...]]:
    """Arguments of `train.main` by the variant's name; the last ones are rings of other sizes.

    A ring of one block is what on-policy means, so the two are one training where a small ring comes down to that.
    """
    found: dict[str, tuple[str, ...]] = {name: ("--variant", variant) for name, variant in VARIANTS.items()}
    for factor in RING_FACTORS:
        blocks = round(preset(config.env).awr.buffer_blocks * factor)
        found[f"ring x {factor:g}"] = ("--buffer_blocks", str(blocks)) if blocks > 1 else found["on-policy"]
    return found


def main(args: list[str]) -> int:
    """Trains all variants with all seeds and prints; writes JSON and a figure."""
    prog = f"{program('benchmark')} ablations"
    config = cli.parse(Ablations, args, prog=prog, description=(__doc__ or "").strip())
    folder = config.folder or campaign.default_folder("ablations", config.env)
    out = results.place(config.out, folder)
    if config.seeds < 1 or config.num_steps < 0:
        raise UserError("seeds must be a positive number, and num_steps zero or more")
    registry.find(config.env)
    steps = config.num_steps or preset(config.env).num_steps
    common = ("--env", config.env, "--num_steps", str(steps), "--num_evals", "20")
    given = (*common, *campaign.physics(config.eval_physics))
    one_program = config.seeds > 1 and surroundings.accelerator()  # as quick for several as for one there
    todo: dict[str, list[Job]] = {}
    for name, chosen in variants(config).items():
        slug = "_".join(chosen).removeprefix("--variant_").removeprefix("--")  # the same for the same training
        todo[name] = campaign.of_seeds(slug, given, chosen, config.seeds, one_program)
    by_seed = zip(*todo.values(), strict=True)  # so that an early stop leaves something to compare
    in_order = {job.name: job for jobs in by_seed for job in jobs}
    campaign.train(list(in_order.values()), folder, config.at_once)
    curves = {name: [campaign.trained(run) for job in jobs for run in job.runs(folder)] for name, jobs in todo.items()}
    both = any(campaign.FAST in points[-1] for seeds in curves.values() for points in seeds)
    head = ("variant", "final mode return of each seed", "mean", "best", *(("mean, fast physics",) if both else ()))
    table = Table(*head, title=f"{config.env}, {steps:,} env steps")
    for name, seeds in curves.items():
        last = [points[-1]["mode_return"] for points in seeds]
        best = max(point["mode_return"] for points in seeds for point in points)
        fast = [f"{statistics.mean(points[-1].get(campaign.FAST, math.nan) for points in seeds):.0f}"] if both else []
        table.add_row(name, ", ".join(f"{x:.0f}" for x in last), f"{statistics.mean(last):.0f}", f"{best:.0f}", *fast)
    rings = {"AWR", *(name for name in curves if name.startswith("ring"))}
    panels = {
        f"{config.env}: what is left out": {name: seeds for name, seeds in curves.items() if name in VARIANTS},
        f"{config.env}: size of the ring": {name: seeds for name, seeds in curves.items() if name in rings},
    }
    result = {"env": config.env, "num_steps": steps, "curves": curves}
    results.write(out, result, panels, "env_steps")
    Console(width=110).print(table)
    return 0
