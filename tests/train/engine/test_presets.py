"""Presets."""

import dataclasses

import pytest

from awr_mjx.envs import registry
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import presets
from tests.trained import pendulum_run, python, refusal  # noqa: F401


def test_presets_are_valid_and_of_tasks_that_exist() -> None:
    for name, config in presets.PRESETS.items():
        assert config.env == name and name in registry.names()
        config.validate()
    assert presets.preset("mine").env == "mine"
    presets.preset("mine").validate()


def test_a_run_of_before_there_was_giving_up_goes_on_without() -> None:
    for env, want in (("imitate/dog", 0.0), ("ant", registry.TaskOptions.give_up)):  # which ant does not take
        values = settings.to_dict(presets.preset(env))
        assert settings.from_dict(values, "config.json") == presets.preset(env)
        del values["task"]["give_up"]
        assert settings.from_dict(values, "config.json").task.give_up == want


@pytest.mark.parametrize(
    ("env", "num_envs", "steps", "rows", "batch"),
    [
        ("ant", 512, 16, 96, 4096),
        ("ant", 2048, 4, 24, 4096),
        ("ant", 4096, 2, 24, 4096),
        ("ant", 8192, 1, 24, 4096),
        ("ant", 16_384, 1, 24, 8192),  # an iteration has twice the samples
        ("ant", 3000, 3, 24, 4096),
        ("hopper", 2048, 1, 24, 256),
        ("hopper", 1, 2048, 49_152, 256),
    ],
)
def test_settings_follow_the_number_of_environments(env: str, num_envs: int, steps: int, rows: int, batch: int) -> None:
    config = presets.preset(env, num_envs)
    assert (config.num_envs, config.awr.rollout_steps) == (num_envs, steps)
    assert (config.awr.capacity, config.awr.batch_size) == (rows, batch)
    config.validate()
    own = presets.preset(env)
    same = dataclasses.replace(config.awr, rollout_steps=0, buffer_blocks=0, batch_size=0)
    assert same == dataclasses.replace(own.awr, rollout_steps=0, buffer_blocks=0, batch_size=0)


def test_every_preset_is_itself_with_its_own_number() -> None:
    for name, config in presets.PRESETS.items():
        assert presets.preset(name, config.num_envs) == config and presets.followed(config) == ""


def test_what_follows_is_told() -> None:
    told = presets.followed(presets.preset("ant", 512))
    assert told == "an iteration: 16 steps of each; ring: 96 rows (the preset's 2048 have 4 and 24)"
