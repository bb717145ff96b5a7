"""Command lines: switches."""

import dataclasses

import pytest

from tests.trained import pendulum_run, python, refusal  # noqa: F401
from train.console import cli
from train.engine.config import TrainConfig


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
