"""Several seeds of one command line: each as it is alone, and none is lost by another's end."""

import json
import os
import pathlib
import re
import signal

import pytest

from awr_mjx.train.console.errors import Failed
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import seeds
from awr_mjx.train.engine.training import Training
from awr_mjx.train.main import main
from tests import runs


def test_each_is_as_it_is_alone(tmp_path: pathlib.Path) -> None:
    """Every leaf, and the one that is not the first of its process too."""
    args = [*runs.SMALL, "--num_steps", 4 * runs.PER_ITERATION, "--run_dir", tmp_path / "all"]
    done = runs.here(main, *args, "--seed", 3, 5, "--keep", 2)
    assert done.returncode == 0, done.stderr
    for seed in (3, 5):
        runs.train(tmp_path / f"alone-{seed}", 4, "--seed", seed)
        place = tmp_path / "all" / f"seed-{seed}"
        (steps, ours), (others, alone) = runs.restored(place), runs.restored(tmp_path / f"alone-{seed}")
        assert steps == others and settings.read(place).seed == seed and settings.read(place).keep == 2
        runs.same(ours, alone)
        assert json.loads((place / "summary.json").read_text())["wall_seconds"] < 60
    told = re.search(r"mode return: (\S+) \(seed 3\), (\S+) \(seed 5\)", done.stdout)
    assert told, done.stdout
    assert f"compare: python -m train.report {tmp_path}/all/seed-3 {tmp_path}/all/seed-5" in done.stdout


def test_folders_of_their_own_where_none_is_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert runs.here(main, *runs.SMALL, "--num_steps", 1, "--seed", 0, 1).returncode == 0
    assert {settings.read(run).seed for run in (tmp_path / "checkpoints").iterdir()} == {0, 1}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--seed", 0, 1, 0], ["--seed has 0 twice"]),
        (["--seed", 0, "x"], ["whole numbers", "x"]),
        (["--seed", 0, -1], ["seed", "-1"]),
        (["--seed", "a", 1], ["seed", "a"]),
        (["--seed", 4, 5, "--num_envs", 0], ["num_envs"]),
        (["--seed", 4, 7], ["seed-7 exists already"]),
    ],
)
def test_what_is_wrong_is_said_before_the_first_begins(
    tmp_path: pathlib.Path, args: list[object], words: list[str]
) -> None:
    (tmp_path / "run" / "seed-7").mkdir(parents=True)
    runs.refused(runs.here(main, *runs.SMALL, "--run_dir", tmp_path / "run", *args), *words)
    assert [place.name for place in (tmp_path / "run").iterdir()] == ["seed-7"]


def test_a_run_goes_on_with_its_own_seed(tmp_path: pathlib.Path) -> None:
    runs.train(tmp_path / "run", 1)
    runs.refused(runs.here(main, "--resume", tmp_path / "run", "--seed", 0, 1), "its own seed")


def test_a_stop_is_for_all_that_are_left(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Training._log

    def stopped(training: Training, steps: int, metrics: dict[str, object]) -> None:
        if training.config.seed == 1:
            os.kill(os.getpid(), signal.SIGINT)
        whole(training, steps, metrics)  # type: ignore[arg-type]

    monkeypatch.setattr(Training, "_log", stopped)
    args = ["--num_steps", 40 * runs.PER_ITERATION, "--run_dir", tmp_path / "all", "--seed", 0, 1, 2, 3]
    done = runs.here(main, *runs.SMALL, *args)
    assert done.returncode == 0, done.stderr
    assert "not begun: --seed 2 3" in done.stdout and f"--resume {tmp_path}/all/seed-1" in done.stdout
    assert {run.name for run in (tmp_path / "all").iterdir()} == {"seed-0", "seed-1"}


def test_one_that_fails_does_not_keep_the_others_from_theirs(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Training.go

    def go(training: Training, state: object) -> int:
        if training.config.seed == 0:
            raise Failed("it diverged")
        return whole(training, state)  # type: ignore[arg-type]

    monkeypatch.setattr(Training, "go", go)
    args = ["--num_steps", runs.PER_ITERATION, "--run_dir", tmp_path / "all", "--seed", 0, 1]
    done = runs.here(main, *runs.SMALL, *args)
    assert done.returncode == 1 and "error: seed 0: it diverged" in done.stderr
    assert json.loads((tmp_path / "all" / "seed-1" / "summary.json").read_text())["finished"]


def test_the_words_after_seed_are_seeds_up_to_the_next_option() -> None:
    assert seeds.split(["--env", "ant", "--seed", "1", "2", "3", "--beta", "2"]) == (
        ["--env", "ant", "--seed", "1", "--beta", "2"],
        ["2", "3"],
    )
    assert seeds.split(["--seed", "1"]) == (["--seed", "1"], [])
    assert seeds.split(["--env", "ant"]) == (["--env", "ant"], [])
