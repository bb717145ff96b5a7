"""The host's side of a run: it starts epochs, and logs, evaluates and saves between them."""

import json
import pathlib
import re
import time
from typing import Any

import jax
import numpy as np

from awr_mjx.train.console import files
from awr_mjx.train.console.commands import command, shown
from awr_mjx.train.console.errors import Failed, UserError
from awr_mjx.train.console.screen import Screen
from awr_mjx.train.engine import checkpointing, closing, epoch_metrics, films, progress, restoring, run_folder
from awr_mjx.train.engine.clock import Clock
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.evaluations import Evaluations
from awr_mjx.train.engine.loop import Loop, TrainState
from awr_mjx.train.engine.metrics_log import MetricsLog
from awr_mjx.train.engine.signals import Stop
from awr_mjx.train.engine.static_loop import StaticLoop

# How the text of a device's error begins. It comes as a plain ValueError where the program ran within the call to it.
DEVICE_SAYS = re.compile(r"[A-Z_]+: ")


class Training:
    """The host's side of a run: it starts epochs, and logs, evaluates and saves between them."""

    def __init__(
        self,
        run: pathlib.Path,
        config: TrainConfig,
        loop: Loop | StaticLoop,
        epoch: Any,
        screen: Screen,
        stop: Stop,
        done: int,
        clock: Clock,
        log: MetricsLog,
        hints: bool = True,
    ) -> None:
        """`hints` are commands to type next, which it ends with."""
        self.run, self.config, self.loop, self.epoch, self.screen, self.stop = run, config, loop, epoch, screen, stop
        self.steps, self.clock, self.log, self.hints = done, clock, log, hints
        self.said = json.loads((run / "config.json").read_text())  # the folder may be moved or removed
        clock.go_on(log.newest)
        self.saves = checkpointing.Checkpoints(run, config.keep, config.checkpoint_ring, config.clock)
        self.words = config.clock_words
        self.saves.set_aside_after(done)
        self.evaluations = Evaluations(config, loop, screen, stop, clock, log, self.saves)
        self.films = films.Films(run, config.video_seconds, log, screen)
        self.quarantined = 0
        self.trouble: str | None = None
        """Why the newest epoch's state is of no use, if it is not: it must not be saved then."""
        self.last_save = time.monotonic()

    def go(self, state: TrainState) -> int:
        """Trains from `state` to the end, or until asked to stop.

        Raises:
          Failed: if there is no use in going on, with the newest sound checkpoint and what to do.
        """
        try:
            return self._train(state)
        except (jax.errors.JaxRuntimeError, ValueError) as error:  # a task's host callback that raises, or the device
            if not isinstance(error, jax.errors.JaxRuntimeError) and not DEVICE_SAYS.match(str(error)):
                raise
            self.saves.wait()
            first, *more = str(error).strip().splitlines() or ["the device says no more"]
            why = ": ".join([first.strip().rstrip(":"), *(line.strip() for line in more[-1:])])
            go_on = command("train", "--resume", self.run)
            raise Failed(f"training broke off: {why} (go on from the newest checkpoint: {go_on})") from error

    def _train(self, state: TrainState) -> int:
        config = self.config
        self.quarantined = int(state.counts.quarantined)
        saved_at = self.steps
        if not restoring.steps(self.run):  # so that a run can go on wherever it is stopped
            self._save(state)
        evaluated = progress.Evaluated(self.run, config, self.steps)
        pending: tuple[int, dict[str, jax.Array]] | None = None
        self.evaluations.compile(state)
        self.stop.careful = True  # from here on there is something to lose
        self.clock.start()
        if evaluated.another_due(self._share(), self.clock.seconds):  # a stop or a kill has broken it off
            self._evaluate(state, evaluated)
            self.clock.start()
        while self._share() < 1 and not self.stop.asked and not self.trouble:
            state, metrics = self.epoch(state)
            self.steps += config.epoch_steps
            if pending:
                self._log(*pending)  # while the device is at work on the next epoch
                self.evaluations.take()
                self.films.take()
            pending = (self.steps, metrics)
            due_eval = evaluated.another_due(self._share(), self.clock.seconds)
            due_save = time.monotonic() - self.last_save >= config.checkpoint_seconds
            if due_eval or due_save or self.stop.asked:
                jax.block_until_ready(metrics)
                self._log(*pending)
                pending = None
                if self.trouble:
                    break
                due_eval = due_eval or self._share() >= 1
                self._save(state)  # first: an evaluation may take a minute
                saved_at = self.steps
                if due_eval:
                    self._evaluate(state, evaluated)
                self.clock.start()
        if pending:
            self._log(*pending)
        if saved_at != self.steps and not self.trouble:
            self._save(state)
        return self._finish(state)

    def _evaluate(self, state: TrainState, evaluated: progress.Evaluated) -> None:
        self.evaluations.evaluate(state, self.steps)
        evaluated.note(self._share())
        if self.config.video_seconds and not self.stop.asked:
            self.saves.wait()
            self.films.begin(self.steps)

    def _share(self, steps: int | None = None) -> float:
        """The share of the run that is done, up to now or to `steps`."""
        return progress.share(self.config, self.steps if steps is None else steps, self.clock.seconds["train"])

    def _owes_evaluation(self) -> bool:
        return progress.owes_evaluation(self.run, self.config, self.steps)

    def _log(self, steps: int, metrics: dict[str, jax.Array]) -> None:
        """Waits for an epoch, logs and shows it, and notes whether its state is of any use."""
        arrays = {name: np.asarray(value) for name, value in metrics.items()}
        seconds = self.clock.note("train")
        if not self.trouble:  # what came after the first trouble is no news
            self.trouble = epoch_metrics.trouble(arrays, self.config)
        values = epoch_metrics.summarise(arrays, self.config)
        self.quarantined += int(values.get("quarantined", 0))
        values[f"{self.config.clock}_per_second"] = self.config.epoch_steps / max(seconds, 1e-9)
        values |= {"train_seconds": self.clock.seconds["train"], "wall_seconds": self.clock.wall()}
        self.log.write(steps, values)
        self.screen.progress(steps, self._share(steps), values, self.evaluations.mode_return, self.quarantined)

    def _save(self, state: TrainState) -> None:
        if not (self.run / "config.json").exists():  # without it nothing that is saved there could go on
            problem = run_folder.remake(self.run, self.said)
            self.screen.say(f"warning: {self.run} was moved or removed; {problem or 'it is made anew'}")
        problem = self.saves.save(state, self.steps)
        self.last_save = time.monotonic()
        self.clock.note("save")
        if problem:
            self._warn_save(problem)

    def _warn_save(self, problem: str) -> None:
        self.screen.say(f"warning: a checkpoint could not be saved ({problem}); training goes on")

    def _finish(self, state: TrainState) -> int:
        """Waits for the last save, writes the summary and says how to go on."""
        self.evaluations.take(wait=True)
        self.films.take(wait=not self.stop.asked)
        self.films.close()
        problem = self.saves.wait()
        if problem:
            self._warn_save(problem)
        self.log.close()
        found = restoring.steps(self.run)
        # A last evaluation that a stop has broken off is still to be made up for.
        finished = self._share() >= 1 and not self.trouble and not (self.stop.asked and self._owes_evaluation())
        summary = {
            "env": self.config.env,
            "finished": finished,
            "why": self.trouble or (f"stopped by {self.stop.asked}" if self.stop.asked else None),
            "env_steps": int(state.counts.env_steps),
            "gradient_steps": int(state.counts.gradient_steps),
            "episodes": int(state.counts.episodes),
            "quarantined": int(state.counts.quarantined),
            "mode_return": self.evaluations.mode_return,
            "best_mode_return": self.evaluations.best,
            f"{self.config.clock}_per_second": self.steps / max(self.clock.seconds["train"], 1e-9),
        }
        summary |= self.clock.report()
        try:
            files.write_json(self.run / "summary.json", summary)
        except UserError as error:
            self.screen.say(f"warning: {error}")
        size = self.saves.size()
        self.saves.close()
        if self.stop.asked:
            self.screen.say(f"stopped by {self.stop.asked} at {self.steps:,} {self.words}")
        newest = f"{found[-1]:,} {self.words} saved, {size}" if found else "nothing saved"
        self.screen.say(f"run:   {shown(self.run)}  ({newest})")
        if self.trouble:
            sound = (
                f"last sound checkpoint: {self.run / 'checkpoints' / str(found[-1])}"
                if found
                else "no checkpoint was saved before"
            )
            raise Failed(f"{self.trouble} ({sound})")
        if not found:
            return 1
        if self.hints:
            stopped = bool(self.stop.asked) and not finished
            for line in closing.next_steps(self.run, self.config.env, self.loop.env, stopped):
                self.screen.say(line)
        return 0
