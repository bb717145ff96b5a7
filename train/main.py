"""Trains a policy: `python -m train.main --env ant --num_envs 4096`. A run stopped anywhere goes on with `--resume`."""

import dataclasses
import datetime
import importlib.metadata
import pathlib
import signal
import sys
import time
from typing import Annotated, Any

import jax
import numpy as np
import tyro

from awr_mjx.variants import VARIANTS
from envs import registry
from envs.vector import check_task
from train import checkpointing, cli, memory, runs
from train import config as settings
from train.config import TrainConfig
from train.errors import UserError, run_program
from train.evaluate import make_evaluator
from train.loop import Loop, TrainState
from train.metrics_log import MetricsLog, Screen
from train.presets import preset
from train.tasks import show_tasks

RUNS = pathlib.Path("checkpoints")


@dataclasses.dataclass(frozen=True)
class Command:
    """The whole command line: where, what variant, and the settings of the run."""

    run_dir: pathlib.Path | None = None
    """Run folder to make; checkpoints/<env>-<time> if not given."""
    resume: pathlib.Path | None = None
    """Run folder to go on with, exactly where it stopped; its settings are used."""
    variant: str = "awr"
    """A relative of AWR instead: rwr, on_policy, no_baseline, monte_carlo, raw_advantage or bc."""
    config: Annotated[TrainConfig, tyro.conf.OmitArgPrefixes] = dataclasses.field(default_factory=TrainConfig)
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
    start = dataclasses.replace(start, awr=VARIANTS[variant](start.awr))
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


class Stop:
    """Notices Ctrl-C and SIGTERM; training asks it between epochs. A second Ctrl-C ends the program at once."""

    def __init__(self) -> None:
        self.asked: str | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, _: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number).name


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
    screen = Screen(config.num_steps, done)
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
        return Training(run, config, loop, epoch, screen, stop, done, bool(command.resume)).go(state)
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


class Training:
    """The host's side of a run: it starts epochs, and logs, evaluates and saves between them."""

    def __init__(
        self,
        run: pathlib.Path,
        config: TrainConfig,
        loop: Loop,
        epoch: Any,
        screen: Screen,
        stop: Stop,
        done: int,
        resumed: bool,
    ) -> None:
        self.run, self.config, self.loop, self.epoch, self.screen, self.stop = run, config, loop, epoch, screen, stop
        self.steps, self.started_at = done, done
        self.log = MetricsLog(run, done if resumed else None)
        self.saves = checkpointing.Checkpoints(run, config.keep, config.checkpoint_ring)
        self.saves.set_aside_after(done)
        self.evaluate = make_evaluator(loop.venv.env, loop.learner, config.eval_envs, loop.mesh)
        self.mode_return: float | None = None
        self.best: float | None = checkpointing.best_return(run)
        self.train_seconds = 0.0  # in epochs, not in evaluations and saves
        self.quarantined = 0
        self.clock = self.last_save = time.monotonic()

    def go(self, state: TrainState) -> int:
        """Trains from `state` to the end, or until asked to stop."""
        config = self.config
        self.quarantined = int(state.counts.quarantined)
        saved_at = self.steps if self.steps else -1
        eval_every = max(config.num_steps / config.num_evals, 1)
        next_eval = (self.steps // eval_every + 1) * eval_every
        pending: tuple[int, dict[str, jax.Array]] | None = None
        self.clock = time.monotonic()
        while self.steps < config.num_steps and not self.stop.asked:
            state, metrics = self.epoch(state)
            self.steps += config.epoch_steps
            if pending:
                self._log(*pending)  # while the device is at work on the next epoch
            pending = (self.steps, metrics)
            due_eval = self.steps >= min(next_eval, config.num_steps)
            due_save = time.monotonic() - self.last_save >= config.checkpoint_seconds
            if due_eval or due_save or self.stop.asked:
                jax.block_until_ready(metrics)
                self._log(*pending)
                pending = None
                if due_eval:
                    self._evaluate(state)
                    next_eval = (self.steps // eval_every + 1) * eval_every
                self._save(state, self.mode_return if due_eval else None)
                saved_at = self.steps
                self.clock = time.monotonic()
        if pending:
            self._log(*pending)
        if saved_at != self.steps:
            self._save(state, None)
        return self._finish(state)

    def _rate(self) -> float:
        return (self.steps - self.started_at) / max(self.train_seconds, 1e-9)

    def _log(self, steps: int, metrics: dict[str, jax.Array]) -> None:
        """Waits for an epoch and writes its newest iteration's metrics; counts are summed over the epoch."""
        arrays = {name: np.asarray(value) for name, value in metrics.items()}
        seconds, self.clock = time.monotonic() - self.clock, time.monotonic()
        self.train_seconds += seconds
        values = {name: float(value[-1]) for name, value in arrays.items()}
        values["quarantined"] = float(arrays["quarantined"].sum())
        values["episodes_finished"] = float(arrays["episodes_finished"].sum())
        self.quarantined += int(values["quarantined"])
        values["env_steps_per_second"] = self.config.epoch_steps / max(seconds, 1e-9)
        self.log.write(steps, values)
        self.screen.progress(steps, values, self.mode_return, self.quarantined)

    def _evaluate(self, state: TrainState) -> None:
        """Plays the mode action for whole episodes, the same start states each time; training does not notice."""
        learner = state.learner
        key = jax.random.fold_in(jax.random.key(self.config.seed), 1)
        returns, lengths = map(np.asarray, self.evaluate(learner.policy, learner.normalizer, key))
        self.mode_return = float(returns.mean())
        self.best = self.mode_return if self.best is None else max(self.best, self.mode_return)
        values = {"mode_return": self.mode_return, "mode_return_std": float(returns.std())}
        self.log.write(self.steps, values | {"mode_steps": float(lengths.mean()), "train_seconds": self.train_seconds})
        self.screen.say(
            f"{self.steps:,} env steps: mode return {self.mode_return:.1f} ± {returns.std():.1f} "
            f"over {len(returns)} episodes of {lengths.mean():.0f} steps on average"
        )

    def _save(self, state: TrainState, mode_return: float | None) -> None:
        problem = self.saves.save(state, self.steps, mode_return)
        self.last_save = time.monotonic()
        if problem:
            self._warn_save(problem)

    def _warn_save(self, problem: str) -> None:
        self.screen.say(f"warning: a checkpoint could not be saved ({problem}); training goes on")

    def _finish(self, state: TrainState) -> int:
        """Waits for the last save, writes the summary and says how to go on."""
        problem = self.saves.wait()
        if problem:
            self._warn_save(problem)
        self.log.close()
        found = checkpointing.steps(self.run)
        summary = {
            "env": self.config.env,
            "finished": self.steps >= self.config.num_steps,
            "env_steps": int(state.counts.env_steps),
            "gradient_steps": int(state.counts.gradient_steps),
            "episodes": int(state.counts.episodes),
            "quarantined": int(state.counts.quarantined),
            "mode_return": self.mode_return,
            "best_mode_return": self.best,
            "train_seconds": self.train_seconds,
            "env_steps_per_second": self._rate(),
        }
        try:
            runs.write_json(self.run / "summary.json", summary)
        except UserError as error:
            self.screen.say(f"warning: {error}")
        size = self.saves.size()
        self.saves.close()
        if self.stop.asked:
            self.screen.say(f"stopped by {self.stop.asked} at {self.steps:,} env steps")
        newest = f"{found[-1]:,} env steps" if found else "none"
        self.screen.say(f"run: {self.run}  (newest checkpoint: {newest}, {size})")
        if not found:
            return 1
        program = f"--run {self.run}"
        if self.stop.asked:
            self.screen.say(f"go on: python -m train.main --resume {self.run}")
        if hasattr(self.loop.venv.env, "mj_model"):
            video = self.config.env.replace("/", "-") + ".mp4"
            self.screen.say(f"look:  python -m train.render {program} --out {video}")
        self.screen.say(f"ship:  python -m train.export {program} --out policy.npz")
        return 0


if __name__ == "__main__":
    run_program(main)
