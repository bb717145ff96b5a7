"""What `python -m train.main` is told: where, which relative of AWR, and every setting."""

import dataclasses
import pathlib
from typing import Annotated

import tyro

from awr_mjx.algorithm.variants import VARIANTS
from awr_mjx.envs import absent, registry
from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError, warn
from awr_mjx.train.datasets import reading
from awr_mjx.train.engine import begun, together
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.presets import preset, static_preset

HELD_OUT = 0.1  # share of the episodes, for data without a task
SHARES = ("data_share", "data_share_steps")
COLLECTING = ("num_envs", "rollout_steps", "buffer_blocks", "normalizer_steps", *SHARES)
WEIGHING = ("beta", "target_ess", "weight_max")
VALUES = ("value_lr", "value_hidden", "value_layer_norm", "value_units", "value_bins", "expectile", "lam")
DESCRIPTION = """Trains a policy. A run stopped anywhere goes on with --resume. Defaults are those of the task:
`--env hopper --help` shows the hopper's, and without --env they are the ant's."""


@dataclasses.dataclass(frozen=True)
class Command:
    """The whole command line: where, what variant, and the settings of the run."""

    run_dir: pathlib.Path | None = None
    """Run folder to make; checkpoints/<env>-<time> if not given."""
    resume: pathlib.Path | None = None
    """Run folder to go on with, exactly where it stopped; its settings are used."""
    num_seeds: int = 1
    """Trainings in one program, side by side, with the seeds --seed, --seed + 1 and so on, each on one device."""
    variant: str = "awr"
    """A relative of AWR instead: rwr, on_policy, no_baseline, monte_carlo, raw_advantage or bc."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=TrainConfig)
    """The run."""


def parse(args: list[str]) -> Command:
    """The command line, over the preset of its `--env` (or over the settings of the run that it resumes).

    Raises:
      UserError: for what is not understood, makes no sense, or cannot change when a run is resumed.
    """
    resume, env, variant, begin = (cli.peek(args, name, None) for name in ("resume", "env", "variant", "from"))
    env = env and registry.ours(env)
    if begin and not env and begun.is_run(begin):
        env = settings.read(pathlib.Path(begin)).env
    variant = variant or "awr"
    saved = together.read(pathlib.Path(resume)) if resume else None
    static = cli.peek(args, "data", None) is not None
    if static and not (saved or env):
        raise UserError(f"name the task that the data are of with --env ({absent.NAME} if it is not here)")
    if env == absent.NAME and not (static or saved):
        raise UserError(f"--env {absent.NAME} is for logged data: name a set with --data")
    start = saved or (static_preset(env or "") if static else _preset(env or TrainConfig.env, args))
    if begin and not saved:
        start = begun.with_networks(start, begin)
    if variant not in VARIANTS:
        raise UserError(f"unknown variant {variant!r}: choose one of {', '.join(VARIANTS)}")
    awr = VARIANTS[variant](start.awr)
    # One that steps for longer does so with fewer environments: an iteration has as many samples as before.
    num_envs = max(1, start.num_envs * start.awr.rollout_steps // awr.rollout_steps)
    start = dataclasses.replace(start, awr=awr, num_envs=start.num_envs if static else num_envs)
    command = cli.parse(Command, args, prog=program("train"), description=DESCRIPTION, default=Command(config=start))
    config = dataclasses.replace(command.config, env=registry.ours(command.config.env))
    if begin:
        config = dataclasses.replace(config, begin=reading.whole_path(config.begin))
    if not saved:
        config = _whole_schedule(config, args) if static else _collecting(config, args)
    config = dataclasses.replace(config, task=config.task.placed())
    if saved:
        return _resumed(dataclasses.replace(command, config=config), saved)
    if not 1 <= command.num_seeds <= together.MOST:
        raise UserError(f"num_seeds must be from 1 to {together.MOST:,}, not {command.num_seeds}")
    if command.num_seeds > 1:
        together.refuse(together.of_seeds(config, command.num_seeds), config.devices)
    else:
        config.validate()
    if begin and begun.is_run(begin):
        begun.refuse_other_networks(config, begin)
    warn(_without_effect(config, args))
    return dataclasses.replace(command, config=config)


def _preset(env: str, args: list[str]) -> TrainConfig:
    """The preset, for as many environments as are asked for, unless the steps that each takes are asked for too."""
    digits = (cli.peek(args, "num_envs", None) or "").replace("_", "")
    follows = digits.isdecimal() and cli.peek(args, "rollout_steps", None) is None
    return preset(env, int(digits) if follows else 0)


def _resumed(command: Command, saved: TrainConfig) -> Command:
    """The command that goes on with a run of the settings `saved`.

    The data may lie elsewhere now; whether they are the same is told by their checksum, when they are read.

    Raises:
      UserError: for what cannot change then.
    """
    resume, config = command.resume, command.config
    if config.logged and not saved.logged:
        raise UserError(f"{resume} collects its own data: leave --data out")
    if config.begin and not saved.begin:
        raise UserError(f"{resume} began without data: leave --from out")
    if config.begin != saved.begin and begun.is_run(config.begin):
        raise UserError(f"{config.begin} is a run: name the set that {resume} began with")
    if command.num_seeds != 1:
        raise UserError("a run goes on with its own seeds: leave --num_seeds out")
    config.validate()
    config = dataclasses.replace(config, logged=config.logged.placed())
    if changed := settings.differences(saved, config):
        raise UserError(f"these settings cannot change when a run is resumed: {', '.join(changed)}")
    if command.run_dir and command.run_dir.resolve() != pathlib.Path(resume or "").resolve():
        raise UserError("--run_dir and --resume name two folders: give only --resume")
    return dataclasses.replace(command, config=config)


def _without_effect(config: TrainConfig, args: list[str]) -> list[str]:
    """Lines on the settings among `args` that mean nothing in such a run, and on one that learns nothing."""
    awr, static = config.awr, bool(config.logged)
    nothing = {
        "with --data": COLLECTING if static else (),
        "where every step weighs the same": WEIGHING if awr.weighting == "uniform" else (),
        "beside --target_ess": ("beta",) if awr.target_ess else (),
        "where no values are learned": VALUES if not awr.value_updates else (),
        "without --from": SHARES if not static and not config.begin else (),
    }
    found = [
        f"{' and '.join(given)} mean{'s' if len(given) == 1 else ''} nothing {where}"
        for where, names in nothing.items()
        if (given := [f"--{name}" for name in names if cli.peek(args, name, None) is not None])
    ]
    if awr.clones and not static and not config.begin:
        found.append("nothing is learned by cloning the policy's own actions: --variant bc is for --data")
    return found


def _whole_schedule(config: TrainConfig, args: list[str]) -> TrainConfig:
    """The settings with whole paths, and a `policy_lr_steps` that was not asked for as long as the run.

    Says so where the run is longer than it was asked to be, since iterations are whole.
    """
    awr, logged = config.awr, config.logged.placed()
    if config.epoch_steps and (more := -config.num_steps % config.epoch_steps):
        whole = f"iterations of {config.epoch_steps:,} gradient steps are whole"
        warn([f"it trains for {config.num_steps + more:,} steps, not {config.num_steps:,}: {whole}"])
    if awr.policy_lr_steps and cli.peek(args, "policy_lr_steps", None) is None:
        share = awr.policy_updates / max(awr.policy_updates + awr.value_updates, 1)
        awr = dataclasses.replace(awr, policy_lr_steps=max(1, round(config.num_steps * share)))
    if config.env == absent.NAME and cli.peek(args, "held_out", None) is None:
        logged = dataclasses.replace(logged, held_out=HELD_OUT)  # there is no other way to see how it goes
    return dataclasses.replace(config, awr=awr, logged=logged)


def _collecting(config: TrainConfig, args: list[str]) -> TrainConfig:
    """The settings of a run that collects.

    A `batch_size` that was not asked for is lowered, with a warning, to all that the ring holds, and env steps that
    were not are without limit where minutes are given.
    """
    if config.minutes and cli.peek(args, "num_steps", None) is None:
        config = dataclasses.replace(config, num_steps=settings.UNLIMITED)
    awr = config.awr
    samples = config.num_envs * awr.capacity
    if cli.peek(args, "batch_size", None) is not None or not 0 < samples < awr.batch_size:
        return config
    warn([f"batch_size is {samples}, not {awr.batch_size}: all that {config.num_envs} envs x {awr.capacity} rows give"])
    return dataclasses.replace(config, awr=dataclasses.replace(awr, batch_size=samples))
