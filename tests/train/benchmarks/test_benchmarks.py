"""Benchmarks of trainings: what they refuse, what the curves say, and what they leave."""

import importlib
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import psutil
import pytest
from matplotlib.figure import Figure
from rich.table import Table

from awr_mjx.train.benchmarks import ablations, campaign, peers, plots, results, train
from awr_mjx.train.console.errors import UserError
from tests.trained import wait_for

SECONDS = {f"{name}_seconds": 60.0 for name in train.SECONDS}
TRAINED = {"mode_return": 7.0, "env_steps": 1000.0, "gradient_steps": 100.0, **SECONDS}


@pytest.mark.parametrize("minutes", ["nan", "inf", "0"])
@pytest.mark.parametrize("module", [train, peers])
def test_minutes_must_be_a_number(module: Any, minutes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "train", lambda *_: pytest.fail("worked before it looked"))
    with pytest.raises(UserError, match="minutes"):
        module.main(["--env", "ant", "--minutes", minutes])


def test_results_are_written_before_they_are_shown(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "train", lambda *_: None)
    for name in ("curve", "trained"):
        monkeypatch.setattr(campaign, name, lambda _: [TRAINED])
    for module, args in ((train, ["--phases=false"]), (peers, ["--algorithms", "awr"]), (ablations, [])):
        out = tmp_path / f"{module.__name__}.json"

        class Shows:
            def __init__(self, place: pathlib.Path = out, **_: object) -> None:
                assert place.exists()

            def print(self, *_: object) -> None:
                pass

        monkeypatch.setattr(module, "Console", Shows)
        assert module.main(["--env", "hopper", "--out", str(out), *args]) == 0


def points(*pairs: tuple[float, float]) -> list[campaign.Point]:
    return [{"train_seconds": 60 * minute, "mode_return": value, "env_steps": 1e6 * minute} for minute, value in pairs]


def test_the_first_evaluation_that_reaches_a_return() -> None:
    curve = points((1, 5.0), (2, 12.0), (3, 11.0))
    assert campaign.first_at(curve, 11.0) == curve[1]
    assert campaign.first_at(curve, 12.5) is None


def test_the_fast_physics_has_columns_of_its_own() -> None:
    seconds = {f"{name}_seconds": 1.0 for name in train.SECONDS}
    curve = [
        {**point, **seconds, "train_seconds": 60.0 * (i + 1), "gradient_steps": 1.0, "mode_return_fast": fast}
        for i, (point, fast) in enumerate(zip(points((1, 5.0), (2, 12.0)), (12.0, 13.0), strict=True))
    ]
    config, levels = train.TrainBenchmark(env="hopper"), (4.0, 11.0)
    shown = train.table(config, levels, {"seed-0": train.summarise(curve, levels)})
    cells = {str(column.header): list(column.cells) for column in shown.columns}
    assert cells["to 11"] == ["2.0 min, 2.00M"] and cells["fast physics: to 11"] == ["1.0 min, 1.00M"]
    assert (cells["final"], cells["fast physics: final"]) == (["12"], ["13"])
    assert train.summarise(curve, levels)["reached_fast"]["11"]["mode_return_fast"] == 12.0
    for point in curve:
        del point["mode_return_fast"]
    shown = train.table(config, levels, {"seed-0": train.summarise(curve, levels)})
    assert not any("fast" in str(column.header) for column in shown.columns)


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


def test_every_seed_is_ahead_when_the_worst_is() -> None:
    good, bad = points((0.4, 30.0)), points((0.4, 1.0), (1.4, 12.0))
    theirs = [points((0.4, 10.0)), points((0.4, 2.0))]
    found = peers.compare({"awr": [good, bad], "ppo": theirs}, 2.0)
    assert found["ours_ahead_from_minute"] == 0.0  # 15.5 against 6 on average
    assert found["every_seed_ahead_from_minute"] == 1.5  # 1 against 10 until then
    assert peers.compare({"awr": [good, bad], "ppo": theirs}, 1.0)["every_seed_ahead_from_minute"] is None


def test_a_peer_can_have_the_settings_of_another_task() -> None:
    config = peers.PeersBenchmark(env="hopper")
    found = peers.job(config, "ppo:halfcheetah", 2)
    assert found.name == "ppo-halfcheetah-2"
    assert " ".join(found.args).endswith("--algorithm ppo --eval_seconds 60 --like halfcheetah --eval_physics exact")
    assert "--like" not in peers.job(config, "ppo", 2).args
    assert peers.label("ppo:halfcheetah") == "Brax PPO, settings of halfcheetah"


def test_an_evaluation_a_moment_after_its_minute_is_that_minutes() -> None:
    """An epoch ends some tenths of a second after it; the next evaluation comes a minute later."""
    curve = points((0.0, 1.0), (1.01, 2.0), (1.2, 3.0), (2.04, 4.0))
    assert [peers.at(curve, minute) for minute in (0.5, 1.0, 1.5, 2.0)] == [1.0, 2.0, 3.0, 4.0]
    assert np.isnan(peers.at(curve[1:], 0.9))


def test_the_ablations_are_the_papers() -> None:
    found = ablations.variants(ablations.Ablations(env="paper/hopper"))
    assert found["AWR"] == ("--variant", "awr")
    assert set(found) == {"AWR", "on-policy", "no baseline", "Monte Carlo", "RWR", "ring x 0.1", "ring x 10"}
    # The paper's ring has 24 blocks of 2,048 samples.
    assert (found["ring x 0.1"], found["ring x 10"]) == (("--buffer_blocks", "2"), ("--buffer_blocks", "240"))
    # A tenth of six blocks is one, and one block is on-policy.
    found = ablations.variants(ablations.Ablations(env="halfcheetah"))
    assert (found["ring x 0.1"], found["ring x 10"]) == (("--variant", "on_policy"), ("--buffer_blocks", "60"))


@pytest.mark.parametrize(("there", "names"), [(False, ["awr-0", "awr-1"]), (True, ["awr"])])
def test_an_accelerator_trains_all_seeds_of_a_variant_at_once(
    there: bool, names: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    trained: list[campaign.Job] = []
    monkeypatch.setattr(ablations.surroundings, "accelerator", lambda: there)
    monkeypatch.setattr(campaign, "train", lambda jobs, *_: trained.extend(jobs))
    monkeypatch.setattr(campaign, "trained", lambda _: [TRAINED])
    args = ["--env", "hopper", "--seeds", "2", "--folder", str(tmp_path / "runs"), "--out", str(tmp_path / "x.json")]
    assert ablations.main(args) == 0
    assert [job.name for job in trained if job.name.startswith("awr")] == names
    runs = [run for job in trained if "--variant" in job.args and "awr" in job.args for run in job.runs(tmp_path)]
    assert len(runs) == 2 and len(trained) == 7 * len(names)


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


def test_what_is_terminated_leaves_no_training_behind(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "train.benchmark", "gpu", "--env", "cartpole", "--out", str(tmp_path / "a.json")]
    with subprocess.Popen(command, env=os.environ | {"TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE) as process:
        wait_for(lambda: any(tmp_path.glob("*/run/config.json")))
        process.terminate()
        assert process.wait(60) == 143
        assert process.stderr and b"no accelerator" in process.stderr.read()
    assert not list(tmp_path.iterdir())
    assert not [one.pid for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(one.info["cmdline"])]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            "fast",
            "unknown benchmark 'fast': choose one of train, peers, ablations, sweep, static, imitation, loop,",
        ),
        ("train --env ants", "unknown task 'ants'"),
        ("train --seeds 0", "seeds and minutes must be positive numbers"),
        ("loop --num_envs 7 --devices 2", "num_envs 7 cannot be shared out evenly over 2 devices"),
        ("loop --devices -1", "devices must be a positive number, or 0"),
        ("train --set env=ant", "--set env=ant: env is the benchmark's own"),
        ("train --set num-steps=5", "num-steps is the benchmark's own"),
        ("train --set fast", "settings of train.main as NAME=VALUE, not 'fast'"),
        ("ablations --out x.png", "name a JSON file with --out"),
        ("physics --env inverted_pendulum,cartpoles", "unknown task 'cartpoles'"),
        ("peers --algorithms awr trpo", "unknown algorithm trpo: choose of awr, ppo and sac"),
        ("peers --algorithms awr ppo:hopper", "nothing is published for ppo on 'hopper'"),
        ("peers --minutes 0.2", "minutes must be 0.5 or more"),
        ("peers --algorithms awr --at_once 1000", "at_once must be from 1 to"),
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


def test_where_the_numbers_go_is_looked_at_before_the_work(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.png").mkdir()
    with pytest.raises(UserError, match=r"x\.png: it is a folder"):
        results.place(tmp_path / "x.json", tmp_path / "runs")
    with pytest.raises(UserError, match="among the runs and their notes"):
        results.place(tmp_path / "seed-0.json", tmp_path)
    (tmp_path / "results.json").mkdir()
    with pytest.raises(UserError, match=r"results\.json: it is a folder"):
        results.place(None, tmp_path)
    assert results.place(None, tmp_path / "new") == tmp_path / "new" / "results.json"


@pytest.mark.parametrize("name", ["train", "peers", "ablations", "loop", "physics"])
def test_what_cannot_be_written_is_refused_before_the_work(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for work in ("awr_mjx.train.benchmarks.campaign.train", "awr_mjx.train.engine.jax_setup.start_jax"):
        monkeypatch.setattr(work, lambda *_: pytest.fail("worked before it looked"))
    module = importlib.import_module(f"awr_mjx.train.benchmarks.{name}")
    with pytest.raises(UserError, match=r"cannot write /no/such/folder/x\.json.*--out"):
        module.main(["--out", "/no/such/folder/x.json"])
