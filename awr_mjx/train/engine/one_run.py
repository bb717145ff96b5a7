"""What belongs to one run: its folder with log and checkpoints, its evaluations and films, and what became of it."""

import json
import pathlib
from typing import Any

import jax
import numpy as np

from awr_mjx.train.console import files
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.console.screen import Screen
from awr_mjx.train.engine import checkpointing, epoch_metrics, films, progress, restoring, run_folder
from awr_mjx.train.engine.clock import Clock
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.evaluation import Episodes
from awr_mjx.train.engine.evaluations import Evaluations, Evaluators
from awr_mjx.train.engine.loop import Loop, TrainState
from awr_mjx.train.engine.many import Many
from awr_mjx.train.engine.metrics_log import MetricsLog
from awr_mjx.train.engine.signals import Stop
from awr_mjx.train.engine.static_loop import StaticLoop


class OneRun:
    """One run that is trained, alone or with others in one program.

    Attributes:
      folder: where it is.
      evaluations: of what it learns.
      log: what it writes down.
      quarantined: environments that it has taken out.
      trouble: why the newest epoch's state is of no use, if it is not: it must not be saved then.
      saved_at: the steps of the newest save.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        config: TrainConfig,
        loop: Loop | StaticLoop | Many,
        evaluators: Evaluators,
        screen: Screen,
        stop: Stop,
        done: int,
        clock: Clock,
        log: MetricsLog,
        name: str = "",
    ) -> None:
        """`name` tells it from the others on the `screen`."""
        self.folder, self.config, self.log, self.name = folder, config, log, name
        self._screen, self._stop, self._clock = screen, stop, clock
        self._said = json.loads((folder / "config.json").read_text())  # the folder may be moved or removed
        self.saves = checkpointing.Checkpoints(folder, config.keep, config.checkpoint_ring, config.clock)
        self.saves.set_aside_after(done)
        self.evaluations = Evaluations(config, loop, evaluators, screen, stop, clock, log, self.saves, name)
        self._evaluated = progress.Evaluated(folder, config, done)
        self._films = films.Films(folder, config.video_seconds, log, screen)
        self.quarantined = 0
        self.trouble: str | None = None
        self.saved_at = done
        self._size = ""

    def begin(self, state: TrainState, steps: int) -> None:
        """Saves its first `state`, so that it can go on wherever it is stopped."""
        self.quarantined = int(state.counts.quarantined)
        if not restoring.steps(self.folder):
            self.save(state, steps)

    def due(self, share: float) -> bool:
        """Whether an evaluation is due at a `share` of the run."""
        return self._evaluated.another_due(share, self._clock.seconds)

    def evaluating_left(self, share: float, train: float) -> float:
        """Seconds that its evaluations will take, from a `share` of the run on, with `train` seconds of training."""
        return self._evaluated.seconds_left(share, self._clock.seconds, train)

    def evaluate(self, state: TrainState, steps: int, share: float, played: Episodes | None = None) -> None:
        """Evaluates what it has learned after `steps`, at a `share` of the run; `played` as `Evaluations` takes it."""
        self.evaluations.evaluate(state, steps, played)
        self._evaluated.note(share)
        if self.config.video_seconds and not self._stop.asked:
            self.saves.wait()
            self._films.begin(steps)

    def take(self) -> None:
        """Tells of what was done beside the training."""
        self.evaluations.take()
        self._films.take()

    def write(self, steps: int, arrays: dict[str, np.ndarray], seconds: float) -> dict[str, float]:
        """Logs an epoch of `seconds`, notes whether its state is of any use, and returns the numbers."""
        self.trouble = epoch_metrics.trouble(arrays, self.config)
        values = epoch_metrics.summarise(arrays, self.config)
        self.quarantined += int(values.get("quarantined", 0))
        values[f"{self.config.clock}_per_second"] = self.config.epoch_steps / max(seconds, 1e-9)
        values |= {"train_seconds": self._clock.seconds["train"], "wall_seconds": self._clock.wall()}
        self.log.write(steps, values)
        if self.trouble and self.name:  # the others go on, and may be killed
            self._write_summary({"env": self.config.env, "finished": False, "why": self.trouble})
        return values

    def save(self, state: TrainState, steps: int) -> None:
        """Starts to save `state`; what goes wrong is a warning."""
        if not (self.folder / "config.json").exists():  # without it nothing that is saved there could go on
            problem = run_folder.remake(self.folder, self._said)
            self._screen.say(f"warning: {self.folder} was moved or removed; {problem or 'it is made anew'}")
        problem = self.saves.save(state, steps)
        self._clock.note("save")
        self.saved_at = steps
        self._warn_save(problem)

    def _warn_save(self, problem: str | None) -> None:
        if problem:
            where = self.name and f" of {self.name}"
            self._screen.say(f"warning: a checkpoint{where} could not be saved ({problem}); training goes on")

    def finish(self, state: TrainState, steps: int, share: float) -> bool:
        """Waits for the last save and writes the summary; returns whether the run is finished."""
        self.evaluations.take(wait=True)
        self._films.take(wait=not self._stop.asked)
        self._films.close()
        self._warn_save(self.saves.wait())
        self.log.close()
        # A last evaluation that a stop has broken off is still to be made up for.
        broken_off = self._stop.asked and progress.owes_evaluation(self.folder, self.config, steps)
        finished = share >= 1 and not self.trouble and not broken_off
        counts = jax.device_get(state.counts)
        found = {
            "env": self.config.env,
            "finished": finished,
            "why": self.trouble or (f"stopped by {self._stop.asked}" if self._stop.asked else None),
            "env_steps": int(counts.env_steps),
            "gradient_steps": int(counts.gradient_steps),
            "episodes": int(counts.episodes),
            "quarantined": int(counts.quarantined),
            "mode_return": self.evaluations.mode_return,
            "best_mode_return": self.evaluations.best,
            f"{self.config.clock}_per_second": steps / max(self._clock.seconds["train"], 1e-9),
        }
        self._write_summary(found | self._clock.report())
        self._size = self.saves.size()
        self.saves.close()
        return finished

    def _write_summary(self, found: dict[str, Any]) -> None:
        try:
            files.write_json(self.folder / "summary.json", found)
        except UserError as error:
            self._screen.say(f"warning: {error}")

    def newest(self) -> str:
        """What is there of it, for people."""
        found, each = restoring.steps(self.folder), " each" if self.name else ""
        return f"{found[-1]:,} {self.config.clock_words} saved, {self._size}{each}" if found else "nothing saved"

    def broken(self) -> str:
        """Its trouble, and the newest checkpoint from before."""
        found = restoring.steps(self.folder)
        place = self.folder / "checkpoints" / str(found[-1]) if found else None
        sound = f"last sound checkpoint: {place}" if place else "no checkpoint was saved before"
        return f"{self.name}{self.name and ': '}{self.trouble} ({sound})"
