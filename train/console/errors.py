"""Errors that are the user's to mend: one line on stderr and exit status 2, never a traceback."""

import os
import pathlib
import sys
from collections.abc import Callable

from envs import own_tasks
from envs.base import UnknownTask
from envs.vector import BrokenTask
from train.console.commands import TASKS


class UserError(ValueError):
    """Something the user asked for cannot be done; the message is one line that says what to write instead."""


def run_program(main: Callable[[], int]) -> None:
    """Runs a program's `main` and exits with its status, or with 2 and one line if the input was bad.

    The option `--tasks FILE.py`, or the environment variable `AWR_MJX_TASKS`, names a file that registers tasks; it is
    imported when a task is looked up. Where such a file calls a program itself, that is passed over.
    """
    if own_tasks.are_being_read():
        return
    try:
        _take_tasks()
        status = main()
    except (UserError, UnknownTask, BrokenTask) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:
        status = 141
    sys.stdout.flush()
    sys.exit(status)


def warn(warnings: list[str]) -> None:
    """Shows warnings on stderr, a line each."""
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _take_tasks() -> None:
    """Takes `--tasks FILE.py` out of the command line, for this process and those that it starts."""
    for i, arg in enumerate(sys.argv):
        option, equals, value = arg.partition("=")
        if i and option == "--tasks":
            if not equals and i + 1 == len(sys.argv):
                raise UserError("--tasks wants the Python file that registers the tasks: --tasks mine.py")
            os.environ[TASKS] = str(pathlib.Path(value if equals else sys.argv[i + 1]).resolve())
            del sys.argv[i : i + (1 if equals else 2)]
            break
    if os.environ.get(TASKS):
        own_tasks.read_later(pathlib.Path(os.environ[TASKS]))
