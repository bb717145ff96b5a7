"""Learning from logged data by `train.main`: what it needs, that it goes on exactly, and what is refused."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.train import data, evaluate, export, render, report
from awr_mjx.train.datasets import writing
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import metrics_log, restoring, static_data
from awr_mjx.train.engine.player import load_policy
from awr_mjx.train.main import main
from tests.runs import Done, copied, here, refused
from tests.tasks import leaves_of
from tests.train.datasets.made import episodes

KINDS = ((20, "terminated"), (15, "truncated"), (25, "both"), (12, "cut off"))
SMALL = "--policy_hidden 8 --value_hidden 8 --batch_size 32 --policy_updates 6 --value_updates 4".split()
SMALL += "--num_evals 2 --eval_envs 4".split()
ITERATION = 10


def choices(seed: int = 0) -> DataSet:
    """Episodes with the sizes of cartpole."""
    made = episodes(*KINDS, size=4, actions=0, seed=seed)
    return dataclasses.replace(made, actions=(made.actions % 2).astype(np.int32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A set, and a run of four iterations on it."""
    place = tmp_path_factory.mktemp("static")
    writing.write(choices(), f"{place}/set.npz")
    done = train(place, 4, "--run_dir", place / "run")
    assert done.returncode == 0, done.stderr
    (place / "stdout").write_text(done.stdout)
    return place


def train(folder: pathlib.Path, iterations: int, *args: object) -> Done:
    known = (
        ["--data", folder / "set.npz", "--env", "cartpole"] if "--data" not in args and "--resume" not in args else []
    )
    return here(main, *known, *SMALL, "--num_steps", iterations * ITERATION, *args)


def leaves(run: pathlib.Path) -> dict[str, np.ndarray]:
    """Every leaf of the newest state of a run."""
    config = settings.read(run)
    loop, _ = static_data.loop(registry.make(config.env), config)
    _, state, warnings = restoring.restore(run, jax.eval_shape(lambda: loop.init(0)))
    assert not warnings
    return leaves_of(state)


def test_a_run_counts_gradient_steps_and_says_what_it_learns_from(folder: pathlib.Path) -> None:
    run = folder / "run"
    assert restoring.steps(run) == [0, 20, 40]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {line["gradient_steps"] for line in lines} == {10, 20, 30, 40}
    assert not any("env_steps" in line or "episode_return" in line for line in lines)
    assert [metrics_log.step_of(values) for values in metrics_log.lines(run, 20)] == [10, 20, 20]
    about = json.loads((run / "config.json").read_text())["about"]["data"]
    assert about["steps"] == 72 and about["episodes"] == 4 and len(about["checksum"]) == 16
    summary = json.loads((run / "summary.json").read_text())
    assert summary["finished"] and summary["gradient_steps"] == 40 and summary["env_steps"] == 0
    said = (folder / "stdout").read_text()
    assert "cartpole: 72 steps in 4 episodes" in said and "40 gradient steps: mode return" in said


def test_the_normaliser_is_that_of_the_set_and_stays(folder: pathlib.Path) -> None:
    made = choices()
    stats = load_policy(folder / "run").learned.normalizer
    obs = made.observations[made.acted_on()].astype(np.float64)
    np.testing.assert_allclose(stats.mean, obs.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(stats.variance, obs.var(axis=0), rtol=1e-5)


def test_a_run_that_was_stopped_goes_on_as_if_nothing_had_happened(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    run = tmp_path / "run"
    # The schedule of the policy's step is that of the whole run from the start.
    assert train(folder, 2, "--run_dir", run, "--policy_lr_steps", 24).returncode == 0
    before = leaves(run)
    done = train(folder, 4, "--resume", run)
    assert done.returncode == 0 and "goes on from 20 gradient steps" in done.stdout, done.stderr
    whole, parts = leaves(folder / "run"), leaves(run)
    assert whole.keys() == parts.keys() and len(whole) > 30
    for name, value in whole.items():
        np.testing.assert_array_equal(value, parts[name], err_msg=name)
    assert any(not np.array_equal(before[name], parts[name]) for name in parts)


def test_other_programs_know_such_a_run(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run = copied(folder / "run", tmp_path / "run")
    done = here(evaluate.main, "--run", run, "--episodes", 3)
    assert done.returncode == 0 and "after 40 gradient steps" in done.stdout, done.stderr
    assert json.loads((run / "evaluation.json").read_text())["gradient_steps"] == 40
    done = here(export.main, "--run", run, "--out", tmp_path / "policy.npz")
    assert done.returncode == 0 and "after 40 gradient steps" in done.stdout, done.stderr
    done = here(report.main, run, "--out", tmp_path / "report.html", "--video", "false")
    assert done.returncode == 0, done.stderr
    assert "gradient steps/s" in (tmp_path / "report.html").read_text()


def test_a_report_shows_what_was_learned_from(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    runs = [copied(folder / "run", tmp_path / name) for name in ("one", "other", "gone")]
    for run, sets in ((runs[1], "other.npz"), (runs[2], "gone.npz")):
        text = (run / "config.json").read_text()
        (run / "config.json").write_text(text.replace(f"{folder}/set.npz", f"{tmp_path}/{sets}"))
    writing.write(choices(seed=1), f"{tmp_path}/other.npz")
    done = here(report.main, *runs, runs[0], "--out", tmp_path / "page.html", "--video", "false")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and f"no picture of {tmp_path}/gone.npz" in lines[0] and "no file" in lines[0]
    page = (tmp_path / "page.html").read_text()
    assert f"What was learned from: {folder}/set.npz." in page
    assert f"What was learned from: {tmp_path}/other.npz." in page
    drawn = sorted(path.name for path in tmp_path.glob("page-data*.png"))
    assert drawn == ["page-data.png", "page-data2.png"] and all(f"{tmp_path}/{name}" in done.stdout for name in drawn)
    assert (tmp_path / drawn[0]).read_bytes() != (tmp_path / drawn[1]).read_bytes()


def test_data_without_a_task(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run = tmp_path / "run"
    done = train(folder, 2, "--data", folder / "set.npz", "--env", "none", "--held_out", 0.25, "--run_dir", run)
    assert done.returncode == 0, done.stderr
    assert "1 held-out episodes: explained variance" in done.stdout and "log likelihood" in done.stdout
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert sum("held_out_log_likelihood" in line for line in lines) == 2
    assert here(export.main, "--run", run, "--out", tmp_path / "policy.npz").returncode == 0
    refused(here(evaluate.main, "--run", run), "without a task")
    refused(here(render.main, "--run", run, "--out", tmp_path / "film.mp4"), "without a task")


def test_cloning_has_no_values(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    done = train(folder, 1, "--variant", "bc", "--value_updates", 0, "--run_dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert not any("value_loss" in line or "explained_variance" in line for line in lines)
    assert lines[0]["weight_max"] == 1.0


def other(folder: pathlib.Path, name: str, found: DataSet) -> pathlib.Path:
    return writing.write(found, str(folder / f"{name}.npz"))


def test_what_cannot_be_learned_from_is_one_line_and_leaves_nothing(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    good = folder / "set.npz"
    three = other(tmp_path, "three", episodes(*KINDS, size=4, actions=0))
    wide = other(tmp_path, "wide", episodes(*KINDS, size=5, actions=0))
    numbers = other(tmp_path, "numbers", episodes(*KINDS, size=4, actions=1))
    hopping = episodes(*KINDS, size=11, actions=3)
    beyond = other(tmp_path, "beyond", dataclasses.replace(hopping, actions=hopping.actions * 3))
    run = tmp_path / "run"
    cases: list[tuple[list[object], list[str]]] = [
        ([wide, "--env", "cartpole"], ["observations of 5", "of 4"]),
        ([numbers, "--env", "cartpole"], ["1 numbers", "2 choices"]),
        ([three, "--env", "cartpole"], ["3 choices", "2 choices"]),
        ([beyond, "--env", "hopper"], ["beyond their bounds in", "--clip_actions"]),
        ([tmp_path / "nothing.npz", "--env", "cartpole"], ["no file"]),
        ([good], ["--env"]),
        ([good, "--env", "cartpoll"], ["cartpole"]),
        ([good, "--env", "cartpole", "--top", 0], ["top"]),
        ([good, "--env", "cartpole", "--min_return", 1e9], ["no episode has a return"]),
        ([good, "--env", "cartpole", "--take", -1], ["take"]),
        ([good, "--env", "cartpole", "--limit", -1], ["limit"]),
        ([good, "--env", "cartpole", "--data_weights", 1, 2], ["data_weights"]),
        ([good, good, "--env", "cartpole", "--data_weights", 1, -2], ["data_weights"]),
        ([good, good, "--env", "cartpole", "--data_weights", 1e308, 1e308], ["data_weights", "up to 1e+09"]),
        ([good, wide, "--env", "cartpole"], ["do not fit"]),
        ([good, "--env", "cartpole", "--held_out", 1.0], ["held_out"]),
        ([good, "--env", "cartpole", "--held_out", 0.99], ["too small", "give --held_out 0"]),
        ([good, "--env", "cartpole", "--devices", 2], ["one device"]),
        ([good, "--env", "cartpole", "--std_end", 0.1], ["std_end"]),
        ([good, "--env", "cartpole", "--expectile", 1.0], ["expectile"]),
        ([good, "--env", "cartpole", "--policy_updates", 0, "--value_updates", 0], ["nothing to learn"]),
        ([good, "--env", "cartpole", "--variant", "rwr"], ["episodes"]),
    ]
    for given, words in cases:
        args = [] if "--policy_updates" in given or "rwr" in given else SMALL
        refused(here(main, "--data", *given, *args, "--run_dir", run), *words)
        assert not run.exists(), given
    refused(here(main, "--env", "none", "--run_dir", run), "--data")
    refused(here(main, "--env", "cartpole", "--top", 0.5, "--run_dir", run), "--data")


def test_actions_are_brought_to_the_units_of_the_task(tmp_path: pathlib.Path) -> None:
    made = episodes(*KINDS, size=11, actions=3)
    config = settings.TrainConfig(env="hopper")

    def read(found: DataSet, **changes: object) -> np.ndarray:
        place = other(tmp_path, "scaled", found)
        logged = dataclasses.replace(config.logged, data=(str(place),), **changes)  # type: ignore[arg-type]
        return logged.read()[0].actions

    np.testing.assert_array_equal(read(made), made.actions)
    bounds = np.array([[-2.0] * 3, [6.0] * 3], np.float32)
    scaled = dataclasses.replace(made, actions=made.actions * 4 + 2, action_bounds=bounds)
    np.testing.assert_allclose(read(scaled), made.actions, atol=1e-6)
    larger = dataclasses.replace(made, actions=made.actions * 3)
    np.testing.assert_allclose(read(larger, action_scale=3.0), made.actions, atol=1e-6)
    np.testing.assert_allclose(read(larger, clip_actions=True), np.clip(larger.actions, -1, 1))
    # Where the task itself clips, as ours do, nothing is beyond.
    unbounded = dataclasses.replace(larger, action_bounds=np.array([[-np.inf] * 3, [np.inf] * 3], np.float32))
    np.testing.assert_array_equal(read(unbounded), larger.actions)


def test_what_is_in_a_set_is_printed_and_converted(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    out, png = tmp_path / "seen.json", tmp_path / "seen.png"
    done = here(data.main, "inspect", folder / "set.npz", "--out", out, "--png", png)
    assert done.returncode == 0, done.stderr
    assert "episodes: 4 (1 terminated, 1 truncated, 1 both, 1 cut off), 72 steps" in done.stdout
    seen = json.loads(out.read_text())
    returns = choices().returns()
    assert seen["returns"]["mean"] == pytest.approx(returns.mean()) and seen["returns"]["100%"] == returns.max()
    assert sum(seen["actions"]["shares"]) == pytest.approx(1.0) and png.read_bytes().startswith(b"\x89PNG")
    done = here(data.main, "convert", folder / "set.npz", "--top", 0.5, "--out", tmp_path / "half.npz")
    assert done.returncode == 0 and "2 episodes" in done.stdout, done.stderr
    for args, word in (
        (["inspect"], "set"),
        (["show", folder / "set.npz"], "unknown"),
        (["convert", folder / "set.npz", "--out", tmp_path / "x.csv"], "--out"),
        (["convert", folder / "set.npz", "--out", "/proc/x.npz"], "/proc/x.npz"),
        (["inspect", tmp_path], "without a Minari set"),
    ):
        refused(here(data.main, *args), word)
