"""The lines with which a training ends: what it left, and commands that can be typed to go on with it."""

import pathlib
from collections.abc import Mapping

from awr_mjx.envs.base import Env
from awr_mjx.train.console.commands import command
from awr_mjx.train.console.files import read_object
from awr_mjx.train.console.screen import number


def next_steps(run: pathlib.Path, task: str, env: Env, stopped: bool) -> list[str]:
    """Commands to look at the run, to ship its policy and, if it was `stopped`, to go on."""
    lines = [f"go on: {command('train', '--resume', run)}"] if stopped else []
    if hasattr(env, "picture") or hasattr(env, "mj_model"):
        lines.append(f"look:  {command('render', '--run', run, '--out', task.replace('/', '-') + '.mp4')}")
    return [*lines, f"ship:  {command('export', '--run', run, '--out', 'policy.npz')}"]


def compared(runs: Mapping[str, pathlib.Path]) -> list[str]:
    """The mode returns of several runs, by their names, where they are known, and the command that compares them."""
    returns = {name: read_object(run / "summary.json").get("mode_return") for name, run in runs.items()}
    known = ", ".join(f"{number(value)} ({name})" for name, value in returns.items() if value is not None)
    return [*([f"mode return: {known}"] if known else []), f"compare: {command('report', *runs.values())}"]
