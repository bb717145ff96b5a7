"""The training program as its users meet it: bad input, interruption, damage, exact resume."""

import json
import pathlib
import re
import signal

import numpy as np
import pytest

from awr_mjx.train import evaluate
from awr_mjx.train.engine import restoring
from awr_mjx.train.engine.command_line import parse
from awr_mjx.train.engine.presets import PRESETS
from awr_mjx.train.main import main
from tests.runs import PER_ITERATION, SMALL, begun, copied, here, program, refused, restored, same, train, training
from tests.trained import wait_for


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    train(run, 4)
    return run


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--env", "cartpoles"], ["unknown task", "cartpole"]),
        (["--num_envs", "0"], ["num_envs", "positive"]),
        (["--num-envs", "-3"], ["num_envs", "positive"]),
        (["--num_envs", "many"], ["num_envs", "many"]),
        (["--num_steps", "0"], ["num_steps", "positive"]),
        (["--rollout_steps", "0"], ["rollout_steps", "positive"]),
        (["--buffer_blocks", "0"], ["buffer_blocks", "positive"]),
        (["--batch_size", "257"], ["batch_size 257", "ring", "256"]),
        (["--gamma", "1"], ["gamma", "below 1"]),
        (["--beta", "0"], ["beta", "positive"]),
        (["--policy_hidden", "64", "0"], ["policy_hidden"]),
        (["--seed", "-1"], ["seed"]),
        (["--no_such_setting", "3"], ["no_such_setting"]),
        (["--advantage", "huge"], ["advantage", "huge"]),
        (["--variant", "ppo"], ["variant", "rwr"]),
        (["--variant", "rwr", "--value_updates", "0"], ["buffer_blocks", "64 or more", "episode of 500"]),
        (["--returns", "monte_carlo"], ["buffer_blocks", "64 or more", "episode of 500"]),
        (["--num_envs", "40000000"], ["memory", "--num_envs"]),
        (["--num_envs", "2000000000"], ["env steps", "num_envs"]),
        (["--resume", "nowhere"], ["nowhere", "not a run"]),
    ],
)
def test_bad_settings_get_one_line_and_write_nothing(tmp_path: pathlib.Path, args: list[str], words: list[str]) -> None:
    refused(here(main, *SMALL, "--run_dir", tmp_path / "run", *args), *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("variant", ["rwr", "monte_carlo"])
@pytest.mark.parametrize("env", sorted([*PRESETS, "brax/ant"]))
def test_whole_episodes_take_longer_rollouts_of_fewer_environments(env: str, variant: str) -> None:
    """With every preset: as many samples an iteration, episodes of 1,000 steps in the ring, and no more than 10 MB."""
    before, after = (parse(["--env", env, "--variant", name]).config for name in ("awr", variant))
    assert after.num_envs * after.awr.rollout_steps == before.num_envs * before.awr.rollout_steps
    assert after.awr.problems(1000) == []
    assert after.num_envs * after.awr.capacity <= 100_000


def test_a_run_folder_that_exists_is_left_alone(finished: pathlib.Path) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in finished.rglob("*"))
    refused(here(main, *SMALL, "--run_dir", finished), "exists already", "--resume")
    assert sorted((p, p.stat().st_mtime_ns) for p in finished.rglob("*")) == before


def test_resume_of_a_finished_run_asks_for_more_steps(finished: pathlib.Path) -> None:
    refused(here(main, "--resume", finished), "already", "--num_steps")


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--num_envs", 32], "num_envs 16 -> 32"),
        (["--gamma", 0.9], "gamma 0.99 -> 0.9"),
        (["--env", "ant"], "env cartpole -> ant"),
        (["--seed", 3], "seed 0 -> 3"),
        (["--variant", "rwr"], "baseline True -> False"),
    ],
)
def test_settings_that_cannot_change_on_resume(finished: pathlib.Path, args: list[object], word: str) -> None:
    refused(here(main, "--resume", finished, *args), "cannot change", word)


def test_checkpoint_of_another_size(finished: pathlib.Path, tmp_path: pathlib.Path) -> None:
    copied(finished, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    values = json.loads(path.read_text())
    values["settings"]["awr"]["policy_hidden"] = [32]
    path.write_text(json.dumps(values))
    refused(here(main, "--resume", tmp_path / "run"), "another task or network size")
    refused(here(evaluate.main, "--run", tmp_path / "run"), "another task or network size")


def test_resume_is_exact_across_processes(tmp_path: pathlib.Path) -> None:
    """Train 2k iterations = train k, save, new process, resume, train k: every leaf equal, bit for bit."""
    train(tmp_path / "whole", 6)
    train(tmp_path / "parts", 3)
    done = program("--resume", tmp_path / "parts", "--num_steps", 6 * PER_ITERATION)
    assert done.returncode == 0, done.stderr
    step, whole = restored(tmp_path / "whole")
    assert step == 6 * PER_ITERATION
    again, parts = restored(tmp_path / "parts")
    assert again == step
    same(whole, parts)
    steps = [json.loads(line)["env_steps"] for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert steps.count(4 * PER_ITERATION) == 1


def test_without_its_ring_a_resume_says_that_it_is_not_exact(tmp_path: pathlib.Path) -> None:
    train(tmp_path / "run", 3, "--checkpoint_ring", "false")
    assert not (tmp_path / "run" / "checkpoints" / str(3 * PER_ITERATION) / "ring").exists()
    done = program("--resume", tmp_path / "run", "--num_steps", 5 * PER_ITERATION)
    assert done.returncode == 0
    assert "not exact" in done.stderr


def test_a_damaged_checkpoint_falls_back_to_the_newest_sound_one(tmp_path: pathlib.Path) -> None:
    run = tmp_path / "run"
    train(run, 3)
    assert program("--resume", run, "--num_steps", 6 * PER_ITERATION).returncode == 0
    newest = run / "checkpoints" / str(6 * PER_ITERATION)
    data = max((p for p in (newest / "ring").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 0xFF  # one byte, which no file system would notice
    data.write_bytes(content)
    done = program("--resume", run, "--num_steps", 7 * PER_ITERATION)
    assert done.returncode == 0, done.stderr
    assert f"checkpoint {6 * PER_ITERATION} is damaged" in done.stderr
    assert restoring.steps(run)[-1] == 7 * PER_ITERATION
    # From the sound one it went the same way again, so the end is that of a run never damaged.
    train(tmp_path / "whole", 7)
    same(restored(run)[1], restored(tmp_path / "whole")[1])


def test_truncated_checkpoints_everywhere_is_one_line(tmp_path: pathlib.Path) -> None:
    run = tmp_path / "run"
    train(run, 2)
    for path in (run / "checkpoints").rglob("*"):
        if path.is_file() and path.stat().st_size > 1:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(here(main, "--resume", run), "no sound checkpoint")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(tmp_path: pathlib.Path, number: signal.Signals) -> None:
    run = tmp_path / "run"
    with training(*SMALL, "--num_steps", 1_000_000_000, "--run_dir", run) as process:
        wait_for(lambda: begun(run))
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert f"--resume {run}" in out
    start, step = restoring.steps(run)
    assert start == 0
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert step == last["env_steps"]


def test_evaluate_prints_and_writes(finished: pathlib.Path, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "evaluation.json"
    done = program("--run", finished, "--episodes", 10, "--out", out, module="train.evaluate")
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert len(result["returns"]) == 10
    assert result["return_mean"] == pytest.approx(np.mean(result["returns"]))
    assert f"{result['return_mean']:.1f}" in done.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--run", "nowhere"], ["no policy 'nowhere'", "a run folder"]),
        (["--episodes", "3"], ["run"]),
        (["--run", "{run}", "--episodes", "0"], ["episodes", "from 1"]),
        (["--run", "{run}", "--step", "7"], ["no checkpoint 7"]),
        (["--run", "{run}", "--out", "/no/such/folder/x.json"], ["cannot write"]),
    ],
)
def test_evaluate_refuses_bad_input(finished: pathlib.Path, args: list[str], words: list[str]) -> None:
    refused(here(evaluate.main, *(a.format(run=finished) for a in args)), *words)


def test_help_shows_every_setting() -> None:
    done = program("--help")
    assert done.returncode == 0
    for name in ("num_envs", "gamma", "weight_max", "checkpoint_ring", "resume", "buffer_blocks"):
        assert f"--{name}" in done.stdout


def test_a_checkpoint_from_another_kind_of_device_is_readable(finished: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Orbax writes down the devices that saved; one that does not exist here, such as an eighth, must not matter."""
    run = tmp_path / "run"
    copied(finished, run)
    files = list(run.glob("checkpoints/*/*/_sharding"))
    assert files
    for path in files:
        text = path.read_text()
        elsewhere = re.sub(r'(id\\": )[01]\}', r"\g<1>7}", text)
        assert elsewhere != text
        path.write_text(elsewhere)
    same(restored(run)[1], restored(finished)[1])
