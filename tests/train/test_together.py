"""`--num_seeds`: seeds side by side in one program, each a run like any other."""

import json
import os
import pathlib
import signal
from typing import Any

import numpy as np
import pytest

from awr_mjx.train import evaluate, export
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import epoch_metrics, memory, metrics_log, restoring
from awr_mjx.train.engine.evaluation import ManyEvaluator
from awr_mjx.train.engine.training import Training
from awr_mjx.train.main import main
from tests import runs
from tests.runs import PER_ITERATION, SMALL

SEEDS = ("seed-2", "seed-3", "seed-4")


def trained(folder: pathlib.Path, iterations: int, *args: object) -> runs.Done:
    """Three seeds, from 2 on, in one program."""
    done = runs.here(
        main,
        *SMALL,
        "--num_seeds",
        3,
        "--seed",
        2,
        "--num_steps",
        iterations * PER_ITERATION,
        "--run_dir",
        folder,
        *args,
    )
    assert done.returncode == 0, done.stderr
    return done


def summary(run: pathlib.Path) -> dict[str, Any]:
    return dict(json.loads((run / "summary.json").read_text()))


def test_each_seed_is_a_run_as_it_is_alone(tmp_path: pathlib.Path) -> None:
    done = trained(tmp_path / "all", 4)
    assert sorted(run.name for run in (tmp_path / "all").iterdir()) == list(SEEDS)
    assert "mode return: " in done.stdout and f"compare: python -m train.report {tmp_path}/all/seed-2" in done.stdout
    best = max(SEEDS, key=lambda name: summary(tmp_path / "all" / name)["mode_return"])
    assert f"look:  python -m train.render --run {tmp_path}/all/{best} " in done.stdout
    for name in SEEDS:
        run, seed = tmp_path / "all" / name, int(name[-1])
        runs.train(tmp_path / f"alone-{seed}", 4, "--seed", seed, "--devices", 1)
        (steps, ours), (others, alone) = runs.restored(run), runs.restored(tmp_path / f"alone-{seed}")
        assert steps == others == 4 * PER_ITERATION and settings.read(run).seed == seed
        for leaf, value in alone.items():
            np.testing.assert_allclose(ours[leaf], value, rtol=1e-4, atol=1e-4, err_msg=leaf)
        here, there = summary(run), summary(tmp_path / f"alone-{seed}")
        assert here["mode_return"] == pytest.approx(there["mode_return"], rel=1e-3) and here["finished"]
        assert [line["env_steps"] for line in metrics_log.lines(run)] == [
            line["env_steps"] for line in metrics_log.lines(tmp_path / f"alone-{seed}")
        ]


def test_all_go_on_exactly_where_they_stopped(tmp_path: pathlib.Path) -> None:
    """Stopped by a signal after three of six iterations, and resumed: every leaf of every seed is as in one go."""
    trained(tmp_path / "whole", 6)
    trained(tmp_path / "half", 3)
    done = runs.here(main, "--resume", tmp_path / "half", "--num_steps", 6 * PER_ITERATION)
    assert done.returncode == 0, done.stderr
    assert f"goes on from {3 * PER_ITERATION:,} env steps" in done.stdout
    for name in SEEDS:
        runs.same(runs.restored(tmp_path / "half" / name)[1], runs.restored(tmp_path / "whole" / name)[1])
    runs.refused(runs.here(main, "--resume", tmp_path / "half"), "already", "--num_steps")


def test_two_devices_share_them_out(tmp_path: pathlib.Path) -> None:
    """Saved, stopped and resumed there, each seed is as it is on one device."""
    two = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    words = [*SMALL, "--num_seeds", 4, "--devices", 2, "--run_dir", tmp_path / "two", "--num_steps", 3 * PER_ITERATION]
    done = runs.program(*words, env=two)
    assert done.returncode == 0, done.stderr
    assert "an iteration: 8 steps of each; ring: 16 rows (the preset's 64 have 32 and 128)\n" in done.stdout
    done = runs.program("--resume", tmp_path / "two", "--num_steps", 5 * PER_ITERATION, env=two)
    assert done.returncode == 0, done.stderr
    assert "4 trainings in one program" in done.stdout and "on 2 CPU devices" in done.stdout, done.stdout
    for seed in (0, 3):
        runs.train(tmp_path / f"alone-{seed}", 5, "--seed", seed, "--devices", 1)
        ours, alone = runs.restored(tmp_path / "two" / f"seed-{seed}")[1], runs.restored(tmp_path / f"alone-{seed}")[1]
        for leaf, value in alone.items():
            np.testing.assert_allclose(ours[leaf], value, rtol=1e-4, atol=1e-4, err_msg=leaf)


def test_a_stop_saves_all_and_says_how_to_go_on(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Training._log

    def stopped(training: Training, steps: int, metrics: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        whole(training, steps, metrics)

    monkeypatch.setattr(Training, "_log", stopped)
    done = trained(tmp_path / "all", 1000)
    assert f"go on: python -m train.main --resume {tmp_path}/all" in done.stdout
    steps = {restoring.steps(tmp_path / "all" / name)[-1] for name in SEEDS}
    assert len(steps) == 1 and 0 < steps.pop() < 1000 * PER_ITERATION


def test_a_stop_breaks_off_the_evaluation_of_all(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told of none of them, and made up for when they go on."""
    each = ManyEvaluator.each

    def stopped(self: ManyEvaluator, asked: Any, *args: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        while not asked():
            pass
        return each(self, asked, *args)

    with monkeypatch.context() as patch:
        patch.setattr(ManyEvaluator, "each", stopped)
        done = trained(tmp_path / "all", 2, "--num_evals", 1)
    assert f"go on: python -m train.main --resume {tmp_path}/all" in done.stdout
    every = [tmp_path / "all" / name for name in SEEDS]
    assert not any("mode_return" in line for run in every for line in metrics_log.lines(run))
    done = runs.here(main, "--resume", tmp_path / "all")
    assert done.returncode == 0, done.stderr
    for run in every:
        assert [line["env_steps"] for line in metrics_log.lines(run) if "mode_return" in line] == [2 * PER_ITERATION]
        assert summary(run)["finished"]


def test_a_kill_between_two_saves_leaves_a_state_that_all_have(tmp_path: pathlib.Path) -> None:
    """One seed has a checkpoint less than the others: all go on from its newest."""
    trained(tmp_path / "all", 4, "--num_evals", 2)
    last = restoring.steps(tmp_path / "all" / "seed-3")[-1]
    runs.subprocess.run(["rm", "-r", tmp_path / "all" / "seed-3" / "checkpoints" / str(last)], check=True)
    done = runs.here(main, "--resume", tmp_path / "all", "--num_steps", 5 * PER_ITERATION)
    assert done.returncode == 0, done.stderr
    assert f"goes on from {2 * PER_ITERATION:,} env steps" in done.stdout
    assert {restoring.steps(tmp_path / "all" / name)[-1] for name in SEEDS} == {5 * PER_ITERATION}


def test_one_that_diverges_is_left_behind(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are trained to the end, and go on without it."""
    trouble, count = epoch_metrics.trouble, []

    def second(metrics: Any, config: settings.TrainConfig) -> str | None:
        count.append(config.seed)
        return "training has diverged" if config.seed == 3 and count.count(3) == 2 else trouble(metrics, config)

    monkeypatch.setattr(epoch_metrics, "trouble", second)
    args = [*SMALL, "--num_seeds", 3, "--seed", 2, "--num_steps", 4 * PER_ITERATION, "--run_dir", tmp_path / "all"]
    done = runs.here(main, *args)
    assert done.returncode == 1 and "seed-3: training has diverged" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    ends = {name: restoring.steps(tmp_path / "all" / name)[-1] for name in SEEDS}
    assert ends == {"seed-2": 4 * PER_ITERATION, "seed-3": 0, "seed-4": 4 * PER_ITERATION}
    assert not summary(tmp_path / "all" / "seed-3")["finished"] and summary(tmp_path / "all" / "seed-4")["finished"]
    monkeypatch.setattr(epoch_metrics, "trouble", trouble)
    done = runs.here(main, "--resume", tmp_path / "all", "--num_steps", 5 * PER_ITERATION)
    assert done.returncode == 0, done.stderr
    assert {name: restoring.steps(tmp_path / "all" / name)[-1] for name in SEEDS}["seed-3"] == 0


def test_one_seeds_folder_is_a_run(tmp_path: pathlib.Path) -> None:
    """It can be evaluated, exported, and gone on with alone."""
    trained(tmp_path / "all", 2)
    run = tmp_path / "all" / "seed-3"
    assert runs.here(evaluate.main, "--run", run, "--episodes", 4).returncode == 0
    assert runs.here(export.main, "--run", run, "--out", tmp_path / "policy.npz").returncode == 0
    done = runs.here(main, "--resume", run, "--num_steps", 3 * PER_ITERATION)
    assert done.returncode == 0, done.stderr
    assert restoring.steps(run)[-1] == 3 * PER_ITERATION
    assert restoring.steps(tmp_path / "all" / "seed-2")[-1] == 2 * PER_ITERATION


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--num_seeds", 0], ["num_seeds", "from 1 to"]),
        (["--num_seeds", 3, "--seed", 0, 1], ["--seed", "one"]),
        (["--num_seeds", 3, "--devices", 2], ["3 trainings", "2 devices"]),
        (["--num_seeds", 2, "--num_envs", 0], ["num_envs"]),
        (["--num_seeds", 2, "--seed", 2**32 - 1], ["seed"]),
        (["--num_seeds", 2, "--from", "somewhere.npz"], ["--from"]),
        (["--num_seeds", 2, "--data", "somewhere.npz"], ["--data"]),
        (["--num_seeds", 1_000_000_000], ["num_seeds", "4,096"]),
        (["--num_seeds", 2, "--seed", -1], ["seed", "-1"]),
        (["--num_seeds", 2, "--devices", -3], ["-3 devices"]),
        (["--num_seeds", 2, "--wandb"], ["--wandb"]),
    ],
)
def test_what_cannot_be_is_said_before_anything_begins(
    tmp_path: pathlib.Path, args: list[object], words: list[str]
) -> None:
    runs.refused(runs.here(main, *SMALL, "--run_dir", tmp_path / "run", *args), *words)
    assert not (tmp_path / "run").exists()


def test_only_what_was_begun_together_goes_on_together(tmp_path: pathlib.Path) -> None:
    for seed in (0, 1):
        runs.train(tmp_path / "apart" / f"seed-{seed}", 1, "--seed", seed)
    runs.refused(runs.here(main, "--resume", tmp_path / "apart"), "is not a run folder")
    runs.refused(runs.here(main, "--resume", tmp_path / "apart" / "seed-0", "--num_seeds", 2), "leave --num_seeds out")
    trained(tmp_path / "all", 1)
    told = tmp_path / "all" / "seed-3" / "config.json"
    told.write_text(told.read_text().replace('"num_envs": 16', '"num_envs": 8'))
    runs.refused(runs.here(main, "--resume", tmp_path / "all"), "seed-3 has other settings", "num_envs")


def test_a_seed_that_went_on_alone_stays_where_it_is(tmp_path: pathlib.Path) -> None:
    trained(tmp_path / "all", 1)
    alone = tmp_path / "all" / "seed-3"
    assert runs.here(main, "--resume", alone, "--num_steps", 3 * PER_ITERATION).returncode == 0
    done = runs.here(main, "--resume", tmp_path / "all", "--num_steps", 2 * PER_ITERATION)
    runs.refused(done, "seed-3 has been trained further by itself")
    assert restoring.steps(alone)[-1] == 3 * PER_ITERATION


def test_one_that_has_broken_is_told_at_once(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the end, to which the others may never come: killed, they go on without it."""
    trouble, seen = epoch_metrics.trouble, []

    def broken(metrics: Any, config: settings.TrainConfig) -> str | None:
        found = (tmp_path / "all" / "seed-2" / "summary.json").exists()
        seen.append((config.seed, found))
        return "training has diverged" if config.seed == 2 else trouble(metrics, config)

    monkeypatch.setattr(epoch_metrics, "trouble", broken)
    args = [*SMALL, "--num_seeds", 3, "--seed", 2, "--num_steps", 3 * PER_ITERATION, "--run_dir", tmp_path / "all"]
    assert runs.here(main, *args).returncode == 1
    assert [found for seed, found in seen if seed == 2] == [False]  # no more of it is looked at
    assert [found for seed, found in seen if seed == 3] == [True] * 3
    assert len(metrics_log.lines(tmp_path / "all" / "seed-2")) == 1


def test_memory_is_planned_for_all(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "host_memory", lambda: 2_000_000)
    args = [*SMALL, "--num_steps", PER_ITERATION, "--run_dir", tmp_path / "all"]
    done = runs.here(main, *args, "--num_seeds", 64)
    runs.refused(done, "fewer seeds at once", "2.0 MB")
    assert "compiling" not in done.stdout  # after that the program itself says how much it needs
    assert not (tmp_path / "all").exists()
