"""Learning from static data: the paper's figure 7, and sets that mix policies (Peng et al. 2019, section 5.4).

python -m train.benchmark static
"""

import dataclasses
import pathlib
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.envs import registry
from awr_mjx.train.benchmarks import campaign, plots, results
from awr_mjx.train.benchmarks.campaign import Job
from awr_mjx.train.console import cli, files
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets import reading, writing
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.datasets.flat import with_finals
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import restoring, surroundings
from awr_mjx.train.engine.presets import static_preset
from awr_mjx.train.pictures import theme

KINDS = ("medium", "medium-replay", "medium-expert")
# What learns, by the arguments of `train.main` and the suffix of the set that it learns from.
LEARNERS: dict[str, tuple[tuple[str, ...], str]] = {
    "AWR": ((), ""),
    "BC": (("--variant", "bc"), ""),
    "BC on the best 10 %": (("--variant", "bc", "--top", "0.1"), ""),
    "AWR on 50,000 rows cut at 999": ((), "-cut"),
}
ROWS_KEPT, CUT_AT = 50_000, 999  # of the code behind D4RL's AWR row (D4RL-Evaluations, `awr/`)
OWN = ("env", "data", "variant", "top", "num_steps", "num_evals", "seed", "run_dir", "resume")
EVALUATIONS = 40  # of a demo's training, each with a checkpoint


@dataclasses.dataclass(frozen=True)
class Static:
    """What to compare."""

    env: tuple[str, ...] = ("ant", "halfcheetah", "hopper", "walker2d")
    """Tasks."""
    kinds: tuple[str, ...] = KINDS
    """Sets: medium (the paper's demo), medium-replay (every checkpoint until then), medium-expert (half of each)."""
    demos: tuple[pathlib.Path, ...] = ()
    """Runs that the sets are recorded from, one a task, with checkpoints to choose from; trained if not given."""
    medium: float = 0.5
    """The medium policy is the first with this share of the best mode return."""
    steps: int = 1_000_000
    """Steps of each set."""
    seeds: int = 3
    """Trainings of each learner on each set."""
    num_steps: int = 0
    """Gradient steps on policies in each training, rounded up to whole iterations; the preset's if not given."""
    set: tuple[str, ...] = ()
    """Other settings of the learners than the preset's: beta=1.0 policy_hidden=256,256."""
    at_once: int = 1
    """Trainings side by side, each on its own share of the cores."""
    folder: pathlib.Path = pathlib.Path("checkpoints") / "benchmark" / "static"
    """Folder for runs and sets; what is finished there stays."""
    out: pathlib.Path | None = None
    """JSON file to write, and a PNG of the same name; `results.json` in the folder if not given."""


def main(args: list[str]) -> int:
    """Trains demos, records sets, learns from them and prints; writes JSON and a figure."""
    prog = f"{program('benchmark')} static"
    config = cli.parse(Static, args, prog=prog, description=(__doc__ or "").strip())
    out = results.place(config.out, config.folder)
    unknown = [kind for kind in config.kinds if kind not in KINDS]
    if unknown or not config.kinds:
        raise UserError(f"kinds must be some of {', '.join(KINDS)}, not {' '.join(unknown) or 'none'}")
    if config.seeds < 1 or config.steps < 1 or config.num_steps < 0 or not 0 < config.medium <= 1:
        raise UserError("seeds and steps must be positive numbers, num_steps zero or more, and medium from 0 to 1")
    if config.demos and len(config.demos) != len(config.env):
        raise UserError(f"there are {len(config.demos)} demos for {len(config.env)} tasks: name one for each")
    campaign.check_settings(config.set, OWN)
    for env in config.env:
        registry.find(env)
        for given, _ in LEARNERS.values():
            campaign.settings_of(_args(config, env, "SET", given))
    for env, demo in zip(config.env, config.demos, strict=bool(config.demos)):
        _refuse_other(demo, env)
    campaign.check_place(config.folder, config.at_once)
    if not config.demos:
        jobs = [Job(f"demo-{env}", _demo(env)) for env in config.env]
        campaign.train(jobs, config.folder, config.at_once)
    demos = config.demos or tuple(config.folder / f"demo-{env}" for env in config.env)
    found: dict[str, Any] = {}
    for env, demo in zip(config.env, demos, strict=True):
        for kind in config.kinds:
            found.setdefault(env, {})[kind] = _learned(config, env, demo, kind)
            files.write_json(out, campaign.about() | {"steps": config.steps, "results": found})
    _draw(found, out.with_suffix(".png"))
    print(f"written to {out} and {out.with_suffix('.png')}")
    Console(width=130).print(_table(found))
    return 0


def _demo(env: str) -> tuple[str, ...]:
    """The training of a demo, with a checkpoint at every evaluation."""
    return ("--env", env, "--num_evals", str(EVALUATIONS), "--keep", str(2 * EVALUATIONS))


def _args(config: Static, env: str, data: str, given: Sequence[str]) -> list[str]:
    """What a learner is told, as arguments of `train.main`; `given` are its own."""
    return ["--env", env, "--data", data, *given, "--num_evals", "1", *(f"--{setting}" for setting in config.set)]


def _refuse_other(demo: pathlib.Path, env: str) -> None:
    """Raises UserError unless `demo` is a run in task `env`, with checkpoints to choose from."""
    of = settings.read(demo).env
    if of != env:
        raise UserError(f"{demo} is a run in task {of!r}, not in {env!r}: name the demos in the order of the tasks")
    if not restoring.mode_returns(demo):
        raise UserError(
            f"{demo} has no checkpoint with a mode return: train it with --num_evals {EVALUATIONS} --keep 100"
        )


def _learned(config: Static, env: str, demo: pathlib.Path, kind: str) -> dict[str, Any]:
    """Final returns of all learners on one set, of the mode and sampled, and what the set is like."""
    path = _set(config, env, demo, kind)
    read = reading.read(str(path))
    cut = _cut_of(path)
    if not cut.exists():
        writing.write(as_d4rl_had_it(read), str(cut))
    todo: dict[str, list[Job]] = {}
    for name, (given, suffix) in LEARNERS.items():
        slug = "-".join((name.lower().replace(" %", "").replace(",", "").replace(" ", "_"), path.stem))
        args = _args(config, env, str(cut if suffix else path), given)
        args += ["--num_steps", str(_num_steps(args, config.num_steps))]
        todo[name] = [Job(f"{slug}-{seed}", (*args, "--seed", str(seed))) for seed in range(config.seeds)]
    by_seed = [jobs[seed] for seed in range(config.seeds) for jobs in todo.values()]
    campaign.train(by_seed, config.folder, config.at_once)
    runs = {name: [campaign.trained(config.folder / job.name) for job in jobs] for name, jobs in todo.items()}
    with ThreadPool(config.at_once) as side_by_side:
        sampled = {
            name: side_by_side.map(_sampled, [config.folder / job.name for job in jobs]) for name, jobs in todo.items()
        }
    return {
        "demo": float(read.returns().mean()),
        "best_episode": float(read.returns().max()),
        "episodes": len(read.steps),
        "learners": {name: [points[-1]["mode_return"] for points in seeds] for name, seeds in runs.items()},
        "sampled": sampled,
        "minutes": {name: statistics.mean(p[-1]["train_seconds"] / 60 for p in seeds) for name, seeds in runs.items()},
    }


def _num_steps(args: list[str], policy_steps: int) -> int:
    """The gradient steps in all that have `policy_steps` on the policy, or, of 0, as many as AWR's preset has."""
    awr, usual = campaign.settings_of(args).awr, static_preset("")
    wanted = policy_steps or usual.num_steps * usual.awr.policy_updates // _updates(usual.awr)
    return wanted * _updates(awr) // awr.policy_updates


def _updates(awr: AwrConfig) -> int:
    return awr.policy_updates + awr.value_updates


def _set(config: Static, env: str, demo: pathlib.Path, kind: str) -> pathlib.Path:
    """The recording of a kind; made if it is not there.

    Raises:
      UserError: if what is there was recorded otherwise.
    """
    path = (config.folder / f"{env.replace('/', '-')}-{kind}.npz").absolute()
    known = restoring.mode_returns(demo)
    best = max(known, key=known.__getitem__)
    zero = min(0.0, *known.values())  # returns may all be negative
    medium = min(step for step, value in known.items() if value - zero >= config.medium * (known[best] - zero))
    of_kind = {
        "medium": [medium],
        "medium-replay": [step for step in restoring.steps(demo) if step <= medium],
        "medium-expert": [medium, best],
    }
    args = ["train.record", "--run", str(demo), "--steps", str(config.steps), "--out", str(path)]
    args += ["--step", *map(str, of_kind[kind])]
    note = path.with_suffix(".json")
    if path.exists():
        if files.read_object(note).get("args") != ["-m", *args]:
            raise UserError(f"{path} was not recorded by this command: move it, or choose another --folder")
        return path
    files.write_json(note, {"args": ["-m", *args]})
    said = _run(args)
    _cut_of(path).unlink(missing_ok=True)
    print(f"{env}, {kind}: {said[-1]}")
    return path


def _run(command: list[str]) -> list[str]:
    """The lines that a program prints, by its module (of `awr_mjx`) and arguments.

    Raises:
      UserError: if it fails, with the last line that it printed of that.
    """
    program, *args = command
    typed = [sys.executable, "-P", "-m", f"awr_mjx.{program}", *args]
    done = subprocess.run(typed, capture_output=True, text=True, check=False, env=surroundings.of_programs())
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise UserError(f"{shlex.join(command)} failed: {last}")
    return done.stdout.strip().splitlines()


def _sampled(run: pathlib.Path) -> float:
    """The mean return of a trained policy's own actions, noise included; played if that is not known."""
    known = run / "sampled.json"
    if "return_mean" not in files.read_object(known):
        _run(["train.evaluate", "--run", str(run), "--sample", "true", "--out", str(known)])
    return float(files.read_object(known)["return_mean"])


def _cut_of(path: pathlib.Path) -> pathlib.Path:
    """Where the set at `path` lies as D4RL's code had it."""
    return path.with_name(f"{path.stem}-cut.npz")


def as_d4rl_had_it(found: DataSet) -> DataSet:
    """The set as the code behind D4RL's AWR row kept it: its last 50,000 rows, in paths of at most 999.

    Time limits were not read. A path ended where the task did, or after 999 rows; the next began in the row after, so
    that of episodes of 1,000 steps each path has a reset in it, and returns run on across it.
    """
    acted_on = found.acted_on()
    observations, ends = found.observations[acted_on], np.zeros(len(found.rewards), bool)
    ends[np.cumsum(found.steps) - 1] = found.terminated
    last, start = [], 0
    for end in np.flatnonzero(ends).tolist():
        last += [*range(start + CUT_AT - 1, end, CUT_AT), end]
        start = end + 1
    last += range(start + CUT_AT - 1, len(ends), CUT_AT)  # a path that is not over at the end of the set is dropped
    at = np.array(last or [len(ends) - 1])
    steps = np.diff(at, prepend=-1)
    kept = np.cumsum(steps[::-1])[::-1] <= ROWS_KEPT
    kept[-1] = True
    steps, at = steps[kept], at[kept]
    first = at[0] - steps[0] + 1
    following = np.append(observations[1:], found.observations[-1:], axis=0)
    return DataSet(
        observations=with_finals(observations[first : at[-1] + 1], following[at], steps),
        actions=found.actions[first : at[-1] + 1],
        rewards=found.rewards[first : at[-1] + 1],
        steps=steps,
        terminated=ends[at],
        truncated=~ends[at],
        action_bounds=found.action_bounds,
    )


def _table(found: dict[str, Any]) -> Table:
    table = Table("task", "set", "mean return of the set", "actions", *(f"{name}, each seed" for name in LEARNERS))
    for env, kinds in found.items():
        for kind, seen in kinds.items():
            for actions, by_name in (("mode", seen["learners"]), ("sampled", seen["sampled"])):
                cells = (", ".join(f"{x:,.0f}" for x in by_name[name]) for name in LEARNERS)
                table.add_row(env, kind, f"{seen['demo']:,.0f}", actions, *cells)
    return table


def _draw(found: dict[str, Any], path: pathlib.Path) -> None:
    """Bars: a group a set, a bar a learner with a dot a seed, and the set's own mean return as a line."""
    with plots.panels_of(path, len(found), share=False) as axes:
        for axis, (env, kinds) in zip(axes, found.items(), strict=True):
            width = 0.8 / len(LEARNERS)
            for place, seen in enumerate(kinds.values()):
                for i, name in enumerate(LEARNERS):
                    x, values = place - 0.4 + (i + 0.5) * width, seen["learners"][name]
                    label = None if place else f"{name}, mean and each seed" if not i else name
                    axis.bar(x, statistics.mean(values), 0.94 * width, color=theme.LINES[i], label=label)
                    axis.plot([x] * len(values), values, ".", color=theme.INK, markersize=4)
                label = None if place else "mean return of the set"
                axis.hlines(seen["demo"], place - 0.4, place + 0.4, theme.INK, "--", linewidth=1, label=label)
            axis.set_xticks(range(len(kinds)), list(kinds))
            axis.set_title(f"{env}: mode return")
            axis.grid(visible=False, axis="x")
            axis.yaxis.set_major_formatter(plots.thousands)
        axes[0].legend(fontsize=8, loc="upper left")
