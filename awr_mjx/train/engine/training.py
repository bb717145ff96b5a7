"""The host's side of a training: it starts epochs, and between them logs, evaluates and saves the runs in it."""

import math
import re
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from awr_mjx.train.console.commands import command, shown
from awr_mjx.train.console.errors import Failed
from awr_mjx.train.console.screen import Screen
from awr_mjx.train.engine import closing, progress, restoring
from awr_mjx.train.engine.clock import Clock
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.evaluation import Episodes
from awr_mjx.train.engine.evaluations import Evaluators
from awr_mjx.train.engine.loop import Loop, TrainState
from awr_mjx.train.engine.many import Many
from awr_mjx.train.engine.one_run import OneRun
from awr_mjx.train.engine.signals import Stop
from awr_mjx.train.engine.static_loop import StaticLoop

# How the text of a device's error begins. It comes as a plain ValueError where the program ran within the call to it.
DEVICE_SAYS = re.compile(r"[A-Z_]+: ")


class Training:
    """The host's side of a training: it starts epochs, and between them logs, evaluates and saves the runs in it."""

    def __init__(
        self,
        runs: Sequence[OneRun],
        config: TrainConfig,
        loop: Loop | StaticLoop | Many,
        epoch: Any,
        evaluators: Evaluators,
        screen: Screen,
        stop: Stop,
        done: int,
        clock: Clock,
        hints: bool = True,
    ) -> None:
        """All `runs` have `done` steps, and `config` but for their seeds. It ends with `hints`, commands to type."""
        self.runs, self.config, self.loop, self.epoch, self.evaluators = runs, config, loop, epoch, evaluators
        self.screen, self.stop, self.steps, self.clock, self.hints = screen, stop, done, clock, hints
        self.words = config.clock_words
        self.folder = runs[0].folder if len(runs) == 1 else runs[0].folder.parent
        seen: set[str] = set().union(*(run.log.newest for run in runs))
        clock.go_on({name: max(run.log.newest.get(name, 0.0) for run in runs) for name in seen})
        self.last_save = time.monotonic()
        self._first: tuple[float, float] | None = None  # seconds of training and share at the first line of the log

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
            for run in self.runs:
                run.saves.wait()
            first, *more = str(error).strip().splitlines() or ["the device says no more"]
            why = ": ".join([first.strip().rstrip(":"), *(line.strip() for line in more[-1:])])
            go_on = command("train", "--resume", self.folder)
            raise Failed(f"training broke off: {why} (go on from the newest checkpoint: {go_on})") from error

    def _train(self, state: TrainState) -> int:
        for run in self.runs:
            run.begin(self._of(run, state), self.steps)
        self.last_save = time.monotonic()
        pending: tuple[int, dict[str, jax.Array]] | None = None
        self.clock.start()
        with self.screen.busy("compiling the evaluation"):
            self.evaluators.compile(self._of(self.runs[0], state, whole=False), state)
        self.clock.note("compile")
        self.stop.careful = True  # from here on there is something to lose
        if self._share() >= 1:  # killed after its last step, or given less than it has
            had = f"{self.steps:,} {self.words} and {self.clock.seconds['train'] / 60:.2f} minutes"
            self.screen.say(f"nothing is left to train: it has {had}; a larger --num_steps or --minutes goes on")
        if due := self._due():  # a stop or a kill has broken it off
            self._evaluate(due, state)
            self.clock.start()
        while self._share() < 1 and not self.stop.asked and self._sound():
            state, metrics = self.epoch(state)
            self.steps += self.config.epoch_steps
            if pending:
                self._log(*pending)  # while the device is at work on the next epoch
                for run in self.runs:
                    run.take()
            pending = (self.steps, metrics)
            due = self._due()
            due_save = time.monotonic() - self.last_save >= self.config.checkpoint_seconds
            if due or due_save or self.stop.asked:
                jax.block_until_ready(metrics)
                self._log(*pending)
                pending = None
                if not self._sound():
                    break
                due = self._sound() if self._share() >= 1 else [run for run in due if not run.trouble]
                self._save(state)  # first: an evaluation may take a minute
                self._evaluate(due, state)
                self.clock.start()
        if pending:
            self._log(*pending)
        if any(run.saved_at != self.steps for run in self._sound()):
            self._save(state)
        return self._finish(state)

    def _of(self, run: OneRun, state: TrainState, whole: bool = True) -> TrainState:
        """What `state` has of a run; where that is not to be saved, without ring and environments."""
        return self.loop.training(state, self.runs.index(run), whole) if isinstance(self.loop, Many) else state

    def _sound(self) -> list[OneRun]:
        """The runs that are of any use."""
        return [run for run in self.runs if not run.trouble]

    def _due(self) -> list[OneRun]:
        """The runs that are to be evaluated now; of one that has broken no more evaluations come."""
        share = self._share()
        return [run for run in self._sound() if run.due(share)]

    def _evaluate(self, due: Sequence[OneRun], state: TrainState) -> None:
        played: dict[OneRun, Episodes] = {}
        if due and self.evaluators.many:
            with self.screen.busy("evaluating"):
                seeds = [run.config.seed for run in self.runs]
                found = self.evaluators.play_all(lambda: bool(self.stop.asked), state, seeds)
            if found is None:
                return
            played = dict(zip(self.runs, found, strict=True))
        for run in due:
            with self.screen.busy("evaluating"):
                run.evaluate(self._of(run, state, whole=False), self.steps, self._share(), played.get(run))

    def _save(self, state: TrainState) -> None:
        for run in self._sound():
            run.save(self._of(run, state), self.steps)
        self.last_save = time.monotonic()

    def _share(self, steps: int | None = None) -> float:
        """The share of the run that is done, up to now or to `steps`."""
        return progress.share(self.config, self.steps if steps is None else steps, self.clock.seconds["train"])

    def _log(self, steps: int, metrics: dict[str, jax.Array]) -> None:
        """Waits for an epoch, logs and shows it."""
        arrays = {name: np.asarray(value) for name, value in metrics.items()}
        seconds, many = self.clock.note("train"), isinstance(self.loop, Many)
        told = [
            run.write(steps, {name: x[i] if many else x for name, x in arrays.items()}, seconds)
            for i, run in enumerate(self.runs)
            if not run.trouble  # what comes after that is no news
        ]
        if not told:
            return
        values = {name: float(np.mean([one[name] for one in told if name in one])) for name in set().union(*told)}
        returns = [run.evaluations.mode_return for run in self.runs if run.evaluations.mode_return is not None]
        quarantined = sum(run.quarantined for run in self.runs)
        mode_return = float(np.mean(returns)) if returns else None
        self.screen.progress(steps, self._share(steps), self._left(steps), values, mode_return, quarantined)

    def _left(self, steps: int) -> float | None:
        """Seconds from `steps` to the end with all evaluations, by the speed of this process; None if not known."""
        share, trained = self._share(steps), self.clock.seconds["train"]
        begun, first = self._first = self._first or (trained, share)
        if share <= first:
            return None
        train = (trained - begun) * max(1.0 - share, 0.0) / (share - first)
        return train + max((run.evaluating_left(share, train) for run in self._sound()), default=0.0)

    def _finish(self, state: TrainState) -> int:
        """Lets the runs come to their end, and says how to go on."""
        with self.screen.busy("saving"):
            finished = [run.finish(self._of(run, state, whole=False), self.steps, self._share()) for run in self.runs]
        several = len(self.runs) > 1
        if self.stop.asked:
            self.screen.say(f"stopped by {self.stop.asked} at {self.steps:,} {self.words}{' each' if several else ''}")
        self.screen.say(f"run:   {shown(self.folder)}  ({(self._sound() or self.runs)[0].newest()})")
        stopped = bool(self.stop.asked) and not all(finished)
        if several and self.hints and self._sound():
            lines = [f"go on: {command('train', '--resume', self.folder)}"] if stopped else []
            best = max(self._sound(), key=_worth)
            lines += closing.compared({run.name: run.folder for run in self.runs})
            for line in (*lines, *closing.next_steps(best.folder, self.config.env, self.loop.env, False)):
                self.screen.say(line)
        if troubles := [run.broken() for run in self.runs if run.trouble]:
            raise Failed("; ".join(troubles))
        if lost := min(max(restoring.steps(run.folder), default=0) for run in self.runs) - self.steps:
            done = f"{-lost:,} of {self.steps:,} {self.words} are not saved (the warnings say why)"
            raise Failed(f"{done}: mend that, and train them again with {command('train', '--resume', self.folder)}")
        if self.hints and not several:
            for line in closing.next_steps(self.folder, self.config.env, self.loop.env, stopped):
                self.screen.say(line)
        return 0


def _worth(run: OneRun) -> float:
    """The newest mode return of a run, by which runs are compared; one that was never evaluated comes last."""
    found = run.evaluations.mode_return
    return -math.inf if found is None else found
