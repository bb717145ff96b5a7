"""The benchmark on static data: what it records, trains and writes, and what D4RL's code made of a set."""

import contextlib
import json
import pathlib
import subprocess
import types
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from awr_mjx.train import benchmark, evaluate
from awr_mjx.train.benchmarks import campaign, static
from awr_mjx.train.benchmarks.campaign import Job
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets import reading
from awr_mjx.train.engine import restoring
from awr_mjx.train.main import main
from tests import runs
from tests.runs import here, refused
from tests.train.datasets.made import episodes

LITTLE = "policy_hidden=8 value_hidden=8 batch_size=16 policy_updates=4 value_updates=2 eval_envs=2".split()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    run = tmp_path_factory.mktemp("demo") / "run"
    runs.train(run, 4, "--num_evals", 4, "--keep", 9)
    return run


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Trainings in this process; those that were asked for."""
    asked: list[Job] = []

    def train(jobs: Sequence[Job], folder: pathlib.Path, at_once: int) -> None:
        for job in jobs:
            asked.append(job)
            if not (folder / job.name).exists():
                done = here(main, *job.args, "--run_dir", folder / job.name)
                assert done.returncode == 0, done.stderr

    played = static._run

    def run(args: list[str]) -> list[str]:
        if "train.evaluate" not in args:
            return played(args)
        done = here(evaluate.main, *args[1:])
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    monkeypatch.setattr(campaign, "train", train)
    monkeypatch.setattr(static, "_run", run)
    monkeypatch.setattr(static, "ThreadPool", OneThread)
    return asked


class OneThread(contextlib.nullcontext[Any]):
    """A pool that maps in this thread, the only one where a program run in this process may mind signals."""

    def __enter__(self) -> Any:
        return types.SimpleNamespace(map=lambda call, items: [call(item) for item in items])


def compare(demo: pathlib.Path, folder: pathlib.Path, *args: object) -> Any:
    given = ["--env", "cartpole", "--demos", demo, "--steps", 400, "--num_steps", 8, "--folder", folder]
    return here(benchmark.main, "static", *given, "--set", *LITTLE, *args)


def test_sets_are_recorded_and_learned_from(demo: pathlib.Path, tmp_path: pathlib.Path, quick: list[Job]) -> None:
    done = compare(demo, tmp_path, "--seeds", 1, "--kinds", "medium-replay")
    assert done.returncode == 0, done.stderr
    assert {job.name for job in quick} == {
        f"{name}-cartpole-medium-replay-0"
        for name in ("awr", "bc", "bc_on_the_best_10", "awr_on_50000_rows_cut_at_999")
    }
    found = json.loads((tmp_path / "results.json").read_text())["results"]["cartpole"]["medium-replay"]
    recorded = reading.read(str(tmp_path / "cartpole-medium-replay.npz"))
    assert found["demo"] == pytest.approx(recorded.returns().mean())
    known = restoring.mode_returns(demo)
    medium = min(step for step, value in known.items() if value >= 0.5 * max(known.values()))
    assert recorded.about["env_steps"] == [step for step in restoring.steps(demo) if step <= medium]
    for name, values in found["learners"].items():
        assert len(values) == len(found["sampled"][name]) == 1, name
    for job in quick:
        config = json.loads((tmp_path / job.name / "config.json").read_text())["settings"]
        updates = config["awr"]["policy_updates"] + config["awr"]["value_updates"]
        assert config["num_steps"] * config["awr"]["policy_updates"] == 8 * updates, job.name
        assert config["logged"]["data"][0].endswith("-cut.npz") == ("999" in job.name)
    assert (tmp_path / "results.png").read_bytes()[:4] == b"\x89PNG"
    again = compare(demo, tmp_path, "--seeds", 1, "--kinds", "medium-replay", "--medium", 1.0)
    if max(known.values()) > known[medium]:
        refused(again, "was not recorded by this command")
    refused(
        compare(demo, tmp_path, "--seeds", 1, "--kinds", "medium-replay", "--steps", 500),
        "was not recorded by this command",
    )
    (tmp_path / "cartpole-medium-replay.json").write_text("{")  # a note that is spoilt
    refused(compare(demo, tmp_path, "--seeds", 1, "--kinds", "medium-replay"), "was not recorded by this command")


def test_the_medium_policy_is_found_where_returns_are_negative(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "mode_returns", lambda _: {0: -500.0, 10: -400.0, 20: -290.0, 30: -100.0})
    asked: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.extend(command)
        return subprocess.CompletedProcess(command, 2, "", "error: enough")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(UserError, match="enough"):
        static._set(static.Static(folder=tmp_path), "lunar_lander", tmp_path, "medium")
    assert asked[-2:] == ["--step", "20"]


def test_d4rl_kept_the_last_rows_in_paths_one_step_short() -> None:
    """300 episodes of 1,000 steps: its own buffer was seen to hold rows 249,750 to 299,700, cut every 999 rows."""
    whole = episodes(*[(1000, "truncated")] * 300, size=1)
    found = static.as_d4rl_had_it(whole)
    np.testing.assert_array_equal(found.rewards, whole.rewards[249_750:299_700])
    np.testing.assert_array_equal(found.actions, whole.actions[249_750:299_700])
    assert (found.steps == 999).all() and len(found.steps) == 50
    assert found.truncated.all() and not found.terminated.any()
    acted_on = whole.observations[whole.acted_on()]
    np.testing.assert_array_equal(found.observations[found.acted_on()], acted_on[249_750:299_700])
    np.testing.assert_array_equal(found.observations[999], acted_on[249_750 + 999])  # an episode later than row 249,750


def test_d4rl_let_episodes_end_where_the_task_ended_them() -> None:
    whole = episodes((30, "terminated"), (1500, "truncated"), (20, "terminated"), (998, "terminated"), (40, "cut off"))
    found = static.as_d4rl_had_it(whole)
    assert found.steps.tolist() == [30, 999, 521, 998]
    assert found.terminated.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(found.rewards, whole.rewards[:2548])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("--kinds expert", "kinds must be some of medium, medium-replay, medium-expert"),
        ("--medium 0", "medium from 0 to 1"),
        ("--seeds 0", "must be positive"),
        ("--set num_steps=5", "num_steps is the benchmark's own"),
        ("--demos a b", "there are 2 demos for 1 tasks"),
        ("--env ants", "unknown task 'ants'"),
        ("--demos /no/such/run", "/no/such/run is not a run folder"),
        ("--set nosuch=1", "nosuch"),
        ("--at_once 99", "at_once must be from 1"),
        ("--folder /proc/none", "cannot write in the folder /proc/none"),
    ],
)
def test_bad_input_is_one_line(args: str, words: str, tmp_path: pathlib.Path, quick: list[Job]) -> None:
    known = "" if "--env" in args else "--env hopper"
    refused(here(benchmark.main, "static", *known.split(), "--folder", tmp_path / "runs", *args.split()), words)
    assert not quick


def test_a_demo_of_another_task_is_refused_before_it_is_recorded(
    demo: pathlib.Path, tmp_path: pathlib.Path, quick: list[Job]
) -> None:
    folder = tmp_path / "runs"
    done = here(benchmark.main, "static", "--env", "hopper", "--demos", demo, "--folder", folder)
    refused(done, "is a run in task 'cartpole', not in 'hopper'")
    assert not quick and not folder.exists()
