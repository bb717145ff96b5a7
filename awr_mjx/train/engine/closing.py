"""The lines with which a training ends: what it left, and commands that can be typed to go on with it."""

import pathlib

from awr_mjx.envs.base import Env
from awr_mjx.train.console.commands import command


def next_steps(run: pathlib.Path, task: str, env: Env, stopped: bool) -> list[str]:
    """Commands to look at the run, to ship its policy and, if it was `stopped`, to go on."""
    lines = [f"go on: {command('train', '--resume', run)}"] if stopped else []
    if hasattr(env, "picture") or hasattr(env, "mj_model"):
        lines.append(f"look:  {command('render', '--run', run, '--out', task.replace('/', '-') + '.mp4')}")
    return [*lines, f"ship:  {command('export', '--run', run, '--out', 'policy.npz')}"]
