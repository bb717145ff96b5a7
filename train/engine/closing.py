"""The lines with which a training ends: what it left, and commands that can be typed to go on with it."""

import pathlib
import shlex
import sys

from envs import registry
from envs.base import Env


def next_steps(run: pathlib.Path, task: str, env: Env, stopped: bool) -> list[str]:
    """Commands to look at the run, to ship its policy and, if it was `stopped`, to go on: those that can work.

    A task that a user's program has registered is known in that program alone.
    """
    place = shlex.quote(str(run))
    if not registry.comes_along(task):
        own = shlex.quote(sys.argv[0])
        lines = [f"go on: python {own} --resume {place}"] if stopped else []
        return [
            *lines,
            f"look, ship: from a program of yours that registers {task!r} and then calls the main() of train.render "
            f"or train.export, with --run {place}",
        ]
    lines = [f"go on: python -m train.main --resume {place}"] if stopped else []
    if hasattr(env, "picture") or hasattr(env, "mj_model"):
        video = shlex.quote(task.replace("/", "-") + ".mp4")
        lines.append(f"look:  python -m train.render --run {place} --out {video}")
    return [*lines, f"ship:  python -m train.export --run {place} --out policy.npz"]
