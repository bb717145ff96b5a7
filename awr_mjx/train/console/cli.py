"""Command lines made of dataclasses (tyro), with errors brought down to one line."""

import contextlib
import dataclasses
import io
import itertools
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, get_type_hints

import tyro

from awr_mjx.train.console.errors import UserError

T = TypeVar("T")
OWN_TASKS = "--tasks FILE.py, or AWR_MJX_TASKS=FILE.py in the environment: tasks that FILE.py registers are known."
_BOOLEANS = {"true": "True", "false": "False"}
_NUMBERS = {  # what Python says of what is none
    r"invalid literal for int\(\) with base 10: ": "a whole number",
    r"could not convert string to float: ": "a number",
}


def parse(cls: type[T], args: Sequence[str], *, prog: str, description: str, default: Any = None) -> T:
    """Builds a `cls` from command-line `args`; `--help` shows every field with its docstring.

    Both `--num_envs` and `--num-envs` work, and `--learn_std` stands for `--learn_std true`. Values not given are those
    of `default`, or the fields' own.

    Raises:
      UserError: for anything that is not understood.
      SystemExit: with status 0, after `--help`.
    """
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(
                cls,
                args=_spell_out(args, _switches(cls)),
                default=default,
                prog=prog,
                description=f"{description.strip()}\n\n{OWN_TASKS}",
                use_underscores=True,
                config=(tyro.conf.FlagConversionOff, tyro.conf.HelptextFromCommentsOff),
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UserError(_one_line(errors.getvalue()) + f" (see {prog} --help)") from None


def _switches(cls: type) -> set[str]:
    """The names of all fields of dataclass `cls`, and of those inside it, that are true or false."""
    found = set()
    for name, kind in get_type_hints(cls).items():
        if kind is bool:
            found.add(name)
        elif dataclasses.is_dataclass(kind):
            found |= _switches(kind)  # type: ignore[arg-type]
    return found


def _spell_out(args: Sequence[str], switches: set[str]) -> list[str]:
    """The arguments as tyro wants them: True and False in full, also after a switch that stands alone."""
    spelled = []
    for i, arg in enumerate(args):
        option, equals, value = arg.rpartition("=")
        spelled.append(option + equals + _BOOLEANS.get(value, value))
        alone = i + 1 == len(args) or args[i + 1].startswith("--")
        if alone and arg.startswith("--") and arg[2:].replace("-", "_").rpartition(".")[2] in switches:
            spelled.append("True")
    return spelled


def _one_line(box: str) -> str:
    """The message inside the box that tyro draws, with the first of the options that it finds alike, if any."""
    parts: list[list[str]] = [[]]  # between rules
    for line in box.splitlines()[1:]:
        text = line.strip("│╰╯─ ").strip()
        if text:
            parts[-1].append(text)
        elif parts[-1]:
            parts.append([])
    message, *more = (" ".join(part) for part in parts)
    for found, kind in _NUMBERS.items():
        message = re.sub(rf"Error parsing (--\S+): {found}('.*')", rf"\1 must be {kind}, not \2", message)
    alike = [
        re.search(r"(?<=: )--\S+", part) for part in more if part.startswith(("Perhaps you meant", "Arguments similar"))
    ]
    meant = sorted({found[0] for found in alike if found})
    hint = f": did you mean {' and '.join(meant)}?" if meant else ""
    return (message or " ".join(box.split())) + hint


def peek(args: Sequence[str], name: str, default: str | None) -> str | None:
    """The value of option `--<name>` in `args`, before they are parsed as a whole; `default` if it is not there."""
    spellings = {f"--{name}", f"--{name.replace('_', '-')}"}
    value = default
    for i, arg in enumerate(args):
        option, equals, rest = arg.partition("=")
        if option in spellings:
            value = rest if equals else (args[i + 1] if i + 1 < len(args) else default)
    return value


Does = Mapping[str, tuple[Any, Callable[[Any], int]]]  # by its kind: settings, and what takes them


def choose(kinds: Mapping[str, str], prog: str, noun: str, operand: str = "") -> tuple[str, list[str]] | None:
    """The first argument, one of `kinds` (with what each does), and the others; None after listing all of them.

    Raises:
      UserError: if there is no such `noun`.
    """
    kind, *args = arguments() or ["--help"]
    if kind in ("-h", "--help"):
        for name, words in kinds.items():
            print(f"{prog} {name}{operand}: {words}")
        return None
    if kind not in kinds:
        raise UserError(f"unknown {noun} {kind!r}: choose one of {', '.join(kinds)}")
    return kind, args


def run(kinds: Mapping[str, str], does: Does, prog: str, operand: str) -> int:
    """Does what the first argument names, one of `kinds`, with what the others say; returns the exit status.

    Args:
      kinds: what each kind does, in words.
      does: for each kind, the dataclass of its settings, and what takes them.
      prog: how the program is called.
      operand: what every kind is given, for the list of them.

    Raises:
      UserError: if there is no such kind.
    """
    chosen = choose(kinds, prog, "command", f" {operand}")
    if not chosen:
        return 0
    kind, args = chosen
    settings, do = does[kind]
    return do(parse(settings, args, prog=f"{prog} {kind}", description=kinds[kind]))


def arguments() -> list[str]:
    """This process's command-line arguments, with the home folder for `~`, which shells leave in `--run=~/x`.

    Raises:
      UserError: for an address, such as gs://bucket/run, which would become a folder of that name, and for an empty
        value, which would mean the working directory.
    """
    found = list[str]()
    for before, arg in itertools.pairwise(sys.argv):
        option, equals, value = arg.partition("=") if arg.startswith("--") else ("", "", arg)
        if not value and (equals or not arg):
            name = option or (before if before.startswith("--") else "an argument")
            raise UserError(f"{name} is empty: write a value (is a variable of the shell not set?)")
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", value):
            raise UserError(f"{value} is an address, not a folder or file: mount it, and name where it is mounted")
        found.append(option + equals + os.path.expanduser(value))
    return found
