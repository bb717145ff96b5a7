"""The programs around tasks: the list, the check, the transfer to Gymnasium, presets, switches on the command line."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.config import AwrConfig
from envs import registry
from tests.tasks import Broken, Walk, leaves_of
from tests.trained import pendulum_run, python, refusal  # noqa: F401
from train import check, transfer
from train.console import cli
from train.engine import presets
from train.engine.checkpointing import Checkpoints, restore
from train.engine.command_line import parse
from train.engine.config import TrainConfig
from train.engine.loop import Loop


def test_the_list_shows_every_task() -> None:
    result = python("-m", "train.main", "--env", "list")
    assert result.returncode == 0, result.stderr
    for name in registry.names():
        assert name in result.stdout
    for extra in ("brax", "playground"):
        assert f"{extra}/" in result.stdout


class Frozen(Walk):
    """Every episode starts in the same way."""

    def reset(self, key: jax.Array) -> registry.Env:
        return super().reset(jax.random.key(1))


@pytest.mark.parametrize(
    ("task", "broken", "stale"), [(Walk(), False, False), (Broken(), True, False), (Frozen(), False, True)]
)
def test_a_check_sees_what_is_wrong(task: registry.Env, broken: bool, stale: bool) -> None:
    found = check.check(task, num_envs=64, steps=100)
    assert found["ends"] > 64 and (found["broken"] > 0) == broken
    assert (found["stale"] > check.STALE * found["ends"]) == stale
    assert (found["starts"] == 1) == stale


def test_a_check_of_a_task_that_is_not_there_fails_and_goes_on() -> None:
    result = python("-m", "train.check", "--env", "antt,cartpole", "--steps", "100")
    assert result.returncode == 1 and "did you mean 'ant'" in result.stdout and "sound" in result.stdout
    assert "verdict" in result.stdout and "repeated starts" in result.stdout
    assert "\nrepeated starts: resets to the very state" in result.stdout  # what it is, said below the table


def test_transfer_plays_the_same_policy_there_and_here(pendulum_run: pathlib.Path, tmp_path: pathlib.Path) -> None:  # noqa: F811
    pytest.importorskip("gymnasium")
    out = tmp_path / "transfer.json"
    result = python("-m", "train.transfer", "--run", pendulum_run, "--episodes", 20, "--out", out)
    assert result.returncode == 0, result.stderr
    found = json.loads(out.read_text())
    there, here = np.array(found["returns_gymnasium"]), np.array(found["returns_here"])
    assert there.shape == here.shape == (20,) and found["gymnasium"] == "InvertedPendulum-v5"
    # This policy soon fails, after a number of steps that depends on the start: the same one here and there.
    error = np.sqrt(there.var() / 20 + here.var() / 20)
    assert abs(there.mean() - here.mean()) < 4 * error + 0.5
    assert found["ratio"] == pytest.approx(there.mean() / here.mean())
    assert "kept: " in result.stdout


def test_transfer_refuses(pendulum_run: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    assert "episodes" in refusal(monkeypatch, transfer, "--run", pendulum_run, "--episodes", 0)
    with monkeypatch.context() as patch:
        patch.setitem(__import__("sys").modules, "gymnasium", None)
        assert "awr_mjx[gymnasium]" in refusal(monkeypatch, transfer, "--run", pendulum_run)


def test_presets_are_valid_and_of_tasks_that_exist() -> None:
    for name, config in presets.PRESETS.items():
        assert config.env == name and name in registry.names()
        config.validate()
    assert presets.preset("mine").env == "mine"
    presets.preset("mine").validate()


@dataclasses.dataclass(frozen=True)
class Settings:
    inner: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    fast: bool = False
    count: int = 1


@pytest.mark.parametrize(
    "args",
    [
        ["--fast", "--inner.env.full_obs", "--count", "2"],
        ["--count", "2", "--inner.env.full-obs", "--fast"],
        ["--fast", "true", "--inner.env.full_obs=true", "--count=2"],
        ["--inner.env.full_obs", "True", "--count=2", "--fast=True"],
    ],
)
def test_a_switch_needs_no_value(args: list[str]) -> None:
    found = cli.parse(Settings, args, prog="program", description="")
    assert found.fast and found.inner.task.full_obs and found.count == 2
    assert not cli.parse(Settings, ["--fast", "false"], prog="program", description="").fast


def test_only_switches_need_no_value() -> None:
    with pytest.raises(ValueError, match="count"):
        cli.parse(Settings, ["--count", "--fast"], prog="program", description="")


class Hollow(Walk):
    """Its state has an array without elements, as Brax's and MJX's states do."""

    def reset(self, key: jax.Array) -> registry.Env:
        state = super().reset(key)
        return state.replace(data=state.data | {"nothing": jnp.zeros((0, 3))})


def test_a_state_with_empty_arrays_is_saved_and_restored(tmp_path: pathlib.Path) -> None:
    loop = Loop(Hollow(), AwrConfig(batch_size=8), 4)
    state = loop.init(0)
    saves = Checkpoints(tmp_path, keep=1, with_ring=True)
    assert saves.save(state, 32) is None and saves.wait() is None
    saves.close()
    step, restored, warnings = restore(tmp_path, jax.eval_shape(lambda: state))
    want, got = leaves_of(state), leaves_of(restored)
    assert step == 32 and not warnings and any(leaf.size == 0 for leaf in want.values())
    assert want.keys() == got.keys()
    for name, leaf in want.items():
        np.testing.assert_array_equal(got[name], leaf, err_msg=name)


def test_training_takes_the_options_of_a_task() -> None:
    for args, option, value in (
        (["--env.physics", "exact"], "physics", "exact"),
        (["--env.full_obs"], "full_obs", True),
        (["--env.randomize=true"], "randomize", True),
        (["--env.impl", "warp"], "impl", "warp"),
    ):
        config = parse(["--env", "hopper", *args, "--batch_size", "32"]).config
        assert getattr(config.task, option) == value
        assert (config.env, config.awr.batch_size) == ("hopper", 32)
