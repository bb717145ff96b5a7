"""Training, playing and showing policies from Python, in a script or a notebook.

    from awr_mjx.api import evaluate, film, load, train

    run = train("hopper", minutes=3)
    policy = load(run, step="best")
    print(evaluate(policy).mean)
    film(policy, "hopper.mp4")

Bad input raises `UserError` (a ValueError), `UnknownTask` or `BrokenTask`, whose message is a line that says what to
write instead; a training that came to nothing raises `Failed`. Everything works as in the programs of `awr_mjx.train`.
"""

from awr_mjx.api.playing import Evaluation, Film, Policy, evaluate, export, film, load
from awr_mjx.api.training import Run, resume, train
from awr_mjx.envs.base import BrokenTask, UnknownTask
from awr_mjx.envs.registry import register
from awr_mjx.train.console.errors import Failed, UserError

__all__ = (
    "BrokenTask",
    "Evaluation",
    "Failed",
    "Film",
    "Policy",
    "Run",
    "UnknownTask",
    "UserError",
    "evaluate",
    "export",
    "film",
    "load",
    "register",
    "resume",
    "train",
)
