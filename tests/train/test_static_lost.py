"""Runs on logged data that are killed or moved, or whose data are: what is lost, what goes on, and what is said."""

import json
import pathlib
import signal
import subprocess
import time

import numpy as np
import pytest

from awr_mjx.train.datasets import reading, writing
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import memory, restoring
from awr_mjx.train.main import main
from tests.runs import copied, here, refused, training
from tests.train.test_static import ITERATION, SMALL, choices, leaves, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A set, and a run of four iterations on it."""
    place = tmp_path_factory.mktemp("static")
    writing.write(choices(), f"{place}/set.npz")
    assert train(place, 4, "--run_dir", place / "run").returncode == 0
    return place


def test_it_does_not_go_on_with_other_data(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run = copied(folder / "run", tmp_path / "run")
    text = (run / "config.json").read_text().replace(str(folder), str(tmp_path))
    (run / "config.json").write_text(text)
    writing.write(choices(seed=1), f"{tmp_path}/set.npz")
    refused(train(folder, 8, "--resume", run), "not those that", "checksum")
    (tmp_path / "set.npz").unlink()
    refused(train(folder, 8, "--resume", run), "set.npz", "say where it is now with --data")


def test_data_that_were_moved_are_named_again(
    folder: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(folder / "run", tmp_path / "run")
    writing.write(choices(), f"{tmp_path}/moved.npz")
    writing.write(choices(seed=1), f"{tmp_path}/other.npz")
    monkeypatch.chdir(tmp_path)
    more = ["--resume", "run", "--num_steps", 5 * ITERATION]
    refused(here(main, *more, "--data", "other.npz"), "not those that", "checksum")
    refused(here(main, *more, "--data", "moved.npz", "--top", 0.5), "cannot change", "top")
    assert here(main, *more, "--data", "moved.npz").returncode == 0
    assert settings.read(run).logged.data == (f"{tmp_path}/moved.npz",)
    monkeypatch.chdir("/")
    assert here(main, "--resume", run, "--num_steps", 6 * ITERATION).returncode == 0


def test_kill_9_loses_nothing_before_the_last_save(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Killed twice, between saves and in them; in the end all is as in a run that was never killed."""
    run, newest = tmp_path / "run", -1
    given: list[object] = ["--data", folder / "set.npz", "--env", "cartpole", *SMALL, "--policy_lr_steps", 24]
    given += ["--checkpoint_seconds", 0.05, "--num_steps", 10**6, "--run_dir", run]
    for wait in (0.0, 0.3):
        end = time.monotonic() + 120
        with training(*given, stdout=subprocess.DEVNULL) as process:
            while max(restoring.steps(run), default=-1) <= newest and process.poll() is None:
                assert time.monotonic() < end, "waited in vain"
                time.sleep(0.01)
            time.sleep(wait)
            assert process.poll() is None
            process.kill()
            assert process.communicate()[1] == ""
        newest = restoring.steps(run)[-1]
        given = ["--resume", run]
    iterations = newest // ITERATION + 2
    assert train(folder, iterations, "--resume", run).returncode == 0
    assert train(folder, iterations, "--policy_lr_steps", 24, "--run_dir", tmp_path / "whole").returncode == 0
    whole, parts = leaves(tmp_path / "whole"), leaves(run)
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, parts[name], err_msg=name)


def test_a_folder_that_was_moved_is_made_anew_with_what_it_says_of_its_data(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    run = tmp_path / "run"
    given = ["--data", folder / "set.npz", "--env", "cartpole", *SMALL, "--checkpoint_seconds", 0.05]
    with training(*given, "--num_steps", 10**6, "--run_dir", run) as process:
        for _ in range(2):
            end = time.monotonic() + 120
            while max(restoring.steps(run), default=0) == 0 and process.poll() is None:
                assert time.monotonic() < end, "waited in vain"
                time.sleep(0.01)
            if not (tmp_path / "moved").exists():
                run.rename(tmp_path / "moved")
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "it is made anew" in said
    now, before = (json.loads((place / "config.json").read_text()) for place in (run, tmp_path / "moved"))
    assert now == before
    at = restoring.steps(run)[-1] + ITERATION
    assert here(main, "--resume", run, "--num_steps", at).returncode == 0


def test_data_that_do_not_fit_are_refused_before_anything_starts(
    folder: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk, run = (folder / "set.npz").stat().st_size, tmp_path / "run"
    monkeypatch.setattr(memory, "host_memory", lambda: on_disk - 1)
    with monkeypatch.context() as patch:
        patch.setattr(reading, "read", lambda *_: pytest.fail("read before it looked"))
        refused(train(folder, 1, "--run_dir", run), "on the disk, and", "of memory are free", "--take N")
    monkeypatch.setattr(memory, "host_memory", lambda: on_disk)
    refused(train(folder, 1, "--run_dir", run), "this run needs", "take less of the data with --take, or --top")
    assert not run.exists()
