"""Trains a policy: `python -m train.main --env ant --num_envs 4096`. A run stopped anywhere goes on with `--resume`."""

import time

from awr_mjx.train.console import cli
from awr_mjx.train.console.errors import run_program
from awr_mjx.train.console.tasks import show_tasks
from awr_mjx.train.engine import seeds
from awr_mjx.train.engine.command_line import parse
from awr_mjx.train.engine.train import train

PROGRAM_START = time.monotonic()


def main() -> int:
    """Trains; see the module's docstring."""
    if cli.peek(cli.arguments(), "env", None) == "list":
        show_tasks()
        return 0
    args, more = seeds.split(cli.arguments())
    command = parse(args)
    if more:
        return seeds.train(seeds.each(command, more), train)
    status, _ = train(command, begun_at=PROGRAM_START)
    return status


if __name__ == "__main__":
    run_program(main)
