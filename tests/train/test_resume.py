"""Going on with a run: from where, who may, with which settings, and what is refused before anything is compiled."""

import fcntl
import json
import os
import pathlib
import re
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import jax
import pytest

from awr_mjx.train import evaluate
from awr_mjx.train.engine import boards, checkpoint_format, metrics_log, restoring, run_folder
from awr_mjx.train.main import main
from tests.runs import PER_ITERATION, SMALL, about, copied, everything, here, refused, restored, running, same, train


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A run of 3 iterations."""
    run = tmp_path_factory.mktemp("finished") / "run"
    train(run, 3)
    return run


def edit(run: pathlib.Path, **changes: object) -> None:
    """Changes settings in `config.json`."""
    path = run / "config.json"
    values = json.loads(path.read_text())
    values["settings"] |= changes
    path.write_text(json.dumps(values))


# Who may train: one process.

HOLD = "import sys, time, pathlib\nfrom awr_mjx.train.engine.lock import held\n"
HOLD += "with held(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(100)\n"


def test_a_second_process_is_refused_and_touches_nothing(finished: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run = copied(finished, tmp_path / "run")
    with running([sys.executable, "-c", HOLD, run]) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        before = everything(run)
        more = ["--num_steps", 9 * PER_ITERATION]
        words = ["is being trained", f"process {first.pid} on {socket.gethostname()}"]
        refused(here(main, "--resume", run, *more), *words)
        assert everything(run) == before
        assert here(evaluate.main, "--run", run, "--episodes", 2).returncode == 0  # who only reads needs no lock
    assert here(main, "--resume", run, *more).returncode == 0  # what a killed process leaves is in nobody's way


def test_training_holds_the_lock(finished: pathlib.Path, tmp_path: pathlib.Path) -> None:
    held = []

    class Watched(metrics_log.MetricsLog):
        def __init__(self, run: pathlib.Path, *more: Any) -> None:
            super().__init__(run, *more)
            self.run = run

        def write(self, env_steps: int, values: dict[str, float]) -> None:
            with (self.run / ".lock").open() as file, pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held.append(env_steps)
            super().write(env_steps, values)

    run = copied(finished, tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("awr_mjx.train.engine.train.MetricsLog", Watched)
        train(tmp_path / "new", 1)
        assert here(main, "--resume", run, "--num_steps", 4 * PER_ITERATION).returncode == 0
    assert {PER_ITERATION, 4 * PER_ITERATION} <= set(held)


# From where: a checkpoint, or the settings.


def test_a_folder_without_a_checkpoint_starts_from_its_settings(finished: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(finished / "config.json", run)
    refused(here(main, *SMALL, "--run_dir", run), "exists already", f"--resume {run}")
    refused(here(evaluate.main, "--run", run), "no checkpoint yet", f"--resume {run}")
    done = here(main, "--resume", run)
    assert done.returncode == 0, done.stderr
    assert "starts from its settings" in done.stdout
    same(restored(run)[1], restored(finished)[1])


def test_a_run_has_a_checkpoint_from_the_start_on(finished: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert restoring.steps(finished) == [0, 3 * PER_ITERATION]
    run = copied(finished, tmp_path / "run")
    shutil.rmtree(checkpoint_format.folder(run) / str(3 * PER_ITERATION))
    (run / "summary.json").unlink()
    done = here(main, "--resume", run)
    assert done.returncode == 0, done.stderr
    assert "goes on from 0 env steps" in done.stdout
    assert not done.stderr
    same(restored(run)[1], restored(finished)[1])


def test_a_folder_that_is_not_a_run_is_said_to_be_none(tmp_path: pathlib.Path) -> None:
    refused(here(main, *SMALL, "--run_dir", tmp_path), "not a run folder", "another --run_dir")


def test_what_is_refused_before_the_first_step_leaves_no_folder(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights & Biases, which refuses before anything is compiled."""
    pytest.importorskip("wandb")
    refusal = run_folder.UserError("Weights & Biases: no")

    def refuses(*_: object) -> None:
        raise refusal

    monkeypatch.setattr(boards, "begun", refuses)
    refused(here(main, *SMALL, "--num_steps", 256, "--wandb", "--run_dir", tmp_path / "run"), "Weights & Biases: no")
    assert not list(tmp_path.iterdir())


# With which settings.


def test_what_may_change_is_kept_and_so_the_printed_command_goes_on(
    finished: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped by a signal within a run whose steps were raised; then the command that it prints, word for word."""
    run = copied(finished, tmp_path / "a run's folder")

    class Stopped(metrics_log.MetricsLog):
        def write(self, env_steps: int, values: dict[str, float]) -> None:
            super().write(env_steps, values)
            if env_steps == 4 * PER_ITERATION:
                os.kill(os.getpid(), 15)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("awr_mjx.train.engine.train.MetricsLog", Stopped)
        done = here(main, "--resume", run, "--num_steps", 9 * PER_ITERATION, "--keep", 5)
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "config.json").read_text())["settings"]["num_steps"] == 9 * PER_ITERATION
    assert restoring.steps(run)[-1] < 9 * PER_ITERATION
    printed = re.search(r"go on: python -m train\.main (.*)", done.stdout)
    assert printed
    done = here(main, *shlex.split(printed[1]))
    assert done.returncode == 0, done.stderr
    assert restoring.steps(run)[-1] == 9 * PER_ITERATION
    history = about(run)["resumed"]
    assert [entry["argv"][:1] for entry in history] == [["--resume"], ["--resume"]]
    assert history[0]["env_steps"] == 3 * PER_ITERATION
    refused(here(main, "--resume", run), "1,152 env steps already", "--num_steps than 1,152")


def test_minutes_that_are_over_are_refused(finished: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run = copied(finished, tmp_path / "run")
    before = everything(run)
    more = ["--num_steps", 1000 * PER_ITERATION, "--minutes"]
    done = here(main, "--resume", run, *more, 1e-7)
    refused(done, "minutes already", "--minutes")
    given = re.search(r"than ([\d.]+)", done.stderr)
    assert given
    assert everything(run).items() - before.items() == {*_lock(run)} - before.items()
    assert json.loads((run / "summary.json").read_text())["mode_return"] is not None


def _lock(run: pathlib.Path) -> list[tuple[str, tuple[int, int]]]:
    return [(str(p), (p.stat().st_ino, p.stat().st_mtime_ns)) for p in [run / ".lock"]]


def test_a_resumed_run_knows_its_newest_evaluation(
    finished: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was killed before its summary, after its last save, has only that left to write."""
    run = copied(finished, tmp_path / "run")
    wanted = json.loads((run / "summary.json").read_text())
    (run / "summary.json").unlink()
    assert here(main, "--resume", run).returncode == 0
    found = json.loads((run / "summary.json").read_text())
    for name in ("mode_return", "best_mode_return", "env_steps", "finished"):
        assert found[name] == wanted[name]


def test_a_setting_that_cannot_change_is_named_alone(finished: pathlib.Path) -> None:
    done = here(main, "--resume", finished, "--beta", 0.3)
    refused(done)
    assert done.stderr.strip().endswith("when a run is resumed: beta 1.0 -> 0.3")
    done = here(main, "--resume", finished, "--env.kicks", 3)
    assert "{" not in done.stderr


def test_a_run_on_more_devices_says_what_it_needs(
    finished: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    run = copied(finished, tmp_path / "run")
    edit(run, devices=2)
    done = here(main, "--resume", run, "--num_steps", 9 * PER_ITERATION)
    refused(done, "begun on 2 devices", "there is 1", "XLA_FLAGS=--xla_force_host_platform_device_count=2")
    assert "lower" not in done.stderr


# On what.


def test_a_run_says_what_it_was_trained_with(finished: pathlib.Path, tmp_path: pathlib.Path) -> None:
    told = about(finished)
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", told["commit"])
    assert {"awr_mjx", "jax", "jaxlib", "mujoco", "mujoco-mjx"} <= set(told["packages"])
    assert told["argv"][:2] == ["--env", "cartpole"]


def test_other_versions_are_said(finished: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run = copied(finished, tmp_path / "run")
    values = json.loads((run / "config.json").read_text())
    values["about"]["packages"] |= {"jax": "0.1", "mujoco-mjx": "2.0"}
    del values["about"]["packages"]["jaxlib"], values["about"]["draws"]  # as in runs of before
    (run / "config.json").write_text(json.dumps(values))
    done = here(main, "--resume", run, "--num_steps", 4 * PER_ITERATION)
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: this resume may not be exact: jax 0.1 -> ")
    assert "mujoco-mjx 2.0 -> " in line
    assert "starts are drawn in another way since" in line
    done = here(main, "--resume", run, "--num_steps", 5 * PER_ITERATION)
    assert not done.stderr  # it was trained with these in between


def test_another_file_of_tasks_is_said(
    finished: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its task may be another one, with the ring full of the old one's rows."""
    run, mine = copied(finished, tmp_path / "run"), tmp_path / "mine.py"
    mine.write_text("LIMIT = 3\n")
    monkeypatch.setenv("AWR_MJX_TASKS", str(mine))
    more = [here(main, "--resume", run, "--num_steps", n * PER_ITERATION) for n in (4, 5)]
    assert "the file of tasks has changed" not in "".join(done.stderr for done in more)
    mine.write_text("LIMIT = 5\n")
    done = here(main, "--resume", run, "--num_steps", 6 * PER_ITERATION)
    assert "warning: this resume may not be exact: the file of tasks has changed since" in done.stderr


# Where.


@pytest.fixture
def read_only(finished: pathlib.Path) -> Iterator[pathlib.Path]:
    """A run that this process cannot write to, also where it is root's."""
    with tempfile.TemporaryDirectory() as place:
        pathlib.Path(place).chmod(0o755)
        run = copied(finished, pathlib.Path(place) / "run")
        user = os.geteuid()
        run.chmod(0o555)
        if user == 0:
            os.seteuid(65534)
        yield run
        os.seteuid(user)
        run.chmod(0o755)


def test_a_read_only_run_is_refused_at_once(read_only: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(here(main, "--resume", read_only, "--num_steps", 9 * PER_ITERATION), "cannot write in", "Permission denied")
    monkeypatch.setattr(evaluate, "Evaluator", lambda *_: pytest.fail("played before it looked"))
    refused(here(evaluate.main, "--run", read_only), "cannot write", "Permission denied", "--out")


@pytest.mark.parametrize("option", ["--run_dir", "--resume"])
@pytest.mark.parametrize("spelling", ["{}=gs://bucket/run", "{} gs://bucket/run"])
def test_an_address_is_refused(
    option: str, spelling: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(here(main, *SMALL, *spelling.format(option).split()), "gs://bucket/run is an address", "mount")
    assert not list(tmp_path.iterdir())


def test_home_is_home(finished: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(finished.parent))
    refused(here(main, *SMALL, "--run_dir=~/run"), f"{finished} exists already")
    refused(here(main, "--resume=~/run"), f"{finished} has", "already")
