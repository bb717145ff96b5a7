"""Trains a policy: `python -m train.main --env ant --num_envs 4096`. A run stopped anywhere goes on with `--resume`."""

import datetime
import time

import jax

from envs import registry
from envs.checks import check_task
from train.console import cli, errors
from train.console.errors import UserError, run_program
from train.console.tasks import show_tasks
from train.engine import checkpointing, jax_setup, memory, run_folder
from train.engine.command_line import parse
from train.engine.loop import Loop
from train.engine.metrics_log import Screen
from train.engine.training import Clock, Stop, Training

PROGRAM_START = time.monotonic()


def main() -> int:
    """Trains; see the module's docstring."""
    if cli.peek(cli.arguments(), "env", None) == "list":
        show_tasks()
        return 0
    command = parse(cli.arguments())
    config = command.config
    name = f"{config.env.replace('/', '-')}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    run = command.resume or command.run_dir or run_folder.RUNS / name
    if command.resume is None and run.exists():
        raise UserError(f"{run} exists already: go on with --resume {run}, or choose another --run_dir")
    jax_setup.start_jax(registry.calls_lapack(config.env, config.task), config.devices or jax_setup.cores())
    config = jax_setup.choose_devices(config)
    env = registry.make(config.env, config.task)
    check_task(env)
    loop = Loop(env, config.awr, config.num_envs, config.epoch_iterations, config.devices)
    template = loop.template()
    plan = memory.plan(template, config.checkpoint_ring)
    if command.resume:
        done, state, warnings = checkpointing.restore(run, template)
        errors.warn(warnings)
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
            run_folder.make(run, config)
        clock = Clock(PROGRAM_START, compile=seconds)
        return Training(run, config, loop, epoch, screen, stop, done, clock, bool(command.resume)).go(state)
    finally:
        screen.close()


if __name__ == "__main__":
    run_program(main)
