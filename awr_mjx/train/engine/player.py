"""A policy out of a run."""

import dataclasses
import pathlib
from collections.abc import Sequence

import jax

from awr_mjx.algorithm.learner import Learner, LearnerState
from awr_mjx.envs import absent, registry
from awr_mjx.envs.base import Env
from awr_mjx.train.console.errors import UserError, warn
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import restoring, run_folder, task_files
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.restoring import Step
from awr_mjx.train.engine.task_files import STAYED, Moved


@dataclasses.dataclass(frozen=True)
class Player:
    """A trained policy and its task: `learned` is what `learner` plays on `env`, after `steps` of training."""

    config: TrainConfig
    env: Env
    learner: Learner
    learned: LearnerState
    steps: int

    @property
    def after(self) -> str:
        """How long it has been trained, for people."""
        return f"{self.steps:,} {self.config.clock_words}"


def _absent(run: pathlib.Path) -> Env:
    """The task of logged data without one, whose sizes the run's `config.json` has."""
    sizes = run_folder.data_of(run)
    try:
        return absent.Absent(*(sizes[name] for name in ("observation_size", "action_size", "discrete")))
    except KeyError as error:
        raise UserError(f"{run / 'config.json'} does not say what data the run learned from") from error


def load_policy(run: pathlib.Path, step: Step = None, moved: Moved = STAYED) -> Player:
    """The policy of the run in folder `run`, from its newest sound checkpoint or from `step`, as `load_policies`."""
    return load_policies(run, (step,), moved)[0]


def load_policies(run: pathlib.Path, steps: Sequence[Step], moved: Moved = STAYED) -> list[Player]:
    """The policies of the run in folder `run`, from checkpoints `steps`; None is the newest sound one.

    "best" is the one of the highest mode return.

    Their task is made of the files that the run was trained with, or of those that have been `moved`.

    Raises:
      UserError: if there is no such run or checkpoint, or a file of its task is missing. Warnings about damaged
        checkpoints, and files that have changed, go to stderr.
    """
    config = settings.read(run)
    config = dataclasses.replace(config, task=task_files.now(run, config.task, moved))
    env = _absent(run) if config.env == absent.NAME else registry.make(config.env, config.task)
    learner = Learner(config.awr, env.observation_size, env.action_size, env.discrete)
    template = jax.eval_shape(learner.init, jax.random.key(0))
    warnings, found = task_files.changes(run, config.task, run_folder.files_of(run)), []
    for step in steps:
        done, learned, more = restoring.restore_learner(run, template, step)
        warnings += more
        found.append(Player(config, env, learner, learned, done))
    warn(warnings)
    return found
