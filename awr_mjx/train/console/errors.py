"""Errors that are the user's to mend: one line on stderr and exit status 2, never a traceback."""

import contextlib
import errno
import os
import pathlib
import sys
from collections.abc import Callable

from awr_mjx.envs import own_tasks
from awr_mjx.envs.base import BrokenTask, UnknownTask
from awr_mjx.envs.imitation.errors import BadCharacter, BadClip
from awr_mjx.train.console.commands import TASKS
from awr_mjx.train.console.unfailing import PLAIN, Unfailing


class UserError(ValueError):
    """Something the user asked for cannot be done; the message is one line that says what to write instead."""


class Failed(Exception):
    """Nothing came of the work, as in a training that diverged; the message is one line that says what to do."""


def run_program(main: Callable[[], int]) -> None:
    """Runs a program's `main` and exits with its status: 2 and one line if the input was bad, 1 if it has failed.

    The option `--tasks FILE.py`, or the environment variable `AWR_MJX_TASKS`, names a file that registers tasks; it is
    imported when a task is looked up. Where such a file calls a program itself, that is passed over.
    """
    if own_tasks.are_being_read():
        return
    _open_all()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # none, or one that is closed
            stream.reconfigure(errors=PLAIN)  # type: ignore[union-attr]
    try:
        _refuse_names()
        _take_tasks()
        status = main()
    except (UserError, UnknownTask, BrokenTask, BadClip, BadCharacter) as error:
        complain(f"error: {' '.join(str(error).split())}")
        status = 2
    except Failed as error:
        complain(f"error: {' '.join(str(error).split())}")
        status = 1
    except KeyboardInterrupt:
        complain("interrupted")
        status = 130
    except BrokenPipeError:
        status = 141
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EIO, errno.EFBIG):
            raise
        complain(f"error: the output cannot be written: {error.strerror}")
        status = 1
    settle()
    sys.exit(status)


def complain(line: str) -> None:
    """A line on stderr, if anybody is there to read it."""
    stderr = Unfailing(sys.stderr)
    stderr.write(f"{line}\n")
    stderr.flush()


def warn(warnings: list[str]) -> None:
    """Shows warnings on stderr, a line each."""
    for warning in warnings:
        complain(f"warning: {warning}")


def _take_tasks() -> None:
    """Takes `--tasks FILE.py` out of the command line, for this process and those that it starts."""
    for i, arg in enumerate(sys.argv):
        option, equals, value = arg.partition("=")
        if i and option == "--tasks":
            value = value if equals else "".join(sys.argv[i + 1 : i + 2])
            if not value:
                raise UserError("--tasks wants the Python file that registers the tasks: --tasks mine.py")
            os.environ[TASKS] = str(_file(value))
            del sys.argv[i : i + (1 if equals else 2)]
            break
    if os.environ.get(TASKS):
        own_tasks.read_later(_file(os.environ[TASKS]))


def _file(given: str) -> pathlib.Path:
    """The file that is meant, also where the shell has left a `~` for the home folder."""
    return pathlib.Path(os.path.expanduser(given)).resolve()


def _refuse_names() -> None:
    """Refuses names of files that JAX and others would take for other ones, or not at all: they know UTF-8 alone.

    Raises:
      UserError: for an argument, or a working directory, that is not UTF-8, or is not understood as that here.
    """
    with contextlib.suppress(FileNotFoundError):
        for name in (*sys.argv[1:], os.environ.get(TASKS, ""), os.getcwd()):
            if not name.isascii() and sys.getfilesystemencoding() != "utf-8":
                raise UserError(f"{name!a} is not understood in this locale: set PYTHONUTF8=1, or a UTF-8 locale")
            if not name.isascii() and name != name.encode(errors="replace").decode():
                raise UserError(f"{name!a} is not UTF-8: give it another name")


def settle() -> None:
    """Writes out what was printed, as far as anybody takes it."""
    for stream in (sys.stdout, sys.stderr):
        Unfailing(stream).settle()


def _open_all() -> None:
    """Opens what of stdin, stdout and stderr is closed: the next file would get its number, and libraries' prints."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
