"""Errors that are the user's to mend: one line on stderr and exit status 2, never a traceback."""

import sys
from collections.abc import Callable

from envs.base import BrokenTask, UnknownTask


class UserError(ValueError):
    """Something the user asked for cannot be done; the message is one line that says what to write instead."""


def run_program(main: Callable[[], int]) -> None:
    """Runs a program's `main` and exits with its status, or with 2 and one line if the input was bad."""
    try:
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
