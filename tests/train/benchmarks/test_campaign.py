"""Campaigns of trainings: what is finished stays, what is stopped goes on, what cannot be is found before it starts."""

import dataclasses
import os
import pathlib
import signal
import sys

import pytest

from awr_mjx.train.benchmarks import campaign, train
from awr_mjx.train.benchmarks.campaign import Job
from awr_mjx.train.console import files
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import lock
from awr_mjx.train.engine.command_line import parse
from tests.runs import PER_ITERATION, SMALL, everything, running
from tests.trained import wait_for

# A stand-in for a training: it counts its starts in a file beside its folder, and writes a curve.
TRAINER = """
import json, pathlib, sys
import awr_mjx.train.console.files
run = pathlib.Path(sys.argv[sys.argv.index("--run_dir") + 1])
starts = run.with_name(run.name + ".starts")
starts.write_text(starts.read_text() + "x" if starts.exists() else "x")
if "--fail" in sys.argv:
    sys.exit("error: it cannot be done")
run.mkdir()
lines = [{"env_steps": 10, "reward": 1.0}, {"env_steps": 20, "mode_return": 5.0, "train_seconds": 60.0}]
(run / "metrics.jsonl").write_text("".join(json.dumps(line) + chr(10) for line in lines))
(run / "summary.json").write_text(json.dumps({"finished": "--half" not in sys.argv}))
"""


@pytest.fixture
def trainer(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "stand_in_trainer.py").write_text(TRAINER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "stand_in_trainer"


def starts(folder: pathlib.Path, name: str) -> int:
    return len((folder / f"{name}.starts").read_text())


def test_what_is_finished_is_not_trained_again(tmp_path: pathlib.Path, trainer: str) -> None:
    folder = tmp_path / "runs"
    jobs = [Job("whole", (), trainer), Job("half", ("--half",), trainer)]
    for _ in range(2):
        with pytest.raises(UserError, match="half was stopped: give the same command to go on with it"):
            campaign.train(jobs, folder)
    assert starts(folder, "whole") == 1
    assert starts(folder, "half") == 2
    assert campaign.curve(folder / "whole") == [{"env_steps": 20, "mode_return": 5.0, "train_seconds": 60.0}]


@pytest.mark.parametrize(
    ("spoilt", "content", "words"),
    [
        ("a.json", "{", "a is not of this command: move it"),
        ("a/summary.json", "", "summary.json is spoilt: remove it"),
        ("a/summary.json", "[]", "summary.json is spoilt: remove it"),
    ],
)
def test_spoilt_files_get_one_line(tmp_path: pathlib.Path, trainer: str, spoilt: str, content: str, words: str) -> None:
    campaign.train([Job("a", (), trainer)], tmp_path)
    (tmp_path / spoilt).write_text(content)
    with pytest.raises(UserError, match=words):
        campaign.train([Job("a", (), trainer)], tmp_path)
    assert starts(tmp_path, "a") == 1


def test_a_run_that_has_lost_its_curve_is_said(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"gone/metrics\.jsonl has no evaluation any more"):
        campaign.trained(tmp_path / "gone")


def test_a_second_campaign_in_a_folder_is_refused(tmp_path: pathlib.Path, trainer: str) -> None:
    """Brax's trainers hold no lock, and what they have done so far would be taken away."""
    with lock.held(tmp_path), pytest.raises(UserError, match="is being trained by process"):
        campaign.train([Job("a", (), trainer)], tmp_path)
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(campaign.jax_setup.cores() < 2, reason="one core")
def test_what_had_other_cores_is_said(tmp_path: pathlib.Path, trainer: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its minutes are not those that the command would give now."""
    campaign.train([Job("a", (), trainer)], tmp_path, at_once=1)
    every = campaign.jax_setup.cores()
    assert campaign.cores(tmp_path / "a") == every
    assert "was trained on" not in capsys.readouterr().out
    campaign.train([Job("a", (), trainer)], tmp_path, at_once=every)
    assert f"a was trained on {every} cores, not 1: so are its minutes" in capsys.readouterr().out


def test_trainings_are_ours_beside_files_called_as_ours(
    tmp_path: pathlib.Path, trainer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "train.py").write_text("raise SystemExit('the wrong train')")
    monkeypatch.chdir(tmp_path / "work")
    campaign.train([Job("a", (), trainer)], tmp_path / "runs")
    assert starts(tmp_path / "runs", "a") == 1


def test_results_have_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWR_MJX_TASKS", raising=False)
    monkeypatch.setattr(sys, "argv", ["/x/train/benchmark.py", "train", "--env", "ant"])
    assert campaign.about()["command"] == "python -m train.benchmark train --env ant"
    monkeypatch.setattr(sys, "argv", ["/x/bin/awr-mjx", "train", "--env", "ant"])
    assert campaign.about()["command"] == "awr-mjx benchmark train --env ant"


def test_a_failure_ends_the_campaign_with_its_last_line(tmp_path: pathlib.Path, trainer: str) -> None:
    with pytest.raises(UserError, match=r"^bad failed: it cannot be done$"):
        campaign.train([Job("bad", ("--fail",), trainer), Job("never", (), trainer)], tmp_path / "runs")
    assert not (tmp_path / "runs" / "never").exists()


def test_settings_that_make_no_sense_are_refused_before_anything_starts(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(campaign, "_start", lambda *_: pytest.fail("started before it looked"))
    few = ("--env", "cartpole", "--num_envs", "2", "--rollout_steps", "2", "--buffer_blocks", "1")
    jobs = [Job("good", few), Job("bad", ("--env", "cartpole", "--num_envs=-3"))]
    with pytest.raises(UserError, match=r"^num_envs must be a positive number up to [0-9,]+, not -3"):
        campaign.train(jobs, tmp_path / "runs")
    assert capsys.readouterr().err == ""  # what the trainings warn of is in their logs
    with pytest.raises(UserError, match="num_env"):
        train.main(["--env", "cartpole", "--phases=false", "--folder", str(tmp_path / "x"), "--set", "num_env=3"])


def test_runs_of_another_command_are_left_alone(tmp_path: pathlib.Path, trainer: str) -> None:
    folder = tmp_path / "runs"
    campaign.train([Job("a", (), trainer)], folder)
    with pytest.raises(UserError, match="is not of this command"):
        campaign.train([Job("a", ("--more",), trainer)], folder)
    (folder / "b").mkdir()
    (folder / "b" / "mine").touch()
    with pytest.raises(UserError, match="is not of this command"):
        campaign.train([Job("b", (), trainer)], folder)
    assert (folder / "b" / "mine").exists()


def test_runs_of_other_settings_are_not_mixed_with_new_ones(tmp_path: pathlib.Path) -> None:
    """A finished run of a variant that has changed since: the same command, but other settings than it has now."""
    command = ("--env", "cartpole", "--variant", "rwr")
    job, run = Job("rwr-0", command), tmp_path / "rwr-0"
    files.write_json(tmp_path / "rwr-0.json", {"module": "train.main", "args": list(command)})
    run.mkdir()
    files.write_json(run / "summary.json", {"finished": True})
    (run / "metrics.jsonl").write_text("")
    now = settings.to_dict(dataclasses.replace(parse(list(command)).config, devices=2))  # of another machine
    files.write_json(run / "config.json", {"settings": now})
    campaign.train([job], tmp_path)
    now["awr"] |= {"lam": 1.0, "buffer_blocks": 1, "rollout_steps": 32, "value_updates": 20}
    for name in ("returns", "episodes"):  # as it was when these did not exist
        del now["awr"][name]
    files.write_json(run / "config.json", {"settings": now})
    with pytest.raises(UserError, match=r"rwr-0 has other settings \(.*returns td_lambda -> monte_carlo.*move it"):
        campaign.train([job], tmp_path)


# A training that needs a second to save what it has, once it is asked to stop; and a campaign of two of them.
SAVES = """
import pathlib, sys, time
from awr_mjx.train.engine.signals import Stop
stop = Stop(careful=True)
run = pathlib.Path(sys.argv[sys.argv.index("--run_dir") + 1])
run.mkdir()
while not stop.asked:
    time.sleep(0.02)
time.sleep(1.5)
(run / "saved").touch()
"""
CAMPAIGN = """
import pathlib, sys
from awr_mjx.train.benchmarks import campaign
from awr_mjx.train.console.errors import run_program
jobs = [campaign.Job(name, (), "saves") for name in ("a", "b")]
run_program(lambda: campaign.train(jobs, pathlib.Path(sys.argv[1]), at_once=min(2, campaign.jax_setup.cores())) or 0)
"""


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_lets_every_training_save(tmp_path: pathlib.Path, times: int) -> None:
    """A terminal sends it to the whole group of processes; `timeout` and others send SIGTERM twice."""
    (tmp_path / "saves.py").write_text(SAVES)
    path = os.pathsep.join([str(tmp_path), str(pathlib.Path(__file__).parents[3])])
    command = [sys.executable, "-c", CAMPAIGN, str(tmp_path / "runs")]
    runs = [tmp_path / "runs" / name for name in "ab"[: min(2, campaign.jax_setup.cores())]]
    with running(command, env=os.environ | {"PYTHONPATH": path}, start_new_session=True) as process:
        wait_for(lambda: all(run.exists() for run in runs))
        for _ in range(times):
            os.killpg(process.pid, signal.SIGINT if times == 1 else signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert all((run / "saved").exists() for run in runs)


def test_a_line_that_a_full_disk_has_cut_off_is_left_out(tmp_path: pathlib.Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"env_steps": 1, "mode_return": 2.0}\n{"env_steps": 2, "mo\n')
    assert campaign.curve(tmp_path) == [{"env_steps": 1, "mode_return": 2.0}]


def test_seeds_of_one_program_are_runs_of_their_own(tmp_path: pathlib.Path) -> None:
    """What is finished is not trained again, what is not goes on, and each run has its curve."""
    common = [*SMALL, "--num_steps", str(2 * PER_ITERATION)]
    apart = campaign.of_seeds("awr", common, ["--beta", "2"], 2, one_program=False)
    assert [job.name for job in apart] == ["awr-0", "awr-1"] and apart[1].runs(tmp_path) == [tmp_path / "awr-1"]
    (both,) = campaign.of_seeds("awr", common, ["--beta", "2"], 2, one_program=True)
    runs = both.runs(tmp_path)
    assert runs == [tmp_path / "awr" / "seed-0", tmp_path / "awr" / "seed-1"]
    campaign.train([both], tmp_path)
    assert all(settings.read(run).awr.beta == 2 and campaign.curve(run) for run in runs)
    before = everything(tmp_path / "awr")
    campaign.train([both], tmp_path)
    assert everything(tmp_path / "awr") == before
    summary = runs[1] / "summary.json"
    summary.write_text(summary.read_text().replace('"finished": true', '"finished": false'))
    with pytest.raises(UserError, match=r"awr failed: .* already"):  # it was gone on with, not anew
        campaign.train([both], tmp_path)
    (other,) = campaign.of_seeds("awr", common, ["--beta", "3"], 2, one_program=True)
    with pytest.raises(UserError, match="not of this command"):
        campaign.train([other], tmp_path)
