"""How far a run is, and when its policy is to be evaluated."""

import math
import pathlib
from collections.abc import Mapping

from awr_mjx.train.engine import metrics_log
from awr_mjx.train.engine.config import TrainConfig

TINY = 1e-9  # shares of a run are rounded
EVALUATED = "evaluate_seconds"  # which every evaluation logs, and nothing else
EVALUATIONS = 10  # of a run that is not told how many
MOST = 0.1  # of the time of training, which its evaluations may take


def share(config: TrainConfig, steps: int, train_seconds: float) -> float:
    """The share of a run that is done: of its steps or of its minutes, whichever is more."""
    timed = train_seconds / (60 * config.minutes) if config.minutes else 0.0
    return max(steps / config.num_steps, timed)


def owes_evaluation(run: pathlib.Path, config: TrainConfig, steps: int) -> bool:
    """Whether an evaluation was due up to `steps` and has not been, since a stop or a kill broke it off."""
    seconds = metrics_log.newest(metrics_log.lines(run, steps)).get("train_seconds", 0.0)
    return Evaluated(run, config, steps).owed(share(config, steps, seconds))


class Evaluated:
    """How many evaluations a run has had, and whether another is due."""

    def __init__(self, run: pathlib.Path, config: TrainConfig, steps: int) -> None:
        """Counts those in the log of `run` up to `steps`; one that a stop or a kill broke off is not there."""
        self._config = config
        found = [
            share(config, int(metrics_log.step_of(line)), line.get("train_seconds", 0.0))
            for line in metrics_log.lines(run, steps)
            if EVALUATED in line
        ]
        self._count, self._slots = len(found), self._until(max(found, default=0.0))

    def note(self, done: float) -> None:
        """Counts one at a share `done` of the run."""
        self._count, self._slots = self._count + 1, self._until(done)

    def another_due(self, done: float, seconds: Mapping[str, float]) -> bool:
        """Whether one is due at a share `done` of the run, which has taken `seconds` to "train" and to "evaluate".

        Where their number was not asked for, one that would take too much of the time is put off until it does not.
        The last one is not: a run ends with it.
        """
        if not self.owed(done):
            return False
        each = seconds["evaluate"] / max(self._count, 1)  # of those before
        return bool(self._config.num_evals) or done >= 1 or seconds["evaluate"] + each <= MOST * seconds["train"]

    def seconds_left(self, done: float, seconds: Mapping[str, float], train: float) -> float:
        """How long those that are still to come will take, if they take as long as the ones before; 0 after none.

        The run is at a share `done`, has taken `seconds` to "train" and to "evaluate", and has `train` more to train.
        """
        if not self._count or done >= 1:
            return 0.0
        each = seconds["evaluate"] / self._count
        most = (self._until(1.0) - self._until(done)) * each
        if self._config.num_evals:
            return most
        return min(most, max(each, MOST * (seconds["train"] + train) - seconds["evaluate"]))

    def owed(self, done: float) -> bool:
        """Whether the run has had fewer than are due at a share `done` of it."""
        return self._until(done) > self._slots

    def _until(self, done: float) -> int:
        return math.floor(done * (self._config.num_evals or EVALUATIONS) + TINY)
