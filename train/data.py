"""Looks at logged data and rewrites them: `python -m train.data inspect SET`, `... convert SET --out OTHER`."""

import dataclasses
import json
import pathlib
from typing import Annotated

import tyro

from train.console import cli, files
from train.console.commands import program
from train.console.errors import UserError, run_program
from train.datasets import summary, writing
from train.datasets.choice import Filter
from train.datasets.data_set import DataSet
from train.pictures import data_figure

KINDS = {
    "inspect": "what is in a set: episodes, ends, returns, rewards, actions",
    "convert": "write a set in another format",
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


def main() -> int:
    """Does what the first argument names."""
    kind, *args = cli.arguments() or ["--help"]
    if kind in ("-h", "--help"):
        for name, words in KINDS.items():
            print(f"{program('data')} {name} SET: {words}")
        return 0
    if kind not in KINDS:
        raise UserError(f"unknown command {kind!r}: choose one of {', '.join(KINDS)}")
    prog = f"{program('data')} {kind}"
    if kind == "inspect":
        return inspect(cli.parse(Inspect, args, prog=prog, description=KINDS[kind]))
    return convert(cli.parse(Convert, args, prog=prog, description=KINDS[kind]))


def inspect(config: Inspect) -> int:
    """Prints what is in a set, and writes it where that was asked for."""
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
        data_figure.histograms(found, config.png)
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
    found = config.wanted.read()
    place = writing.write(found, config.out)
    print(f"written to {place}: {len(found.steps):,} episodes, {len(found.rewards):,} steps")
    return 0


if __name__ == "__main__":
    run_program(main)
