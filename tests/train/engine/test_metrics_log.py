"""Weights & Biases, without a network: `--wandb` with WANDB_MODE=offline."""

import os
import pathlib

import pytest

from tests.trained import python, refusal
from train import main
from train.engine import config

pytest.importorskip("wandb")
SMALL = "--env cartpole --num_envs 16 --rollout_steps 8 --buffer_blocks 2 --batch_size 64 --policy_updates 2".split()
SMALL += "--value_updates 2 --epoch_iterations 1 --eval_envs 4 --num_evals 1 --num_steps 256 --wandb".split()


def test_offline_runs_hold_settings_and_metrics_and_a_resume_goes_on(tmp_path: pathlib.Path) -> None:
    run, env = tmp_path / "run", {**os.environ, "WANDB_MODE": "offline"}
    done = python("-m", "train.main", *SMALL, "--run_dir", run, env=env)
    assert done.returncode == 0, done.stderr
    done = python("-m", "train.main", "--resume", run, "--num_steps", "512", env=env)
    assert done.returncode == 0, done.stderr
    files = sorted((run / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == 2
    assert len({file.name for file in files}) == 1  # the same run, by its id
    for file in files:
        content = file.read_bytes()
        for words in (b"mode_return", b"reward_per_step", b"policy_updates", b"cartpole"):
            assert words in content, words


def test_without_the_package_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    found = config.importlib.util.find_spec
    monkeypatch.setattr(config.importlib.util, "find_spec", lambda name: None if name == "wandb" else found(name))
    words = refusal(monkeypatch, main, *SMALL, "--run_dir", tmp_path / "run")
    assert "pip install 'awr_mjx[wandb]'" in words
    assert not (tmp_path / "run").exists()
