"""Files and packages of others that register tasks, imported when a task is looked up: JAX is set up by then."""

import importlib.metadata
import importlib.util
import pathlib
import sys
import traceback

from awr_mjx.envs.base import UnknownTask

NAME = "own_tasks"  # as which such a file is imported
GROUP = "awr_mjx.tasks"  # of entry points; each names a module that registers tasks
_unread: list[pathlib.Path] = []
_imported: set[str] = set()
_reading: list[pathlib.Path] = []
read_so_far: list[pathlib.Path] = []  # to say of one in vain that it registers nothing


def read_later(path: pathlib.Path) -> None:
    """Has the Python file `path` imported by the next `read`.

    It finds modules beside it, unless they are called as those of this project or of another that is installed.
    """
    _unread.append(path.resolve())


def are_being_read() -> bool:
    """Returns whether such a file is being imported."""
    return bool(_reading)


def read() -> None:
    """Imports the files that are still to be read.

    Raises:
      UnknownTask: with the place and the error, if one is not there or raises something.
    """
    while _unread:
        path = _unread.pop(0)
        if not path.is_file():
            raise UnknownTask(f"there is no file of tasks {path}")
        spec = importlib.util.spec_from_file_location(NAME, path)
        if not spec or not spec.loader:
            raise UnknownTask(f"a file of tasks must end in .py: {path}")
        module = importlib.util.module_from_spec(spec)
        sys.path.append(str(path.parent))
        sys.modules[NAME] = module  # dataclasses look for it there
        _reading.append(path)
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            message = error.msg if isinstance(error, SyntaxError) else str(error)
            raise UnknownTask(f"{_place(error, path)}: {type(error).__name__}: {message}") from error
        finally:
            _reading.pop()
        read_so_far.append(path)


def read_packages() -> None:
    """Imports what installed packages name as their entry points in the group `awr_mjx.tasks`, each once.

    Raises:
      UnknownTask: with the package and the error, if one cannot be imported.
    """
    for entry in importlib.metadata.entry_points(group=GROUP):
        if entry.value in _imported:
            continue
        try:
            entry.load()
        except (Exception, SystemExit) as error:
            package = entry.dist.name if entry.dist else entry.name
            raise UnknownTask(
                f"the tasks of package {package} ({entry.value}): {type(error).__name__}: {error}"
            ) from error
        _imported.add(entry.value)


def _place(error: BaseException, path: pathlib.Path) -> str:
    """The file and line that do not parse, or the last line of `path` that an error came through, if any."""
    if isinstance(error, SyntaxError) and error.lineno and pathlib.Path(error.filename or "").is_file():
        return f"{error.filename}, line {error.lineno}"
    lines = [step.lineno for step in traceback.extract_tb(error.__traceback__) if step.filename == str(path)]
    return f"{path}, line {lines[-1]}" if lines else str(path)
