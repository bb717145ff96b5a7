"""Imitating DeepMimic's clips: table 2 and figure 6 of the paper (Peng et al. 2019, section 5.3).

python -m train.benchmark imitation --data DeepMimic/data
"""

import dataclasses
import importlib.util
import pathlib
import statistics
from typing import Any

from rich.console import Console
from rich.table import Table

from awr_mjx.envs import registry
from awr_mjx.envs.packages import install
from awr_mjx.envs.registry import TaskOptions
from awr_mjx.train.benchmarks import campaign, results
from awr_mjx.train.benchmarks.campaign import Job, Point
from awr_mjx.train.benchmarks.peers import EVALUATION_SECONDS
from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine.config import UNLIMITED

# What learns, by its arguments, those of Brax's trainers for the last.
LEARNERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "awr": ("AWR", ()),
    # An action of 1 is pi there, and half a radian else: noise of the same std would be six times that in the joints.
    "absolute": ("AWR, absolute actions, std 0.05", ("--env.actions", "absolute", "--std", "0.05")),
    "rwr": ("RWR", ("--variant", "rwr")),
    "ppo": ("Brax PPO, settings of humanoid", ("--algorithm", "ppo", "--like", "humanoid")),
}
# Returns as shares of the most possible in the paper's table 2, from memory of it: PPO, RWR, AWR.
QUOTED = {
    "humanoid3d_cartwheel": (0.76, 0.03, 0.78),
    "humanoid3d_spinkick": (0.70, 0.05, 0.77),
    "humanoid3d_walk": None,
    "dog3d_canter": (0.76, 0.78, 0.86),
    "dog3d_trot": (0.86, 0.86, 0.86),
    "dog3d_spin": (0.75, 0.75, 0.82),  # the paper's turn
}
DIFFERS = (
    "The paper's figures are quoted, from memory of its table 2. Its robots move in Bullet, by absolute actions, and "
    "learn from other numbers of samples; here actions are added to the clip, unless they are called absolute, the "
    "physics is ours, and training gives up who is far from the clip."
)
EVALUATIONS = 20


@dataclasses.dataclass(frozen=True)
class ImitationBenchmark:
    """What to compare."""

    data: pathlib.Path
    """DeepMimic's folder with characters/humanoid3d.txt, motions/humanoid3d_walk.txt and so on; its `data`."""
    motions: tuple[str, ...] = tuple(QUOTED)
    """Clips, by the names of their files."""
    learners: tuple[str, ...] = tuple(LEARNERS)
    """Which of awr, absolute, rwr and ppo."""
    minutes: float = 60.0
    """Minutes that each one trains, without compiling and evaluations."""
    seeds: int = 3
    """Trainings of each."""
    at_once: int = 1
    """Trainings side by side, each on its own share of the cores."""
    folder: pathlib.Path = pathlib.Path("checkpoints") / "benchmark" / "imitation"
    """Folder for the runs; what is finished there stays."""
    out: pathlib.Path | None = None
    """JSON file to write, and a PNG of the same name; `results.json` in the folder if not given."""


def task(data: pathlib.Path, motion: str) -> tuple[str, tuple[str, ...]]:
    """The task that imitates a clip of DeepMimic's, and the arguments that say so."""
    character = motion.partition("_")[0]
    name = "imitate/dog" if character.startswith("dog") else "imitate/humanoid"
    robot, clip = data / "characters" / f"{character}.txt", data / "motions" / f"{motion}.txt"
    return name, ("--env.robot", str(robot.absolute()), "--env.clip", str(clip.absolute()))


def job(config: ImitationBenchmark, motion: str, learner: str, seed: int) -> Job:
    """One training."""
    name, files = task(config.data, motion)
    own = LEARNERS[learner][1]
    args = ("--env", name, *files, "--seed", str(seed), "--minutes", f"{config.minutes:g}", *own)
    slug = f"{motion}-{learner}-{seed}"
    if learner == "ppo":
        seconds = max(60 * config.minutes / EVALUATIONS, EVALUATION_SECONDS)
        return Job(slug, (*args, "--eval_seconds", f"{seconds:g}"), module="awr_mjx.train.benchmarks.brax_trainers")
    return Job(slug, (*args, "--num_steps", str(UNLIMITED), "--num_evals", str(EVALUATIONS)))


def main(args: list[str]) -> int:
    """Trains all and prints; writes JSON and a figure."""
    prog = f"{program('benchmark')} imitation"
    config = cli.parse(ImitationBenchmark, args, prog=prog, description=(__doc__ or "").strip())
    out = results.place(config.out, config.folder)
    if not 0 < config.minutes < float("inf") or config.seeds < 1:
        raise UserError("minutes and seeds must be positive numbers")
    unknown = [name for name in config.learners if name not in LEARNERS]
    if unknown or not config.learners or not config.motions:
        raise UserError(
            f"learners are some of {', '.join(LEARNERS)}, not {' '.join(unknown) or 'none'}, and motions not none"
        )
    if "ppo" in config.learners and importlib.util.find_spec("brax") is None:
        raise UserError(f"Brax's PPO needs Brax: {install('brax')}; leave it out with --learners awr absolute rwr")
    most = {motion: _most(config.data, motion) for motion in config.motions}
    todo = {
        (motion, learner): [job(config, motion, learner, seed) for seed in range(config.seeds)]
        for motion in config.motions
        for learner in config.learners
    }
    campaign.train(
        [jobs[seed] for seed in range(config.seeds) for jobs in todo.values()], config.folder, config.at_once
    )
    curves = {key: [campaign.trained(config.folder / one.name) for one in jobs] for key, jobs in todo.items()}
    found: dict[str, dict[str, list[list[Point]]]] = {motion: {} for motion in config.motions}
    for (motion, learner), seeds in curves.items():
        found[motion][LEARNERS[learner][0]] = seeds
    quoted = {motion: QUOTED.get(motion) for motion in config.motions}
    result = {"curves": found, "most": most, "quoted_ppo_rwr_awr": quoted, "differs": DIFFERS}
    results.write(out, result, found, "env_steps")
    Console(width=130).print(_table(found, most))
    print(DIFFERS)
    return 0


def _most(data: pathlib.Path, motion: str) -> float:
    """The most that an episode can return; building the task finds what is missing before hours of training."""
    name, (_, robot, _, clip) = task(data, motion)
    most: float = registry.make(name, TaskOptions(robot=robot, clip=(clip,))).return_max  # type: ignore[attr-defined]
    return most


def _table(found: dict[str, Any], most: dict[str, float]) -> Table:
    columns = ("learner", "return, share of the most: each seed", "mean", "whole episodes", "paper: PPO, RWR, AWR")
    table = Table("motion", *columns)
    for motion, learners in found.items():
        for learner, seeds in learners.items():
            last = [points[-1]["mode_return"] / most[motion] for points in seeds]
            whole = [points[-1]["mode_whole"] for points in seeds if "mode_whole" in points[-1]]
            quoted = QUOTED.get(motion) if learner == next(iter(learners)) else None
            table.add_row(
                motion,
                learner,
                ", ".join(f"{x:.2f}" for x in last),
                f"{statistics.mean(last):.2f}",
                f"{statistics.mean(whole):.0%}" if whole else "",
                ", ".join(f"{x:.2f}" for x in quoted) if quoted else "",
            )
    return table
