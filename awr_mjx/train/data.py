"""Looks at logged data, rewrites them, and holds a run against them: `python -m train.data inspect SET`.

Beside `inspect` there are `convert SET --out OTHER`, `weigh SET --run RUN --out FILE` and `fqe SET --run RUN`.
"""

import dataclasses
import json
import pathlib
from typing import Annotated

import tyro

from awr_mjx.algorithm.fitted_q import FittedQConfig
from awr_mjx.train.console import cli, files
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError, run_program, warn
from awr_mjx.train.console.working import working
from awr_mjx.train.datasets import reading, summary, table, writing
from awr_mjx.train.datasets.choice import Filter, Logged, refuse_other_sizes
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import fitted_q, weighing
from awr_mjx.train.engine.jax_setup import start_jax
from awr_mjx.train.engine.player import Player, load_policy
from awr_mjx.train.engine.restoring import Step
from awr_mjx.train.engine.streams import check_seed
from awr_mjx.train.engine.task_files import Moved, MovedOption
from awr_mjx.train.pictures import data_figure, theme

KINDS = {
    "inspect": "what is in a set: episodes, ends, returns, rewards, actions",
    "convert": "write a set in another format",
    "weigh": "advantages and weights of its steps by a run's values, for cloning with a model of one's own",
    "fqe": "what a run's policy would earn, estimated from the set alone",
}


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Which set, and what of it."""

    set: tyro.conf.Positional[str]
    """A Minari set (its folder or id), an HDF5 file (D4RL, d3rlpy 1.x) or an npz file."""
    filter: Annotated[Filter, tyro.conf.arg(name="")]
    """What of it."""

    def read(self) -> DataSet:
        """Reads the set and says what had to be assumed."""
        return self.filter.read(self.set)

    def refuse_to_lose(self, **outputs: pathlib.Path | None) -> None:
        """Raises UserError where an output, by its option, is the set itself, or another output."""
        files.refuse_clashes({f"--{option}": out for option, out in outputs.items()}, [reading.whole_path(self.set)])


@dataclasses.dataclass(frozen=True)
class Inspect:
    """Look at a set."""

    wanted: Annotated[Wanted, tyro.conf.arg(name="")]
    out: pathlib.Path | None = None
    """JSON file to write it to as well."""
    png: pathlib.Path | None = None
    """PNG file for histograms of returns, lengths, rewards and actions."""


@dataclasses.dataclass(frozen=True)
class Convert:
    """Write a set in another format."""

    wanted: Annotated[Wanted, tyro.conf.arg(name="")]
    out: str
    """NAME.npz, NAME.hdf5 (D4RL's layout), or the id of a Minari set, such as hopper/mixture-v0."""


@dataclasses.dataclass(frozen=True)
class Weigh:
    """Weigh the steps of a set."""

    wanted: Annotated[Wanted, tyro.conf.arg(name="")]
    run: pathlib.Path
    """Run folder, of a run that has learned values: online or from data, of the set's task."""
    out: pathlib.Path
    """NAME.npz or NAME.parquet: episode, step, value, return, advantage and weight of every step."""
    step: Step = None
    """Checkpoint, by its steps, or `best`; the newest sound one if not given."""
    moved: MovedOption = dataclasses.field(default_factory=Moved)
    """Where files of the task are now that have been moved."""


@dataclasses.dataclass(frozen=True)
class Fqe:
    """Estimate a policy's return by fitted Q evaluation."""

    wanted: Annotated[Wanted, tyro.conf.arg(name="")]
    run: pathlib.Path
    """Run folder, of the set's task."""
    step: Step = None
    """Checkpoint, by its steps, or `best`; the newest sound one if not given."""
    moved: MovedOption = dataclasses.field(default_factory=Moved)
    """Where files of the task are now that have been moved."""
    episodes_held_out: float = 0.1
    """Q is asked in the first observations of this share of the episodes, and learned from the others; 0: all, all."""
    gamma: float | None = None
    """Discount per control step, in [0, 1); the run's if not given."""
    sample: bool = False
    """The policy acts by samples instead of by its mode."""
    networks: int = 5
    """Networks, each learned from its own resample of the episodes."""
    steps: int = FittedQConfig.steps
    """Gradient steps of each network."""
    lr: float = FittedQConfig.lr
    """Step size of Adam, which falls to 0 as half a cosine."""
    seed: int = 0
    """All randomness follows from this."""
    clip_actions: bool = False
    """Clip the actions to their bounds, where some lie beyond."""
    action_scale: float = 0.0
    """The set's action for the task's action 1; 0: as for the run's own data, or as the set's bounds say."""
    out: pathlib.Path | None = None
    """JSON file to write it to as well."""


def main() -> int:
    """Does what the first argument names."""
    does: cli.Does = {
        "inspect": (Inspect, inspect),
        "convert": (Convert, convert),
        "weigh": (Weigh, weigh),
        "fqe": (Fqe, fqe),
    }
    return cli.run(KINDS, does, program("data"), "SET")


def inspect(config: Inspect) -> int:
    """Prints what is in a set, and writes it where that was asked for."""
    if config.png and config.png.suffix.lower() != ".png":
        raise UserError(f"png must end in .png, not {config.png.suffix or 'nothing'}: {config.png}")
    config.wanted.refuse_to_lose(out=config.out, png=config.png)
    for path, option in ((config.out, "--out"), (config.png, "--png")):
        if path:
            files.check_writable(path, f"name another file with {option}")
    found = config.wanted.read()
    seen = summary.summarise(found)
    for line in described(seen):
        print(line)
    if config.out:
        files.write_json(config.out, seen)
    if config.png:
        theme.save(data_figure.histograms(found), config.png)
    return 0


def described(seen: dict) -> list[str]:
    """What `summarise` found, a line each."""
    actions, returns, ends = seen["actions"], seen["returns"], seen["ends"]
    kinds = ", ".join(f"{count:,} {name}" for name, count in ends.items() if count)
    lines = [
        f"episodes: {seen['episodes']:,} ({kinds}), {seen['steps']:,} steps",
        f"steps of an episode: {_row(seen['episode_steps'])}",
        f"returns: mean {returns['mean']:,.1f} ± {returns['std']:,.1f}; {_row(returns)}",
        f"rewards: {seen['rewards']['least']:.4g} to {seen['rewards']['most']:.4g}, mean {seen['rewards']['mean']:.4g}",
        f"observations: {seen['observation_size']} numbers, the largest {seen['observations_most']:.4g}",
    ]
    if seen["discrete"]:
        shares = ", ".join(f"{share:.1%}" for share in actions["shares"])
        lines.append(f"actions: {seen['action_size']} choices, {shares}")
    else:
        known = "its bounds" if actions["bounds_known"] else "+-1 (its bounds are not known)"
        lines.append(
            f"actions: {seen['action_size']} numbers, {min(actions['least']):.4g} to {max(actions['most']):.4g}; "
            f"{actions['at_bounds']:.1%} at {known}, {actions['beyond']:.1%} beyond"
        )
    if seen["constant_observations"]:
        lines.append(f"constant observations: {', '.join(map(str, seen['constant_observations']))}")
    if seen["duplicate_steps"]:
        lines.append(f"duplicates: {seen['duplicate_steps']:,} steps have the observation and action of an earlier one")
    lines.append(f"log-probabilities: {'yes' if seen['log_probs'] else 'no'}; checksum {seen['checksum']}")
    if seen["about"]:
        lines.append(f"about: {json.dumps(seen['about'])}")
    return lines


def _row(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:,.1f}" for name, value in values.items() if name.endswith("%"))


def convert(config: Convert) -> int:
    """Writes a set in another format."""
    writing.check_place(config.out)
    config.wanted.refuse_to_lose(out=pathlib.Path(config.out))
    found = config.wanted.read()
    place = writing.write(found, config.out)
    print(f"written to {place}: {len(found.steps):,} episodes, {len(found.rewards):,} steps")
    return 0


def weigh(config: Weigh) -> int:
    """Writes what a run's learner makes of every step."""
    table.check_place(config.out)
    config.wanted.refuse_to_lose(out=config.out)
    weighing.refuse_without_values(settings.read(config.run).awr, config.run)
    found = config.wanted.read()
    start_jax()
    player = _player(config, found)
    columns, seen = weighing.weigh(player, found)
    table.write(columns, config.out)
    awr = player.config.awr
    units = f", in units of the advantages' std {seen['advantage_std']:.4g}" if awr.advantage == "standardized" else ""
    print(f"written to {config.out}: {len(found.rewards):,} steps of {len(found.steps):,} episodes")
    print(
        f"effective sample share {seen['effective_sample_share']:.3f}; {seen['weight_clipped']:.1%} clipped at "
        f"{awr.weight_max:g}; beta {seen['beta']:.4g}{units}"
    )
    return 0


def fqe(config: Fqe) -> int:
    """Prints the estimate, and writes it where that was asked for."""
    if config.out:
        files.check_writable(config.out, "name another file with --out")
        config.wanted.refuse_to_lose(out=config.out)
    saved = settings.read(config.run)
    method = FittedQConfig(config.gamma or 0.0, config.networks, config.steps, lr=config.lr)
    if problems := method.problems():
        raise UserError(problems[0])
    if not 0 <= config.episodes_held_out < 1:
        raise UserError(f"episodes_held_out must be a share from 0 and below 1, not {config.episodes_held_out}")
    check_seed(config.seed)
    logged = Logged(
        (config.wanted.set,),
        filter=config.wanted.filter,
        clip_actions=config.clip_actions or saved.logged.clip_actions,
        action_scale=config.action_scale or saved.logged.action_scale,
    )
    logged.validate()
    (found,) = logged.read()
    start_jax()
    player = _player(config, found)
    if config.gamma is None:
        method = dataclasses.replace(method, gamma=1.0 - 1.0 / float(player.learner.horizon(player.learned)))
    with working(f"fitting Q to {len(found.rewards):,} steps", 1.0) as tell:
        seen = fitted_q.evaluate(player, found, config.episodes_held_out, method, config.sample, config.seed, tell)

    def print_all() -> None:
        print(
            f"{player.config.env} after {player.after}: discounted return of the {seen['actions']} action about "
            f"{seen['estimate']:.4g} (95 % interval {seen['low']:.4g} to {seen['high']:.4g}) from the first "
            f"observations of {seen['episodes']:,} episodes, gamma {method.gamma:.6g}"
        )
        print(f"what was recorded of these episodes gave {seen['behaviour']:.4g} ± {seen['behaviour_std']:.4g}")
        warn([*fitted_q.doubts(seen, method), fitted_q.WORTH])

    if not config.out:
        print_all()
    else:
        values = {"env": player.config.env, player.config.clock: player.steps, **seen}
        files.write_and_tell(config.out, values, print_all)
    return 0


def _player(config: Weigh | Fqe, found: DataSet) -> Player:
    """The policy of a run, of the sizes of a set."""
    player = load_policy(config.run, config.step, config.moved)
    of = player.learner
    refuse_other_sizes(found, config.wanted.set, player.config.env, of.observation_size, of.action_size, of.discrete)
    return player


if __name__ == "__main__":
    run_program(main)
