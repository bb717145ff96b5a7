"""What a training that collects begins with: logged data in its ring, and the networks of a run."""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np

from awr_mjx.algorithm.learner import LearnerState
from awr_mjx.envs.base import Env
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets import packing
from awr_mjx.train.datasets.choice import Logged
from awr_mjx.train.datasets.data_set import DataSet, joined
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import memory, run_folder
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.loop import Loop, TrainState
from awr_mjx.train.engine.player import load_policy
from awr_mjx.train.engine.static_data import refuse_gone, refuse_others
from awr_mjx.train.engine.static_loop import StaticLoop, statistics
from awr_mjx.train.engine.task_files import STAYED, Moved

# Settings of the networks, without which a run's would not be the same functions; steps and minibatches are the task's.
NETWORKS = (
    *"policy_hidden value_hidden value_layer_norm activation value_units value_bins".split(),
    *"obs_clip std std_min std_end learn_std".split(),
)


@dataclasses.dataclass(frozen=True)
class Begun:
    """Attributes: the `sets` that the ring keeps, and what a run has `learned`, if there is one."""

    sets: list[DataSet]
    learned: LearnerState | None


def is_run(source: str) -> bool:
    """Whether `source` is the folder of a run; else it is a set."""
    return (pathlib.Path(source) / "config.json").is_file()


def with_networks(config: TrainConfig, source: str) -> TrainConfig:
    """The settings with the networks of the run `source`, if it is one, and a normaliser that stays as it begins."""
    awr = dataclasses.replace(config.awr, normalizer_steps=1)
    if is_run(source):
        of_run = settings.read(pathlib.Path(source)).awr
        awr = dataclasses.replace(awr, **{name: getattr(of_run, name) for name in NETWORKS})
    return dataclasses.replace(config, awr=awr)


def refuse_other_networks(config: TrainConfig, source: str) -> None:
    """Raises UserError if settings of networks are others than those of the run `source`, whose networks are taken."""
    of_run = settings.read(pathlib.Path(source)).awr
    for name in NETWORKS:
        if getattr(config.awr, name) != getattr(of_run, name):
            raise UserError(f"{name} is that of {source}, whose networks are taken: leave --{name} out")


def read(env: Env, config: TrainConfig) -> Begun:
    """Reads what `config.begin` names: a set, or a run with the data that it learned from.

    Raises:
      UserError: if it cannot be read, or is of another task.
    """
    source, learned = config.begin, None
    logged = Logged(data=(source,))
    if is_run(source):
        same = settings.read(pathlib.Path(source)).env == config.env
        player = load_policy(pathlib.Path(source), moved=Moved.to(config.task) if same else STAYED)
        logged, learned = player.config.logged, player.learned
    if logged:
        memory.refuse_large(logged.data)
    sets = logged.read() if logged else []
    refuse_others(sets, logged, config.env, env)
    return Begun(sets, learned)


def read_again(env: Env, config: TrainConfig, run: pathlib.Path) -> Begun:
    """The same for a `run` that goes on.

    Raises:
      UserError: as `read`, or if the data are not there any more.
    """
    of_run = settings.read(pathlib.Path(config.begin)).logged.data if is_run(config.begin) else ()
    refuse_gone((config.begin, *of_run), run, "say where the data are now with --from")
    return read(env, config)


def rows_of(begun: Begun, num_envs: int) -> Any:
    """The rows [K, N] that the ring keeps, as NumPy arrays; None if there are no data."""
    return packing.packed(begun.sets, lanes=num_envs).rows if begun.sets else None


def refilled(loop: Loop | StaticLoop, state: TrainState, config: TrainConfig, run: pathlib.Path) -> TrainState:
    """The `state` that `run` goes on from, with its data where it was saved without them (`--checkpoint_ring false`).

    Raises:
      UserError: if these are not there any more, or are others.
    """
    if not isinstance(loop, Loop) or not loop.kept or state.ring.rows.valid[: loop.kept].any():
        if config.begin != settings.read(run).begin:
            raise UserError(f"{run} has in its checkpoint what it began with: leave --from out")
        return state
    found = read_again(loop.env, config, run)
    rows = rows_of(found, config.num_envs)
    run_folder.refuse_other_data(run, about(found, rows))
    return loop.keeping(state, rows)


def about(begun: Begun, rows: Any) -> dict[str, Any] | None:
    """What a run's `config.json` says of them."""
    if rows is None:
        return None
    whole = joined(begun.sets)
    return {
        "kept": len(rows.valid),
        "checksum": whole.checksum(),
        "steps": len(whole.rewards),
        "episodes": len(whole.steps),
    }


def state(loop: Loop, seed: int, begun: Begun, rows: Any) -> TrainState:
    """The first state of the training."""
    first = loop.init(seed)
    learner = first.learner
    if begun.learned:
        learned = begun.learned
        learner = learner.replace(policy=learned.policy, value=learned.value, normalizer=learned.normalizer)  # type: ignore[attr-defined]
    elif begun.sets:
        learner = learner.replace(normalizer=statistics(joined(begun.sets)))  # type: ignore[attr-defined]
    learner = jax.tree.map(lambda new, old: jax.device_put(np.asarray(new), old.sharding), learner, first.learner)
    first = first.replace(learner=learner)  # type: ignore[attr-defined]
    return first if rows is None else loop.keeping(first, rows)
