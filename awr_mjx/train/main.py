"""Trains a policy: `python -m train.main --env ant --num_envs 4096`. A run stopped anywhere goes on with `--resume`."""

import contextlib
import dataclasses
import pathlib
import time
from typing import Any

import jax

from awr_mjx.envs import absent, registry
from awr_mjx.envs.checks import check_task
from awr_mjx.train.console import cli, errors
from awr_mjx.train.console.errors import UserError, run_program
from awr_mjx.train.console.screen import Screen
from awr_mjx.train.console.tasks import show_tasks
from awr_mjx.train.engine import begun, jax_setup, memory, restoring, run_folder, seeds, static_data
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine.command_line import Command, parse
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.guest import Guest
from awr_mjx.train.engine.loop import Loop
from awr_mjx.train.engine.metrics_log import MetricsLog
from awr_mjx.train.engine.presets import PRESETS
from awr_mjx.train.engine.signals import Stop
from awr_mjx.train.engine.static_loop import StaticLoop
from awr_mjx.train.engine.training import Clock, Training

PROGRAM_START = time.monotonic()


def _from(done: int | None, again: int, words: str) -> str:
    """Where a resumed run goes on, from a checkpoint or None; it was trained for `again` steps after that."""
    start = "has no checkpoint yet: starts from its settings" if done is None else f"goes on from {done:,} {words}"
    return f"{start}; {again:,} more in its log, which no checkpoint has, are trained again" if again else start


def _loop(config: TrainConfig, run: pathlib.Path | None) -> tuple[Loop | StaticLoop, dict[str, Any] | None, Any]:
    """What trains, what it says of its logged data, if there are any, and how to make its first state.

    `run` is one that goes on.
    """
    if run:
        run_folder.refuse_other_files(run, config)
    env = None if config.env == absent.NAME else registry.make(config.env, config.task)
    if env:
        check_task(env)
        errors.warn(list(getattr(env, "remarks", ())))
    if config.logged or not env:
        if run:
            sources = config.logged.data
            every = f", all {len(sources)} in this order" if len(sources) > 1 else ""
            static_data.refuse_gone(sources, run, f"say where it is now with --data{every}")
        loop, data = static_data.loop(env, config)
        return loop, data, loop.init
    if problems := config.awr.problems(env.episode_length):
        raise UserError(problems[0])
    sizes = config.num_envs, config.epoch_iterations, config.devices
    if not config.begin or (run and restoring.steps(run)):
        kept = run_folder.data_of(run).get("kept", 0) if run else 0
        collecting = Loop(env, config.awr, *sizes, kept)
        return collecting, None, collecting.init
    if run and config.begin != settings.read(run).begin:
        raise UserError(f"{run} has no checkpoint yet: train anew with --from {config.begin}")
    found = begun.read_again(env, config, run) if run else begun.read(env, config)
    rows = begun.rows_of(found, config.num_envs)
    about = begun.about(found, rows)
    if run:
        run_folder.refuse_other_data(run, about)
    collecting = Loop(env, config.awr, *sizes, 0 if rows is None else len(rows.valid))
    return collecting, about, lambda seed: begun.state(collecting, seed, found, rows)


def _what(config: TrainConfig, data: dict[str, Any] | None) -> str:
    """What a run learns from, for its first line."""
    if config.logged and data:
        return static_data.described(data)
    known = "" if config.env in PRESETS else " with the settings for robots (no preset for this task)"
    return f"{config.num_envs} environments{known}"


def main() -> int:
    """Trains; see the module's docstring."""
    if cli.peek(cli.arguments(), "env", None) == "list":
        show_tasks()
        return 0
    args, more = seeds.split(cli.arguments())
    command = parse(args)
    if more:
        return seeds.train(seeds.each(command, more), train)
    status, _ = train(command, begun_at=PROGRAM_START)
    return status


def train(command: Command, guest: Guest | None = None, begun_at: float | None = None) -> tuple[int, pathlib.Path]:
    """Trains as `command` says, or for the `guest` of another program; returns the exit status and the run folder.

    Its wall-clock is counted from `begun_at`, or from now.

    Raises:
      UserError: for what cannot be done.
      Failed: if there is no use in going on.
    """
    begun_at = time.monotonic() if begun_at is None else begun_at
    # The working directory may be moved while it trains, and would take a relative folder along.
    config, run = command.config, command.resume and command.resume.absolute()
    with contextlib.ExitStack() as stack:
        if run:
            stack.enter_context(run_folder.taken_up(run))
        elif command.run_dir:
            run_folder.refuse_existing(command.run_dir)
        static, words = bool(config.logged), config.clock_words
        fitting = 1 if static else jax_setup.fitting_devices(config.num_envs, config.awr.batch_size, jax_setup.cores())
        jax_setup.start_jax(registry.calls_lapack(config.env, config.task), config.devices or fitting, reserve=True)
        config = dataclasses.replace(config, devices=1) if static else jax_setup.choose_devices(config, bool(run))
        loop, data, init = _loop(config, run)
        if run and static:
            run_folder.refuse_other_data(run, data)
        template = loop.template()
        plan = memory.plan(loop.held(template), config.checkpoint_ring, loop.mesh.devices.tolist(), static)
        done, state = 0, None
        if run and restoring.steps(run):
            done, state, warnings = restoring.restore(run, template)
            state = begun.refilled(loop, state, config, run)
            errors.warn([*warnings, *run_folder.not_as_before(run, done, words)])
            run_folder.refuse_done(run, config, done)
        run = run or stack.enter_context(run_folder.made(command.run_dir, config, data))
        wandb = settings.to_dict(config) if config.wandb else None
        log = MetricsLog(run, done if command.resume else None, wandb, config.clock)
        stack.callback(log.close)
        log.describe(done, run_folder.described(run))
        screen = Screen(config.num_steps, config.minutes, config.clock, quiet=bool(guest and guest.quiet))
        stack.callback(screen.close)
        stop = guest.stop(log) if guest else Stop(say=screen.last_words)
        stack.callback(stop.close)
        device = jax.devices()[0]
        screen.say(f"{config.env}: {_what(config, data)} on {config.devices} {device.device_kind}")
        if command.resume:
            screen.say(_from(done if state else None, log.again, words))
        screen.say(f"memory: {plan}")
        screen.say("compiling: up to a minute the first time, seconds after that")
        compiling = time.monotonic()
        epoch, workspace = loop.compile()
        workspace = plan.in_all(workspace)
        plan.refuse(workspace)
        seconds = time.monotonic() - compiling
        screen.say(f"compiled in {seconds:.1f} s; an iteration needs {memory.human(workspace)} more")
        if command.resume:
            run_folder.note_resume(run, config, done)
        clock = Clock(begun_at, compile=seconds)
        training = Training(run, config, loop, epoch, screen, stop, done, clock, log, hints=not guest)
        return training.go(state or init(config.seed)), run


if __name__ == "__main__":
    run_program(main)
