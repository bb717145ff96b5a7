"""Settings compared in one program: each training is as it is alone with its own, and the best comes first."""

import json
import pathlib

import numpy as np
import pytest

from awr_mjx.train.benchmarks import sweep
from awr_mjx.train.engine import config as settings
from tests import runs
from tests.runs import PER_ITERATION, SMALL

SAME = [word.removeprefix("--") for word in SMALL]
SET = [f"{name}={value}" for name, value in zip(SAME[::2], SAME[1::2], strict=True) if name != "env"]
ARGS = ["--env", "cartpole", "--seeds", 2, "--set", *SET, "beta=0.2,2", "policy_lr=1e-3,1e-2"]


def swept(folder: pathlib.Path, *args: object) -> runs.Done:
    """Four combinations with two seeds, for three iterations."""
    words = [*map(str, [*ARGS, "--num_steps", 3 * PER_ITERATION, "--folder", folder, *args])]
    return runs.here(lambda: sweep.main(words))


def test_each_training_is_as_it_is_alone_with_its_settings(tmp_path: pathlib.Path) -> None:
    done = swept(tmp_path / "sweep")
    assert done.returncode == 0, done.stderr
    names = {path.parent.name for path in (tmp_path / "sweep").glob("*/config.json")}
    assert len(names) == 8
    assert {"beta-0.2-policy_lr-0.001-seed-0", "beta-2-policy_lr-0.01-seed-1"} <= names
    run = tmp_path / "sweep" / "beta-2-policy_lr-0.01-seed-1"
    own = settings.read(run)
    assert (own.seed, own.awr.beta, own.awr.policy_lr) == (1, 2.0, 0.01)
    alone = ["--seed", 1, "--beta", 2, "--policy_lr", 0.01, "--devices", 1]
    runs.train(tmp_path / "alone", 3, *alone)
    ours, theirs = runs.restored(run)[1], runs.restored(tmp_path / "alone")[1]
    for leaf, value in theirs.items():
        np.testing.assert_allclose(ours[leaf], value, rtol=1e-4, atol=1e-4, err_msg=leaf)
    other = runs.restored(tmp_path / "sweep" / "beta-0.2-policy_lr-0.01-seed-1")[1]
    assert any(not np.allclose(other[leaf], value, atol=1e-4) for leaf, value in ours.items())


def test_the_best_comes_first_and_what_is_finished_is_not_trained_again(tmp_path: pathlib.Path) -> None:
    assert swept(tmp_path / "sweep").returncode == 0
    found = json.loads((tmp_path / "sweep" / "results.json").read_text())["combinations"]
    means = [one["mean"] for one in found.values()]
    assert len(means) == 4 and means == sorted(means, reverse=True)
    assert all(len(one["final"]) == 2 and one["mean"] == pytest.approx(np.mean(one["final"])) for one in found.values())
    assert (tmp_path / "sweep" / "results.png").is_file()
    before = runs.everything(tmp_path / "sweep" / "beta-2-policy_lr-0.01-seed-1")
    again = swept(tmp_path / "sweep")
    assert again.returncode == 0 and "compiled" not in again.stdout
    assert runs.everything(tmp_path / "sweep" / "beta-2-policy_lr-0.01-seed-1") == before


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--set", "gamma=0.9,0.99"], ["gamma", "cannot be compared", "beta"]),
        (["--set", "beta=1,x"], ["beta", "not numbers"]),
        (["--set", "beta=1,1"], ["beta", "twice"]),
        (["--set", "beta=1,-1"], ["beta must be a positive number"]),
        (["--set", "seed=1,2"], ["seed", "own"]),
        (["--set", "beta"], ["NAME=VALUE"]),
        (["--seeds", "0"], ["seeds"]),
        (["--env", "nothing"], ["nothing"]),
    ],
)
def test_what_makes_no_sense_is_said_at_once(tmp_path: pathlib.Path, args: list[str], words: list[str]) -> None:
    done = runs.here(lambda: sweep.main(["--env", "cartpole", "--folder", str(tmp_path / "sweep"), *args]))
    runs.refused(done, *words)
    assert not (tmp_path / "sweep").exists()


def test_a_folder_of_other_runs_is_left_alone(tmp_path: pathlib.Path) -> None:
    runs.train(tmp_path / "sweep" / "seed-0", 1)
    runs.refused(swept(tmp_path / "sweep"), "other settings", "--folder")
