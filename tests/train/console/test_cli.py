"""Command lines: switches, empty values, names that are not UTF-8."""

import dataclasses
import os
import pathlib
import sys
from typing import Any

import pytest

from awr_mjx.train import commands, evaluate, main, report
from awr_mjx.train.console import cli
from awr_mjx.train.engine.config import TrainConfig
from tests.runs import everything, here, refused


@dataclasses.dataclass(frozen=True)
class Settings:
    inner: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    fast: bool = False
    count: int = 1


@pytest.mark.parametrize(
    "args",
    [
        ["--fast", "--inner.env.full_obs", "--count", "2"],
        ["--count", "2", "--inner.env.full-obs", "--fast"],
        ["--fast", "true", "--inner.env.full_obs=true", "--count=2"],
        ["--inner.env.full_obs", "True", "--count=2", "--fast=True"],
    ],
)
def test_a_switch_needs_no_value(args: list[str]) -> None:
    found = cli.parse(Settings, args, prog="program", description="")
    assert found.fast and found.inner.task.full_obs and found.count == 2
    assert not cli.parse(Settings, ["--fast", "false"], prog="program", description="").fast


def test_only_switches_need_no_value() -> None:
    with pytest.raises(ValueError, match="count"):
        cli.parse(Settings, ["--count", "--fast"], prog="program", description="")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--counts", "2"], "Unrecognized options: --counts, 2: did you mean --count? (see program --help)"),
        (["--inner.minute=3", "--fas"], "did you mean --fast and --inner.minutes? (see"),
        (["--xyzzy"], "Unrecognized options: --xyzzy (see program --help)"),
        (["--count", "x"], "--count must be a whole number, not 'x' (see program --help)"),
    ],
)
def test_a_wrong_option_gets_the_nearest(args: list[str], words: str) -> None:
    with pytest.raises(ValueError) as error:
        cli.parse(Settings, args, prog="program", description="")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("program", "args", "option"),
    [
        (main, ["--resume", ""], "--resume"),
        (main, ["--env", "cartpole", "--resume="], "--resume"),
        (main, ["--env", "", "--num_envs", "4"], "--env"),
        (evaluate, ["--run="], "--run"),
        (evaluate, ["--run", "run", "--out", ""], "--out"),
        (report, ["run", ""], "an argument"),
        (commands, ["evaluate", "--run", ""], "--run"),
        (evaluate, ["--run", "run", "--tasks="], "--tasks"),
        (evaluate, ["--run", "run", "--tasks", ""], "--tasks"),
    ],
)
def test_an_empty_value_is_refused(
    program: Any, args: list[str], option: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of a variable of the shell which is not set; --resume "" would take the working directory for the run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("mine")
    (tmp_path / "summary.json").write_text("mine")
    before = everything(tmp_path)
    refused(here(program.main, *args), option, "--tasks mine.py" if option == "--tasks" else "is empty: write a value")
    assert everything(tmp_path) == before


def test_names_that_are_not_utf_8_are_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> int:
        return 0

    assert here(nothing, "--run", "cpü").returncode == 0
    refused(here(nothing, "--run_dir", os.fsdecode(b"cp\xfc")), r"'cp\udcfc' is not UTF-8")
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    assert here(nothing, "--run", "cp").returncode == 0
    refused(here(nothing, "--run", os.fsdecode("cpü".encode())), "set PYTHONUTF8=1, or a UTF-8 locale")
    (tmp_path / "ü").mkdir()
    monkeypatch.chdir(tmp_path / "ü")
    refused(here(nothing, "--run", "cp"), "PYTHONUTF8=1")
