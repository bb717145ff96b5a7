"""The folder of a run: its name, its lock, and what it says of the program that made it."""

import datetime
import fcntl
import pathlib

import pytest

from awr_mjx.train.engine import lock, provenance, run_folder
from awr_mjx.train.engine.config import TrainConfig


def test_a_file_system_without_locks_gets_a_warning(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    with lock.held(tmp_path):
        assert "no locks (Operation not supported)" in capsys.readouterr().err


def test_runs_that_start_in_one_second_have_folders_of_their_own(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Clock":
            return cls(2026, 1, 1, 12)

        def astimezone(self, tz: object = None) -> "Clock":
            return self

    monkeypatch.setattr(run_folder.datetime, "datetime", Clock)
    monkeypatch.chdir(tmp_path)
    config = TrainConfig(env="brax/ant")
    with (
        run_folder.made(None, {"": config}, {}) as a,
        run_folder.made(None, {"": config}, {}) as b,
        run_folder.made(None, {"": config}, {}) as c,
    ):
        names = [run.name for (run,) in (a, b, c)]
    assert names == ["brax-ant-20260101-120000", "brax-ant-20260101-120000-2", "brax-ant-20260101-120000-3"]


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance._commit() is None
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    assert provenance._commit() is None
