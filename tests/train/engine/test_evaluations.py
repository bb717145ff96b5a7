"""Evaluations in the exact physics of a task that trains on an approximation, between epochs and beside them."""

import dataclasses
import json
import os
import pathlib
import signal
import threading
import time
from typing import Any
from unittest import mock

import jax
import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.envs.base import State
from awr_mjx.train import evaluate, main
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import evaluations, metrics_log, restoring
from tests import runs
from tests.tasks import Walk
from tests.trained import wait_for

ITERATION = 32 * 8
SMALL = "--num_envs 32 --rollout_steps 8 --buffer_blocks 2 --batch_size 64 --policy_updates 2 --value_updates 2".split()
SMALL += "--devices 1 --eval_envs 4 --keep 9".split()
GATE = threading.Event()  # without it nothing moves in the exact physics


class Truth:
    """Each step of a walk loses 10 more, and it never fails."""

    def __init__(self, task: Walk) -> None:
        self._step = jax.jit(jax.vmap(task.step))

    def begin(self, state: State) -> None:
        pass

    def step(self, state: State, action: jax.Array, which: np.ndarray) -> State:
        if which.any():
            GATE.wait(60)
        stepped = self._step(state, action)
        return dataclasses.replace(stepped, reward=stepped.reward - 10.0, done=0.0 * stepped.done)


class Approximate(Walk):
    def exact(self, count: int, threads: int) -> Truth:
        return Truth(self)


# Episodes are over at once in the fast physics, and never in the exact one.
ENDLESS = """
import sys
from awr_mjx.envs import registry
from tests.train.engine.test_evaluations import GATE, Approximate
from awr_mjx.train.console.errors import run_program
from awr_mjx.train.engine import evaluations
from awr_mjx.train.main import main
registry.register("endless", lambda: Approximate(bound=0.0, episode_length=2_000_000_000))
GATE.set()
apart = sys.argv.pop() == "True"
evaluations.apart = lambda: apart
run_program(main)
"""


@pytest.fixture(autouse=True)
def _task() -> None:
    registry.register("approximate", lambda: Approximate(bound=99.0))
    GATE.set()


def trained(run: pathlib.Path, iterations: int, *args: object) -> str:
    steps = iterations * ITERATION
    done = runs.here(main.main, "--env", "approximate", *SMALL, "--num_steps", steps, "--run_dir", run, *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def evaluated(run: pathlib.Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "mode_return" in line]


def test_the_mode_return_is_that_of_the_exact_physics(tmp_path: pathlib.Path) -> None:
    said = trained(tmp_path / "run", 4, "--num_evals", 2)
    for line in evaluated(tmp_path / "run"):
        assert line["mode_return"] == pytest.approx(line["mode_return_fast"] - 60.0, rel=1e-5)  # six steps
        assert line["mode_steps"] == 6 and line["mode_whole"] == line["mode_whole_fast"] == 1
        assert f"(fast physics {line['mode_return_fast']:.4g}), 6 steps" in said
    assert restoring.mode_returns(tmp_path / "run") == {
        line["env_steps"]: line["mode_return"] for line in evaluated(tmp_path / "run")
    }


def test_a_run_is_evaluated_in_either(tmp_path: pathlib.Path) -> None:
    trained(tmp_path / "run", 1, "--num_evals", 1)
    found = {}
    for physics in ("exact", "fast"):
        out = tmp_path / f"{physics}.json"
        args = ["--run", tmp_path / "run", "--episodes", 5, "--physics", physics, "--out", out]
        done = runs.here(evaluate.main, *args)
        assert done.returncode == 0, done.stderr
        assert ("in the exact physics" in done.stdout) == (physics == "exact")
        found[physics] = json.loads(out.read_text())
        assert found[physics]["physics"] == physics
        assert runs.here(evaluate.main, *args[:-2]).returncode == 0  # each has a file of its own
    assert found["exact"]["return_mean"] == pytest.approx(found["fast"]["return_mean"] - 60.0, rel=1e-5)
    for physics, name in (("exact", "evaluation.json"), ("fast", "evaluation-fast.json")):
        assert json.loads((tmp_path / "run" / name).read_text()) == found[physics]


def test_it_can_be_that_of_the_fast_physics(tmp_path: pathlib.Path) -> None:
    said = trained(tmp_path / "run", 2, "--num_evals", 1, "--eval_physics", "fast")
    assert "fast physics" not in said
    (line,) = evaluated(tmp_path / "run")
    assert line["mode_return"] > -50 and "mode_return_fast" not in line
    runs.refused(runs.here(main.main, "--resume", tmp_path / "run", "--eval_physics", "exact"), "eval_physics")


def test_runs_of_before_go_on_in_the_fast_physics(tmp_path: pathlib.Path) -> None:
    trained(tmp_path / "run", 2, "--num_evals", 1, "--eval_physics", "fast")
    path = tmp_path / "run" / "config.json"
    said = json.loads(path.read_text())
    del said["settings"]["eval_physics"]
    path.write_text(json.dumps(said))
    assert settings.read(tmp_path / "run").eval_physics == "fast"


@pytest.mark.parametrize("apart", [False, True])
def test_beside_the_training_it_tells_the_same(
    apart: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path / "between", 4, "--num_evals", 2)
    monkeypatch.setattr(evaluations, "apart", lambda: apart)
    trained(tmp_path / "run", 4, "--num_evals", 2)
    for a, b in zip(evaluated(tmp_path / "between"), evaluated(tmp_path / "run"), strict=True):
        assert a.keys() == b.keys()
        assert {k: v for k, v in a.items() if "seconds" not in k} == {k: v for k, v in b.items() if "seconds" not in k}
    assert restoring.mode_returns(tmp_path / "run") == restoring.mode_returns(tmp_path / "between")


def test_training_does_not_wait_for_it(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing moves there before training has gone on; then the log says of which env step the return is."""
    run = tmp_path / "run"
    monkeypatch.setattr(evaluations, "apart", lambda: True)
    GATE.clear()

    def open_later() -> None:
        while metrics_log.newest(metrics_log.lines(run)).get("env_steps", 0) < 3 * ITERATION:
            time.sleep(0.01)
        GATE.set()

    opening = threading.Thread(target=open_later)
    opening.start()
    trained(run, 5, "--num_evals", 2)
    opening.join()
    assert [line["env_steps"] for line in evaluated(run)] == [3 * ITERATION, 5 * ITERATION]
    last = max(metrics_log.lines(run), key=lambda line: line.get("train_seconds", 0))
    trained_before = last["train_seconds"]
    done = runs.here(main.main, "--resume", run, "--num_steps", 6 * ITERATION)
    assert done.returncode == 0, done.stderr
    assert metrics_log.newest(metrics_log.lines(run))["train_seconds"] > trained_before


class Killed(BaseException):
    """As good as a kill -9."""


def test_the_checkpoint_is_there_before_it(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed in its last evaluation has only that left to do."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(evaluations.Evaluations, "evaluate", mock.Mock(side_effect=Killed))
        with pytest.raises(Killed):
            trained(run, 2, "--num_evals", 1)
    wait_for(lambda: restoring.steps(run)[-1] == 2 * ITERATION)
    done = runs.here(main.main, "--resume", run)
    assert done.returncode == 0, done.stderr
    assert [line["env_steps"] for line in evaluated(run)] == [2 * ITERATION]
    assert restoring.mode_returns(run).keys() == {2 * ITERATION}
    assert json.loads((run / "summary.json").read_text())["finished"]


@pytest.mark.parametrize("beside", [False, True])
def test_a_stop_drops_it(beside: bool, tmp_path: pathlib.Path) -> None:
    run = tmp_path / "run"
    args = ["--env", "endless", *SMALL, "--num_steps", 2 * ITERATION, "--num_evals", 2, "--run_dir", run, beside]
    runs.stopped_while_evaluating(ENDLESS, run, *args)
    assert restoring.steps(run)[-1] == (1 + beside) * ITERATION  # beside it, training went on to its end
    assert not evaluated(run)
    assert not json.loads((run / "summary.json").read_text())["finished"]


def stopped_in(number: int) -> Any:
    """In place of the evaluations: the one of that number (from 1 on) is broken off by Ctrl-C."""
    played, count = evaluations.Evaluator.unless, iter(range(1, 99))

    def unless(self: Any, stopped: Any, *args: Any) -> Any:
        if type(self) is evaluations.Evaluator and next(count) == number:
            os.kill(os.getpid(), signal.SIGINT)
            wait_for(stopped)
        return played(self, stopped, *args)

    return unless


@pytest.mark.parametrize("number", [1, 2])
def test_one_that_a_stop_has_broken_off_is_made_up_for(
    number: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the last one, after which there is nothing else to do."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(evaluations.Evaluator, "unless", stopped_in(number))
        said = trained(run, 4, "--num_evals", 2)
    assert "go on: " in said and "stopped by SIGINT" in said
    assert not json.loads((run / "summary.json").read_text())["finished"]
    assert [line["env_steps"] for line in evaluated(run)] == [2 * ITERATION][: number - 1]
    done = runs.here(main.main, "--resume", run)
    assert done.returncode == 0, done.stderr
    assert [line["env_steps"] for line in evaluated(run)] == [2 * ITERATION, 4 * ITERATION]
    assert json.loads((run / "summary.json").read_text())["finished"]
    runs.refused(runs.here(main.main, "--resume", run), "already")


@pytest.mark.parametrize("apart", [False, True])
def test_one_that_raises_is_a_warning(apart: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluations, "apart", lambda: apart)
    moved = Truth.step

    def breaks(self: Truth, state: State, action: jax.Array, which: np.ndarray) -> State:
        if which.any():
            raise ZeroDivisionError("mine")
        return moved(self, state, action, which)

    monkeypatch.setattr(Truth, "step", breaks)
    run, words = tmp_path / "run", "broken task: its exact physics raises ZeroDivisionError: mine"
    said = trained(run, 4, "--num_evals", 2)
    assert f"warning: the evaluation at {2 * ITERATION} env steps broke off: {words}" in said
    assert restoring.steps(run)[-1] == 4 * ITERATION and not evaluated(run)
    assert json.loads((run / "summary.json").read_text())["finished"]
    runs.refused(runs.here(evaluate.main, "--run", run), words)


class Changing(Truth):
    """Counts the policies that it plays."""

    played = 0

    def begin(self, state: State) -> None:
        self._fresh = True

    def step(self, state: State, action: jax.Array, which: np.ndarray) -> State:
        Changing.played += self._fresh and bool(which.any())  # not where it is only compiled
        self._fresh = self._fresh and not which.any()
        return super().step(state, action, which)


class Falling(Changing):
    """The first policy is the best, and each one after it is worse by far."""

    def step(self, state: State, action: jax.Array, which: np.ndarray) -> State:
        stepped = super().step(state, action, which)
        return dataclasses.replace(stepped, reward=stepped.reward - 1000.0 * self.played)


@pytest.mark.parametrize("apart", [False, True])
def test_the_best_is_kept_though_its_return_comes_late(
    apart: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluations, "apart", lambda: apart)
    monkeypatch.setattr(Approximate, "exact", lambda self, count, threads: Falling(self))
    monkeypatch.setattr(Changing, "played", 0)
    trained(tmp_path / "run", 4, "--num_evals", 4, "--keep", 1)
    # Beside a training, the one before the last is still awaited when that is saved.
    assert restoring.steps(tmp_path / "run") == [ITERATION, *[3 * ITERATION] * apart, 4 * ITERATION]
    assert restoring.mode_returns(tmp_path / "run").keys() >= {ITERATION, 4 * ITERATION}


class Breaking(Changing):
    """Breaks from the second policy on, at once, which loses nothing."""

    def step(self, state: State, action: jax.Array, which: np.ndarray) -> State:
        stepped = super().step(state, action, which)
        return dataclasses.replace(stepped, obs=stepped.obs * (1.0 if self.played == 1 else np.nan))


def test_episodes_that_break_are_no_measure(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Approximate, "exact", lambda self, count, threads: Breaking(self))
    monkeypatch.setattr(Changing, "played", 0)
    said = trained(tmp_path / "run", 4, "--num_evals", 2)
    first, second = evaluated(tmp_path / "run")
    assert second["mode_return"] > first["mode_return"] and second["mode_broken"] == 4
    assert "warning: 4 of 4 episodes were ended by a step that broke the task" in said
    assert restoring.mode_returns(tmp_path / "run").keys() == {2 * ITERATION}
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["best_mode_return"] == first["mode_return"]
