"""Trains a policy: `python -m train.main --env ant --num_envs 4096`. A run stopped anywhere goes on with `--resume`."""

import dataclasses
import datetime
import importlib.metadata
import pathlib
import sys
import time
from typing import Annotated

import jax
import tyro

from awr_mjx.variants import VARIANTS
from envs import registry
from envs.vector import check_task
from train import checkpointing, cli, memory, runs
from train import config as settings
from train.config import TrainConfig
from train.errors import UserError, run_program
from train.loop import Loop
from train.metrics_log import Screen
from train.presets import preset
from train.tasks import show_tasks
from train.training import Clock, Stop, Training

RUNS = pathlib.Path("checkpoints")
PROGRAM_START = time.monotonic()


@dataclasses.dataclass(frozen=True)
class Command:
    """The whole command line: where, what variant, and the settings of the run."""

    run_dir: pathlib.Path | None = None
    """Run folder to make; checkpoints/<env>-<time> if not given."""
    resume: pathlib.Path | None = None
    """Run folder to go on with, exactly where it stopped; its settings are used."""
    variant: str = "awr"
    """A relative of AWR instead: rwr, on_policy, no_baseline, monte_carlo, raw_advantage or bc."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=TrainConfig)
    """The run."""


def parse(args: list[str]) -> Command:
    """The command line, over the preset of its `--env` (or over the settings of the run that it resumes).

    Raises:
      UserError: for what is not understood, makes no sense, or cannot change when a run is resumed.
    """
    resume, env, variant = (cli.peek(args, name, None) for name in ("resume", "env", "variant"))
    variant = variant or "awr"
    saved = settings.read(pathlib.Path(resume)) if resume else None
    start = saved or preset(env or TrainConfig.env)
    if variant not in VARIANTS:
        raise UserError(f"unknown variant {variant!r}: choose one of {', '.join(VARIANTS)}")
    awr = VARIANTS[variant](start.awr)
    # One that steps for longer does so with fewer environments: an iteration has as many samples as before.
    num_envs = max(1, start.num_envs * start.awr.rollout_steps // awr.rollout_steps)
    start = dataclasses.replace(start, awr=awr, num_envs=num_envs)
    command = cli.parse(
        Command, args, prog="python -m train.main", description=__doc__ or "", default=Command(config=start)
    )
    command.config.validate()
    if saved:
        changed = settings.differences(saved, command.config)
        if changed:
            raise UserError(f"these settings cannot change when a run is resumed: {', '.join(changed)}")
        if command.run_dir and command.run_dir.resolve() != pathlib.Path(resume or "").resolve():
            raise UserError("--run_dir and --resume name two folders: give only --resume")
    return command


def main() -> int:
    """Trains; see the module's docstring."""
    if cli.peek(cli.arguments(), "env", None) == "list":
        show_tasks()
        return 0
    command = parse(cli.arguments())
    config = command.config
    name = f"{config.env.replace('/', '-')}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    run = command.resume or command.run_dir or RUNS / name
    if command.resume is None and run.exists():
        raise UserError(f"{run} exists already: go on with --resume {run}, or choose another --run_dir")
    runs.start_jax(registry.calls_lapack(config.env, config.task), config.devices or runs.cores())
    config = runs.choose_devices(config)
    env = registry.make(config.env, config.task)
    check_task(env)
    if problems := config.awr.problems(env.episode_length):
        raise UserError(problems[0])
    loop = Loop(env, config.awr, config.num_envs, config.epoch_iterations, config.devices)
    template = loop.template()
    plan = memory.plan(template, config.checkpoint_ring)
    if command.resume:
        done, state, warnings = checkpointing.restore(run, template)
        runs.warn(warnings)
        if done >= config.num_steps:
            raise UserError(
                f"{run} has {done:,} env steps already: give a larger --num_steps than {config.num_steps:,}"
            )
    else:
        done = 0
    stop = Stop()
    screen = Screen(config.num_steps, config.minutes)
    try:
        device = jax.devices()[0]
        screen.say(f"{config.env}: {config.num_envs} environments on {config.devices} {device.device_kind}")
        screen.say(f"memory: {plan}")
        begun = time.monotonic()
        epoch = loop.epoch.lower(template).compile()
        usage = epoch.memory_analysis()
        workspace = usage.temp_size_in_bytes if usage else 0
        memory.refuse(plan.needed + workspace, plan.free)
        seconds = time.monotonic() - begun
        screen.say(f"compiled in {seconds:.1f} s; an iteration works in {memory.human(workspace)} more")
        if not command.resume:
            state = loop.init(config.seed)
            _make_run(run, config)
        clock = Clock(PROGRAM_START, compile=seconds)
        return Training(run, config, loop, epoch, screen, stop, done, clock, bool(command.resume)).go(state)
    finally:
        screen.close()


def _make_run(run: pathlib.Path, config: TrainConfig) -> None:
    try:
        run.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot make the run folder {run}: {error.strerror}") from error
    packages = {name: importlib.metadata.version(name) for name in ("jax", "mujoco", "mujoco-mjx", "orbax-checkpoint")}
    about = {"argv": sys.argv[1:], "packages": packages, "device": jax.devices()[0].device_kind}
    runs.write_json(run / "config.json", {"settings": settings.to_dict(config), "about": about})


if __name__ == "__main__":
    run_program(main)
