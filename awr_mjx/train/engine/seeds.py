"""Several seeds of one command line, one training after the other: `--seed 0 1 2`."""

import dataclasses
import pathlib
import sys
from collections.abc import Callable

from awr_mjx.train.console.errors import Failed, UserError, complain
from awr_mjx.train.console.files import read_object
from awr_mjx.train.console.unfailing import Unfailing
from awr_mjx.train.engine import run_folder, together
from awr_mjx.train.engine.closing import compared
from awr_mjx.train.engine.command_line import Command


def split(args: list[str]) -> tuple[list[str], list[str]]:
    """The arguments with the first of the values of `--seed`, and all that follow it."""
    if "--seed" not in args:
        return args, []
    first = args.index("--seed") + 2
    last = next((i for i in range(first, len(args)) if args[i].startswith("--")), len(args))
    return args[:first] + args[last:], args[first:last]


def each(command: Command, more: list[str]) -> list[Command]:
    """The `command`, and one for each of `more` seeds; their run folders are seed-0 and so on in the one that it names.

    Raises:
      UserError: for what is no seed, or twice there, and for a folder that is there already.
    """
    if command.resume:
        raise UserError("a run goes on with its own seed: leave --seed out")
    if command.num_seeds != 1:
        raise UserError("--num_seeds counts up from one seed: give --seed one, or leave --num_seeds out")
    try:
        seeds = [command.config.seed, *map(int, more)]
    except ValueError:
        raise UserError(f"--seed takes whole numbers, not {' '.join(more)}") from None
    if twice := {seed for seed in seeds if seeds.count(seed) > 1}:
        raise UserError(f"--seed has {min(twice)} twice: leave one out")
    found = []
    for seed in seeds:
        place = command.run_dir and command.run_dir / together.SEED.format(seed)
        found.append(dataclasses.replace(command, run_dir=place, config=dataclasses.replace(command.config, seed=seed)))
        found[-1].config.validate()
        if place:
            run_folder.refuse_existing(place)
    return found


def train(commands: list[Command], training: Callable[[Command], tuple[int, pathlib.Path]]) -> int:
    """Does the `training` of each of several seeds and says what came of them; returns the exit status.

    One that fails does not keep the others from theirs, and one that is stopped does.
    """
    failed, runs = 0, dict[int, pathlib.Path]()
    for i, command in enumerate(commands):
        seed = command.config.seed
        _say(f"seed {seed} ({i + 1} of {len(commands)})")
        try:
            status, runs[seed] = training(command)
        except Failed as error:
            complain(f"error: seed {seed}: {error}")
            failed = 1
            continue
        failed = failed or status
        if not read_object(runs[seed] / "summary.json").get("finished"):
            if rest := [str(one.config.seed) for one in commands[i + 1 :]]:
                _say(f"not begun: --seed {' '.join(rest)}")
            return failed
    if runs:
        for line in compared({f"seed {seed}": run for seed, run in runs.items()}):
            _say(line)
    return failed


def _say(line: str) -> None:
    """A line on stdout; a reader that has gone away does not keep the next seed from its training."""
    out = Unfailing(sys.stdout)
    out.write(f"{line}\n")
    out.flush()
