"""The replay ring of a checkpoint as a set of logged data."""

import pathlib

import jax
import numpy as np

from awr_mjx.envs import registry
from awr_mjx.train.console import errors
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.datasets.recorded import from_rows
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import jax_setup, restoring, run_folder, task_files
from awr_mjx.train.engine.loop import Loop
from awr_mjx.train.engine.restoring import Step
from awr_mjx.train.engine.task_files import STAYED, Moved


def ring(run: pathlib.Path, step: Step = None, moved: Moved = STAYED) -> tuple[DataSet, int]:
    """What the ring of a checkpoint of `run`, `step` or the newest, holds, oldest first, and the steps of that one.

    Raises:
      UserError: if the run has none, because it learned from logged data or was saved without its ring.
    """
    config = settings.read(run)
    if config.logged:
        raise UserError(f"{run} has no ring: it learned from {', '.join(config.logged.data)}")
    config = jax_setup.choose_devices(config, resumed=True)
    env = registry.make(config.env, task_files.now(run, config.task, moved))
    kept = run_folder.data_of(run).get("kept", 0)
    loop = Loop(env, config.awr, config.num_envs, config.epoch_iterations, config.devices, kept)
    found, state, warnings = restoring.restore(run, loop.template(), step)
    errors.warn([words for words in warnings if "without its replay ring" not in words])
    filled, head = int(state.ring.filled), int(state.ring.head)
    if not filled:
        raise UserError(
            f"checkpoint {found} of {run} holds no ring: train with --checkpoint_ring true, or record instead"
        )
    capacity = config.awr.capacity
    newest_last = state.ring.kept + (head - filled + np.arange(filled)) % capacity
    rows = jax.tree.map(lambda x: np.asarray(x)[newest_last], state.ring.rows)
    return from_rows(rows, np.asarray(state.env.env.obs), np.asarray(state.env.ended))[0], found
