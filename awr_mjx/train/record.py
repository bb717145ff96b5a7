"""Records a policy's episodes as a set of data: `python -m train.record --run RUN --steps 1_000_000 --out SET`."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from awr_mjx.envs import registry
from awr_mjx.envs.registry import TaskOptions
from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError, run_program
from awr_mjx.train.console.working import working
from awr_mjx.train.datasets import data_set, writing
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import jax_setup, recording, replayed
from awr_mjx.train.engine.player import load_policies
from awr_mjx.train.engine.streams import check_seed, stream
from awr_mjx.train.engine.task_files import Moved
from awr_mjx.train.policies import shipped

STEPS_MOST, ENVS_MOST = 2**31 - 1, 4096
DEFAULT = dataclasses.asdict(TaskOptions())


@dataclasses.dataclass(frozen=True)
class RecordConfig:
    """What to record."""

    run: pathlib.Path
    """Run folder."""
    out: str
    """NAME.npz, NAME.hdf5 (D4RL's layout), or the id of a Minari set, such as hopper/medium-v0."""
    steps: int = 1_000_000
    """Steps to record, in whole episodes."""
    mode: bool = False
    """Act by the policy's mode instead of by samples."""
    ring: bool = False
    """Write what is in the checkpoint's replay ring instead of recording: the steps of the last iterations."""
    num_envs: int = 0
    """Environments that step at once; 0: as many as play about one episode each, up to 4,096."""
    seed: int = 0
    """Everything random follows from this."""
    step: tuple[int | Literal["best"], ...] = ()
    """Checkpoint, by its steps, or `best`; the newest sound one if not given. Several share `steps` evenly."""
    task: Annotated[TaskOptions, tyro.conf.arg(name="env")] = dataclasses.field(default_factory=TaskOptions)
    """Options of the task, where they are to be others than in training."""


def main() -> int:
    """Records, writes and says what was recorded."""
    args = cli.arguments()
    run = cli.peek(args, "run", None)
    if run:
        shipped.refuse(pathlib.Path(run))
    saved = settings.read(pathlib.Path(run)) if run else None
    default: Any = RecordConfig(pathlib.Path(run or ""), "", task=saved.task) if saved else None
    words = "Record what a policy does."
    config = cli.parse(RecordConfig, args, prog=program("record"), description=words, default=default)
    if not config.out:
        raise UserError(f"--out is missing: {writing.NAMES}")
    if not 0 < config.steps <= STEPS_MOST:
        raise UserError(f"steps must be from 1 to {STEPS_MOST:,}, not {config.steps}")
    if not 0 <= config.num_envs <= STEPS_MOST:
        raise UserError(f"num_envs must be a positive number, or 0, not {config.num_envs}")
    check_seed(config.seed)
    writing.check_place(config.out)
    jax_setup.start_jax(cpu_devices=max(1, saved.devices) if saved and config.ring else 1)
    found = _ring(config) if config.ring else _recorded(config)
    place = writing.write(found, config.out)
    returns = found.returns()
    what = "episodes and pieces of episodes" if config.ring else "episodes"
    print(
        f"written to {place}: {len(found.rewards):,} steps in {len(found.steps):,} {what}, "
        f"mean return {returns.mean():,.1f} ± {returns.std():,.1f}"
    )
    return 0


def _recorded(config: RecordConfig) -> DataSet:
    moved = Moved.to(config.task)
    players = load_policies(config.run, config.step or (None,), moved)
    first = players[0]
    env = first.env
    if config.task != first.config.task:
        env = registry.make(first.config.env, config.task)
        if env.observation_size != first.learner.observation_size:
            raise UserError("with these options the task has other observations than the policy was trained on")
    share = -(-config.steps // len(players))
    num_envs = config.num_envs or min(ENVS_MOST, max(1, share // env.episode_length))
    recorder = recording.Recorder(env, first.learner, num_envs, config.mode)
    found = []
    with working(f"recording {num_envs:,} environments", len(players)) as tell:
        for i, player in enumerate(players):
            own = stream(config.seed, f"record{i or ''}")
            found.append(recorder.whole_episodes(player.learned, share, own, functools.partial(_tell, tell, i)))
    done = [player.steps for player in players]
    about: dict[str, Any] = {first.config.clock: done if config.step[1:] else done[0], "seed": config.seed}
    about["actions"] = "mode" if config.mode else "sampled"
    return _named(data_set.joined(found), config, first.config.env, env.action_size, about)


def _tell(tell: Callable[[float], None], before: int, share: float) -> None:
    tell(before + share)


def _ring(config: RecordConfig) -> DataSet:
    if config.step[1:]:
        raise UserError(f"--ring is of one checkpoint, not of {len(config.step)}: name one with --step")
    run = settings.read(config.run)
    found, steps = replayed.ring(config.run, next(iter(config.step), None), Moved.to(config.task))
    size = registry.make(run.env, config.task).action_size
    return _named(found, config, run.env, size, {run.clock: steps, "actions": "those in the replay ring"})


def _named(found: DataSet, config: RecordConfig, env: str, action_size: int, about: dict[str, Any]) -> DataSet:
    """The set with what it says of itself. Actions are as the policy drew them, for the task clips them itself."""
    options = {name: value for name, value in dataclasses.asdict(config.task).items() if value != DEFAULT[name]}
    first, last = (0, action_size - 1) if found.discrete else (-np.inf, np.inf)
    bounds = np.full((2, 1 if found.discrete else action_size), [[first], [last]], np.float32)
    source = {"env": env, "options": options, "run": config.run.resolve().name}
    return dataclasses.replace(found, about=source | about, action_bounds=bounds)


if __name__ == "__main__":
    run_program(main)
