"""Files that appear whole or not at all."""

import contextlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from train.console.errors import UserError


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a temporary name beside `path`: what the block writes there becomes `path` if the block succeeds.

    The temporary file is made at once, so a place that cannot be written to is found before any long work.

    Raises:
      UserError: if the file system refuses; nothing is left behind then, nor after any other exception.
    """
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; name a file in it")
    part = path.with_name(path.name + ".part")
    try:
        part.touch()
        yield part
        part.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # the first error is the one to show
            part.unlink(missing_ok=True)


def check_writable(path: pathlib.Path, instead: str) -> None:
    """Makes sure, before long work, that `path` can be written after it.

    Raises:
      UserError: if it cannot; the message ends with what to do `instead`.
    """
    try:
        with contextlib.suppress(_Tried), replacing(path):
            raise _Tried
    except UserError as error:
        raise UserError(f"{error}: {instead}") from error


class _Tried(Exception):
    """Leaves `replacing` with nothing written."""


def write_json(path: pathlib.Path, values: dict[str, Any]) -> None:
    """Writes `values` whole or not at all.

    Raises:
      UserError: if the file cannot be written.
    """
    with replacing(path) as part:
        part.write_text(json.dumps(values, indent=1) + "\n")
