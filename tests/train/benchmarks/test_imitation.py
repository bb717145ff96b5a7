"""The benchmark of motion imitation: what it trains, and what it says of that."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import pytest

from awr_mjx.envs import registry
from awr_mjx.train import benchmark
from awr_mjx.train.benchmarks import brax_trainers, campaign, imitation
from awr_mjx.train.benchmarks.campaign import Job
from awr_mjx.train.console import cli
from tests.runs import here, refused

MOTIONS = ["humanoid3d_spinkick", "dog3d_trot"]


class Task:
    return_max = 600.0


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Trainings that end at once, at 100 times their seed and 300; those that were asked for, in their order."""
    asked: list[Job] = []

    def train(jobs: Sequence[Job], folder: pathlib.Path, _at_once: int) -> None:
        asked.extend(jobs)
        folder.mkdir()

    def points(run: pathlib.Path) -> list[dict[str, float]]:
        seed = float(run.name.rpartition("-")[2])
        return [{"mode_return": 300 + 100 * seed, "mode_whole": 0.5, "env_steps": 1e6, "train_seconds": 60.0}]

    monkeypatch.setattr(campaign, "train", train)
    monkeypatch.setattr(campaign, "trained", points)
    monkeypatch.setattr(registry, "make", lambda *_: Task())
    monkeypatch.setattr(imitation.importlib.util, "find_spec", lambda _: True)
    return asked


def compare(folder: pathlib.Path, *more: str) -> Any:
    args = ["--data", str(folder / "data"), "--folder", str(folder / "runs"), "--seeds", "2", "--motions", *MOTIONS]
    return here(benchmark.main, "imitation", *args, *more)


def test_what_it_says_is_what_the_runs_have_and_what_the_paper_had(tmp_path: pathlib.Path, trained: list[Job]) -> None:
    done = compare(tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "runs" / "results.json").read_text())
    assert list(found["curves"]) == MOTIONS and next(iter(found["curves"]["dog3d_trot"])) == "AWR"
    assert found["quoted_ppo_rwr_awr"]["humanoid3d_spinkick"] == [0.70, 0.05, 0.77]
    row = next(line for line in done.stdout.splitlines() if "humanoid3d_spinkick" in line)
    assert "0.50, 0.67" in row and "0.58" in row and "50%" in row and "0.70, 0.05, 0.77" in row
    assert "quoted" in done.stdout and (tmp_path / "runs" / "results.png").is_file()


def test_seed_by_seed_each_learner_gets_its_task(tmp_path: pathlib.Path, trained: list[Job]) -> None:
    assert compare(tmp_path, "--minutes", "5").returncode == 0
    assert len(trained) == 2 * 4 * 2 and [job.name[-1] for job in trained] == ["0"] * 8 + ["1"] * 8
    jobs = {job.name: job for job in trained}
    awr = campaign.settings_of(jobs["humanoid3d_spinkick-awr-0"].args)
    assert (awr.env, awr.minutes, awr.task.actions) == ("imitate/humanoid", 5.0, "residual")
    assert awr.task.clip == (str(tmp_path / "data" / "motions" / "humanoid3d_spinkick.txt"),)
    absolute = campaign.settings_of(jobs["dog3d_trot-absolute-1"].args)
    assert (absolute.env, absolute.seed, absolute.task.actions) == ("imitate/dog", 1, "absolute")
    assert campaign.settings_of(jobs["dog3d_trot-rwr-0"].args).awr != awr.awr
    ppo = jobs["humanoid3d_spinkick-ppo-0"]
    assert ppo.module == brax_trainers.__name__
    given = cli.parse(brax_trainers.BraxConfig, [*ppo.args, "--run_dir", "x"], prog="", description="")
    assert given.task == awr.task and given.like == "humanoid"


def test_what_makes_no_sense_is_refused_before_anything_starts(tmp_path: pathlib.Path) -> None:
    def train(*_: object) -> None:
        pytest.fail("worked before it looked")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(campaign, "train", train)
        for args, says in (
            (["--learners", "sac"], "learners are some of awr"),
            (["--minutes", "0"], "positive"),
            (["--learners", "awr"], "cannot be read"),
        ):
            given = ["--data", str(tmp_path), "--folder", str(tmp_path / "runs"), *args]
            refused(here(benchmark.main, "imitation", *given), says)
