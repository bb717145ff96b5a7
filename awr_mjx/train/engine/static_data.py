"""The data of a run that learns from them: read, matched to its task, and packed."""

import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any

from awr_mjx.envs.absent import Absent
from awr_mjx.envs.base import Env
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets import packing
from awr_mjx.train.datasets.choice import Logged, refuse_other_sizes, split
from awr_mjx.train.datasets.data_set import DataSet, joined
from awr_mjx.train.engine import memory
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.static_loop import StaticLoop


def loop(env: Env | None, config: TrainConfig) -> tuple[StaticLoop, dict[str, Any]]:
    """The loop that learns from the data of `config`, and what tells these from others, as JSON values.

    Args:
      env: the task of the data; None if it is not here.
      config: the settings of the run.

    Raises:
      UserError: if a set cannot be read, or is not of this task.
    """
    memory.refuse_large(config.logged.data)
    sets = config.logged.read()
    if env is None:
        first, *_ = sets
        env = Absent(first.observation_size, max(one.action_size for one in sets), first.discrete)
    refuse_others(sets, config.logged, config.env, env)
    sums = "".join(one.checksum() for one in sets)
    learned, held_out = split(sets, config.logged.held_out, config.seed)
    whole = joined(learned)
    data = {
        "checksum": hashlib.sha256(sums.encode()).hexdigest()[:16],
        "episodes": len(whole.steps),
        "steps": len(whole.rewards),
        "mean_return": float(whole.returns().mean()),
        "observation_size": env.observation_size,
        "action_size": env.action_size,
        "discrete": env.discrete,
    }
    ring = packing.packed(learned, config.logged.data_weights)
    return StaticLoop(env, config.awr, ring, learned, held_out, config.epoch_iterations), data


def refuse_gone(sources: Sequence[str], run: pathlib.Path, instead: str) -> None:
    """Raises UserError if a set that `run` was begun with is not there; what to do `instead` ends the line."""
    for source in sources:
        if not pathlib.Path(source).exists():
            raise UserError(f"{source}, which {run} was begun with, is not there any more: {instead}")


def refuse_others(sets: list[DataSet], logged: Logged, task: str, env: Env) -> None:
    """Raises UserError unless the `sets` that `logged` names have the sizes of `env`, which is called `task`."""
    for found, source in zip(sets, logged.data, strict=True):
        refuse_other_sizes(found, source, task, env.observation_size, env.action_size, env.discrete)


def described(data: dict[str, Any]) -> str:
    """What a run learns from, for people."""
    return f"{data['steps']:,} steps in {data['episodes']:,} episodes (mean return {data['mean_return']:,.1f})"
