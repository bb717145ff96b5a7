"""Files that appear whole or not at all."""

import contextlib
import json
import math
import os
import pathlib
import re
import secrets
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from awr_mjx.train.console.errors import UserError

RUNS_OWN = ("config.json", "metrics.jsonl", "summary.json")  # in the folder of a run


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a temporary name beside `path`: what the block writes there becomes `path` if the block succeeds.

    Where `path` is a link, the file that it leads to is replaced. The temporary file is made at once, so a place that
    cannot be written to is found before any long work.

    Raises:
      UserError: if the file system refuses; nothing is left behind then, nor after another exception or SIGTERM.
    """
    target = pathlib.Path(os.path.realpath(path))
    # A name that no other program and no file of the user's has, and no longer than a file system takes.
    part = target.with_name(f"{target.name[:40]}.{secrets.token_hex(4)}.part")
    try:
        if path.is_dir():
            raise UserError(f"cannot write {path}: it is a folder; name a file in it")
        if path.exists() and not path.is_file():  # /dev/null would be a file from then on
            raise UserError(f"cannot write {path}: it is no file; name a file")
        with ending_softly():
            part.touch(exist_ok=False)
            yield part
            part.replace(target)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or _inner(str(error))}") from error
    finally:
        with contextlib.suppress(OSError):  # the first error is the one to show
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def ending_softly() -> Iterator[None]:
    """SIGTERM, where nobody else handles it, is an exception in here, and what is half done is removed."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _inner(said: str) -> str:
    """What HDF5 says, which has the system's words inside."""
    found = re.search(r"error message = '([^']*)'", said)
    return f"{said.partition(' (')[0]}: {found[1]}" if found else said


def check_writable(path: pathlib.Path, instead: str) -> None:
    """Makes sure, before long work, that `path` can be written after it.

    Raises:
      UserError: if it cannot, or is what a run goes on from; the message ends with what to do `instead`.
    """
    if path.name in RUNS_OWN and (path.parent / RUNS_OWN[0]).is_file():
        raise UserError(f"{path} is the run's own: {instead}")
    try:
        with contextlib.suppress(_Tried), replacing(path):
            raise _Tried
    except UserError as error:
        raise UserError(f"{error}: {instead}") from error


def refuse_clashes(outputs: Mapping[str, pathlib.Path | None], sources: Iterable[str | pathlib.Path] = ()) -> None:
    """Raises UserError where an output, by its option, is (in) what is read, or two outputs are one file."""
    read = [pathlib.Path(os.path.realpath(source)) for source in sources]
    taken: dict[pathlib.Path, str] = {}
    for option, out in outputs.items():
        if out is None:
            continue
        place = pathlib.Path(os.path.realpath(out))
        if any(place == one or one in place.parents for one in read):
            raise UserError(f"{option} {out} is of what is read, which would be lost: name another file")
        if place in taken:
            raise UserError(f"{taken[place]} and {option} are one file, {out}: name two")
        taken[place] = option


class _Tried(Exception):
    """Leaves `replacing` with nothing written."""


def read_object(path: pathlib.Path) -> dict[str, Any]:
    """A JSON file's object; empty where there is none that can be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: pathlib.Path, values: dict[str, Any]) -> None:
    """Writes `values` whole or not at all; numbers that are not finite, for which JSON has no word, become null.

    Raises:
      UserError: if the file cannot be written.
    """
    with replacing(path) as part:
        part.write_text(json.dumps(_finite(values), indent=1, allow_nan=False) + "\n")


def write_npz(path: pathlib.Path, arrays: Mapping[str, Any]) -> None:
    """Writes named arrays as an npz file, whole or not at all.

    Raises:
      UserError: if the file cannot be written.
    """
    with replacing(path) as part, part.open("wb") as file:  # a name that it opens itself would get another ending
        np.savez(file, **arrays)


def write_and_tell(path: pathlib.Path | None, values: dict[str, Any], tell: Callable[[], None]) -> None:
    """Writes JSON, if there is a `path`, and only then tells; what cannot be written is told all the same.

    Raises:
      UserError: if the file cannot be written, after it was told.
    """
    problem = None
    try:
        if path:
            write_json(path, values)
    except UserError as error:
        problem = error
    tell()
    if problem:
        raise UserError(f"{problem}: name another file with --out") from problem


def _finite(value: Any) -> Any:
    """The same with None for every number, however deep inside, that is not finite."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
