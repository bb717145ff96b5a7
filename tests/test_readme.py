"""What the README and the docs tell one to type is there: programs, options, files, packages."""

import contextlib
import importlib
import io
import pathlib
import re
import shlex
import sys
import tomllib
from typing import Any

import jax
import numpy as np
import pytest

from awr_mjx.envs import drawing, own_tasks, registry
from awr_mjx.envs.checks import check_task
from awr_mjx.train.console.commands import COMMANDS, module

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"(?:awr-mjx|python -m train\.)\s?(\w+)([^`\n|#]*)")
MODULES = {typed.partition(".")[2]: name for name, (typed, _) in COMMANDS.items()}


def commands(page: pathlib.Path) -> list[list[str]]:
    """Command and arguments of every line that a page tells one to type."""
    found = []
    for span in re.findall(r"`([^`]+)`", re.sub(r"```\w*", "`", page.read_text())):
        for name, rest in COMMAND.findall(" ".join(span.split()) if not span.startswith("\n") else span):
            if name in {*COMMANDS, *MODULES}:
                found.append(
                    [name if name in COMMANDS else MODULES[name], *shlex.split(rest.replace("[", "").replace("]", ""))]
                )
    return found


def help_of(args: tuple[str, ...]) -> str:
    """What a program prints for `--help`."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(sys, "argv", ["awr-mjx", *args[1:], "--help"])
        patch.setenv("COLUMNS", "200")
        with contextlib.suppress(SystemExit):
            importlib.import_module(module(args[0])).main()
    return out.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_of_every_command_are_there(page: pathlib.Path) -> None:
    known: dict[tuple[str, ...], str] = {}
    for name, *args in commands(page):
        program = (name, args[0]) if name in ("benchmark", "clip", "data") and args else (name,)
        text = known.setdefault(program, help_of(program))
        assert text, f"{page.name}: {program}"
        for arg in args:
            option = arg.partition("=")[0]
            assert not option.startswith("--") or option in text, f"{page.name}: {name} has no {option}"


def test_the_walk_finds_commands() -> None:
    found = commands(ROOT / "README.md")
    assert {name for name, *_ in found} == set(COMMANDS)
    assert len(found) > 20


def test_what_one_is_told_to_type_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[<>=\[]", name)[0].lower() for name in project["dependencies"]}
    pins = {line.partition("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    assert "`tensorboard --logdir" in (ROOT / "README.md").read_text()
    assert "tensorboard" in wanted <= pins
    # It is on no index yet: what comes after the clone is of the clone.
    assert "pip install awr_mjx" not in (ROOT / "README.md").read_text()
    assert "pip install 'awr_mjx[" not in (ROOT / "README.md").read_text()


def test_the_task_of_the_docs_is_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    monkeypatch.setattr(sys, "path", list(sys.path))
    own_tasks.read_later(ROOT / "docs" / "examples" / "my_task.py")
    task: Any = registry.make("point")
    check_task(task)
    image = task.picture(np.array(task.positions(task.reset(jax.random.key(0)))), np.array([0.5]), 96, 54)
    assert image.shape == (54, 96, 3) and (image == drawing.BODY).all(axis=2).any()
