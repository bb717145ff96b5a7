"""How a training comes about: its folder, its program, its state, its screen; one run, or several in one program."""

import contextlib
import dataclasses
import pathlib
import time
from typing import Any

import jax

from awr_mjx.envs import absent, registry
from awr_mjx.envs.checks import check_task
from awr_mjx.train.console import errors
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.console.screen import Screen
from awr_mjx.train.datasets import reading
from awr_mjx.train.engine import begun, jax_setup, memory, provenance, restoring, run_folder, static_data, together
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine.clock import Clock
from awr_mjx.train.engine.command_line import Command
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.evaluations import Evaluators
from awr_mjx.train.engine.guest import Guest
from awr_mjx.train.engine.loop import Loop, TrainState
from awr_mjx.train.engine.many import Many
from awr_mjx.train.engine.metrics_log import MetricsLog
from awr_mjx.train.engine.one_run import OneRun
from awr_mjx.train.engine.presets import PRESETS, followed
from awr_mjx.train.engine.signals import Stop
from awr_mjx.train.engine.static_loop import StaticLoop
from awr_mjx.train.engine.training import Training


def train(
    command: Command,
    guest: Guest | None = None,
    begun_at: float | None = None,
    several: dict[str, TrainConfig] | None = None,
) -> tuple[int, pathlib.Path]:
    """Trains as `command` says, or for the `guest` of another program; returns the exit status and the run folder.

    Its wall-clock is counted from `begun_at`, or from now. With `several` settings, which may differ as far as
    `together.own` says, all of them are trained in one program, in folders of these names.

    Raises:
      UserError: for what cannot be done.
      Failed: if there is no use in going on.
    """
    begun_at = time.monotonic() if begun_at is None else begun_at
    if not command.resume:  # a run that goes on has what it needs of them
        _refuse_missing(command.config)
    # The working directory may be moved while it trains, and would take a relative folder along.
    resume = command.resume and command.resume.absolute()
    with contextlib.ExitStack() as stack:
        runs = together.folders(resume) if resume else []
        for run in runs:
            stack.enter_context(run_folder.taken_up(run))
        if not resume and command.run_dir:
            run_folder.refuse_existing(command.run_dir)
        if runs:
            several = {run.name: together.own(command.config, settings.read(run)) for run in runs}
        configs = several or together.of_seeds(command.config, command.num_seeds)
        if len(configs) > 1:
            together.refuse(configs, 0 if runs else command.config.devices)
        config, devices = _on_devices(next(iter(configs.values())), len(configs), runs)
        configs = {name: dataclasses.replace(one, devices=config.devices) for name, one in configs.items()}
        one, data, first = _loop(config, runs[0] if runs else None)
        if runs and config.logged:
            run_folder.refuse_other_data(runs[0], data)
        loop: Loop | StaticLoop | Many = one
        if len(configs) > 1:
            assert isinstance(one, Loop)
            loop = Many(one, len(configs), devices, together.numbers(configs))
        held, used = loop.held(loop.template()), loop.mesh.devices.tolist()
        plan = memory.plan(held, config.checkpoint_ring, used, bool(config.logged), many=loop is not one)
        evaluators = Evaluators.of(config, loop)  # raises, so it comes before anything that is written down
        done, state = _restored(runs, config, one, loop) if runs else (0, None)
        about = provenance.now() | ({"shared_over": devices} if loop is not one else {})
        runs = runs or stack.enter_context(
            run_folder.made(command.run_dir, configs, {**about, **({"data": data} if data else {})})
        )
        wandb = settings.to_dict(config) if config.wandb else None
        logs = [MetricsLog(run, done if resume else None, wandb, config.clock) for run in runs]
        for run, log in zip(runs, logs, strict=True):
            stack.callback(log.close)
            log.describe(done, run_folder.described(run))
        limit = config.num_steps if config.num_steps < settings.UNLIMITED else None
        screen = Screen(limit, config.minutes, config.clock, quiet=bool(guest and guest.quiet))
        stack.callback(screen.close)
        stop = guest.stop(logs[0]) if guest else Stop(say=screen.last_words)
        stack.callback(stop.close)
        screen.say(f"{config.env}: {_what(config, data, len(configs))} on {_devices(loop.mesh.size)}")
        again = max(log.again for log in logs)
        if line := _from(done if state else None, again, config.clock_words) if resume else followed(config):
            screen.say(line)
        epoch, seconds = _compiled(loop, plan, screen)
        if resume:
            for run, its in zip(runs, configs.values(), strict=True):
                run_folder.note_resume(run, its, done, about)
        clock = Clock(begun_at, compile=seconds)
        trained = [
            OneRun(run, its, loop, evaluators, screen, stop, done, clock, log, name=run.name if loop is not one else "")
            for run, its, log in zip(runs, configs.values(), logs, strict=True)
        ]
        training = Training(trained, config, loop, epoch, evaluators, screen, stop, done, clock, hints=not guest)
        seeds = [its.seed for its in configs.values()]
        return training.go(state or (loop.init(seeds) if isinstance(loop, Many) else first(seeds[0]))), training.folder


def _refuse_missing(config: TrainConfig) -> None:
    """Raises UserError, before anything that takes long, if logged data are not there."""
    for source in (*config.logged.data, *([config.begin] if config.begin and not begun.is_run(config.begin) else [])):
        reading.refuse_missing(source)


def _compiled(loop: Loop | StaticLoop | Many, plan: memory.MemoryPlan, screen: Screen) -> tuple[Any, float]:
    """The program of an epoch, and the seconds that it took to compile.

    Raises:
      UserError: if it does not fit into the memory of the `plan`.
    """
    screen.say(f"memory: {plan}")
    screen.say("compiling: a minute or so the first time, seconds after that")
    begun_at = time.monotonic()
    with screen.busy("compiling", said=True):
        epoch, workspace = loop.compile()
    workspace = plan.in_all(workspace)
    plan.refuse(workspace)
    seconds = time.monotonic() - begun_at
    screen.say(f"compiled in {seconds:.1f} s; an iteration needs {memory.human(workspace)} more")
    return epoch, seconds


def _on_devices(config: TrainConfig, number: int, runs: list[pathlib.Path]) -> tuple[TrainConfig, int]:
    """Sets JAX up for `number` trainings in one program, which go on as `runs` if there are any.

    Returns:
      The settings with the devices of each, and how many share them all out.
    """
    lapack = registry.calls_lapack(config.env, config.task)
    if number > 1:
        chosen = run_folder.shared_over(runs[0]) if runs else config.devices
        chosen = 0 if number % max(chosen, 1) else chosen  # one may have failed since
        jax_setup.start_jax(lapack, chosen or jax_setup.dividing(number, jax_setup.cores()), reserve=True)
        there = jax.device_count()
        if chosen > there and not runs:
            raise UserError(f"devices is {chosen}, but there {'is' if there == 1 else 'are'} {there}: lower it")
        devices = jax_setup.dividing(number, min(chosen or there, there))
        if runs and devices != run_folder.shared_over(runs[0]):
            errors.warn([f"this resume may not be exact: on {devices} devices, not {run_folder.shared_over(runs[0])}"])
        return dataclasses.replace(config, devices=1), devices
    fitting = 1
    if not config.logged:
        fitting = jax_setup.fitting_devices(config.num_envs, config.awr.batch_size, jax_setup.cores())
    jax_setup.start_jax(lapack, config.devices or fitting, reserve=True)
    config = dataclasses.replace(config, devices=1) if config.logged else jax_setup.choose_devices(config, bool(runs))
    return config, config.devices


def _restored(
    runs: list[pathlib.Path], config: TrainConfig, one: Loop | StaticLoop, loop: Loop | StaticLoop | Many
) -> tuple[int, TrainState | None]:
    """The steps and the state from which `runs` go on; None where they have no checkpoint yet.

    Raises:
      UserError: if they have nothing left to do, or no sound checkpoint.
    """
    if not all(restoring.steps(run) for run in runs):
        return 0, None
    if isinstance(loop, Many):
        done, state, warnings = together.restore(runs, loop)
    else:
        done, state, warnings = restoring.restore(runs[0], loop.template())
        state = begun.refilled(one, state, config, runs[0])
    errors.warn([*warnings, *run_folder.not_as_before(runs[0], done, config.clock_words)])
    refusals = []
    for run in runs:
        try:
            run_folder.refuse_done(run, config, done)
        except UserError as error:
            refusals.append(error)
    if len(refusals) == len(runs):  # of some a stop may have broken off the last evaluation
        raise refusals[0]
    return done, state


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


def _devices(number: int) -> str:
    """What trains, for people."""
    kind = jax.devices()[0].device_kind
    return f"{number} {kind}" if kind != "cpu" else "1 CPU device" if number == 1 else f"{number} CPU devices"


def _what(config: TrainConfig, data: dict[str, Any] | None, number: int) -> str:
    """What `number` runs learn from, for their first line."""
    if config.logged and data:
        return static_data.described(data)
    if number > 1:
        return f"{number} trainings in one program, {_what(config, data, 1)} each,"
    known = "" if config.env in PRESETS else " with the settings for robots (no preset for this task)"
    return f"{config.num_envs} environments{known}"
