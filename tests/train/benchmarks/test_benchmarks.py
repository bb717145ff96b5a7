"""Campaigns of trainings: what is finished stays, what is stopped goes on, and what the curves say."""

import dataclasses
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.table import Table

from tests.trained import wait_for
from train.benchmarks import ablations, campaign, peers, plots, results, train
from train.benchmarks.campaign import Job
from train.console import files
from train.console.errors import UserError
from train.engine import config as settings
from train.engine.command_line import parse

SECONDS = {f"{name}_seconds": 60.0 for name in train.SECONDS}
TRAINED = {"mode_return": 7.0, "env_steps": 1000.0, "gradient_steps": 100.0, **SECONDS}
# A stand-in for a training: it counts its starts in a file beside its folder, and writes a curve.
TRAINER = """
import json, pathlib, sys
import train.console.files
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
    with pytest.raises(UserError, match=r"^bad failed: error: it cannot be done$"):
        campaign.train([Job("bad", ("--fail",), trainer), Job("never", (), trainer)], tmp_path / "runs")
    assert not (tmp_path / "runs" / "never").exists()


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
    files.write_json(tmp_path / "rwr-0.json", {"module": job.module, "args": list(command)})
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


def points(*pairs: tuple[float, float]) -> list[campaign.Point]:
    return [{"train_seconds": 60 * minute, "mode_return": value, "env_steps": 1e6 * minute} for minute, value in pairs]


def test_the_first_evaluation_that_reaches_a_return() -> None:
    curve = points((1, 5.0), (2, 12.0), (3, 11.0))
    assert campaign.first_at(curve, 11.0) == curve[1]
    assert campaign.first_at(curve, 12.5) is None


def test_who_is_ahead_is_told_by_the_newest_evaluations() -> None:
    ours = points((0.4, 1.0), (1.0, 9.0), (2.0, 20.0))
    theirs = points((0.0, 3.0), (1.2, 10.0))
    # At 0.5 min 1 < 3; at 1.0 9 > 3; at 1.5 9 < 10; at 2.0 20 > 10: ahead from minute 2 on.
    found = peers.compare({"awr": [ours], "ppo": [theirs]}, 2.0)
    assert found["mode_return"] == {"awr": [1.0, 9.0, 9.0, 20.0], "ppo": [3.0, 3.0, 10.0, 10.0]}
    assert found["ours_ahead_from_minute"] == 2.0
    assert peers.compare({"awr": [theirs], "ppo": [ours]}, 2.0)["ours_ahead_from_minute"] is None
    # Without any evaluation of ours at 0.5, it cannot be ahead there.
    late = points((0.6, 50.0), (2.0, 50.0))
    assert peers.compare({"awr": [late], "ppo": [theirs]}, 2.0)["ours_ahead_from_minute"] == 1.0


def test_a_peer_can_have_the_settings_of_another_task() -> None:
    config = peers.PeersBenchmark(env="hopper")
    found = peers.job(config, "ppo:halfcheetah", 2)
    assert found.name == "ppo-halfcheetah-2"
    assert " ".join(found.args).endswith("--algorithm ppo --eval_seconds 30 --like halfcheetah")
    assert "--like" not in peers.job(config, "ppo", 2).args
    assert peers.label("ppo:halfcheetah") == "Brax PPO, settings of halfcheetah"


def test_the_ablations_are_the_papers() -> None:
    found = ablations.variants(ablations.Ablations(env="paper/hopper"))
    assert found["AWR"] == ("--variant", "awr")
    assert set(found) == {"AWR", "on-policy", "no baseline", "Monte Carlo", "RWR", "ring x 0.1", "ring x 10"}
    # The paper's ring has 24 blocks of 2,048 samples.
    assert (found["ring x 0.1"], found["ring x 10"]) == (("--buffer_blocks", "2"), ("--buffer_blocks", "240"))
    # A tenth of six blocks is one, and one block is on-policy.
    found = ablations.variants(ablations.Ablations(env="halfcheetah"))
    assert (found["ring x 0.1"], found["ring x 10"]) == (("--variant", "on_policy"), ("--buffer_blocks", "60"))


def test_a_figure_is_drawn(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "curves.png"
    seeds = [points((1, 5.0), (2, 12.0)), points((1.5, 4.0), (3, 11.0))]
    plots.draw({"one": {"AWR": seeds, "nothing": [[]]}, "two": {"single": seeds[:1]}}, "env_steps", path, levels=[10.0])
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_curve_of_one_evaluation_is_seen() -> None:
    axis = Figure().subplots()
    plots.draw_curves(axis, {"AWR": [points((1, 5.0))]}, "train_seconds")
    marked = [line for line in axis.lines if line.get_marker() == "."]
    assert [np.asarray(line.get_ydata()).tolist() for line in marked] == [[5.0]]
    assert axis.get_xlim()[0] == 0.0


def test_a_table_is_named_after_its_columns() -> None:
    found = {"seed-0": train.summarise([TRAINED], (5.0, 9.0))}
    config = train.TrainBenchmark(env="cartpole", minutes=0.2)
    plain = train.table(config, (), {"seed-0": train.summarise([TRAINED], ())})
    assert plain.title == "cartpole, 0.2 minutes of training each"
    whole = train.table(config, (5.0, 9.0), found)
    assert whole.title == "cartpole, 0.2 minutes of training each; to a mode return: minutes of training, env steps"
    assert [column.header for column in whole.columns][:4] == ["seed", "to 5", "to 9", "best"]


def test_a_growing_table_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError), results.growing(80) as show:
        for count in range(1, 4):
            table = Table("row")
            for i in range(count):
                table.add_row(f"number {i}")
            show(table)
        raise UserError("too large")
    out = capsys.readouterr().out
    assert [out.count(f"number {i}") for i in range(3)] == [1, 1, 1]


def test_training_is_measured(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "train.benchmark", "train", "--env", "cartpole", "--seeds", "1", "--phases=false"]
    command += ["--minutes", "0.02", "--returns", "0", "1000", "--folder", str(tmp_path / "runs")]
    command += "--set num_envs=8 batch_size=16 policy_updates=2 value_updates=2 eval_envs=2".split()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "runs" / "results.json").read_text())
    one = result["runs"]["seed-0"]
    assert one["reached"]["0"]["env_steps"] > 0
    assert one["reached"]["1000"] is None  # no episode is that long
    assert one["seconds"]["train"] >= 1.2  # 0.02 minutes
    assert one["seconds"]["wall"] >= sum(one["seconds"][name] for name in ("train", "evaluate", "save", "compile"))
    assert one["env_steps"] == pytest.approx(one["env_steps_per_second"] * one["seconds"]["train"])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("fast", "unknown benchmark 'fast': choose one of train, peers, ablations, loop, physics"),
        ("train --env ants", "unknown task 'ants'"),
        ("train --seeds 0", "seeds and minutes must be positive numbers"),
        ("peers --algorithms awr trpo", "unknown algorithm trpo: choose of awr, ppo and sac"),
        ("peers --algorithms awr ppo:hopper", "nothing is published for ppo on 'hopper'"),
        ("peers --minutes 0.2", "minutes must be 0.5 or more"),
        ("ablations --seeds -1", "seeds must be a positive number"),
        ("ablations --env cartpole --at_once 1000", "at_once must be from 1 to"),
    ],
)
def test_bad_input_is_one_line(args: str, message: str) -> None:
    command = [sys.executable, "-m", "train.benchmark", *args.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["train", "peers", "ablations", "loop", "physics"])
def test_what_cannot_be_written_is_refused_before_the_work(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for work in ("train.benchmarks.campaign.train", "train.engine.jax_setup.start_jax"):
        monkeypatch.setattr(work, lambda *_: pytest.fail("worked before it looked"))
    module = importlib.import_module(f"train.benchmarks.{name}")
    with pytest.raises(UserError, match=r"cannot write /no/such/folder/x\.json.*--out"):
        module.main(["--out", "/no/such/folder/x.json"])


# A training that needs a second to save what it has, once it is asked to stop; and a campaign of two of them.
SAVES = """
import pathlib, sys, time
from train.engine.signals import Stop
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
from train.benchmarks import campaign
from train.console.errors import run_program
jobs = [campaign.Job(name, (), "saves") for name in ("a", "b")]
run_program(lambda: campaign.train(jobs, pathlib.Path(sys.argv[1]), at_once=min(2, campaign.jax_setup.cores())) or 0)
"""


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_lets_every_training_save(tmp_path: pathlib.Path, times: int) -> None:
    """A terminal sends it to the whole group of processes; `timeout` and others send SIGTERM twice."""
    (tmp_path / "saves.py").write_text(SAVES)
    path = os.pathsep.join([str(tmp_path), str(pathlib.Path(__file__).parents[3])])
    command = [sys.executable, "-c", CAMPAIGN, str(tmp_path / "runs")]
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": path}, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    runs = [tmp_path / "runs" / name for name in "ab"[: min(2, campaign.jax_setup.cores())]]
    wait_for(lambda: all(run.exists() for run in runs))
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT if times == 1 else signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert all((run / "saved").exists() for run in runs)


def test_a_line_that_a_full_disk_has_cut_off_is_left_out(tmp_path: pathlib.Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"env_steps": 1, "mode_return": 2.0}\n{"env_steps": 2, "mo\n')
    assert campaign.curve(tmp_path) == [{"env_steps": 1, "mode_return": 2.0}]
