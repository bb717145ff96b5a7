"""The programs by the names that `awr-mjx` knows them by, and how to call one as this one was called."""

import os
import pathlib
import shlex
import sys

TASKS = "AWR_MJX_TASKS"  # names a file of tasks, for this process and those that it starts
SCRIPT = "awr-mjx"
COMMANDS = {
    "train": ("train.main", "train a policy, or go on with a run"),
    "play": ("train.play", "show a trained policy at once; some come with the project"),
    "check": ("train.check", "step tasks at random and say whether they are sound"),
    "evaluate": ("train.evaluate", "play whole episodes of a run's mode action"),
    "transfer": ("train.transfer", "play a run in Gymnasium"),
    "render": ("train.render", "show a run as a movie, an animation or a sheet of frames"),
    "watch": ("train.watch", "watch a run live in the browser, also while it trains"),
    "report": ("train.report", "write one HTML file on one run or several"),
    "export": ("train.export", "write a run's policy as a file that is played without this project"),
    "record": ("train.record", "record a policy's episodes as a set of data"),
    "data": ("train.data", "look at logged data, or write them in another format"),
    "clip": ("train.clip", "look at a motion clip, rewrite it, or make a film of it"),
    "benchmark": ("train.benchmark", "measure how fast it learns and runs"),
}


def module(name: str) -> str:
    """The module of command `name`."""
    return f"awr_mjx.{COMMANDS[name][0]}"


def program(name: str) -> str:
    """What to type for command `name`: `awr-mjx NAME` where this process was started so, else `python -m ...`."""
    if pathlib.Path(sys.argv[0]).stem == SCRIPT:
        return f"{SCRIPT} {name}"
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    whole = spec is not None and spec.name.startswith("awr_mjx.")  # not by the short name of the package `train`
    return f"python -m {module(name) if whole else COMMANDS[name][0]}"


def command(name: str, *args: object) -> str:
    """A line for the shell that calls command `name` with `args`, knowing the same tasks as this process."""
    tasks = os.environ.get(TASKS) or _own_program()
    known = ("--tasks", tasks) if tasks else ()
    words = [shown(arg) if isinstance(arg, pathlib.Path) else str(arg) for arg in (*known, *args)]
    return f"{program(name)} {shlex.join(words)}".strip()


def shown(path: pathlib.Path) -> str:
    """A path as one would type it: from the working folder on where it lies in there."""
    try:
        return str(path.relative_to(pathlib.Path.cwd()))
    except (ValueError, OSError):  # elsewhere; or the working folder is gone
        return str(path)


def _own_program() -> str | None:
    """The file of a program of the user's own, which may have registered tasks before it called one of ours."""
    main = sys.modules["__main__"]
    place = getattr(main, "__file__", None)
    own = place and place.endswith(".py") and getattr(main, "__spec__", None) is None  # a spec: python -m
    return str(place) if own else None
