"""How far a run is, and whether an evaluation that was due has not come about."""

import math
import pathlib

from awr_mjx.train.engine import metrics_log
from awr_mjx.train.engine.config import TrainConfig

TINY = 1e-9  # shares of a run are rounded
EVALUATED = "evaluate_seconds"  # which every evaluation logs, and nothing else


def share(config: TrainConfig, steps: int, train_seconds: float) -> float:
    """The share of a run that is done: of its steps or of its minutes, whichever is more."""
    timed = train_seconds / (60 * config.minutes) if config.minutes else 0.0
    return max(steps / config.num_steps, timed)


def due(config: TrainConfig, done: float) -> int:
    """How many evaluations are due up to a share `done` of the run."""
    return math.floor(done * config.num_evals + TINY)


def owes_evaluation(run: pathlib.Path, config: TrainConfig, steps: int) -> bool:
    """Whether the newest evaluation that was due up to `steps` was broken off, by a stop or a kill."""
    lines = metrics_log.lines(run, steps)
    seconds = metrics_log.newest(lines).get("train_seconds", 0.0)
    wanted = due(config, share(config, steps, seconds))
    known = (
        share(config, int(metrics_log.step_of(line)), line.get("train_seconds", 0.0))
        for line in lines
        if EVALUATED in line
    )
    return wanted > due(config, max(known, default=0.0))
